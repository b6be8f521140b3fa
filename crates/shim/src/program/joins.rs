//! Namespaces of other containers, found again for a restart.
//!
//! The configuration names such a namespace by the process that the other container had at the
//! start. That container may have restarted since, and then its namespaces are others. Where it
//! is now its own supervisor says on disk, so no daemon is needed.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shim::client;
use shim::protocol::{Failure, FailureKind, Join, Phase, State, files};

use crate::container::internal;

/// Between two looks at a container that is about to run.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// How long that may take: more than a back-off at its longest.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The configuration as it is written anew.
const CONFIG_NEW: &str = "config.json.new";

/// Where another container is in its life.
#[derive(Debug, PartialEq, Eq)]
enum Other {
    Runs {
        pid: i32,
    },
    /// It has ended, and is started again.
    ComesBack,
    /// It has ended for good, or is no more.
    Gone,
}

/// What has become of the configuration.
#[derive(Debug)]
pub(crate) enum Renewal {
    Done,
    /// Another container is not there yet: look again after a [`PAUSE`].
    NotYet(Failure),
}

/// Has the configuration name the namespaces that the other containers have now.
pub(crate) fn renew(joins: &[Join]) -> Result<Renewal, Failure> {
    if joins.is_empty() {
        return Ok(Renewal::Done);
    }
    let mut found = Vec::new();
    for join in joins {
        match look(&join.folder) {
            Other::Runs { pid } => found.push((join, pid)),
            Other::ComesBack => {
                return Ok(Renewal::NotYet(refusal(format!(
                    "Container {} is restarting, wait until the container is running",
                    join.container
                ))));
            }
            Other::Gone => {
                return Err(refusal(format!(
                    "cannot join {} namespace of a non running container: {}",
                    join.namespace.to_uppercase(),
                    join.container
                )));
            }
        }
    }
    let text = std::fs::read(files::CONFIG).map_err(internal)?;
    let mut configuration = serde_json::from_slice(&text)
        .map_err(|error| refusal(format!("cannot understand {}: {error}", files::CONFIG)))?;
    for (join, pid) in found {
        set_path(&mut configuration, &join.namespace, pid);
    }
    std::fs::write(CONFIG_NEW, configuration.to_string()).map_err(internal)?;
    std::fs::rename(CONFIG_NEW, files::CONFIG).map_err(internal)?;
    Ok(Renewal::Done)
}

fn look(folder: &Path) -> Other {
    // In this order: what a supervisor says last, it says before it leaves.
    let is_supervised = client::is_alive(folder);
    match client::last_state(folder) {
        Ok(Some(state)) if is_supervised => judge(&state, shim::process::start_ticks(state.pid)),
        _ => Other::Gone,
    }
}

/// `start_ticks` are those of the process that has the first process's number now.
fn judge(state: &State, start_ticks: Option<u64>) -> Other {
    match state.phase {
        Phase::Running | Phase::Paused if start_ticks == Some(state.pid_start_ticks) => {
            Other::Runs { pid: state.pid }
        }
        // An end that its supervisor has not come to write down yet, perhaps.
        Phase::Running | Phase::Paused | Phase::Starting | Phase::Restarting => Other::ComesBack,
        Phase::Exited => Other::Gone,
    }
}

/// Sets the path of a namespace that is joined already.
fn set_path(configuration: &mut Value, namespace: &str, pid: i32) {
    let namespaces = configuration["linux"]["namespaces"].as_array_mut();
    for entry in namespaces.into_iter().flatten() {
        if entry["type"] == namespace && !entry["path"].is_null() {
            entry["path"] = json!(format!("/proc/{pid}/ns/{namespace}"));
        }
    }
}

fn refusal(message: String) -> Failure {
    Failure { kind: FailureKind::WrongPhase, message }
}

/// When to stop looking for a container that began to be looked for at `since`.
pub(crate) fn is_too_late(since: Instant) -> bool {
    since.elapsed() >= PATIENCE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(phase: &str) -> State {
        let text = json!({
            "version": 1, "phase": phase, "shim_pid": 1, "pid": 7, "pid_start_ticks": 70,
            "started_at": null, "finished_at": null, "exit_code": null, "oom_killed": false,
            "error": null, "warnings": [], "restart_count": 0, "stop_requested": false,
            "cgroup_paths": [], "execs": [],
        });
        serde_json::from_value(text).unwrap()
    }

    #[track_caller]
    fn check(phase: &str, start_ticks: Option<u64>, expected: &Other) {
        assert_eq!(judge(&state(phase), start_ticks), *expected, "{phase}");
    }

    #[test]
    fn a_container_is_found_by_its_first_process() {
        check("running", Some(70), &Other::Runs { pid: 7 });
        check("paused", Some(70), &Other::Runs { pid: 7 });
        // The number is somebody else's by now, or nobody's.
        check("running", Some(71), &Other::ComesBack);
        check("running", None, &Other::ComesBack);
        check("restarting", None, &Other::ComesBack);
        check("starting", Some(70), &Other::ComesBack);
        check("exited", None, &Other::Gone);
    }

    #[test]
    fn only_what_was_joined_gets_another_path() {
        let mut configuration = json!({ "linux": { "namespaces": [
            { "type": "pid", "path": "/proc/3/ns/pid" }, { "type": "ipc" }, { "type": "mount" },
        ] } });
        set_path(&mut configuration, "pid", 7);
        set_path(&mut configuration, "ipc", 7);
        assert_eq!(
            configuration["linux"]["namespaces"],
            json!([
                { "type": "pid", "path": "/proc/7/ns/pid" }, { "type": "ipc" }, { "type": "mount" },
            ])
        );
    }
}
