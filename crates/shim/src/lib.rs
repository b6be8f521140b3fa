//! Stays with one container: stdio, logs, exit, restarts. Outlives the daemon.
//!
//! The program `wharf-shim` is one container's supervisor. This library is what a daemon
//! needs in order to talk to it: the [`protocol`] (messages, versions, what is on disk)
//! and a blocking [`client`] for it; and the format of the logs that it writes
//! ([`local_log`]), and of what it notes of [`past_runs`].

pub mod client;
pub mod health;
pub mod local_log;
mod log_settings;
pub mod past_runs;
pub mod process;
pub mod protocol;
pub mod wire;
