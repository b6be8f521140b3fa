//! The thread that owns the log: it writes events in the order in which they came, and tells
//! each of them once it is written.
//!
//! ```text
//!   push ──▶ queue ──▶ thread: log.append ──▶ told to those who listen
//!            (memory)          (the disk)     (memory)
//! ```
//!
//! A disk that answers no more stops the thread and nobody else: what is told then waits in
//! the queue, and so do those who listen. A queue that is full loses what comes next, which
//! is said in the daemon's own log; nothing else could keep both the order and the memory.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{broadcast, watch};

use super::log::{Log, Reader};
use super::{BACKLOG_LENGTH, Event};

/// What may wait to be written: tens of thousands of events.
const QUEUE_BYTES_MAX: usize = 16 << 20;

/// What an event costs beside its texts, roughly.
const EVENT_BYTES: usize = 256;

/// The thread needs little: a line at a time.
const STACK_BYTES: usize = 256 << 10;

/// Who writes, seen by those who have something to tell.
#[derive(Debug)]
pub(super) struct Writer(Arc<Shared>);

/// What a new listener gets.
#[derive(Debug)]
pub(super) struct Listener {
    /// Tells what comes.
    pub(super) receiver: broadcast::Receiver<Arc<Event>>,
    /// What is written already.
    pub(super) reader: Reader,
    /// The last event before this listener; it may still be in the queue.
    pub(super) last: u64,
    /// When that was, if there is such an event.
    pub(super) waiting_since: Option<Timestamp>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write, or nobody is left who would tell anything.
    work: Condvar,
    /// Something was written.
    progress: Condvar,
    /// The number of the last event that was told.
    settled: watch::Sender<u64>,
    sender: broadcast::Sender<Arc<Event>>,
}

/// All of it is memory: nobody waits for the disk while he has it.
#[derive(Debug)]
struct State {
    queue: VecDeque<Event>,
    queue_bytes: usize,
    /// The number of the last event that came.
    last: u64,
    /// The number of the last one that was told.
    settled: u64,
    /// Since the queue was last empty.
    lost: u64,
    reader: Reader,
    is_closing: bool,
}

impl Writer {
    pub(super) fn start(log: Log) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                queue: VecDeque::new(),
                queue_bytes: 0,
                last: 0,
                settled: 0,
                lost: 0,
                reader: log.reader(),
                is_closing: false,
            }),
            work: Condvar::new(),
            progress: Condvar::new(),
            settled: watch::Sender::new(0),
            sender: broadcast::channel(BACKLOG_LENGTH).0,
        });
        let own = Arc::clone(&shared);
        thread::Builder::new()
            .name("events".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || own.write_all(log))?;
        Ok(Self(shared))
    }

    /// Takes an event, whose place is known when it is prepared.
    pub(super) fn push(&self, mut event: Event, prepare: impl FnOnce(&mut Event)) {
        let bytes = bytes_of(&event);
        let mut state = self.0.state();
        if state.queue_bytes + bytes > QUEUE_BYTES_MAX && !state.queue.is_empty() {
            state.lost += 1;
            if state.lost == 1 {
                tracing::error!("the disk does not take any events; those from now on are lost");
            }
            return;
        }
        prepare(&mut event);
        state.last += 1;
        state.queue_bytes += bytes;
        let number = state.last;
        state.queue.push_back(Event { number, ..event });
        drop(state);
        self.0.work.notify_one();
    }

    pub(super) fn listen(&self) -> Listener {
        let state = self.0.state();
        Listener {
            receiver: self.0.sender.subscribe(),
            reader: state.reader.clone(),
            last: state.last,
            waiting_since: (state.settled < state.last).then(Timestamp::now),
        }
    }

    pub(super) fn listeners(&self) -> usize {
        self.0.sender.receiver_count()
    }

    #[cfg(test)]
    pub(super) fn queue_length(&self) -> usize {
        self.0.state().queue.len()
    }

    /// What is written.
    pub(super) fn reader(&self) -> Reader {
        self.0.state().reader.clone()
    }

    /// Waits until an event was told.
    pub(super) async fn told(&self, number: u64) {
        // The sender lives as long as the thread, so that there is an end to wait for.
        let _ = self.0.settled.subscribe().wait_for(|settled| *settled >= number).await;
    }

    /// Blocks until everything that came was told.
    pub(super) fn settle(&self, patience: Duration) {
        let state = self.0.state();
        let last = state.last;
        let is_behind = |state: &mut State| state.settled < last;
        // Poisoned by a panic elsewhere: there is nothing more to wait for.
        let _ = self.0.progress.wait_timeout_while(state, patience, is_behind);
    }
}

impl Drop for Writer {
    /// What was told is still written, but nobody waits for it.
    fn drop(&mut self) {
        self.0.state().is_closing = true;
        self.0.work.notify_one();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread's life.
    fn write_all(&self, mut log: Log) {
        while let Some(mut event) = self.next() {
            event.position = log.append(&event);
            self.tell(event, log.reader());
        }
    }

    /// The next event to write; `None` once nobody can tell any more.
    fn next(&self) -> Option<Event> {
        let is_idle = |state: &mut State| state.queue.is_empty() && !state.is_closing;
        let waited = self.work.wait_while(self.state(), is_idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let event = state.queue.pop_front();
        if let Some(event) = &event {
            state.queue_bytes -= bytes_of(event);
        }
        event
    }

    fn tell(&self, event: Event, reader: Reader) {
        let number = event.number;
        let mut state = self.state();
        // Dropped below: it may hold the last descriptor of a file that was removed.
        let _old = std::mem::replace(&mut state.reader, reader);
        state.settled = number;
        // With the state, so that a new listener finds it either here or in the log. Nobody
        // listening is not an error.
        let _ = self.sender.send(Arc::new(event));
        let lost = if state.queue.is_empty() { std::mem::take(&mut state.lost) } else { 0 };
        drop(state);
        self.progress.notify_all();
        self.settled.send_replace(number);
        if lost > 0 {
            tracing::error!(lost, "the disk takes events again; some were lost");
        }
    }
}

/// What an event takes in memory, about. The same before and after it has its place.
fn bytes_of(event: &Event) -> usize {
    let attributes = event.attributes.iter().map(|(key, value)| key.len() + value.len());
    EVENT_BYTES + event.action.len() + event.id.len() + attributes.sum::<usize>()
}
