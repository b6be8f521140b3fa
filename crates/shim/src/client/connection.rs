//! One connection to a shim: questions and answers, then perhaps events.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use errors::{Explain, Kind};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde::de::DeserializeOwned;

use crate::protocol::{Answer, Event, Failure, FailureKind, Request, State, files};
use crate::wire::{self, FrameDecoder, FrameError};

/// How long a shim may take to answer. It answers everything without waiting for anybody but
/// the kernel. One that does not is stopped, or has no processor time.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// How long it may take for an additional process: that has to come to its program first, for
/// which the shim has a deadline itself.
const EXEC_DEADLINE: Duration = Duration::from_secs(20);

/// Bytes read at once. An answer is a few hundred.
const READ_BYTES: usize = 4096;

/// A shim could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens: the shim has left, or died.
    #[error("no shim listens in {}", folder.display())]
    Gone { folder: PathBuf },
    #[error("cannot connect to the shim in {}", folder.display())]
    Connect { folder: PathBuf, source: io::Error },
}

impl Explain for ConnectError {
    fn kind(&self) -> Kind {
        match self {
            Self::Gone { .. } => Kind::Conflict,
            Self::Connect { .. } => Kind::Internal,
        }
    }
}

/// A shim did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It refused, or tried in vain.
    #[error("{}", .0.message)]
    Failed(Failure),
    /// It left or died before it answered.
    #[error("the container's shim went away without an answer")]
    Gone,
    #[error("the container's shim has not answered for {:.1} s", .0.as_secs_f64())]
    Deadline(Duration),
    #[error("cannot talk to the container's shim")]
    Talk { source: io::Error },
    #[error("the container's shim sent something that is no answer")]
    Frame(#[from] FrameError),
    #[error("the container's shim sent another answer than was asked for")]
    Unexpected,
}

impl Explain for CallError {
    fn kind(&self) -> Kind {
        match self {
            Self::Failed(failure) => failure.kind.error_kind(),
            Self::Gone => Kind::Conflict,
            Self::Deadline(_) => Kind::Unavailable,
            Self::Talk { .. } | Self::Frame(_) | Self::Unexpected => Kind::Internal,
        }
    }
}

impl FailureKind {
    /// The kind that an [`Explain`] error of this failure has.
    pub fn error_kind(self) -> Kind {
        match self {
            Self::ProgramNotFound | Self::ProgramNotExecutable | Self::InvalidConfiguration => {
                Kind::Invalid
            }
            Self::WrongPhase => Kind::Conflict,
            Self::NotFound => Kind::NotFound,
            Self::Unsupported => Kind::NotImplemented,
            Self::Internal => Kind::Internal,
        }
    }
}

/// Connects to the shim whose run folder this is.
///
/// The socket is reached through a descriptor of the folder: a Unix socket's path may have
/// 108 bytes only, and an exec root with a 64-digit id in it soon has more.
pub fn connect(folder: &Path) -> Result<Connection, ConnectError> {
    connect_within(folder, ANSWER_DEADLINE)
}

/// As [`connect`], with another deadline for this and for each answer.
pub fn connect_within(folder: &Path, deadline: Duration) -> Result<Connection, ConnectError> {
    match open_socket(folder, deadline) {
        Ok(socket) => Ok(Connection::over(UnixStream::from(socket), deadline)),
        Err(Errno::NOENT | Errno::CONNREFUSED) => {
            Err(ConnectError::Gone { folder: folder.to_owned() })
        }
        Err(errno) => {
            Err(ConnectError::Connect { folder: folder.to_owned(), source: errno.into() })
        }
    }
}

fn open_socket(folder: &Path, deadline: Duration) -> rustix::io::Result<OwnedFd> {
    let directory = rustix::fs::open(
        folder,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let address =
        SocketAddrUnix::new(format!("/proc/self/fd/{}/{}", directory.as_raw_fd(), files::SOCKET))?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // It bounds `connect` as well, which waits while the backlog is full.
    set_socket_timeout(&socket, Timeout::Send, Some(deadline))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(deadline))?;
    rustix::net::connect(&socket, &address)?;
    Ok(socket)
}

/// A connection that carries questions and answers, in turn.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    decoder: FrameDecoder,
    deadline: Duration,
}

impl Connection {
    /// A connection over a stream whose deadlines are set.
    fn over(stream: UnixStream, deadline: Duration) -> Self {
        Self { stream, decoder: FrameDecoder::new(), deadline }
    }

    /// A connection over one end of a socket pair, with a deadline of its own.
    pub(super) fn with_deadline(stream: UnixStream, deadline: Duration) -> io::Result<Self> {
        stream.set_read_timeout(Some(deadline))?;
        stream.set_write_timeout(Some(deadline))?;
        Ok(Self { stream, decoder: FrameDecoder::new(), deadline })
    }

