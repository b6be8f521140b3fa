//! The socket that leads to a peer.
//!
//! Errors are worded as Docker (that is, Go) words them, for a container whose peer is not
//! there does not start, and its user reads them.

use std::fmt::Display;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use shim::protocol::LogAddress;

use crate::event_loop::{EventLoop, Readiness, Token, Watched};

/// How long a connection may take to be made.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Where a host's syslog daemon may listen, in the order in which they are tried.
const HOST_SYSLOG: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

/// Bytes read at once of what a peer says.
const READ_BYTES: usize = 4096;

/// What is kept at most of what a peer says: confirmations are short.
const HEARD_BYTES_MAX: usize = 64 << 10;

/// Where a peer listens.
#[derive(Debug, Clone)]
pub(super) enum Address {
    Tcp(SocketAddr),
    Udp(SocketAddr),
    Unix(PathBuf),
    UnixDatagram(PathBuf),
    HostSyslog,
    /// journald takes what is too long for a datagram as a sealed file.
    Journal(PathBuf),
}

impl From<&LogAddress> for Address {
    fn from(address: &LogAddress) -> Self {
        match address {
            LogAddress::Tcp(address) => Self::Tcp(*address),
            LogAddress::Udp(address) => Self::Udp(*address),
            LogAddress::Unix(path) => Self::Unix(path.clone()),
            LogAddress::UnixDatagram(path) => Self::UnixDatagram(path.clone()),
            LogAddress::HostSyslog => Self::HostSyslog,
        }
    }
}

impl Address {
    /// As Go names the network and the address in its errors.
    fn dialled(&self) -> String {
        match self {
            Self::Tcp(address) => format!("tcp {address}"),
            Self::Udp(address) => format!("udp {address}"),
            Self::Unix(path) => format!("unix {}", path.display()),
            Self::UnixDatagram(path) | Self::Journal(path) => {
                format!("unixgram {}", path.display())
            }
            Self::HostSyslog => "syslog".to_owned(),
        }
    }
}

/// What has become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    All,
    /// So many bytes.
    Some(usize),
    /// There is no room.
    Nothing,
    /// The peer will never take it.
    Never,
}

#[derive(Debug)]
enum State {
    Connected(Watched),
    Connecting(Watched, Instant),
    Down { until: Instant },
}

/// The way to a peer.
#[derive(Debug)]
pub(super) struct Link {
    address: Address,
    state: State,
    /// Of the present socket.
    is_datagram: bool,
    events: EventLoop,
}

impl Link {
    /// Connects, and waits for it unless the peer is optional.
    pub(super) fn open(
        address: Address,
        events: &EventLoop,
        is_optional: bool,
    ) -> io::Result<Self> {
        let state = State::Down { until: Instant::now() };
        let mut link = Self { address, state, is_datagram: false, events: events.clone() };
        let connected = link
            .connect()
            .and_then(|()| if is_optional { Ok(()) } else { link.await_connection() });
        match connected {
            Err(error) if !is_optional => Err(link.explain(error)),
            _ => Ok(link),
        }
    }

