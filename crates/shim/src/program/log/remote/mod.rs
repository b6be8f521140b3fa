//! A log that somebody else keeps: entries wait in a queue until the peer takes them.
//!
//! ```text
//!            connected                    broken, or stuck for long
//!  Connecting ───────▶ Connected ──────────────▶ Down ───▶ Connecting …
//!      └────────────────────────────────────────▶ ▲   after a pause
//!                 refused, or too slow
//! ```
//!
//! When the queue is full, either entries are dropped (`mode=non-blocking`) or the container
//! waits, as in Docker. But it does not wait for ever: a peer that has taken nothing for
//! [`PATIENCE`] is given up, and entries are dropped until it takes some again. It is then told
//! how many are missing.
//!
//! Nor can one read fill the memory: short lines become entries that are hundreds of times as
//! long. A log for which the container waits is fed [`READ_BYTES_MAX`] at once, and what does
//! not fit into the queue and [`SURPLUS_BYTES_MAX`] is dropped even so. That takes an end of
//! the container whose last output is mostly line feeds, before a peer that takes nothing.
//!
//! Sockets are made in the shim's network namespace, which is the host's.

mod fluentd;
mod journald;
mod link;
mod syslog;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use shim::protocol::{LogPeer, RemoteLog};

use self::link::{Link, Sent};
use super::lines::Entry;
use super::{Sink, Source};
use crate::clock::unix_nanoseconds;
use crate::event_loop::{EventLoop, Readiness};

/// How long a container waits for a peer that takes nothing, and how long a connection may be
/// stuck before it is made anew.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is read at once of an output that waits for its peer.
const READ_BYTES_MAX: usize = 4096;

/// How far the queue may grow beyond its limit, where the container waits when it is full: what
/// was read is there, so there must be room for it.
const SURPLUS_BYTES_MAX: usize = 8 << 20;

/// The first pause before a connection is tried again, where the user has not said.
const RETRY_WAIT: Duration = Duration::from_millis(250);

/// The longest pause. As long as fluentd's own clients wait.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(60);

/// How an entry is put into the peer's words.
trait Encode: std::fmt::Debug {
    /// `None` if the peer does not want it.
    fn encode(&mut self, source: Source, entry: &Entry<'_>) -> Option<Message>;
}

/// What is sent for one entry.
#[derive(Debug)]
struct Message {
    bytes: Vec<u8>,
    /// By this the peer will say that it has the entry.
    receipt: Option<String>,
}

impl Message {
    fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, receipt: None }
    }

    /// The memory that it takes while it waits. The queue doubles when it grows.
    fn cost(&self) -> usize {
        let receipt = self.receipt.as_ref().map_or(0, String::capacity);
        self.bytes.capacity() + receipt + 2 * size_of::<Self>()
    }
}

/// The log of one container, on its way to somebody else.
#[derive(Debug)]
pub(super) struct Remote {
    encoder: Box<dyn Encode>,
    link: Link,
    queue: VecDeque<Message>,
    queue_bytes: usize,
    queue_bytes_max: usize,
    /// How much of the first message has gone.
    sent_of_first: usize,
    /// Messages at the beginning of the queue that were sent and not confirmed.
    unconfirmed: usize,
    heard: Vec<u8>,
    is_lossy: bool,
    /// It has taken nothing for too long.
    is_given_up: bool,
    /// Since when the peer has taken nothing although something waits.
    stuck_since: Option<Instant>,
    patience: Duration,
    retry: Retry,
    lost: u64,
    /// Lost since the peer was last told.
    untold: u64,
}

/// When to try again.
#[derive(Debug)]
struct Retry {
    first_wait: Duration,
    /// Attempts after which what waits is dropped.
    attempts_max: u32,
    attempts: u32,
}

impl Retry {
    /// Half as long again each time.
    fn next_wait(&mut self) -> Duration {
        const STEPS_MAX: u32 = 40;
        let factor = 1.5_f64.powi(self.attempts.min(STEPS_MAX).cast_signed());
        self.attempts = self.attempts.saturating_add(1);
        self.first_wait.mul_f64(factor).min(RETRY_WAIT_MAX)
    }
}

