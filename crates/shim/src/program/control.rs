//! The shim's socket: who is connected, what they ask, and telling them what happens.
//!
//! A client that does not read what it is told is disconnected: it may connect again and ask
//! for the state.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use shim::protocol::{Answer, Event, MESSAGE_BYTES_MAX, Request, files};
use shim::wire::{self, FrameDecoder, FrameError};

use crate::event_loop::{EventLoop, Readiness, Token, Watched};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// Open connections at most. A daemon has one, and one more for each call.
const CONNECTIONS_MAX: usize = 256;

const READ_BYTES: usize = 4096;

/// Everybody who is connected.
#[derive(Debug)]
pub(crate) struct Control {
    listener: Watched,
    connections: Vec<Connection>,
    next_number: u32,
}

/// What somebody asks, and the descriptors that came with it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub request: Result<Request, FrameError>,
    pub descriptors: Vec<OwnedFd>,
}

#[derive(Debug)]
struct Connection {
    number: u32,
    socket: Watched,
    decoder: FrameDecoder,
    descriptors: Vec<OwnedFd>,
    outgoing: VecDeque<Message>,
    is_watching: bool,
}

/// A message, or what is left of it.
#[derive(Debug)]
struct Message {
    bytes: Vec<u8>,
    descriptor: Option<OwnedFd>,
}

/// The connection is no more.
struct Gone;

impl Control {
    /// Makes the socket in the working folder.
    pub(crate) fn listen(events: &EventLoop) -> rustix::io::Result<Self> {
        let listener = bind()?;
        rustix::net::listen(&listener, BACKLOG)?;
        let listener = events.watch(listener, Token::Listener, Some(Readiness::IN))?;
        Ok(Self { listener, connections: Vec::new(), next_number: 0 })
    }

    pub(crate) fn accept(&mut self, events: &EventLoop) {
        // Whatever it fails for, the others must go on being served.
        if let Ok(socket) = rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC)
            && self.connections.len() < CONNECTIONS_MAX
        {
            let _ = self.add(socket, events);
        }
    }

    /// Takes a connection that was made otherwise; says its number.
    pub(crate) fn add(&mut self, socket: OwnedFd, events: &EventLoop) -> rustix::io::Result<u32> {
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        rustix::io::ioctl_fionbio(&socket, true)?;
        let socket = events.watch(socket, Token::Connection(number), Some(Readiness::IN))?;
        self.connections.push(Connection {
            number,
            socket,
            decoder: FrameDecoder::new(),
            descriptors: Vec::new(),
            outgoing: VecDeque::new(),
            is_watching: false,
        });
        Ok(number)
    }

    /// Sends what waits and reads what was asked.
    pub(crate) fn ready(&mut self, number: u32, readiness: Readiness) -> Vec<Asked> {
        let Some(connection) = self.find(number) else { return Vec::new() };
        let mut asked = Vec::new();
        let mut outcome = connection.flush();
        if outcome.is_ok() && readiness.intersects(Readiness::IN | Readiness::HUP | Readiness::ERR)
        {
            outcome = connection.receive(&mut asked);
        }
        if outcome.is_err() {
            self.close(number);
        }
        asked
    }

    pub(crate) fn answer(&mut self, number: u32, answer: &Answer, descriptor: Option<OwnedFd>) {
        let bytes = wire::encode(answer);
        let Some(connection) = self.find(number) else { return };
        if connection.send(Message { bytes, descriptor }).is_err() {
            self.close(number);
        }
    }

    /// From now on this connection is told what happens.
    pub(crate) fn set_watching(&mut self, number: u32) {
        if let Some(connection) = self.find(number) {
            connection.is_watching = true;
        }
    }

    /// Whether anybody is told of anything.
    pub(crate) fn has_watchers(&self) -> bool {
        self.connections.iter().any(|connection| connection.is_watching)
    }

    /// Tells everybody who watches.
    pub(crate) fn tell(&mut self, event: &Event) {
        let bytes = wire::encode(event);
        self.connections.retain_mut(|connection| {
            let message = Message { bytes: bytes.clone(), descriptor: None };
            !connection.is_watching || connection.send(message).is_ok()
        });
    }

    /// Ends the listening: nobody can find this shim any more.
    pub(crate) fn remove_socket() -> std::io::Result<()> {
        std::fs::remove_file(files::SOCKET)
    }

    /// Sends everybody away.
    pub(crate) fn close_all(&mut self) {
        self.connections.clear();
    }

    fn find(&mut self, number: u32) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|connection| connection.number == number)
    }

    fn close(&mut self, number: u32) {
        self.connections.retain(|connection| connection.number != number);
    }
}

impl Connection {
    fn receive(&mut self, asked: &mut Vec<Asked>) -> Result<(), Gone> {
        let mut buffer = [0; READ_BYTES];
        match wire::receive(self.socket.as_fd(), &mut buffer, &mut self.descriptors) {
            Ok(0) => return Err(Gone),
            Ok(count) => self.decoder.feed(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err(Gone),
        }
        loop {
            let request = match self.decoder.next_message() {
                Ok(None) => return Ok(()),
                Ok(Some(request)) => Ok(request),
                Err(FrameError::TooLarge { .. }) => return Err(Gone),
                Err(error @ FrameError::Malformed { .. }) => Err(error),
            };
            let descriptors = std::mem::take(&mut self.descriptors);
            asked.push(Asked { request, descriptors });
        }
    }

    fn send(&mut self, message: Message) -> Result<(), Gone> {
        self.outgoing.push_back(message);
        let waiting: usize = self.outgoing.iter().map(|message| message.bytes.len()).sum();
        if waiting > MESSAGE_BYTES_MAX {
            return Err(Gone);
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Gone> {
        while let Some(message) = self.outgoing.front_mut() {
            let descriptors: Vec<_> =
                message.descriptor.iter().map(|descriptor| descriptor.as_fd()).collect();
            match wire::send(self.socket.as_fd(), &message.bytes, &descriptors) {
                Ok(sent) => {
                    message.descriptor = None;
                    message.bytes.drain(..sent);
                    if message.bytes.is_empty() {
                        self.outgoing.pop_front();
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => return Err(Gone),
            }
        }
        let mut wanted = Readiness::IN;
        wanted.set(Readiness::OUT, !self.outgoing.is_empty());
        self.socket.want(Some(wanted)).map_err(|_| Gone)
    }
}

/// The socket, for its owner alone: the mode that an unbound socket has is that of its file.
fn bind() -> rustix::io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    let address = SocketAddrUnix::new(files::SOCKET)?;
    match rustix::net::bind(&socket, &address) {
        // We hold the folder's lock, so whoever listened there is dead.
        Err(Errno::ADDRINUSE) => {
            rustix::fs::unlink(files::SOCKET)?;
            rustix::net::bind(&socket, &address)?;
        }
        outcome => outcome?,
    }
    Ok(socket)
}
