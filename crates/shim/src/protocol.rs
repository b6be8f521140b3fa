//! What a daemon and a shim say to each other, and what a shim leaves on disk.
//!
//! A daemon of one build talks to shims of another, so every message here is read
//! leniently: unknown fields are ignored and new ones have defaults. [`VERSION`] changes
//! only when that is not enough.
//!
//! On the wire a message is its length (four bytes, big-endian) and then JSON. Descriptors
//! travel with the first byte of the length (`SCM_RIGHTS`, see `unix(7)`; of more than 253,
//! each 253 with a further byte). A connection
//! carries one request and one answer, in turn, as often as the client likes; after
//! [`Request::Watch`] it carries [`Event`]s from the shim and nothing else.
//!
//! In a container's run folder (`<exec-root>/containers/<id>/`):
//!
//! | file | written by | what |
//! |---|---|---|
//! | `config.json` | the daemon | the OCI runtime configuration |
//! | `shim.json` | the daemon | [`Launch`] |
//! | `shim.sock` | the shim | its socket, gone when it leaves |
//! | `state.json` | the shim | the last [`State`]; only to be read when the shim has gone |
//! | `shim.err` | the shim | why it died, if it did |

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::health::{Health, HealthCheck, ProbeProcess};
pub use crate::log_settings::{
    LogAddress, LogFiles, LogPeer, LogSettings, RemoteLog, SyslogFormat,
};

/// The protocol that this build speaks.
pub const VERSION: u32 = 1;

/// The largest message that either side accepts. An OCI configuration with a thousand
/// mounts has a quarter of this.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// Names of the files in a container's run folder.
pub mod files {
    /// The OCI runtime configuration.
    pub const CONFIG: &str = "config.json";
    /// [`Launch`](super::Launch).
    pub const LAUNCH: &str = "shim.json";
    /// The shim's socket.
    pub const SOCKET: &str = "shim.sock";
    /// The shim's last [`State`](super::State).
    pub const STATE: &str = "state.json";
    /// The next [`STATE`] until it is renamed, if it is a large one.
    pub const STATE_NEW: &str = "state.json.new";
    /// [`past_runs`](crate::past_runs).
    pub const PAST_RUNS: &str = "runs.json";
    /// The next [`PAST_RUNS`] until it is renamed.
    pub const PAST_RUNS_NEW: &str = "runs.json.new";
    /// The shim's standard error: empty unless it panicked.
    pub const LAST_WORDS: &str = "shim.err";
}

/// Nanoseconds since the epoch.
pub type UnixNanos = i64;

/// What a shim is told when it is made, beside the OCI configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Launch {
    pub version: u32,
    pub container_id: String,
    pub rootfs: RootFilesystem,
    pub log: LogSettings,
    /// `user[:group]`, names or numbers, that the container's own `/etc/passwd` and
    /// `/etc/group` resolve once its root is mounted. Takes the place of the configuration's
    /// `process.user`; `None` leaves that in force. `HOME` follows from it unless it is set.
    #[serde(default)]
    pub user: Option<String>,
    /// Further groups of the process, names or numbers, resolved likewise.
    #[serde(default)]
    pub additional_groups: Vec<String>,
    /// Whether somebody may ever write to the container's standard input. If not, it reads
    /// from `/dev/null`.
    pub stdin_open: bool,
    /// Close standard input when the first attached client closes its side.
    pub stdin_once: bool,
    /// First size of the terminal, if the configuration asks for one: rows, columns.
    #[serde(default)]
    pub terminal_size: Option<(u16, u16)>,
    pub restart: RestartPolicy,
    /// Restarts so far, when a later shim goes on for an earlier one.
    #[serde(default)]
    pub restart_count: u32,
    /// The runtime program to use in place of our own library, as `--runtime` named it.
    #[serde(default)]
    pub runtime: Option<PathBuf>,
    /// Put before everything else on that program's command line.
    #[serde(default)]
    pub runtime_arguments: Vec<String>,
    /// How to find out whether the container is well, if anybody wants to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthCheck>,
    /// Namespaces of other containers, to be found again at each restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joins: Vec<Join>,
}

/// A namespace of another container's that a container joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// As the configuration calls it: `pid` or `ipc`.
    pub namespace: String,
    /// The other container's id.
    pub container: String,
    /// Its run folder.
    pub folder: PathBuf,
}

