//! Waiting for many descriptors at once.
//!
//! Everything the shim waits for has a [`Token`], which travels through the kernel in the 64
//! bits that `epoll(7)` keeps for its caller. A token may outlive what it names: within one
//! batch an event may close what a later one is about. Whoever handles an event looks its
//! token up, and ignores it if nothing is there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll;
use rustix::io::Errno;

pub(crate) use rustix::event::epoll::EventFlags as Readiness;

use crate::log::Source;

/// Events handled in one turn.
const BATCH: usize = 32;

/// Which process something belongs to: the container's first one, or an exec'd one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessKey(pub u32);

impl ProcessKey {
    pub(crate) const FIRST: Self = Self(0);
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// Somebody connects to the shim's socket.
    Listener,
    Connection(u32),
    /// A process has ended.
    Process(ProcessKey),
    OutOfMemory,
    Output(ProcessKey, Source),
    Input(ProcessKey),
    Client(ProcessKey, u32),
    /// A client that only gets what is left for it.
    Leaving(u32),
    /// Whoever keeps the container's log.
    Log,
    /// A health check's process has ended, or its socket is ready.
    Probe(u32),
    ProbeOutput(u32),
    /// A call of another runtime's program has ended.
    Call(u32),
}

/// Bits of a process's key in a packed token. Exec'd processes are numbered modulo this.
const KEY_BITS: u32 = 24;

impl Token {
    fn pack(self) -> u64 {
        let (kind, key, number) = match self {
            Self::Listener => (0, 0, 0),
            Self::Connection(number) => (1, 0, number),
            Self::Process(key) => (2, key.0, 0),
            Self::OutOfMemory => (3, 0, 0),
            Self::Output(key, Source::Stdout) => (4, key.0, 0),
            Self::Output(key, Source::Stderr) => (5, key.0, 0),
            Self::Input(key) => (6, key.0, 0),
            Self::Client(key, number) => (7, key.0, number),
            Self::Leaving(number) => (8, 0, number),
            Self::Log => (9, 0, 0),
            Self::Probe(number) => (10, 0, number),
            Self::ProbeOutput(number) => (11, 0, number),
            Self::Call(number) => (12, 0, number),
        };
        kind << 56 | u64::from(key & ((1 << KEY_BITS) - 1)) << 32 | u64::from(number)
    }

    fn unpack(packed: u64) -> Option<Self> {
        let key = ProcessKey((packed >> 32) as u32 & ((1 << KEY_BITS) - 1));
        let number = packed as u32;
        Some(match packed >> 56 {
            0 => Self::Listener,
            1 => Self::Connection(number),
            2 => Self::Process(key),
            3 => Self::OutOfMemory,
            4 => Self::Output(key, Source::Stdout),
            5 => Self::Output(key, Source::Stderr),
            6 => Self::Input(key),
            7 => Self::Client(key, number),
            8 => Self::Leaving(number),
            9 => Self::Log,
            10 => Self::Probe(number),
            11 => Self::ProbeOutput(number),
            12 => Self::Call(number),
            _ => return None,
        })
    }
}

/// The key of the next exec'd process after `key`.
pub(crate) fn key_after(key: ProcessKey) -> ProcessKey {
    let next = (key.0 + 1) & ((1 << KEY_BITS) - 1);
    if next == ProcessKey::FIRST.0 { ProcessKey(1) } else { ProcessKey(next) }
}

/// The set of all that is waited for. A clone is another name for the same set.
#[derive(Debug, Clone)]
pub(crate) struct EventLoop {
    epoll: Rc<OwnedFd>,
}

/// A descriptor that is waited for until this is dropped.
///
/// Closing it would not be enough: an epoll set forgets a descriptor when the last copy of it
/// is closed, and a client's socket, say, may have another copy in the daemon. The set would
/// go on to tell of a descriptor that nobody here knows.
#[derive(Debug)]
pub(crate) struct Watched {
    descriptor: OwnedFd,
    token: Token,
    /// What the kernel was told to wait for.
    wanted: Option<Readiness>,
    epoll: Rc<OwnedFd>,
}

impl Watched {
    /// Waits for `wanted` from now on; errors and hang-ups are told with anything. `None`:
    /// hears of nothing, not even a hang-up.
    pub(crate) fn want(&mut self, wanted: Option<Readiness>) -> rustix::io::Result<()> {
        if wanted == self.wanted {
            return Ok(());
        }
        let data = epoll::EventData::new_u64(self.token.pack());
        match (self.wanted, wanted) {
            (None, Some(wanted)) => epoll::add(&*self.epoll, &self.descriptor, data, wanted)?,
            (Some(_), Some(wanted)) => epoll::modify(&*self.epoll, &self.descriptor, data, wanted)?,
            (_, None) => epoll::delete(&*self.epoll, &self.descriptor)?,
        }
        self.wanted = wanted;
        Ok(())
    }

    /// Tells of it by another name from now on, and of hang-ups only.
    pub(crate) fn rename(&mut self, token: Token) -> rustix::io::Result<()> {
        self.want(None)?;
        self.token = token;
        self.want(Some(Readiness::empty()))
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // It can fail only if the descriptor is not in the set, which is what is wanted.
        let _ = self.want(None);
    }
}

impl EventLoop {
    pub(crate) fn new() -> rustix::io::Result<Self> {
        let epoll = Rc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        Ok(Self { epoll })
    }

    /// Waits for `wanted` of `descriptor`, as [`Watched::want`] does.
    pub(crate) fn watch(
        &self,
        descriptor: OwnedFd,
        token: Token,
        wanted: Option<Readiness>,
    ) -> rustix::io::Result<Watched> {
        let mut watched =
            Watched { descriptor, token, wanted: None, epoll: Rc::clone(&self.epoll) };
        watched.want(wanted)?;
        Ok(watched)
    }

    /// Waits until something happens or `deadline` comes.
    pub(crate) fn wait(
        &self,
        deadline: Option<Instant>,
    ) -> rustix::io::Result<Vec<(Token, Readiness)>> {
        let timeout = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            Timespec::try_from(left.min(WAIT_MAX)).expect("a day fits")
        });
        let mut batch: Vec<epoll::Event> = Vec::with_capacity(BATCH);
        match epoll::wait(
            &*self.epoll,
            rustix::buffer::spare_capacity(&mut batch),
            timeout.as_ref(),
        ) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        Ok(batch
            .iter()
            .filter_map(|event| Some((Token::unpack(event.data.u64())?, event.flags)))
            .collect())
    }
}

/// A wait may be cut: the caller looks at its deadlines and waits again.
const WAIT_MAX: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_it_went() {
        let key = ProcessKey(0x00ab_cdef);
        for token in [
            Token::Listener,
            Token::Connection(u32::MAX),
            Token::Process(ProcessKey::FIRST),
            Token::OutOfMemory,
            Token::Output(key, Source::Stdout),
            Token::Output(key, Source::Stderr),
            Token::Input(key),
            Token::Client(key, 7),
            Token::Leaving(u32::MAX),
            Token::Log,
            Token::Probe(u32::MAX),
            Token::ProbeOutput(7),
            Token::Call(u32::MAX),
        ] {
            assert_eq!(Token::unpack(token.pack()), Some(token));
        }
    }

    #[test]
    fn keys_of_execs_never_become_that_of_the_first_process() {
        assert_eq!(key_after(ProcessKey(0x00ff_ffff)), ProcessKey(1));
    }
}
