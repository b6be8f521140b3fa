//! Programs that the configuration wants run at certain points of a container's life.

use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oci::runtime::Hook;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::ProcessError;

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

fn run_one(hook: &Hook, environment: &[String], state: &str) -> Result<(), String> {
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
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read it.
        let _ = stdin.write_all(state.as_bytes());
    }
    await_end(&mut child, hook.timeout())?;
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}{}{}", output.status, if said.is_empty() { "" } else { ": " }, said.trim_end()))
}

/// Kills the hook when its time is over.
fn await_end(child: &mut Child, timeout: Option<i64>) -> Result<(), String> {
    let Some(seconds) = timeout.and_then(|seconds| u64::try_from(seconds).ok()) else {
        return Ok(());
    };
    let pidfd = pidfd_of(child).map_err(|error| error.to_string())?;
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|error| error.to_string())?;
        match poll(&mut [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)], Some(&left)) {
            Ok(0) => break,
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(format!("it has not ended after {seconds} s"))
}

fn pidfd_of(child: &Child) -> rustix::io::Result<OwnedFd> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pidfd_open(pid.ok_or(rustix::io::Errno::SRCH)?, PidfdFlags::empty())
}
