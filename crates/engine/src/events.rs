//! What happened, told to whoever listens.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::broadcast;

/// How many events are kept for those who ask for the past.
const HISTORY_LENGTH: usize = 1024;

/// How far a listener may fall behind before it loses events.
const BACKLOG_LENGTH: usize = 1024;

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Event {
    pub at: Timestamp,
    pub object: ObjectKind,
    /// As `start`, `die`, `exec_create: sh -c true`.
    pub action: String,
    /// The object's id or name.
    pub id: String,
    pub attributes: BTreeMap<String, String>,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    Container,
    Image,
    Network,
    Volume,
    Daemon,
}

impl ObjectKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Daemon => "daemon",
        }
    }
}

/// Everybody's events: the newest ones, and those to come.
#[derive(Debug)]
pub struct Events {
    history: Mutex<VecDeque<Arc<Event>>>,
    sender: broadcast::Sender<Arc<Event>>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            history: Mutex::new(VecDeque::with_capacity(64)),
            sender: broadcast::channel(BACKLOG_LENGTH).0,
        }
    }
}

/// What happened so far (oldest first), and a receiver of what comes next. Nothing is missing
/// between the two, and nothing is in both.
#[derive(Debug)]
pub struct Subscription {
    pub past: Vec<Arc<Event>>,
    pub future: broadcast::Receiver<Arc<Event>>,
}

impl Events {
    pub fn publish(
        &self,
        object: ObjectKind,
        action: impl Into<String>,
        id: impl Into<String>,
        attributes: BTreeMap<String, String>,
    ) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        // Stamped under the lock, so that the order of events is the order of their times.
        let event = Arc::new(Event {
            at: Timestamp::now(),
            object,
            action: action.into(),
            id: id.into(),
            attributes,
        });
        if history.len() == HISTORY_LENGTH {
            history.pop_front();
        }
        history.push_back(Arc::clone(&event));
        // Nobody listening is not an error.
        let _ = self.sender.send(event);
    }

    pub fn subscribe(&self) -> Subscription {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        Subscription { past: history.iter().cloned().collect(), future: self.sender.subscribe() }
    }
}
