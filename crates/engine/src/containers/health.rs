//! Whether a container is well: what to look at, and what was found.
//!
//! The looking is done by the container's shim, so that it goes on without an engine. Here its
//! findings are kept, and told.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shim::health as found;
pub use shim::health::{HealthAction, HealthStatus};

use super::bundle;
use super::record::Record;
use super::supervisor::{DEFAULT_GRACE, timestamp};
use crate::exec::ExecSpec;

/// How to find out whether a container is well. No zero stands for a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthSpec {
    pub test: HealthTest,
    /// From the end of one probe to the start of the next, and before the first.
    pub interval: Duration,
    /// The same as long as the container starts.
    pub start_interval: Duration,
    pub timeout: Duration,
    /// Failures so soon after the start do not count.
    pub start_period: Duration,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    pub action: HealthAction,
}

/// What a probe does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthTest {
    /// Runs a program in the container.
    Command { arguments: Vec<String> },
    /// Connects to a port.
    Tcp { address: Option<IpAddr>, port: u16 },
    /// Fetches a page.
    Http { address: Option<IpAddr>, port: u16, path: String },
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthView {
    pub status: HealthStatus,
    pub failing_streak: u32,
    /// Oldest first.
    pub log: Vec<ProbeView>,
    /// What was last done about it.
    pub last_action: Option<(HealthAction, Option<Timestamp>)>,
}

/// What one probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeView {
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub exit_code: i32,
    pub output: String,
}

impl HealthSpec {
    /// The words that stand for a probe in events: those of its command.
    pub(super) fn arguments(&self) -> &[String] {
        match &self.test {
            HealthTest::Command { arguments } => arguments,
            HealthTest::Tcp { .. } | HealthTest::Http { .. } => &[],
        }
    }
}

/// What the shim is told of it.
pub(super) fn check(
    record: &Record,
    hostname: &str,
    links: &[String],
) -> Option<found::HealthCheck> {
    let spec = &record.spec;
    let health = spec.health.as_ref()?;
    let target =
        |address: &Option<IpAddr>, port: &u16| found::Target { address: *address, port: *port };
    let probe = match &health.test {
        HealthTest::Command { arguments } => {
            let exec = ExecSpec { arguments: arguments.clone(), ..ExecSpec::default() };
            found::Probe::Command {
                process: bundle::exec_process(spec, &exec, hostname, links),
                user: Some(spec.process.user.clone()),
                additional_groups: spec.process.additional_groups.clone(),
            }
        }
        HealthTest::Tcp { address, port } => found::Probe::Tcp { target: target(address, port) },
        HealthTest::Http { address, port, path } => {
            found::Probe::Http { target: target(address, port), path: path.clone() }
        }
    };
    let grace = spec.stop_timeout.unwrap_or(DEFAULT_GRACE);
    Some(found::HealthCheck {
        probe,
        interval: health.interval,
        start_interval: health.start_interval,
        timeout: health.timeout,
        start_period: health.start_period,
        retries: health.retries,
        action: health.action,
        stop_signal: spec.stop_signal,
        stop_grace: (grace != Duration::MAX).then_some(grace),
        log: record.health.as_ref().map(|health| health.log.clone()).unwrap_or_default(),
    })
}

impl From<&found::Health> for HealthView {
    fn from(health: &found::Health) -> Self {
        let probe = |result: &found::ProbeResult| ProbeView {
            start: timestamp(result.start),
            end: timestamp(result.end),
            exit_code: result.exit_code,
            output: result.output.clone(),
        };
        Self {
            status: health.status,
            failing_streak: health.failing_streak,
            log: health.log.iter().map(probe).collect(),
            last_action: health.last_action.map(|taken| (taken.action, timestamp(taken.at))),
        }
    }
}
