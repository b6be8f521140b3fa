//! `create` and `run`.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use oci::runtime::Spec;
use runtime::{Container, CreateRequest, Root};

use crate::arguments::{Create, Run};
use crate::foreground;
use crate::record::{Folder, Record, start_ticks};

pub(super) fn create(root: &Path, request: &Create) -> anyhow::Result<()> {
    let bundle = Bundle::load(request)?;
    let folder = Folder::create(root, &request.id)?;
    let socket = folder.make_start_socket();
    let made = socket.and_then(|socket| bundle.create(request, &folder, Some(socket)));
    let handed_over = made.and_then(|mut container| {
        let terminal = container.take_terminal();
        let handed = hand_over(request, &container, terminal);
        if handed.is_err() {
            // The first error is the one to tell.
            let _ = container.delete();
        }
        handed
    });
    undo_unless(handed_over, &folder)
}

pub(super) fn run(root: &Path, request: &Run) -> anyhow::Result<ExitCode> {
    let bundle = Bundle::load(&request.create)?;
    let folder = Folder::create(root, &request.create.id)?;
    if !request.detach {
        foreground::keep_signals()?;
    }
    let container = undo_unless(bundle.create(&request.create, &folder, None), &folder)?;
    let result = run_created(container, request);
    if result.is_err() || (!request.detach && !request.keep) {
        let removed = folder.remove();
        return result.and_then(|code| removed.map(|()| code));
    }
    result
}

fn run_created(mut container: Container, request: &Run) -> anyhow::Result<ExitCode> {
    let mut terminal = container.take_terminal();
    let is_detached = request.detach;
    if request.create.console_socket.is_some() || is_detached {
        hand_over(&request.create, &container, terminal.take())?;
    } else {
        write_pid_file(&request.create, &container)?;
    }
    if let Err(error) = container.start() {
        container.delete()?;
        return Err(error.into());
    }
    for warning in container.warnings() {
        eprintln!("warning: {warning}");
    }
    if is_detached {
        return Ok(ExitCode::SUCCESS);
    }
    let code = foreground::wait(container.pidfd(), terminal)?;
    if !request.keep {
        container.delete()?;
    }
    Ok(code)
}

/// Removes the folder if what it was made for has failed.
fn undo_unless<T>(result: anyhow::Result<T>, folder: &Folder) -> anyhow::Result<T> {
    if result.is_err() {
        // The first error is the one to tell.
        let _ = folder.remove();
    }
    result
}

/// A folder with a configuration in it.
struct Bundle {
    path: PathBuf,
    spec: Spec,
}

impl Bundle {
    fn load(request: &Create) -> anyhow::Result<Self> {
        if request.no_pivot {
            bail!("--no-pivot is not supported");
        }
        if request.preserve_fds > 0 {
            bail!("--preserve-fds is not supported");
        }
        let path = request.bundle.clone().unwrap_or_else(|| PathBuf::from("."));
        let path = fs::canonicalize(&path)
            .with_context(|| format!("cannot find the bundle `{}`", path.display()))?;
        let name = path.join("config.json");
        let text = fs::read(&name).with_context(|| format!("cannot read `{}`", name.display()))?;
        let spec = serde_json::from_slice(&text)
            .with_context(|| format!("`{}` makes no sense", name.display()))?;
        Ok(Self { path, spec })
    }

    fn has_terminal(&self) -> bool {
        self.spec.process().as_ref().is_some_and(|process| process.terminal() == Some(true))
    }

    fn create(
        &self,
        request: &Create,
        folder: &Folder,
        start_socket: Option<OwnedFd>,
    ) -> anyhow::Result<Container> {
        if self.has_terminal() && start_socket.is_some() && request.console_socket.is_none() {
            bail!("cannot allocate tty if runtime will detach without setting console socket");
        }
        if !self.has_terminal() && request.console_socket.is_some() {
            bail!("cannot use console socket if runtime will not detach or allocate tty");
        }
        let root = self.spec.root().as_ref().context("root: is missing")?;
        let rootfs = self.path.join(root.path());
        let (root, stdio) =
            (Root::Directory(rootfs.clone()), foreground::streams(self.has_terminal())?);
        let container = runtime::create(CreateRequest {
            start_socket,
            ..CreateRequest::new(&request.id, &self.spec, &self.path, root, stdio)
        })?;
        let pid = container.pid().as_raw_nonzero().get();
        let (_, start_ticks) = start_ticks(pid).context("the container has ended at once")?;
        let record = Record {
            id: request.id.clone(),
            pid,
            start_ticks,
            bundle: self.path.clone(),
            rootfs,
            created: jiff::Timestamp::now().to_string(),
        };
        if let Err(error) = folder.save(&record, &self.spec) {
            container.delete()?;
            return Err(error);
        }
        Ok(container)
    }
}

/// Tells those who asked about the process and its terminal.
fn hand_over(
    request: &Create,
    container: &Container,
    terminal: Option<OwnedFd>,
) -> anyhow::Result<()> {
    if let (Some(socket), Some(terminal)) = (&request.console_socket, terminal) {
        foreground::send_terminal(socket, std::os::fd::AsFd::as_fd(&terminal))?;
    }
    for warning in container.warnings() {
        eprintln!("warning: {warning}");
    }
    write_pid_file(request, container)
}

fn write_pid_file(request: &Create, container: &Container) -> anyhow::Result<()> {
    let Some(file) = &request.pid_file else { return Ok(()) };
    super::write_pid_file(file, container.pid())
}
