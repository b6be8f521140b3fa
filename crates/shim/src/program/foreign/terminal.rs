//! The socket over which a program hands over a container's terminal (`--console-socket`).

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use runtime::Stdio;
use rustix::event::{PollFd, PollFlags, Timespec};
use shim::wire;

use super::files::own_path;

/// How long the descriptor may take to come once the program has left: it was sent before.
const PATIENCE: Duration = Duration::from_secs(2);

/// A socket that waits for a terminal's master side.
#[derive(Debug)]
pub(super) struct TerminalSocket {
    listener: UnixListener,
    name: String,
}

impl TerminalSocket {
    /// One, if these streams are a terminal.
    pub(super) fn for_streams(stdio: &Stdio, name: String) -> io::Result<Option<Self>> {
        match stdio {
            Stdio::Terminal { .. } => {
                let listener = UnixListener::bind(&name)?;
                Ok(Some(Self { listener, name }))
            }
            Stdio::Descriptors { .. } => Ok(None),
        }
    }

    pub(super) fn flags(&self) -> [OsString; 2] {
        ["--console-socket".into(), own_path(&self.name)]
    }

    /// Takes the descriptor that the program has sent.
    pub(super) fn receive(self) -> io::Result<OwnedFd> {
        await_input(&self.listener)?;
        let (connection, _) = self.listener.accept()?;
        await_input(&connection)?;
        let mut descriptors = Vec::new();
        wire::receive(connection.as_fd(), &mut [0; 4096], &mut descriptors)?;
        descriptors.pop().ok_or_else(|| io::Error::other("the runtime has sent no terminal"))
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
