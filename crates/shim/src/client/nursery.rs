//! The process from which shims are forked.
//!
//! Before a static program comes to its `main`, the C library asks the processor for its
//! caches, dozens of times; in a virtual machine each answer comes from the hypervisor and
//! takes as long as a hundred system calls. So `wharf-shim` is executed once, and each shim is
//! a fork of that process, which costs a tenth. The nursery does nothing else: it has no
//! container, and ends with its daemon.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process;
use crate::protocol::{Birth, Born};
use crate::wire::{self, FrameDecoder};

/// How long a fork may take. It needs nothing but a processor.
const BIRTH_DEADLINE: Duration = Duration::from_secs(10);

/// A running nursery.
#[derive(Debug)]
pub(super) struct Nursery {
    socket: UnixStream,
    child: Child,
}

/// A shim that was launched. It lives on when this is dropped.
#[derive(Debug)]
pub struct Shim {
    pid: i32,
    process: OwnedFd,
}

impl Shim {
    pub fn pid(&self) -> i32 {
        self.pid
    }

    pub fn kill(&self) {
        process::kill(&self.process);
    }

    /// Waits for its end, however long it takes. There is nothing to reap: that is done by the
    /// process that it was forked from.
    pub fn wait(&self) -> io::Result<()> {
        process::await_end_for_ever(&self.process).map_err(Into::into)
    }

    /// Waits for its end; `false` if it does not come in time.
    pub fn wait_until(&self, deadline: Instant) -> bool {
        process::await_end(&self.process, deadline)
    }
}

impl Nursery {
    /// Executes the program.
    ///
    /// Nothing here may need code between `fork` and `execve` (such as `current_dir` does):
    /// only without can the standard library do with `vfork`, and need not copy a large
    /// daemon's page tables.
    pub(super) fn open(program: &Path) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(BIRTH_DEADLINE))?;
        ours.set_write_timeout(Some(BIRTH_DEADLINE))?;
        // Shims join containers: what is executed must not be writable from inside of one.
        let view = linux::mounts::read_only_view(program)?;
        let child = Command::new(format!("/proc/self/fd/{}", view.as_raw_fd()))
            .arg0(program)
            .env_clear()
            .envs(fail_points::environment())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { socket: ours, child })
    }

    /// Asks for a shim for the run folder, which gets `launcher` to talk to its launcher and
    /// `last_words` as its standard error. [`Nursery::await_birth`] must follow.
    pub(super) fn ask(
        &mut self,
        folder: &Path,
        launcher: BorrowedFd<'_>,
        last_words: BorrowedFd<'_>,
    ) -> io::Result<()> {
        let frame = wire::encode(&Birth { folder: folder.to_owned() });
        wire::send(self.socket.as_fd(), &frame, &[launcher, last_words])?;
        Ok(())
    }

    /// Waits for the shim that was asked for.
    pub(super) fn await_birth(&mut self) -> io::Result<Shim> {
        let mut decoder = FrameDecoder::new();
        let mut descriptors = Vec::new();
        let mut buffer = [0; 256];
        loop {
            if let Some(born) = decoder.next_message().map_err(io::Error::other)? {
                return match (born, descriptors.pop()) {
                    (Born::Alive { pid }, Some(process)) => Ok(Shim { pid, process }),
                    (Born::Alive { .. }, None) => Err(io::ErrorKind::InvalidData.into()),
                    (Born::Failed { errno }, _) => Err(io::Error::from_raw_os_error(errno)),
                };
            }
            let received = wire::receive(self.socket.as_fd(), &mut buffer, &mut descriptors);
            match received.map_err(say_who_is_silent)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => decoder.feed(&buffer[..count]),
            }
        }
    }
}

/// A deadline that is over shows as an operation that would block.
fn say_who_is_silent(error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::WouldBlock {
        return error;
    }
    let seconds = BIRTH_DEADLINE.as_secs();
    let words = format!("the process that supervisors are forked from is silent for {seconds} s");
    io::Error::new(io::ErrorKind::TimedOut, words)
}

impl Drop for Nursery {
    /// The nursery ends by itself when nobody has the other end of its socket. One that hangs
    /// must not hang us as well.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
