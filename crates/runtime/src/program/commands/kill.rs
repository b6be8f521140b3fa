//! `kill`.

use std::os::fd::AsFd as _;

use anyhow::Context as _;
use oci::runtime::LinuxNamespaceType;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::command_line::{Call, Command, Count, Flag};
use crate::exit_code::ExitCode;
use crate::record::Known;
use crate::signal::{self, SIGKILL};

pub(super) const COMMAND: Command = Command {
    usage: "<container-id> [signal]",
    flags: &[Flag::switch("all", "send it to every process of the container").short("a")],
    arguments: Count::Between(1, 2),
    ..Command::new(
        "kill",
        "kill sends the specified signal (default: SIGTERM) to the container's init process",
        kill,
    )
};

fn kill(call: &Call) -> anyhow::Result<ExitCode> {
    let known = Known::open(&call.root, call.id())?;
    let given = call.values.arguments.get(1).map(String::as_str);
    let signal = signal::parse(given.filter(|text| !text.is_empty()).unwrap_or("SIGTERM"))?;
    let container = known.container()?;
    call.log.debug(|| format!("sending signal {signal} to process {}", known.record.pid));
    // The end of a pid namespace's first process is that of all others in it. Elsewhere they
    // would be left.
    let is_for_all = signal == SIGKILL && !has_pid_namespace(&known);
    // Without a cgroup nobody knows who the others are.
    let is_for_all = (call.values.is_on("all") || is_for_all) && !known.record.cgroup.is_absent();
    if is_for_all {
        let processes = processes(&known, container.as_ref())?;
        if container.is_none() && processes.is_empty() && !call.values.is_on("all") {
            anyhow::bail!("container not running");
        }
        kill_all(&processes, container.as_ref(), signal);
        return Ok(ExitCode::SUCCESS);
    }
    let container = match container {
        // They have all ended, as far as anybody can tell.
        None if call.values.is_on("all") => return Ok(ExitCode::SUCCESS),
        container => container.context("container not running")?,
    };
    linux::signals::send(container.pidfd(), signal).context("cannot send the signal")?;
    if signal == SIGKILL {
        wake_up(&container);
    }
    Ok(ExitCode::SUCCESS)
}

/// On cgroup v1 what is frozen hears of its death only when it goes on.
fn wake_up(container: &runtime::Container) {
    if container.cgroup().is_frozen().unwrap_or(false) {
        // It is killed in any case, sooner or later.
        let _ = container.cgroup().thaw();
    }
}

fn has_pid_namespace(known: &Known) -> bool {
    let linux = known.record.spec.linux().as_ref();
    let namespaces = linux.and_then(|linux| linux.namespaces().as_ref());
    namespaces.into_iter().flatten().any(|namespace| {
        namespace.typ() == LinuxNamespaceType::Pid
            && namespace.path().as_ref().is_none_or(|path| path.as_os_str().is_empty())
    })
}

/// Every process that the cgroup lists, even if the first one has ended.
fn processes(
    known: &Known,
    container: Option<&runtime::Container>,
) -> Result<Vec<Pid>, runtime::CgroupError> {
    match container {
        Some(container) => container.cgroup().processes(),
        None => runtime::processes_left(&known.record.cgroup),
    }
}

fn kill_all(processes: &[Pid], container: Option<&runtime::Container>, signal: i32) {
    for process in processes {
        send_to(*process, signal);
    }
    if let Some(container) = container.filter(|_| signal == SIGKILL) {
        wake_up(container);
    }
}

/// Sends a signal to a process that may have ended meanwhile.
fn send_to(process: Pid, signal: i32) {
    if let Ok(pidfd) = pidfd_open(process, PidfdFlags::empty()) {
        let _ = linux::signals::send(pidfd.as_fd(), signal);
    }
}