/// What a nursery is asked: to fork a shim. Two descriptors travel along: the shim's end of
/// the launch socket, and its standard error.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Birth {
    /// The container's run folder.
    pub folder: PathBuf,
}

/// A nursery's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Born {
    /// Comes with a descriptor of the process (`pidfd_open(2)`).
    Alive {
        pid: i32,
    },
    Failed {
        errno: i32,
    },
}

/// Where the container's root comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootFilesystem {
    /// An overlay that the container mounts in its own mount namespace.
    Overlay {
        /// Read-only layers, the topmost first.
        lowers: Vec<PathBuf>,
        upper: PathBuf,
        work: PathBuf,
        /// Never wait for the disk: right for a container that is removed at its end.
        volatile: bool,
    },
    /// A folder that is there already.
    Directory { path: PathBuf },
}

/// What to do when the container's process ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartPolicy {
    No,
    /// Whatever the exit code, until somebody stops it.
    Always,
    /// As `Always`; the difference is what a *daemon* does at its start.
    UnlessStopped,
    /// On another exit code than 0; at most so many times, if limited.
    OnFailure {
        retries_max: Option<u32>,
    },
}

/// Where a container is in its life, as its shim sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Cloned, not yet executing the user's program.
    Starting,
    Running,
    Paused,
    /// Between two runs, waiting for the back-off.
    Restarting,
    /// For good: the shim leaves.
    Exited,
}

/// All that a shim knows of its container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    pub version: u32,
    pub phase: Phase,
    pub shim_pid: i32,
    /// The container's first process in the shim's pid namespace; 0 when none lives.
    pub pid: i32,
    /// Field 22 of `/proc/<pid>/stat` for that process: tells it from a later one of the same
    /// number.
    #[serde(default)]
    pub pid_start_ticks: u64,
    pub started_at: Option<UnixNanos>,
    pub finished_at: Option<UnixNanos>,
    /// 0 to 255; 128+n for a signal.
    pub exit_code: Option<i32>,
    pub oom_killed: bool,
    /// The most memory that the last run used at once, in bytes; known of a run that was killed
    /// (by the kernel for want of memory, or with SIGKILL).
    #[serde(default)]
    pub memory_peak: Option<u64>,
    /// Why a start (or restart) failed.
    #[serde(default)]
    pub error: Option<String>,
    /// What the start did only in part, for people to read: a limit that had to be lowered.
    #[serde(default)]
    pub warnings: Vec<String>,
    pub restart_count: u32,
    /// Somebody asked for the end: no restart.
    pub stop_requested: bool,
    /// Where the container's cgroup is, for whoever must clean up after a dead shim: one path
    /// for each hierarchy.
    #[serde(default)]
    pub cgroup_paths: Vec<PathBuf>,
    /// Entries that are missing in the log: the disk was full, or whoever keeps the log was
    /// too slow or gone.
    #[serde(default)]
    pub log_entries_lost: u64,
    #[serde(default)]
    pub execs: Vec<ExecState>,
    /// Nothing without a health check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeProcess>,
    /// The stop signal that the first process could not hear, so that it was killed at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unheard_stop_signal: Option<i32>,
}

impl State {
    /// Of a container of which nothing is known but that its shim lives.
    pub fn starting() -> Self {
        serde_json::from_value(serde_json::json!({
            "version": VERSION,
            "phase": Phase::Starting,
            "shim_pid": 0,
            "pid": 0,
            "oom_killed": false,
            "restart_count": 0,
            "stop_requested": false,
        }))
        .expect("the rest has defaults")
    }

    /// Whether the container has not run under this shim: its first start is under way, or has
    /// failed ([`Phase::Exited`]).
    pub fn never_ran(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Exited) && self.started_at.is_none()
    }
}

/// An additional process in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecState {
    pub id: String,
    pub pid: i32,
    pub exit_code: Option<i32>,
}

/// What a client wants of an attached stream. The stream's descriptor travels with the
/// request, and belongs to the shim from then on: it speaks Docker's multiplexed frames into
/// it (raw bytes for a terminal), and reads standard input from it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachOptions {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// Bytes that detach the client when typed. Empty: none. Heeded only with a terminal, and
    /// swallowed when they match, as Docker does.
    #[serde(default)]
    pub detach_keys: Vec<u8>,
    /// Input that arrived before the stream was handed over.
    #[serde(default)]
    pub early_input: Vec<u8>,
}

