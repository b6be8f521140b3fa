//! How a shim finds out whether its container is well, and what it found.
//!
//! Part of the [protocol](crate::protocol): read as leniently.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::protocol::UnixNanos;

/// Results that are kept: the newest ones.
pub const LOG_LENGTH_MAX: usize = 5;

/// How to find out whether the container is well. Everything is decided: no zero stands for a
/// default.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HealthCheck {
    pub probe: Probe,
    /// From the end of one probe to the start of the next, and before the first.
    pub interval: Duration,
    /// The same as long as the container is starting and `start_period` is not over.
    pub start_interval: Duration,
    /// How long a probe may take.
    pub timeout: Duration,
    /// Failures so soon after the start do not count, unless the container was well before.
    pub start_period: Duration,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    #[serde(default)]
    pub action: HealthAction,
    /// How [`HealthAction::Restart`] and [`HealthAction::Stop`] ask the container to end.
    pub stop_signal: i32,
    /// How long it may take for that; `None`: for ever.
    pub stop_grace: Option<Duration>,
    /// What earlier runs had found, which is shown beside what this one finds.
    #[serde(default)]
    pub log: Vec<ProbeResult>,
}

/// One look at the container.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// A further process in the container: the OCI `process` object. Exit code 0 is healthy.
    Command {
        process: Value,
        /// As [`Launch::user`](crate::protocol::Launch::user).
        user: Option<String>,
        #[serde(default)]
        additional_groups: Vec<String>,
    },
    /// A connection to a TCP port, made in the container's network namespace.
    Tcp { target: Target },
    /// A `GET` of the path, made likewise. An answer of 200 to 399 is healthy.
    Http { target: Target, path: String },
}

/// Where to connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// `None`: the container itself, over IPv4 or, where nobody listens there, IPv6.
    pub address: Option<IpAddr>,
    pub port: u16,
}

impl Target {
    /// The addresses to try, in this order.
    pub fn addresses(self) -> Vec<SocketAddr> {
        let addresses = match self.address {
            Some(address) => vec![address],
            None => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        };
        addresses.into_iter().map(|address| SocketAddr::new(address, self.port)).collect()
    }
}

/// What happens to a container that has become unhealthy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthAction {
    #[default]
    None,
    /// It is asked to end, and started again whatever its restart policy.
    Restart,
    /// It is asked to end, and stays down, as if somebody had stopped it.
    Stop,
    /// It is killed, as by a crash: what comes then is for its restart policy to say.
    Kill,
}

impl HealthAction {
    /// What users call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::Kill => "kill",
        }
    }
}

/// Whether the container is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// No probe has succeeded yet, and too few have failed.
    Starting,
    Healthy,
    /// Too many probes in a row failed. Also where nobody looks: while the container is paused,
    /// and after its end. That is Docker's.
    Unhealthy,
}

impl HealthStatus {
    /// What users call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What is known of a container's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub status: HealthStatus,
    pub failing_streak: u32,
    /// Oldest first; [`LOG_LENGTH_MAX`] at most.
    #[serde(default)]
    pub log: Vec<ProbeResult>,
    /// What was last done about it.
    #[serde(default)]
    pub last_action: Option<ActionTaken>,
}

/// What a probe has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeResult {
    pub start: UnixNanos,
    pub end: UnixNanos,
    /// 0: healthy; -1: the probe did not come to an end.
    pub exit_code: i32,
    pub output: String,
}

/// The container was unhealthy, and something was done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionTaken {
    pub action: HealthAction,
    pub at: UnixNanos,
}

/// The newest probe of those that are processes, for those who want to hear of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeProcess {
    /// Made up by the shim, in the form of an exec's.
    pub id: String,
    pub exit_code: Option<i32>,
}
