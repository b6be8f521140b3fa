//! What a container has written, read back from its log.
//!
//! The shim writes the log; this only reads it, so that a log can be followed whether or not
//! the daemon that started the container still lives. [`files`] finds where to begin,
//! [`entry`] reads lines, [`follow`] waits for more.

mod entry;
mod files;
mod follow;

use errors::{Explain, Kind};
use jiff::Timestamp;

use crate::containers::{Container, LookupError, blocking};

pub use entry::LogEntry;

/// Entries that may wait for a slow reader. The file keeps the rest.
const QUEUE_LENGTH: usize = 64;

/// Which part of a log to read.
#[derive(Debug, Clone)]
pub struct LogQuery {
    pub stdout: bool,
    pub stderr: bool,
    /// Go on with what is written from now on, until the container ends.
    pub follow: bool,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// Only so many of the last lines. `None`: all.
    pub tail: Option<u64>,
}

impl LogQuery {
    fn wants(&self, entry: &LogEntry) -> bool {
        (if entry.is_stderr { self.stderr } else { self.stdout })
            && self.since.is_none_or(|since| entry.at >= since)
    }

    fn is_past_end(&self, entry: &LogEntry) -> bool {
        self.until.is_some_and(|until| entry.at > until)
    }
}

/// Entries, as they come. Dropping it ends the reading.
pub type LogStream = tokio::sync::mpsc::Receiver<std::io::Result<LogEntry>>;

/// A log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("configured logging driver does not support reading")]
    NotReadable,
    #[error("cannot read the log of container {id}")]
    Read { id: String, source: std::io::Error },
}

impl Explain for LogsError {
    fn kind(&self) -> Kind {
        match self {
            Self::Lookup(error) => error.kind(),
            Self::NotReadable => Kind::NotImplemented,
            Self::Read { .. } => Kind::Internal,
        }
    }
}

/// Begins to read a container's log.
pub(crate) async fn open(container: &Container, query: LogQuery) -> Result<LogStream, LogsError> {
    let view = container.view();
    let path = view.log_path.clone().ok_or(LogsError::NotReadable)?;
    let mut snapshot = container.snapshot();
    let ends_before = snapshot.borrow_and_update().ends;
    let is_live = view.state.phase.is_live();
    let failed = |source| LogsError::Read { id: view.id.to_string(), source };

    // Watching begins before reading, so that nothing falls between the two.
    let watch = (query.follow && is_live).then(|| follow::Watch::on(&path)).transpose();
    let watch = watch.map_err(failed)?;
    let opened = {
        let (path, tail) = (path.clone(), query.tail);
        blocking(move || files::open(&path, tail)).await.map_err(failed)?
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(QUEUE_LENGTH);
    tokio::spawn(follow::send(follow::Sending {
        path,
        query,
        files: opened,
        watch,
        snapshot,
        ends_before,
        sender,
    }));
    Ok(receiver)
}
