//! Containers, volumes, logs, events: what a container host can do, in our own words.
//!
//! [`Engine`] is the whole of it: a handle that front doors clone. It knows nothing of HTTP
//! or of Docker's JSON; what a front door wants to keep with a container for its own sake it
//! gives as an opaque [`document`](containers::CreateContainer::document).
//!
//! Each container has one owner, its [`supervisor`](containers::supervisor), and everybody
//! else reads a snapshot of it ([`containers::View`]). A container that hangs in the kernel
//! therefore never keeps anybody from listing or inspecting.

pub mod containers;
mod engine;
pub mod events;
pub mod exec;
mod filesystem;
pub mod images;
mod logs;
mod metadata;
mod names;
pub mod runtimes;
mod settings;
pub mod statistics;
pub mod volumes;

pub use engine::{Engine, HostSummary, OpenError};
pub use logs::{
    LOG_DRIVERS, LogEntry, LogPlace, LogQuery, LogStream, LogsError, is_about_log_copies,
    log_bound, validate_log_options,
};
pub use runtimes::{RuntimeProgram, Runtimes};
pub use settings::Settings;
