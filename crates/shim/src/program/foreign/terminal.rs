//! The socket over which a program hands over a container's terminal (`--console-socket`).

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use runtime::Stdio;
use rustix::event::{PollFd, PollFlags, Timespec};
use shim::wire;

use super::program::own_path;

/// In the run folder.
const SOCKET: &str = "terminal.sock";

/// How long the descriptor may take to come once the program has left: it was sent before.
const PATIENCE: Duration = Duration::from_secs(10);

/// A socket that waits for a terminal's master side.
#[derive(Debug)]
pub(super) struct TerminalSocket(UnixListener);

impl TerminalSocket {
    /// One, if these streams are a terminal.
    pub(super) fn for_streams(stdio: &Stdio) -> io::Result<Option<Self>> {
        match stdio {
            Stdio::Terminal { .. } => {
                // An earlier one's, whose program failed.
                let _ = std::fs::remove_file(SOCKET);
                UnixListener::bind(SOCKET).map(|listener| Some(Self(listener)))
            }
            Stdio::Descriptors { .. } => Ok(None),
        }
    }

    pub(super) fn flags(&self) -> [OsString; 2] {
        ["--console-socket".into(), own_path(SOCKET)]
    }

    /// Takes the descriptor that the program has sent.
    pub(super) fn receive(self) -> io::Result<OwnedFd> {
        await_input(&self.0)?;
        let (connection, _) = self.0.accept()?;
        await_input(&connection)?;
        let mut descriptors = Vec::new();
        wire::receive(connection.as_fd(), &mut [0; 4096], &mut descriptors)?;
        descriptors.pop().ok_or_else(|| io::Error::other("the runtime has sent no terminal"))
    }
}

impl Drop for TerminalSocket {
    fn drop(&mut self) {
        // It goes with the run folder at the latest.
        let _ = std::fs::remove_file(SOCKET);
    }
}

fn await_input(descriptor: impl std::os::fd::AsFd) -> io::Result<()> {
    let timeout = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
    let mut wanted = [PollFd::new(&descriptor, PollFlags::IN)];
    match rustix::io::retry_on_intr(|| rustix::event::poll(&mut wanted, Some(&timeout)))? {
        0 => Err(io::Error::other("the runtime has sent no terminal")),
        _ => Ok(()),
    }
}
