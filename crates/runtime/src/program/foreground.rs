//! Waiting for a program as if it were this one: its signals, its terminal, its exit code.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use runtime::Stdio;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use crate::signal::{SIGCHLD, SIGURG, SIGWINCH};

/// The standard streams that a process gets: a terminal, or this program's own.
pub(crate) fn streams(has_terminal: bool) -> anyhow::Result<Stdio> {
    if has_terminal {
        let size = tcgetwinsize(rustix::stdio::stdin()).ok();
        return Ok(Stdio::Terminal { size: size.map(|size| (size.ws_row, size.ws_col)) });
    }
    Ok(Stdio::Descriptors {
        stdin: rustix::stdio::stdin().try_clone_to_owned()?,
        stdout: rustix::stdio::stdout().try_clone_to_owned()?,
        stderr: rustix::stdio::stderr().try_clone_to_owned()?,
    })
}

/// Hands a terminal's master side to whoever listens at `socket`.
pub(crate) fn send_terminal(socket: &Path, master: BorrowedFd<'_>) -> anyhow::Result<()> {
    let stream = UnixStream::connect(socket)
        .with_context(|| format!("cannot connect to the console socket `{}`", socket.display()))?;
    let descriptors = [master];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    // The name is for people; the descriptor is what counts.
    let name = [std::io::IoSlice::new(b"/dev/ptmx")];
    sendmsg(&stream, &name, &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Keeps signals for [`wait`]; before anything is cloned, so that none is lost.
pub(crate) fn keep_signals() -> anyhow::Result<()> {
    Ok(linux::signals::block_all()?)
}

/// Waits for a process's end. Passes signals and, with a terminal, input and output on.
pub(crate) fn wait(pidfd: BorrowedFd<'_>, terminal: Option<OwnedFd>) -> anyhow::Result<ExitCode> {
    let proxy = terminal.map(Proxy::start).transpose()?;
    let code = loop {
        if let Some(code) = exit_code(pidfd)? {
            break code;
        }
        match linux::signals::wait()? {
            SIGCHLD | SIGURG => {}
            SIGWINCH => proxy.iter().for_each(Proxy::resize),
            // It may have ended just now.
            signal => drop(linux::signals::send(pidfd, signal)),
        }
    };
    if let Some(proxy) = proxy {
        proxy.finish();
    }
    Ok(ExitCode::from(code))
}

fn exit_code(pidfd: BorrowedFd<'_>) -> anyhow::Result<Option<u8>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let Some(status) = waitid(WaitId::PidFd(pidfd), options)? else { return Ok(None) };
    let code = status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal));
    Ok(Some(u8::try_from(code.unwrap_or(1)).unwrap_or(u8::MAX)))
}

/// This program's terminal, connected with a container's.
struct Proxy {
    master: OwnedFd,
    /// How this program's terminal was, if it has one.
    before: Option<Termios>,
    output: std::thread::JoinHandle<()>,
}

impl Proxy {
    fn start(master: OwnedFd) -> anyhow::Result<Self> {
        let before = tcgetattr(rustix::stdio::stdin()).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw)?;
        }
        let (from, to) = (File::from(master.try_clone()?), File::from(master.try_clone()?));
        let output = std::thread::spawn(move || copy(from, std::io::stdout()));
        // Ends with this program: nothing says when there is no more input to come.
        std::thread::spawn(move || copy(std::io::stdin(), to));
        Ok(Self { master, before, output })
    }

    fn resize(&self) {
        if let Ok(size) = tcgetwinsize(rustix::stdio::stdin()) {
            // A terminal that is gone has no size to set.
            let _ = tcsetwinsize(self.master.as_fd(), size);
        }
    }

    /// Shows what is left to show, and gives this program's terminal back as it was.
    fn finish(self) {
        // A copy that panicked has said so itself.
        let _ = self.output.join();
        if let Some(before) = &self.before {
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, before);
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
