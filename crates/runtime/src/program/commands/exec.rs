//! `exec`.

use std::fs;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use oci::runtime::{Capabilities, Capability, LinuxCapabilities, Process, User};
use runtime::ExecRequest;

use crate::arguments::Exec;
use crate::foreground;
use crate::record::{Folder, Status};

pub(super) fn exec(root: &Path, request: &Exec) -> anyhow::Result<ExitCode> {
    if request.preserve_fds > 0 {
        bail!("--preserve-fds is not supported");
    }
    let folder = Folder::open(root, &request.id)?;
    let container = folder.container()?.context("cannot exec in a stopped container")?;
    if folder.status()? == Status::Paused {
        bail!("cannot exec in a paused container");
    }
    let process = process(request, &folder)?;
    let has_terminal = process.terminal() == Some(true);
    if has_terminal && request.detach && request.console_socket.is_none() {
        bail!("cannot allocate tty if runtime will detach without setting console socket");
    }
    if !request.detach {
        foreground::keep_signals()?;
    }
    let stdio = foreground::streams(has_terminal)?;
    let mut running = container.exec(ExecRequest::new(&process, stdio))?;
    for warning in &running.warnings {
        eprintln!("warning: {warning}");
    }
    if let (Some(socket), Some(_)) = (&request.console_socket, &running.terminal) {
        let terminal = running.terminal.take().context("it was there a moment ago")?;
        foreground::send_terminal(socket, terminal.as_fd())?;
    }
    if let Some(file) = &request.pid_file {
        super::write_pid_file(file, running.pid)?;
    }
    if request.detach {
        return Ok(ExitCode::SUCCESS);
    }
    foreground::wait(running.pidfd.as_fd(), running.terminal)
}

/// The process of a file, or the container's own with what the flags change.
fn process(request: &Exec, folder: &Folder) -> anyhow::Result<Process> {
    if let Some(file) = &request.process {
        let text = fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
        return serde_json::from_slice(&text)
            .with_context(|| format!("`{}` makes no sense", file.display()));
    }
    if request.command.is_empty() {
        bail!("process args cannot be empty");
    }
    let mut process = folder.spec()?.process().clone().context("process: is missing")?;
    process.set_args(Some(request.command.clone()));
    process.set_terminal(Some(request.tty));
    if let Some(folder) = &request.cwd {
        process.set_cwd(folder.clone());
    }
    if request.no_new_privs {
        process.set_no_new_privileges(Some(true));
    }
    let mut environment = process.env().clone().unwrap_or_default();
    environment.extend(request.env.iter().cloned());
    process.set_env(Some(environment));
    set_user(&mut process, request)?;
    add_capabilities(&mut process, &request.cap)?;
    Ok(process)
}

fn set_user(process: &mut Process, request: &Exec) -> anyhow::Result<()> {
    let mut user = process.user().clone();
    if let Some(text) = &request.user {
        let (uid, gid) = text.split_once(':').unwrap_or((text, ""));
        let number = |text: &str| {
            text.parse::<u32>().with_context(|| format!("`{text}` is no user or group id"))
        };
        user = User::default();
        user.set_uid(number(uid)?);
        if !gid.is_empty() {
            user.set_gid(number(gid)?);
        }
    }
    if !request.additional_gids.is_empty() {
        user.set_additional_gids(Some(request.additional_gids.clone()));
    }
    process.set_user(user);
    Ok(())
}

/// Adds to all sets but the inheritable and the ambient one, as runc does.
fn add_capabilities(process: &mut Process, names: &[String]) -> anyhow::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let mut added = Capabilities::new();
    for name in names {
        let name = name.strip_prefix("CAP_").unwrap_or(name);
        let capability: Capability =
            name.parse().with_context(|| format!("`{name}` is no capability"))?;
        added.insert(capability);
    }
    let mut sets = process.capabilities().clone().unwrap_or_default();
    let with = |set: &Option<Capabilities>| {
        Some(set.iter().flatten().chain(&added).copied().collect::<Capabilities>())
    };
    let (bounding, effective, permitted) =
        (with(sets.bounding()), with(sets.effective()), with(sets.permitted()));
    LinuxCapabilities::set_bounding(&mut sets, bounding);
    sets.set_effective(effective);
    sets.set_permitted(permitted);
    process.set_capabilities(Some(sets));
    Ok(())
}