/// An additional process to run in the container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExecRequest {
    pub id: String,
    /// The OCI `process` object: args, env, cwd, user, terminal, capabilities.
    pub process: serde_json::Value,
    /// As [`Launch::user`].
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub additional_groups: Vec<String>,
    /// How to serve the stream that travels with the request; `None` for a detached one.
    #[serde(default)]
    pub attach: Option<AttachOptions>,
    /// First size of the terminal: rows, columns.
    #[serde(default)]
    pub terminal_size: Option<(u16, u16)>,
}

/// A request to a shim.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// The first message on the launch socket. Descriptors, in this order: the network
    /// namespace (if `has_network_namespace`), one stream for each entry of `attach`, then
    /// `held_descriptors` that the shim only keeps open (sockets that reserve host ports).
    /// Answered by [`Answer::Started`] or [`Answer::Failed`], after which the connection is
    /// as if [`Request::Watch`] had been sent.
    Start {
        has_network_namespace: bool,
        attach: Vec<AttachOptions>,
        held_descriptors: u32,
    },
    /// Answered by [`Answer::State`].
    State,
    /// Answered by [`Answer::State`], then by [`Event`]s for ever.
    Watch,
    /// Sends a signal to the first process, or to every process.
    Signal {
        signal: i32,
        all: bool,
        /// Whenever it ends, that is for good. Until then nothing else changes.
        #[serde(default)]
        last_run: bool,
    },
    /// From now on no restart; sends `signal`, and SIGKILL to every process once `grace` is
    /// over (`None`: never). Answered at once with [`Answer::Done`]; the end is an [`Event`].
    Stop {
        signal: i32,
        grace: Option<Duration>,
    },
    Pause,
    Resume,
    /// One descriptor: the client's stream.
    Attach(AttachOptions),
    /// One descriptor if `attach` is given. Answered by [`Answer::ExecStarted`] or
    /// [`Answer::Failed`].
    Exec(ExecRequest),
    /// Sets the terminal's size: the container's, or an exec's.
    Resize {
        exec: Option<String>,
        rows: u16,
        columns: u16,
    },
    /// Every process of the container. Answered by [`Answer::Processes`].
    Processes,
    /// New limits (an OCI `linux.resources` object) and restart policy.
    Update {
        resources: Option<serde_json::Value>,
        restart: Option<RestartPolicy>,
    },
    /// A copy of the network namespace's descriptor, for a container that joins it. Answered
    /// by [`Answer::Done`] with one descriptor.
    NetworkNamespace,
}

/// A shim's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Done,
    State(State),
    Started(State),
    ExecStarted { pid: i32 },
    Processes { pids: Vec<i32> },
    Failed(Failure),
}

/// Why a shim could not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub kind: FailureKind,
    /// In Docker's wording where scripts match on it.
    pub message: String,
}

/// What a daemon can do about a [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The program is not in the container (exit code 127).
    ProgramNotFound,
    /// The program cannot be executed (exit code 126).
    ProgramNotExecutable,
    /// The configuration makes no sense.
    InvalidConfiguration,
    /// The container is in no state for it: it has no live process, or is paused.
    WrongPhase,
    NotFound,
    /// A message of a newer protocol.
    Unsupported,
    /// Ours, or one that this build does not know.
    #[serde(other)]
    Internal,
}

/// Something that happened. The state is the one after it.
///
/// By the time a final [`What::Exited`] is told, the shim has closed its held descriptors and
/// the network namespace and has removed the container's cgroup: whoever hears it may use the
/// host ports again at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    pub what: What,
    pub state: State,
}

/// What an [`Event`] is about.
///
/// A new kind has no fields of its own: an older daemon could not tell it from garbage. What
/// there is to say belongs in the [`State`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Started,
    /// The first process ended. More follows if the phase is `Restarting`.
    Exited,
    OutOfMemory,
    Paused,
    Resumed,
    ExecExited {
        id: String,
        exit_code: i32,
    },
    Detached {
        exec: Option<String>,
    },
    /// Entries of the log were lost. Told at most once a second.
    LogEntriesLost,
    /// What a stop asked for has not come in time, so everything was sent SIGKILL.
    Killed,
    /// A probe that is a process begins: [`State::probe`].
    ProbeStarted,
    ProbeEnded,
    /// The container has become healthy, or unhealthy.
    HealthChanged,
    /// It is unhealthy, and something is done about it: [`Health::last_action`].
    HealthActionTaken,
    /// A kind that this build does not know.
    #[serde(other)]
    Other,
}
