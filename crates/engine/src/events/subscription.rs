//! One listener's way through the events: the log first, then what comes.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::{Event, Events};
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
    /// Read and not told yet: a few lines, however much there is.
    read: VecDeque<Event>,
}

impl Subscription {
    pub(super) fn new(
        events: Arc<Events>,
        receiver: Receiver<Arc<Event>>,
        past: Past,
        start: u64,
        end: u64,
    ) -> Self {
        let (position, since) = match past {
            Past::Nothing => (end, None),
            Past::Since(since) => (start, Some(since)),
        };
        Self { events, receiver, since, position, live_from: end, read: VecDeque::new() }
    }

    /// The next event of the past; `None` once there is no more of it.
    pub async fn next_past(&mut self) -> Option<Arc<Event>> {
        if self.read.is_empty() && self.position < self.live_from {
            self.read_on().await;
        }
        self.read.pop_front().map(Arc::new)
    }

    /// The next event, however long it takes to come; `None` if none can come any more.
    ///
    /// Can be given up and asked for again: nothing is lost.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        loop {
            if let Some(event) = self.next_past().await {
                return Some(event);
            }
            match self.receiver.recv().await {
                Ok(event) => match event.position {
                    Some(position) if position <= self.position => {}
                    position => {
                        self.position = position.unwrap_or(self.position);
                        return Some(event);
                    }
                },
                // Too slow for the others: what is lost here is in the log.
                Err(RecvError::Lagged(_)) => self.live_from = self.events.log().end(),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    async fn read_on(&mut self) {
        let reader = self.events.log().reader();
        let (position, since) = (self.position, self.since);
        let (events, end) = blocking(move || reader.read(position, since)).await;
        // With nothing more to read, whatever is missing is missing for good.
        self.position = if events.is_empty() { end.max(self.live_from) } else { end };
        self.read = events.into();
    }
}