impl Remote {
    /// Connects. The container does not start without its peer, unless the user said so.
    pub(super) fn open(settings: &RemoteLog, events: &EventLoop) -> io::Result<Self> {
        let mut retry = Retry { first_wait: RETRY_WAIT, attempts_max: u32::MAX, attempts: 0 };
        let (encoder, address) = match &settings.peer {
            LogPeer::Journald { socket, fields } => {
                if !socket.exists() {
                    return Err(io::Error::other("journald is not enabled on this host"));
                }
                (journald::encoder(fields)?, link::Address::Journal(socket.clone()))
            }
            LogPeer::Syslog { address, facility, format, hostname, tag } => {
                (syslog::encoder(*facility, *format, hostname, tag), address.into())
            }
            LogPeer::Fluentd {
                address,
                tag,
                fields,
                has_subsecond_time,
                wants_acknowledgement,
                retry_wait,
                retries_max,
            } => {
                retry.first_wait = *retry_wait;
                retry.attempts_max = *retries_max;
                let options = fluentd::Options {
                    has_subsecond_time: *has_subsecond_time,
                    wants_acknowledgement: *wants_acknowledgement,
                };
                (fluentd::encoder(tag, fields, options)?, address.into())
            }
        };
        let link = Link::open(address, events, settings.is_optional)?;
        Ok(Self {
            encoder,
            link,
            queue: VecDeque::new(),
            queue_bytes: 0,
            queue_bytes_max: usize::try_from(settings.queue_bytes_max).unwrap_or(usize::MAX),
            sent_of_first: 0,
            unconfirmed: 0,
            heard: Vec::new(),
            is_lossy: settings.is_lossy,
            is_given_up: false,
            stuck_since: None,
            patience: settings.patience.unwrap_or(PATIENCE),
            retry,
            lost: 0,
            untold: 0,
        })
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn is_full(&self) -> bool {
        !self.is_lossy && !self.is_given_up && self.queue_bytes >= self.queue_bytes_max
    }

    /// What may be read at once, if that matters.
    pub(super) fn read_bytes_max(&self) -> Option<usize> {
        (!self.is_lossy).then_some(READ_BYTES_MAX)
    }

    pub(super) fn is_delivering(&self) -> bool {
        !self.queue.is_empty() && !self.is_given_up
    }

    pub(super) fn ready(&mut self, readiness: Readiness) {
        if self.link.is_connecting() {
            if self.link.finish_connecting().is_err() {
                self.connect_later();
            }
        } else if readiness.intersects(Readiness::IN | Readiness::HUP | Readiness::ERR) {
            self.listen();
        }
        self.flush();
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let stuck = self.stuck_since.filter(|_| !self.is_given_up);
        stuck.map(|since| since + self.patience).into_iter().chain(self.link.deadline()).min()
    }

    pub(super) fn handle_deadline(&mut self, now: Instant) {
        if self.stuck_since.is_some_and(|since| since + self.patience <= now) && !self.is_given_up {
            self.is_given_up = true;
            if self.link.is_connected() {
                self.disconnect();
            }
        }
        if self.link.deadline().is_some_and(|at| at <= now) {
            // Either it took too long to connect, or it is time to try again.
            if self.link.is_connecting() || self.link.connect().is_err() {
                self.connect_later();
            }
        }
        self.flush();
    }

    /// Hears of confirmations, and of the end.
    fn listen(&mut self) {
        match self.link.receive(&mut self.heard) {
            Ok(()) => self.take_receipts(),
            Err(_) => self.disconnect(),
        }
    }

    fn take_receipts(&mut self) {
        while self.unconfirmed > 0 {
            let Some(receipt) = self.queue.front().and_then(|first| first.receipt.as_ref()) else {
                break;
            };
            let Some(end) = end_of(receipt.as_bytes(), &self.heard) else { break };
            self.heard.drain(..end);
            self.unconfirmed -= 1;
            self.drop_first();
            self.progressed();
        }
    }

    fn disconnect(&mut self) {
        self.sent_of_first = 0;
        // They may have arrived, or not: the peer gets them again.
        self.unconfirmed = 0;
        self.heard.clear();
        self.connect_later();
    }

    fn connect_later(&mut self) {
        if self.retry.attempts >= self.retry.attempts_max {
            self.retry.attempts = 0;
            self.lose_everything();
        }
        let wait = self.retry.next_wait();
        self.link.rest_until(Instant::now() + wait);
    }

    fn lose_everything(&mut self) {
        self.lose(self.queue.len() as u64);
        self.queue.clear();
        self.queue_bytes = 0;
        self.sent_of_first = 0;
        self.unconfirmed = 0;
    }

    fn lose(&mut self, entries: u64) {
        self.lost += entries;
        self.untold += entries;
    }

    fn has_no_room_for(&self, entry: &Entry<'_>) -> bool {
        !self.queue.is_empty() && self.queue_bytes + entry.text.len() > self.queue_bytes_max
    }

    fn must_drop(&self, entry: &Entry<'_>) -> bool {
        let may_drop = self.is_lossy || self.is_given_up;
        let surplus = if may_drop { 0 } else { SURPLUS_BYTES_MAX };
        self.has_no_room_for(entry)
            && self.queue_bytes + entry.text.len() > self.queue_bytes_max.saturating_add(surplus)
    }

    fn enqueue(&mut self, message: Message) {
        self.queue_bytes += message.cost();
        self.queue.push_back(message);
    }

    fn drop_first(&mut self) {
        if let Some(first) = self.queue.pop_front() {
            self.queue_bytes -= first.cost();
        }
        self.sent_of_first = 0;
    }

    fn progressed(&mut self) {
        self.retry.attempts = 0;
        self.is_given_up = false;
        self.stuck_since = None;
    }

    /// Sends as much as the peer takes.
    fn send_queue(&mut self) {
        while let Some(message) = self.queue.get(self.unconfirmed) {
            let has_receipt = message.receipt.is_some();
            match self.link.send(&message.bytes[self.sent_of_first..]) {
                Ok(Sent::Some(count)) => {
                    self.sent_of_first += count;
                    self.progressed();
                }
                Ok(Sent::All) => {
                    if has_receipt {
                        self.sent_of_first = 0;
                        self.unconfirmed += 1;
                    } else {
                        self.drop_first();
                        self.progressed();
                    }
                }
                Ok(Sent::Nothing) => break,
                // A datagram that cannot be sent at all.
                Ok(Sent::Never) => {
                    self.drop_first();
                    self.lose(1);
                }
                Err(_) => {
                    self.disconnect();
                    break;
                }
            }
        }
    }

    /// The peer should know that something is missing.
    fn tell_of_losses(&mut self) {
        if self.untold == 0 || !self.queue.is_empty() || !self.link.is_connected() {
            return;
        }
        let text = format!("[{} log entries were dropped here]", self.untold);
        let entry = Entry {
            text: text.as_bytes(),
            is_end: true,
            unix_nanoseconds: unix_nanoseconds(),
            ordinal: 0,
        };
        if let Some(message) = self.encoder.encode(Source::Stderr, &entry) {
            self.untold = 0;
            self.enqueue(message);
            self.send_queue();
        }
    }
}

impl Sink for Remote {
    fn push(&mut self, source: Source, entry: &Entry<'_>) {
        if self.has_no_room_for(entry) && self.link.is_connected() {
            self.send_queue();
        }
        if self.must_drop(entry) {
            return self.lose(1);
        }
        if let Some(message) = self.encoder.encode(source, entry) {
            self.enqueue(message);
        }
    }

    fn flush(&mut self) {
        if self.link.is_connected() {
            self.send_queue();
            self.tell_of_losses();
        }
        if self.queue.is_empty() {
            // Whoever fell behind once need not do so again.
            self.queue.shrink_to(0);
            self.stuck_since = None;
        } else {
            self.stuck_since.get_or_insert_with(Instant::now);
        }
        let has_unsent = self.queue.len() > self.unconfirmed;
        self.link.wait_for_room(has_unsent);
    }
}

/// Where `wanted` ends in `bytes`.
fn end_of(wanted: &[u8], bytes: &[u8]) -> Option<usize> {
    let start = bytes.windows(wanted.len()).position(|window| window == wanted)?;
    Some(start + wanted.len())
}
