//! Where a container's output goes, as the daemon tells its shim.
//!
//! Whatever follows from the container (its tag, its labels, the addresses behind a name) was
//! worked out by the daemon: the shim only writes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where the container's output goes beside attached clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSettings {
    None,
    /// Docker's format: a JSON object a line.
    JsonFile {
        path: PathBuf,
        /// Rotate when the file would grow past this many bytes.
        #[serde(default)]
        size_max: Option<u64>,
        /// Files to keep, the live one included.
        files_max: u32,
        #[serde(default)]
        compress: bool,
        /// `attrs` of each line: chosen labels, environment, the tag.
        #[serde(default)]
        attributes: Vec<(String, String)>,
    },
    /// Our own format ([`local_log`](crate::local_log)).
    Local(LogFiles),
    /// To somebody else.
    Remote(RemoteLog),
}

/// A log of several files, of which the oldest goes when there are too many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFiles {
    pub path: PathBuf,
    /// Rotate when the file would grow past this many bytes.
    #[serde(default)]
    pub size_max: Option<u64>,
    /// Files to keep, the live one included.
    pub files_max: u32,
    #[serde(default)]
    pub compress: bool,
}

/// A log that somebody else keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteLog {
    pub peer: LogPeer,
    /// A copy of ours, from which `logs` is answered.
    #[serde(default)]
    pub copy: Option<LogFiles>,
    /// What waits for the peer is at most so many bytes...
    pub queue_bytes_max: u64,
    /// ...and when it is full, entries are dropped at once, and the container does not wait.
    #[serde(default)]
    pub is_lossy: bool,
    /// How long the container waits for a peer that takes nothing, if not as long as usual.
    #[serde(default)]
    pub patience: Option<Duration>,
    /// Whether the container may start without the peer.
    #[serde(default)]
    pub is_optional: bool,
}

/// Who keeps the log, and what each entry is to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogPeer {
    Journald {
        socket: PathBuf,
        /// Fields of every entry.
        fields: Vec<(String, String)>,
    },
    Syslog {
        address: LogAddress,
        facility: u8,
        format: SyslogFormat,
        hostname: String,
        tag: String,
    },
    Fluentd {
        address: LogAddress,
        tag: String,
        /// Fields of every record.
        fields: Vec<(String, String)>,
        /// Nanoseconds in each record's time.
        #[serde(default)]
        has_subsecond_time: bool,
        /// The peer confirms what it has.
        #[serde(default)]
        wants_acknowledgement: bool,
        retry_wait: Duration,
        retries_max: u32,
    },
}

/// Where a peer listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogAddress {
    Tcp(SocketAddr),
    Udp(SocketAddr),
    Unix(PathBuf),
    UnixDatagram(PathBuf),
    /// The host's own syslog daemon, wherever it listens.
    HostSyslog,
}

/// How a syslog message begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyslogFormat {
    /// As the C library writes it to the host's own daemon: without a host name.
    Local,
    Rfc3164,
    Rfc5424,
    Rfc5424Micro,
}
