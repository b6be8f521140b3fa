//! Programs that the configuration wants run at certain points of a container's life.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use oci::runtime::{Hook, Hooks, Spec};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::error::ProcessError;

/// A container's state, as the specification has it, for hooks to be told.
#[derive(Debug, Clone)]
pub(crate) struct State {
    version: String,
    id: String,
    bundle: PathBuf,
    annotations: Option<HashMap<String, String>>,
}

impl State {
    pub(crate) fn of(id: &str, spec: &Spec, bundle: &Path) -> Self {
        Self {
            version: spec.version().clone(),
            id: id.to_owned(),
            bundle: bundle.to_owned(),
            annotations: spec.annotations().clone().filter(|annotations| !annotations.is_empty()),
        }
    }

    /// As a hook reads it. `pid` is the container's first process as the hook sees it.
    pub(crate) fn text(&self, status: &str, pid: i32) -> String {
        self.document(status, pid).to_string()
    }

    pub(crate) fn document(&self, status: &str, pid: i32) -> serde_json::Value {
        let mut state = serde_json::json!({
            "ociVersion": self.version,
            "id": self.id,
            "status": status,
            "pid": pid,
            "bundle": self.bundle,
        });
        if let Some(annotations) = &self.annotations {
            state["annotations"] = serde_json::json!(annotations);
        }
        state
    }
}

/// Refuses hooks that cannot be run, by the field's name.
#[allow(deprecated)]
pub(crate) fn check(hooks: &Hooks) -> Result<(), ProcessError> {
    let points = [
        ("prestart", hooks.prestart()),
        ("createRuntime", hooks.create_runtime()),
        ("createContainer", hooks.create_container()),
        ("startContainer", hooks.start_container()),
        ("poststart", hooks.poststart()),
        ("poststop", hooks.poststop()),
    ];
    for (point, hooks) in points {
        for (at, hook) in hooks.iter().flatten().enumerate() {
            let refused = |name: &str, reason: &str| {
                Err(ProcessError::invalid(format!("hooks.{point}[{at}].{name}"), reason))
            };
            if !hook.path().is_absolute() {
                return refused("path", "it has to be an absolute path");
            }
            if hook.timeout().is_some_and(|seconds| seconds <= 0) {
                return refused("timeout", "it has to be more than 0");
            }
        }
    }
    Ok(())
}

/// Runs the hooks of one point, in order, each with the container's state on its standard
/// input. Stops at the first that fails.
pub(crate) fn run(point: &'static str, hooks: &[Hook], state: &str) -> Result<(), ProcessError> {
    run_with(&[], point, hooks, state)
}

/// The same, with an environment for those that are given none.
pub(crate) fn run_with(
    environment: &[String],
    point: &'static str,
    hooks: &[Hook],
    state: &str,
) -> Result<(), ProcessError> {
    hooks.iter().enumerate().try_for_each(|(number, hook)| {
        run_one(hook, environment, state).map_err(|reason| failed(point, number, hook, reason))
    })
}

/// Runs all of the hooks of one point, whatever becomes of those before. Gives the failures.
pub(crate) fn run_all(point: &'static str, hooks: &[Hook], state: &str) -> Vec<ProcessError> {
    let run_one = |(number, hook)| {
        run_one(hook, &[], state).err().map(|reason| failed(point, number, hook, reason))
    };
    hooks.iter().enumerate().filter_map(run_one).collect()
}

fn failed(point: &'static str, number: usize, hook: &Hook, reason: String) -> ProcessError {
    ProcessError::Hook { point, number, path: hook.path().display().to_string(), reason }
}

/// Its streams are files in memory, not pipes: so a hook that does not read, says much or leaves
/// processes behind keeps nobody waiting but for its own end.
fn run_one(hook: &Hook, environment: &[String], state: &str) -> Result<(), String> {
    let in_words = |error: std::io::Error| error.to_string();
    let mut input = memory_file("state").map_err(in_words)?;
    input.write_all(state.as_bytes()).and_then(|()| input.rewind()).map_err(in_words)?;
    let mut said = memory_file("stderr").map_err(in_words)?;
    let mut command = command(hook, environment);
    command.stdin(input).stdout(Stdio::null());
    command.stderr(said.try_clone().map_err(in_words)?);
    let mut child = command.spawn().map_err(in_words)?;
    let status = await_end(&mut child, hook.timeout())?;
    if status.success() {
        return Ok(());
    }
    let mut text = Vec::new();
    said.rewind()
        .and_then(|()| said.take(SAID_BYTES_MAX).read_to_end(&mut text))
        .map_err(in_words)?;
    let text = String::from_utf8_lossy(&text);
    // As Go says it, for the one signal by which somebody else's filter is known.
    let status = match status.signal() {
        Some(SIGSYS) => "signal: bad system call".to_owned(),
        _ => status.to_string(),
    };
    Err(format!("{status}{}{}", if text.is_empty() { "" } else { ": " }, text.trim_end()))
}

/// What is told of a hook's last words.
const SAID_BYTES_MAX: u64 = 3000;

fn memory_file(name: &str) -> std::io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?))
}

fn command(hook: &Hook, environment: &[String]) -> Command {
    let mut command = Command::new(hook.path());
    if let Some((name, arguments)) = hook.args().as_deref().and_then(<[String]>::split_first) {
        command.arg0(name).args(arguments);
    }
    command.env_clear();
    let own = hook.env().as_deref().filter(|own| !own.is_empty());
    for variable in own.unwrap_or(environment) {
        if let Some((name, value)) = variable.split_once('=') {
            command.env(name, value);
        }
    }
    // A group of its own, to be killed as a whole.
    command.process_group(0);
    // A caller that waits for signals itself keeps them all from being heard.
    linux::signals::unblock_in(&mut command);
    command
}

/// The signal of a seccomp filter's verdict to kill.
const SIGSYS: i32 = 31;

/// Waits for the hook, and kills it and what it has started when its time is over.
fn await_end(child: &mut Child, timeout: Option<i64>) -> Result<ExitStatus, String> {
    let seconds = timeout.and_then(|seconds| u64::try_from(seconds).ok());
    let deadline =
        seconds.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
    // A time that no clock gets to is no limit either.
    let (Some(seconds), Some(deadline)) = (seconds, deadline) else {
        return child.wait().map_err(|error| error.to_string());
    };
    let pidfd = pidfd_of(child).map_err(|error| error.to_string())?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|error| error.to_string())?;
        match poll(&mut [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)], Some(&left)) {
            Ok(0) => break,
            Ok(_) => return child.wait().map_err(|error| error.to_string()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
    Err(format!("it has not ended after {seconds} s"))
}

fn pidfd_of(child: &Child) -> rustix::io::Result<OwnedFd> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pidfd_open(pid.ok_or(rustix::io::Errno::SRCH)?, PidfdFlags::empty())
}
