//! What a container has written, read back from its log.
//!
//! The shim writes the log; this only reads it, so that a log can be followed whether or not
//! the daemon that started the container still lives. [`files`] finds where to begin, a
//! [`file`] is read in its format, [`follow`] waits for more.
//!
//! Nothing is read from the start that is not wanted: see [`json_file`] and [`local`] for how
//! each format is searched.
//!
//! [`options`] is the other side: what a user may say of a log, and what that means for the
//! shim.

mod entry;
mod file;
mod files;
mod follow;
mod json_file;
mod local;
mod options;
mod place;

use errors::{Explain, Kind};
use jiff::Timestamp;

use crate::containers::{Container, LookupError, blocking};

pub use entry::LogEntry;
pub(crate) use options::{About, Paths as LogPaths, settings};
pub use options::{
    DRIVERS as LOG_DRIVERS, bound as log_bound, is_about_copies as is_about_log_copies,
    validate as validate_log_options,
};
pub use place::LogPlace;

/// Reads that may wait for a slow reader, each of what [`file`] reads at once. The files keep
/// the rest.
const QUEUE_LENGTH: usize = 2;

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

/// Entries, as they come, several at once. Dropping it ends the reading.
pub type LogStream = tokio::sync::mpsc::Receiver<std::io::Result<Vec<LogEntry>>>;

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
    let (format, path) = view.log.readable().ok_or(LogsError::NotReadable)?;
    let log = files::LogFiles { format, path };
    let mut snapshot = container.snapshot();
    let ends_before = snapshot.borrow_and_update().ends;
    let is_live = view.state.phase.is_live();
    let failed = |source| LogsError::Read { id: view.id.to_string(), source };

    // Watching begins before reading, so that nothing falls between the two.
    let watch = (query.follow && is_live).then(|| follow::Watch::on(&log.path)).transpose();
    let watch = watch.map_err(failed)?;
    let beginning =
        files::Beginning { tail: query.tail, since: query.since.map(entry::nanoseconds) };
    let files = {
        let log = log.clone();
        blocking(move || log.open(beginning)).await.map_err(failed)?
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(QUEUE_LENGTH);
    tokio::spawn(follow::send(follow::Sending {
        log,
        query,
        files,
        watch,
        snapshot,
        ends_before,
        sender,
        last_time: follow::NOTHING_READ,
    }));
    Ok(receiver)
}
