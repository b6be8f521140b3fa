//! The process from which shims are forked (see [`shim::client`]'s side of it).
//!
//! It waits for its launcher's word, forks, and waits again. Its children are reaped by the
//! kernel; it ends when its launcher has.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use anyhow::Context as _;
use linux::namespaces::Namespaces;
use linux::process::{Cloned, clone_process};
use shim::protocol::{Birth, Born};
use shim::wire::{self, FrameDecoder};

/// `SIGCHLD`.
const CHILD_ENDED: i32 = 17;

/// What a forked shim begins with.
#[derive(Debug)]
pub(crate) struct NewShim {
    pub folder: PathBuf,
    pub launcher: OwnedFd,
}

/// Serves the launcher. Comes back in each shim; in the nursery itself, with nothing, at its
/// end.
pub(crate) fn serve() -> anyhow::Result<Option<NewShim>> {
    let socket = take_standard_input().context("standard input is not a launcher's socket")?;
    // Children of one who ignores their end do not become zombies.
    linux::signals::ignore(CHILD_ENDED)?;
    let mut decoder = FrameDecoder::new();
    let mut descriptors = Vec::new();
    loop {
        let Some(birth) = receive(&socket, &mut decoder, &mut descriptors)? else {
            return Ok(None);
        };
        let (Some(last_words), Some(launcher)) = (descriptors.pop(), descriptors.pop()) else {
            anyhow::bail!("a shim to fork came without its descriptors");
        };
        match clone_process(Namespaces::empty(), None) {
            Ok(Cloned::Child) => {
                drop(socket);
                return begin(birth.folder, launcher, &last_words).map(Some);
            }
            Ok(Cloned::Parent { child, pidfd }) => {
                // While we have it, the lock on it tells that the shim lives.
                drop((last_words, launcher));
                let born = Born::Alive { pid: child.as_raw_nonzero().get() };
                wire::send(socket.as_fd(), &wire::encode(&born), &[pidfd.as_fd()])?;
            }
            Err(error) => {
                let born = Born::Failed { errno: error.raw_os_error().unwrap_or_default() };
                wire::send(socket.as_fd(), &wire::encode(&born), &[])?;
            }
        }
    }
}

/// In the new process: a shim waits for its children itself.
fn begin(folder: PathBuf, launcher: OwnedFd, last_words: &OwnedFd) -> anyhow::Result<NewShim> {
    rustix::stdio::dup2_stderr(last_words).context("cannot take over the standard error")?;
    linux::signals::heed(CHILD_ENDED)?;
    Ok(NewShim { folder, launcher })
}

fn receive(
    socket: &OwnedFd,
    decoder: &mut FrameDecoder,
    descriptors: &mut Vec<OwnedFd>,
) -> anyhow::Result<Option<Birth>> {
    let mut buffer = [0; 4096];
    loop {
        if let Some(birth) = decoder.next_message()? {
            return Ok(Some(birth));
        }
        match wire::receive(socket.as_fd(), &mut buffer, descriptors)? {
            0 => return Ok(None),
            count => decoder.feed(&buffer[..count]),
        }
    }
}

/// Moves the launcher's socket out of the way, so that nobody inherits it by accident.
fn take_standard_input() -> io::Result<OwnedFd> {
    let stdin: BorrowedFd<'_> = rustix::stdio::stdin();
    rustix::net::sockopt::socket_type(stdin)?;
    let socket = rustix::io::fcntl_dupfd_cloexec(stdin, 3)?;
    rustix::stdio::dup2_stdin(crate::stdio::open_null()?)?;
    Ok(socket)
}
