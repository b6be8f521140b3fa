//! What a container has written, read back from its log.
//!
//! The shim writes the log; this only reads it, so a log can be followed while its writer
//! lives on without a daemon.

use errors::{Explain, Kind};
use jiff::Timestamp;

use crate::containers::{LookupError};

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

/// A piece of output: a line, or a part of a long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    pub at: Timestamp,
    pub is_stderr: bool,
    /// With its line feed, unless the line goes on in the next entry.
    pub text: Vec<u8>,
    /// Labels and environment that were logged along (`--details`).
    pub attributes: Vec<(String, String)>,
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
