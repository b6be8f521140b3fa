//! One listener's way through the events: the log first, then what comes.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::writer::Listener;
use super::{Event, Events, WRITE_PATIENCE};
use crate::containers::blocking;

/// Which of the past a listener wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    Nothing,
    /// What is not older than this, as far as it is kept.
    Since(Timestamp),
}

/// A listener. Nothing is missing between the past and what comes, and nothing is told twice.
#[derive(Debug)]
pub struct Subscription {
    events: Arc<Events>,
    receiver: Receiver<Arc<Event>>,
    since: Option<Timestamp>,
    /// The end of what was told.
    position: u64,
    /// Up to here the log is read; from here on the receiver has everything.
    live_from: u64,
    /// The last event of the past. It may not be written yet.
    last: u64,
    /// Whether the past is wanted at all.
    wants_past: bool,
    /// The last event of the past has not been waited for yet.
    awaits_past: bool,
    /// Read and not told yet: a few lines, however much there is.
    read: VecDeque<Event>,
}

impl Subscription {
    pub(super) fn new(events: Arc<Events>, listener: Listener, past: Past) -> Self {
        let Listener { receiver, reader, last, waiting_since } = listener;
        let (position, since) = match past {
            // Of what is still to be written this one does not want to read later on.
            Past::Nothing => (reader.end(), waiting_since),
            Past::Since(since) => (reader.start(), Some(since)),
        };
        Self {
            events,
            receiver,
            since,
            position,
            live_from: reader.end(),
            last,
            wants_past: past != Past::Nothing,
            awaits_past: past != Past::Nothing,
            read: VecDeque::new(),
        }
    }

    /// The next event of the past; `None` once there is no more of it.
    ///
    /// What was told a moment ago belongs to it, so that this may wait until that is written.
    pub async fn next_past(&mut self) -> Option<Arc<Event>> {
        loop {
            if let Some(event) = self.next_read().await {
                return Some(event);
            }
            if !std::mem::take(&mut self.awaits_past) {
                return None;
            }
            // A disk that answers no more has no more of the past.
            let told = self.events.0.told(self.last);
            let _ = tokio::time::timeout(WRITE_PATIENCE, told).await;
            self.live_from = self.events.0.reader().end();
        }
    }

    /// The next event, however long it takes to come; `None` if none can come any more.
    ///
    /// Can be given up and asked for again: nothing is lost.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        loop {
            if let Some(event) = self.next_read().await {
                return Some(event);
            }
            match self.receiver.recv().await {
                Ok(event) => {
                    let is_told = event.position.is_some_and(|position| position <= self.position);
                    let is_unwanted = !self.wants_past && event.number <= self.last;
                    self.position = self.position.max(event.position.unwrap_or(0));
                    if !is_told && !is_unwanted {
                        return Some(event);
                    }
                }
                // Too slow for the others: what is lost here is in the log.
                Err(RecvError::Lagged(_)) => self.live_from = self.events.0.reader().end(),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The next event that has to be read, if any has.
    async fn next_read(&mut self) -> Option<Arc<Event>> {
        if self.read.is_empty() && self.position < self.live_from {
            self.read_on().await;
        }
        self.read.pop_front().map(Arc::new)
    }

    async fn read_on(&mut self) {
        let reader = self.events.0.reader();
        let (position, since) = (self.position, self.since);
        let (events, end) = blocking(move || reader.read(position, since)).await;
        // With nothing more to read, whatever is missing is missing for good.
        self.position = if events.is_empty() { end.max(self.live_from) } else { end };
        self.read = events.into();
    }
}
