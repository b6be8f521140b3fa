//! The socket, and waiting for the kernel's verdict.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
};

use super::answer::{Answer, Message, messages};
use super::request::Requests;

/// What the kernel sends at most in one piece.
const RECEIVE_MAX: usize = 32 * 1024;

/// `NETLINK_CAP_ACK` and `NETLINK_EXT_ACK`: errors with a reason, and without our request.
const OPTIONS: [libc::c_int; 2] = [10, 11];

/// Which part of the kernel is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Route,
    Netfilter,
}

/// A connection to the kernel, in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
}

/// The kernel refused, or could not be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub errno: Errno,
    /// The kernel's own words about it.
    pub reason: Option<String>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "{reason} ({})", self.errno),
            None => self.errno.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Self { errno, reason: None }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error.reason {
            None => error.errno.into(),
            Some(_) => Self::new(error.errno.kind(), error),
        }
    }
}

impl Socket {
    pub fn open(family: Family) -> Result<Self, Error> {
        let protocol = match family {
            Family::Route => None,
            Family::Netfilter => Some(NETFILTER),
        };
        let descriptor =
            socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        connect(&descriptor, &SocketAddrNetlink::new(0, 0))?;
        OPTIONS.iter().for_each(|option| enable(&descriptor, *option));
        Ok(Self { descriptor })
    }

    /// Sends requests and returns the answers, when the kernel is done with all of them.
    ///
    /// If some were refused, the first refusal is the error.
    pub fn run(&self, requests: &Requests) -> Result<Vec<Answer>, Error> {
        if requests.bytes().is_empty() {
            return Ok(Vec::new());
        }
        self.send(requests)?;
        let mut outcome = Outcome::default();
        while outcome.verdicts < requests.acknowledged() {
            outcome.take(self.receive(RecvFlags::empty())?);
        }
        outcome.into_result()
    }

    /// Sends an nftables batch, which is carried out as a whole or not at all.
    ///
    /// The kernel works while we send, so what it has to say is there when `send` returns,
    /// and silence means success.
    pub(crate) fn run_batch(&self, requests: &Requests) -> Result<(), Error> {
        self.send(requests)?;
        let mut outcome = Outcome::default();
        loop {
            match self.receive(RecvFlags::DONTWAIT) {
                Ok(received) => outcome.take(received),
                Err(Errno::AGAIN) => return outcome.into_result().map(drop),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn send(&self, requests: &Requests) -> Result<(), Errno> {
        rustix::io::retry_on_intr(|| {
            send(&self.descriptor, requests.bytes(), SendFlags::empty()).map(drop)
        })
    }

    fn receive(&self, flags: RecvFlags) -> Result<Vec<Message>, Errno> {
        let mut buffer = Vec::with_capacity(RECEIVE_MAX);
        rustix::io::retry_on_intr(|| {
            recv(&self.descriptor, spare_capacity(&mut buffer), flags).map(drop)
        })?;
        Ok(messages(&buffer))
    }
}

/// What was heard so far.
#[derive(Debug, Default)]
struct Outcome {
    answers: Vec<Answer>,
    verdicts: u32,
    refusal: Option<Error>,
}

impl Outcome {
    fn take(&mut self, messages: Vec<Message>) {
        for message in messages {
            match message {
                Message::Data(answer) => self.answers.push(answer),
                Message::Verdict { code, reason } => {
                    self.verdicts += 1;
                    if code != 0 && self.refusal.is_none() {
                        let errno = Errno::from_raw_os_error(-code);
                        self.refusal = Some(Error { errno, reason });
                    }
                }
            }
        }
    }

    fn into_result(self) -> Result<Vec<Answer>, Error> {
        match self.refusal {
            None => Ok(self.answers),
            Some(refusal) => Err(refusal),
        }
    }
}

/// Switches a socket option on. A kernel without it gives poorer errors, and that is all.
fn enable(socket: &OwnedFd, option: libc::c_int) {
    let one: libc::c_int = 1;
    // SAFETY: the kernel reads one `c_int` from `one`, which outlives the call, and the
    // descriptor is open as long as it is borrowed.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const one).cast(),
            size_of_val(&one).try_into().expect("an integer's size is small"),
        );
    }
}
