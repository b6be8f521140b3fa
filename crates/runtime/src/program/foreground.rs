//! Waiting for a program as if it were this one: its signals, its terminal, its exit code.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use anyhow::bail;
use runtime::{Newlines, ProcessError, Stdio};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitId, WaitIdOptions, getpid, set_child_subreaper, waitid};
use rustix::termios::{
    OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};

use crate::exit_code::ExitCode;
use crate::signal::{SIGCHLD, SIGURG, SIGWINCH};

/// A terminal needs somebody to serve it: this program, or who listens at the socket.
pub(crate) fn check_terminal(
    has_terminal: bool,
    is_detached: bool,
    has_console_socket: bool,
) -> anyhow::Result<()> {
    if has_terminal && is_detached && !has_console_socket {
        bail!("cannot allocate tty if runc will detach without setting console socket");
    }
    if has_console_socket && !(has_terminal && is_detached) {
        bail!("cannot use console socket if runc will not detach or allocate tty");
    }
    Ok(())
}

/// An error of a container's process as engines and scripts know it.
pub(crate) fn in_runc_words(error: ProcessError) -> anyhow::Error {
    anyhow::Error::from(error).context("unable to start container process")
}

/// The standard streams that a process gets: a terminal, or this program's own.
pub(crate) fn streams(has_terminal: bool, is_detached: bool) -> anyhow::Result<Stdio> {
    if has_terminal {
        let size = if is_detached { None } else { own_size() };
        // Where this program's output is no terminal, carriage returns would be in the way, and
        // where it is one, that adds them itself.
        let newlines = if is_detached { Newlines::Translated } else { Newlines::Plain };
        let size = size.map(|size| (size.ws_row, size.ws_col));
        return Ok(Stdio::Terminal { size, newlines });
    }
    Ok(Stdio::Descriptors {
        stdin: rustix::stdio::stdin().try_clone_to_owned()?,
        stdout: rustix::stdio::stdout().try_clone_to_owned()?,
        stderr: rustix::stdio::stderr().try_clone_to_owned()?,
    })
}

/// This program's terminal: any of its streams may lead elsewhere.
fn own_terminal() -> Option<BorrowedFd<'static>> {
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    streams.into_iter().find(|stream| rustix::termios::isatty(stream))
}

fn own_size() -> Option<Winsize> {
    tcgetwinsize(own_terminal()?).ok()
}

/// Keeps signals for [`wait`]; before anything is cloned, so that none is lost.
/// `is_reaper`: what the container's processes leave behind becomes this program's to wait for.
pub(crate) fn keep_signals(is_reaper: bool) -> anyhow::Result<()> {
    if is_reaper {
        set_child_subreaper(Some(getpid()))?;
    }
    Ok(linux::signals::block_all()?)
}

/// Waits for a process's end. Passes signals and, with a terminal, input and output on.
pub(crate) fn wait(pidfd: BorrowedFd<'_>, terminal: Option<OwnedFd>) -> anyhow::Result<ExitCode> {
    let proxy = terminal.map(Proxy::start).transpose()?;
    let code = loop {
        if let Some(code) = exit_code(pidfd)? {
            break code;
        }
        reap_others(pidfd);
        match linux::signals::wait()? {
            SIGCHLD | SIGURG => {}
            SIGWINCH => proxy.iter().for_each(Proxy::resize),
            // It may have ended just now.
            signal => drop(linux::signals::send(pidfd, signal)),
        }
    };
    drop(proxy);
    Ok(ExitCode::from(code))
}

fn exit_code(pidfd: BorrowedFd<'_>) -> anyhow::Result<Option<u8>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let Some(status) = waitid(WaitId::PidFd(pidfd), options)? else { return Ok(None) };
    let code = status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal));
    Ok(Some(u8::try_from(code.unwrap_or(1)).unwrap_or(u8::MAX)))
}

/// Takes note of the ends of others than the awaited process, which nobody else will do.
fn reap_others(awaited: BorrowedFd<'_>) {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let has_ended = |pidfd| matches!(waitid(WaitId::PidFd(pidfd), look), Ok(Some(_)));
    // As long as only others have ended: its own end is [`exit_code`]'s to fetch.
    while !has_ended(awaited) {
        match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(Some(_)) => {}
            _ => return,
        }
    }
}

/// This program's terminal, connected with a container's. Given back when dropped.
struct Proxy {
    master: OwnedFd,
    before: Option<Before>,
    /// Dropped to say that there will be no further output.
    end: Option<OwnedFd>,
    output: Option<std::thread::JoinHandle<()>>,
}

/// How this program's terminal was, if it has one.
struct Before(BorrowedFd<'static>, Termios);

impl Drop for Before {
    fn drop(&mut self) {
        // A terminal that is gone needs no care.
        let _ = tcsetattr(self.0, OptionalActions::Now, &self.1);
    }
}

impl Proxy {
    fn start(master: OwnedFd) -> anyhow::Result<Self> {
        let before = own_terminal().map(make_raw).transpose()?;
        let (ended, end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let (from, to) = (File::from(master.try_clone()?), File::from(master.try_clone()?));
        let output = std::thread::spawn(move || copy_output(from, &ended));
        // Ends with this program: nothing says when there is no more input to come.
        std::thread::spawn(move || copy(std::io::stdin(), to));
        Ok(Self { master, before, end: Some(end), output: Some(output) })
    }

    fn resize(&self) {
        if let Some(size) = own_size() {
            // A terminal that is gone has no size to set.
            let _ = tcsetwinsize(self.master.as_fd(), size);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(output) = self.output.take() {
            // A copy that panicked has said so itself.
            let _ = output.join();
        }
        drop(self.before.take());
    }
}

fn make_raw(terminal: BorrowedFd<'static>) -> anyhow::Result<Before> {
    let before = Before(terminal, tcgetattr(terminal)?);
    let mut raw = before.1.clone();
    raw.make_raw();
    tcsetattr(terminal, OptionalActions::Now, &raw)?;
    Ok(before)
}

/// Copies what the container's terminal shows, until it is closed; or until `ended` is, and
/// all is shown that was there by then: a process left in the background may keep it open.
fn copy_output(mut from: File, ended: &OwnedFd) {
    let mut bytes = [0; 4096];
    let mut is_ending = false;
    loop {
        let mut waiting = [PollFd::new(&from, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
        let count = if is_ending { 1 } else { 2 };
        let timeout = is_ending.then(Timespec::default);
        match poll(&mut waiting[..count], timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => continue,
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if waiting[0].revents().is_empty() {
            is_ending = true;
            continue;
        }
        let Ok(length @ 1..) = from.read(&mut bytes) else { return };
        let mut stdout = std::io::stdout();
        if stdout.write_all(&bytes[..length]).and_then(|()| stdout.flush()).is_err() {
            return;
        }
    }
}

/// Until either side has an end; for a terminal that is an error.
fn copy(mut from: impl Read, mut to: impl Write) {
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..length]).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}
