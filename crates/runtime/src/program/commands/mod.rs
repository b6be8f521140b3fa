//! One function a command.

mod create;
mod exec;
mod features;
mod list;
mod ps;
mod spec;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal};

use crate::arguments::{Arguments, Command, Delete, Global, Kill};
use crate::record::{Folder, Status};
use crate::{out_of_reach, signal};

/// Runs a command. `Ok` is the exit code, which may be a container's.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { global, command } = arguments;
    if global.version {
        println!("wharf-runtime version {}", env!("CARGO_PKG_VERSION"));
        println!("spec: {}", features::VERSION_NEWEST);
        return Ok(ExitCode::SUCCESS);
    }
    check_global(&global)?;
    let root = global.root.as_path();
    if matches!(command, Some(Command::Create(_) | Command::Run(_) | Command::Exec(_))) {
        out_of_reach::get_out_of_reach()?;
    }
    let done = match command.context("a command is needed; see --help")? {
        Command::Run(run) => return create::run(root, &run),
        Command::Exec(exec) => return exec::exec(root, &exec),
        Command::Create(create) => create::create(root, &create),
        Command::Start { id } => start(root, &id),
        Command::State { id } => state(root, &id),
        Command::Kill(request) => kill(root, &request),
        Command::Delete(request) => delete(root, &request),
        Command::List(request) => list::list(root, &request),
        Command::Ps(request) => ps::ps(root, &request),
        Command::Pause { id } => pause(root, &id),
        Command::Resume { id } => resume(root, &id),
        Command::Spec(request) => spec::spec(&request),
        Command::Features => features::features(),
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn check_global(global: &Global) -> anyhow::Result<()> {
    if global.systemd_cgroup {
        bail!("--systemd-cgroup is not supported: cgroups are made by file");
    }
    if !matches!(global.rootless.as_str(), "auto" | "false") {
        bail!("--rootless={} is not supported", global.rootless);
    }
    Ok(())
}

fn start(root: &Path, id: &str) -> anyhow::Result<()> {
    let folder = Folder::open(root, id)?;
    let container = folder.container()?.context("cannot start a container that has stopped")?;
    let socket = match folder.status()? {
        Status::Created => folder.take_start_socket()?,
        status => bail!("cannot start an already {} container", status.as_str()),
    };
    for warning in runtime::start_by_socket(socket, container.pidfd())? {
        eprintln!("warning: {warning}");
    }
    Ok(())
}

fn state(root: &Path, id: &str) -> anyhow::Result<()> {
    let folder = Folder::open(root, id)?;
    let record = folder.record()?;
    let spec = folder.spec()?;
    let status = folder.status()?;
    let state = serde_json::json!({
        "ociVersion": spec.version(),
        "id": record.id,
        "pid": if status == Status::Stopped { 0 } else { record.pid },
        "status": status.as_str(),
        "bundle": record.bundle,
        "rootfs": record.rootfs,
        "created": record.created,
        "annotations": spec.annotations().clone().unwrap_or_default(),
        "owner": "",
    });
    println!("{state:#}");
    Ok(())
}

fn kill(root: &Path, request: &Kill) -> anyhow::Result<()> {
    let signal = signal::parse(&request.signal)?;
    let folder = Folder::open(root, &request.id)?;
    let container = folder.container()?;
    if request.all {
        return kill_all(&folder, container.as_ref(), signal);
    }
    let container = container.context("container not running")?;
    linux::signals::send(container.pidfd(), signal).context("cannot send the signal")
}

/// Every process that the cgroup lists, even if the first one has ended.
fn kill_all(
    folder: &Folder,
    container: Option<&runtime::Container>,
    signal: i32,
) -> anyhow::Result<()> {
    let processes = match container {
        Some(container) => container.cgroup().processes()?,
        None => runtime::processes_left(&folder.record()?.id, &folder.spec()?)?,
    };
    for process in processes {
        send_to(process, signal);
    }
    Ok(())
}

/// Sends a signal to a process that may have ended meanwhile.
fn send_to(process: Pid, signal: i32) {
    let flags = rustix::process::PidfdFlags::empty();
    if let Ok(pidfd) = rustix::process::pidfd_open(process, flags) {
        let _ = linux::signals::send(std::os::fd::AsFd::as_fd(&pidfd), signal);
    }
}

fn delete(root: &Path, request: &Delete) -> anyhow::Result<()> {
    let folder = match Folder::open(root, &request.id) {
        // With force, what is not there is as good as deleted.
        Err(_) if request.force => return Ok(()),
        folder => folder?,
    };
    let status = folder.status()?;
    if !request.force && !matches!(status, Status::Stopped) {
        bail!("cannot delete container {} that is not stopped: {}", request.id, status.as_str());
    }
    if let Some(container) = folder.container()? {
        rustix::process::pidfd_send_signal(container.pidfd(), Signal::KILL).ok();
        container.delete()?;
    } else {
        let record = folder.record()?;
        runtime::clean_up(&record.id, &folder.spec()?, &record.bundle)?;
    }
    folder.remove()
}

fn pause(root: &Path, id: &str) -> anyhow::Result<()> {
    let folder = Folder::open(root, id)?;
    match (folder.status()?, folder.container()?) {
        (Status::Running | Status::Created, Some(container)) => Ok(container.cgroup().freeze()?),
        _ => bail!("container not running or created"),
    }
}

fn resume(root: &Path, id: &str) -> anyhow::Result<()> {
    let folder = Folder::open(root, id)?;
    match (folder.status()?, folder.container()?) {
        (Status::Paused, Some(container)) => Ok(container.cgroup().thaw()?),
        _ => bail!("container not paused"),
    }
}

/// Writes a process id to a file that somebody waits for: it appears as a whole.
fn write_pid_file(file: &Path, process: Pid) -> anyhow::Result<()> {
    let new = file.with_extension("new");
    std::fs::write(&new, process.as_raw_nonzero().to_string())
        .and_then(|()| std::fs::rename(&new, file))
        .with_context(|| format!("cannot write `{}`", file.display()))
}