    /// Asks, and waits for the answer. [`Answer::Failed`] comes back as
    /// [`CallError::Failed`].
    pub fn call(
        &mut self,
        request: &Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Answer, CallError> {
        if matches!(request, Request::Exec(_)) && self.deadline < EXEC_DEADLINE {
            self.deadline = EXEC_DEADLINE;
            let patience = Some(self.deadline);
            self.stream.set_read_timeout(patience).map_err(|source| CallError::Talk { source })?;
        }
        self.send(request, descriptors)?;
        let mut unexpected = Vec::new();
        self.answer(&mut unexpected)
    }

    /// What the shim knows now.
    pub fn state(&mut self) -> Result<State, CallError> {
        match self.call(&Request::State, &[])? {
            Answer::State(state) => Ok(state),
            _ => Err(CallError::Unexpected),
        }
    }

    /// The container's network namespace, for another container that joins it.
    pub fn network_namespace(&mut self) -> Result<OwnedFd, CallError> {
        self.send(&Request::NetworkNamespace, &[])?;
        let mut descriptors = Vec::new();
        self.answer(&mut descriptors)?;
        descriptors.pop().ok_or(CallError::Unexpected)
    }

    /// Turns the connection into one that carries the container's events.
    pub fn watch(mut self) -> Result<(State, Watch), CallError> {
        match self.call(&Request::Watch, &[])? {
            Answer::State(state) => Ok((state, self.into_watch()?)),
            _ => Err(CallError::Unexpected),
        }
    }

    pub(super) fn into_watch(self) -> Result<Watch, CallError> {
        // Events come when they come.
        self.stream.set_read_timeout(None).map_err(|source| CallError::Talk { source })?;
        Ok(Watch { stream: self.stream, decoder: self.decoder })
    }

    pub(super) fn send(
        &mut self,
        request: &Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), CallError> {
        let frame = wire::encode(request);
        let mut sent = wire::send(self.stream.as_fd(), &frame, descriptors)
            .map_err(|source| self.call_error(source))?;
        while sent < frame.len() {
            sent += wire::send(self.stream.as_fd(), &frame[sent..], &[])
                .map_err(|source| self.call_error(source))?;
        }
        Ok(())
    }

    pub(super) fn answer(&mut self, descriptors: &mut Vec<OwnedFd>) -> Result<Answer, CallError> {
        let answer = read_message(&self.stream, &mut self.decoder, descriptors)
            .map_err(|error| match error {
                ReadError::Read(source) => self.call_error(source),
                ReadError::Frame(error) => CallError::Frame(error),
            })?
            .ok_or(CallError::Gone)?;
        match answer {
            Answer::Failed(failure) => Err(CallError::Failed(failure)),
            answer => Ok(answer),
        }
    }

    fn call_error(&self, source: io::Error) -> CallError {
        match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                CallError::Deadline(self.deadline)
            }
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => CallError::Gone,
            _ => CallError::Talk { source },
        }
    }
}

/// A connection on which the shim tells its events.
#[derive(Debug)]
pub struct Watch {
    stream: UnixStream,
    decoder: FrameDecoder,
}

impl Watch {
    /// From now on [`next_event`](Self::next_event) waits no longer than that.
    pub fn set_deadline(&self, deadline: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(deadline))
    }

    /// The next event; `None` when the shim has left or died.
    pub fn next_event(&mut self) -> Result<Option<Event>, CallError> {
        read_message(&self.stream, &mut self.decoder, &mut Vec::new()).map_err(
            |error| match error {
                ReadError::Read(source) => CallError::Talk { source },
                ReadError::Frame(error) => CallError::Frame(error),
            },
        )
    }

    /// The stream, which is in blocking mode, and the decoder with what was read already:
    /// ask it for messages before reading more.
    pub fn into_parts(self) -> (UnixStream, FrameDecoder) {
        (self.stream, self.decoder)
    }
}

/// Why a message could not be read.
enum ReadError {
    Read(io::Error),
    Frame(FrameError),
}

fn read_message<T: DeserializeOwned>(
    stream: &UnixStream,
    decoder: &mut FrameDecoder,
    descriptors: &mut Vec<OwnedFd>,
) -> Result<Option<T>, ReadError> {
    let mut buffer = [0; READ_BYTES];
    loop {
        if let Some(message) = decoder.next_message().map_err(ReadError::Frame)? {
            return Ok(Some(message));
        }
        match wire::receive(stream.as_fd(), &mut buffer, descriptors) {
            Ok(0) => return Ok(None),
            Ok(count) => decoder.feed(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(ReadError::Read(error)),
        }
    }
}