    fn explain(&self, error: Errno) -> io::Error {
        if matches!(self.address, Address::HostSyslog) {
            return io::Error::other("Unix syslog delivery error");
        }
        io::Error::other(format!("dial {}: {}", self.address.dialled(), in_go(error)))
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected(_))
    }

    pub(super) fn is_connecting(&self) -> bool {
        matches!(self.state, State::Connecting(..))
    }

    /// When a connection took too long, or is to be tried again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Connected(_) => None,
            State::Connecting(_, until) | State::Down { until } => Some(until),
        }
    }

    pub(super) fn rest_until(&mut self, until: Instant) {
        self.state = State::Down { until };
    }

    /// Begins to connect.
    pub(super) fn connect(&mut self) -> Result<(), Errno> {
        self.state = State::Down { until: Instant::now() };
        let (socket, is_datagram, is_connected) = match &self.address {
            Address::Tcp(address) => connect_ip(*address, SocketType::STREAM)?,
            Address::Udp(address) => connect_ip(*address, SocketType::DGRAM)?,
            Address::Unix(path) => connect_unix(path, SocketType::STREAM)?,
            Address::UnixDatagram(path) | Address::Journal(path) => {
                connect_unix(path, SocketType::DGRAM)?
            }
            Address::HostSyslog => connect_host_syslog()?,
        };
        self.is_datagram = is_datagram;
        let wanted = if is_connected { Readiness::IN } else { Readiness::OUT };
        let socket = self.events.watch(socket, Token::Log, Some(wanted))?;
        self.state = if is_connected {
            State::Connected(socket)
        } else {
            State::Connecting(socket, Instant::now() + CONNECT_TIME)
        };
        Ok(())
    }

    /// The socket says that connecting has ended, one way or the other.
    pub(super) fn finish_connecting(&mut self) -> Result<(), Errno> {
        let down = State::Down { until: Instant::now() };
        match std::mem::replace(&mut self.state, down) {
            State::Connecting(mut socket, _) => {
                rustix::net::sockopt::socket_error(&socket)??;
                socket.want(Some(Readiness::IN))?;
                self.state = State::Connected(socket);
            }
            other => self.state = other,
        }
        Ok(())
    }

    fn await_connection(&mut self) -> Result<(), Errno> {
        let State::Connecting(socket, _) = &self.state else { return Ok(()) };
        let timeout = Timespec::try_from(CONNECT_TIME).expect("seconds fit");
        let descriptor = socket.as_fd();
        let mut waiting = [PollFd::new(&descriptor, PollFlags::OUT)];
        match rustix::io::retry_on_intr(|| poll(&mut waiting, Some(&timeout)))? {
            0 => Err(Errno::TIMEDOUT),
            _ => self.finish_connecting(),
        }
    }

    /// Sends as much as goes.
    pub(super) fn send(&self, bytes: &[u8]) -> Result<Sent, Errno> {
        let State::Connected(socket) = &self.state else { return Ok(Sent::Nothing) };
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match rustix::io::retry_on_intr(|| rustix::net::send(socket, bytes, flags)) {
            Ok(count) if count == bytes.len() => Ok(Sent::All),
            Ok(count) => Ok(Sent::Some(count)),
            Err(Errno::AGAIN | Errno::NOBUFS) => Ok(Sent::Nothing),
            Err(Errno::MSGSIZE) if matches!(self.address, Address::Journal(_)) => {
                send_as_file(socket, bytes)
            }
            Err(Errno::MSGSIZE) => Ok(Sent::Never),
            // Nobody listens there now. As with every datagram, nobody can tell for sure.
            Err(Errno::CONNREFUSED) if matches!(self.address, Address::Udp(_)) => Ok(Sent::All),
            Err(error) => Err(error),
        }
    }

    /// Adds what the peer has said to `heard`.
    pub(super) fn receive(&self, heard: &mut Vec<u8>) -> Result<(), Errno> {
        let State::Connected(socket) = &self.state else { return Ok(()) };
        heard.reserve(READ_BYTES);
        let received = rustix::io::retry_on_intr(|| {
            rustix::net::recv(socket, rustix::buffer::spare_capacity(heard), RecvFlags::DONTWAIT)
        });
        match received {
            Ok((0, _)) if !self.is_datagram => Err(Errno::CONNRESET),
            Ok(_) if heard.len() > HEARD_BYTES_MAX => Err(Errno::MSGSIZE),
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(Errno::CONNREFUSED) if matches!(self.address, Address::Udp(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Tells the event loop whether something waits to be sent.
    pub(super) fn wait_for_room(&mut self, is_needed: bool) {
        if let State::Connected(socket) = &mut self.state {
            let wanted = if is_needed { Readiness::IN | Readiness::OUT } else { Readiness::IN };
            // It is in the set already: changing what is waited for needs no memory.
            let _ = socket.want(Some(wanted));
        }
    }
}

/// A socket, whether it is one for datagrams, and whether it is connected yet.
type Connection = (OwnedFd, bool, bool);

fn connect_ip(address: SocketAddr, kind: SocketType) -> Result<Connection, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, kind)?;
    let is_datagram = kind == SocketType::DGRAM;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => Ok((socket, is_datagram, true)),
        Err(Errno::INPROGRESS) => Ok((socket, is_datagram, false)),
        Err(error) => Err(error),
    }
}

fn connect_unix(path: &Path, kind: SocketType) -> Result<Connection, Errno> {
    let socket = socket(AddressFamily::UNIX, kind)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok((socket, kind == SocketType::DGRAM, true))
}

fn connect_host_syslog() -> Result<Connection, Errno> {
    let kinds = [SocketType::DGRAM, SocketType::STREAM];
    kinds
        .iter()
        .flat_map(|kind| HOST_SYSLOG.iter().map(|path| connect_unix(Path::new(path), *kind)))
        .find(Result::is_ok)
        .unwrap_or(Err(Errno::NOENT))
}

fn socket(family: AddressFamily, kind: SocketType) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(family, kind, flags, None)
}

/// journald reads what does not fit into a datagram from a file that nobody can change.
fn send_as_file(socket: &Watched, bytes: &[u8]) -> Result<Sent, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = rustix::fs::memfd_create("journal-data", flags)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&file, rest))?;
        rest = &rest[written..];
    }
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [file.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    match rustix::net::sendmsg(socket, &[], &mut control, flags) {
        Ok(_) => Ok(Sent::All),
        Err(Errno::AGAIN | Errno::NOBUFS) => Ok(Sent::Nothing),
        Err(error) => Err(error),
    }
}

/// An error of the system as Go words it.
fn in_go(error: Errno) -> Box<dyn Display> {
    match error {
        Errno::TIMEDOUT => Box::new("i/o timeout"),
        Errno::CONNREFUSED => Box::new("connect: connection refused"),
        Errno::NOENT => Box::new("connect: no such file or directory"),
        Errno::NETUNREACH => Box::new("connect: network is unreachable"),
        Errno::HOSTUNREACH => Box::new("connect: no route to host"),
        Errno::ACCESS => Box::new("connect: permission denied"),
        Errno::PROTOTYPE => Box::new("connect: protocol wrong type for socket"),
        error => Box::new(error),
    }
}
