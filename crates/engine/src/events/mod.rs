//! What happened, told to whoever listens, and kept for whoever asks later.
//!
//! An event is written to the [`log`] before anybody hears of it, so that what was told
//! outlives this process: the kernel has it then, and only a crash of the whole host can lose
//! the last seconds. A thread of its own does that (the [`writer`]), so that whoever has
//! something to tell never waits for the disk, not even for one that answers no more.
//!
//! Listeners get events as they come from a queue that they share. One who is too slow for
//! it goes on from the log ([`Subscription`]), which costs him time and nobody else memory.

mod log;
mod subscription;
mod writer;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use log::Log;
pub use subscription::{Past, Subscription};
use writer::Writer;

/// Events that a listener may fall behind before he goes on from the log.
const BACKLOG_LENGTH: usize = 256;

/// How long anybody waits until what was told is written.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// First of all in the log, where it is looked for without reading the rest.
    #[serde(rename = "at", with = "nanoseconds")]
    pub at: Timestamp,
    pub object: ObjectKind,
    /// As `start`, `die`, `exec_create: sh -c true`.
    pub action: String,
    /// The object's id or name.
    pub id: String,
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// The beginning or end of a container's run that this tells, by its own time: nobody
    /// tells that again.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_nanoseconds")]
    pub(crate) run: Option<Timestamp>,
    /// Where it ends in the log; `None` if it could not be written.
    #[serde(skip)]
    pub(crate) position: Option<u64>,
    /// Counts what this engine tells.
    #[serde(skip)]
    pub(crate) number: u64,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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

impl Event {
    pub(crate) fn new(
        object: ObjectKind,
        action: impl Into<String>,
        id: impl Into<String>,
        attributes: BTreeMap<String, String>,
    ) -> Self {
        Self {
            at: Timestamp::now(),
            object,
            action: action.into(),
            id: id.into(),
            attributes,
            run: None,
            position: None,
            number: 0,
        }
    }

    fn stamp(&mut self) {
        self.at = Timestamp::now();
    }
}

/// Everybody's events.
#[derive(Debug)]
pub(crate) struct Events(Writer);

impl Events {
    /// Opens what earlier engines have kept in `folder`.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        Writer::start(Log::open(folder)?).map(Self)
    }

    /// Tells something that happens now.
    pub(crate) fn publish(
        &self,
        object: ObjectKind,
        action: impl Into<String>,
        id: impl Into<String>,
        attributes: BTreeMap<String, String>,
    ) {
        self.publish_now(Event::new(object, action, id, attributes));
    }

    /// As [`publish`](Self::publish), of an event that says more.
    pub(crate) fn publish_now(&self, event: Event) {
        // Stamped as it takes its place, so that the order of events is that of their times.
        self.0.push(event, Event::stamp);
    }

    /// Tells something that happened while nobody was there to tell it, with its own time.
    pub(crate) fn publish_late(&self, at: Timestamp, event: Event) {
        self.0.push(Event { at, ..event }, |_| ());
    }

    pub(crate) fn subscribe(self: &Arc<Self>, past: Past) -> Subscription {
        Subscription::new(Arc::clone(self), self.0.listen(), past)
    }

    /// How many listen at present.
    pub(crate) fn listeners(&self) -> usize {
        self.0.listeners()
    }

    /// Blocks until everything that was told is written, or at least tried, but not for ever.
    pub(crate) fn settle(&self) {
        self.0.settle(WRITE_PATIENCE);
    }

    /// The beginnings and ends of runs that have been told: container, action, time. Reads the
    /// disk.
    pub(crate) fn told_runs(&self) -> HashSet<(String, String, Timestamp)> {
        self.settle();
        self.0.reader().runs()
    }
}

/// A time as a whole number.
mod nanoseconds {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let nanoseconds = i64::deserialize(from)?;
        Timestamp::from_nanosecond(nanoseconds.into()).map_err(serde::de::Error::custom)
    }
}

/// As [`nanoseconds`], or nothing.
mod optional_nanoseconds {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        at: &Option<Timestamp>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => super::nanoseconds::serialize(at, to),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let nanoseconds = Option::<i64>::deserialize(from)?;
        Ok(nanoseconds.and_then(|at| Timestamp::from_nanosecond(at.into()).ok()))
    }
}

#[cfg(test)]
mod tests;
