//! One connection to an engine.

use std::fmt::Write as _;
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use super::endpoint::Endpoint;
use super::head::Head;
use super::hijacked::Hijacked;
use super::request::{Content, Request};

/// Room for what was read and not yet looked at.
const BUFFER_SIZE: usize = 32 << 10;
/// The name of an engine behind a Unix socket. Some proxies insist on one.
const HOST_OF_SOCKET: &str = "api.moby.localhost";

/// The socket itself.
#[derive(Debug)]
pub(super) enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// A connection, with what was read ahead.
#[derive(Debug)]
pub(super) struct Connection {
    reader: BufReader<Socket>,
    host: String,
    base: String,
}

impl Connection {
    pub(super) fn open(endpoint: &Endpoint) -> io::Result<Self> {
        let (socket, host, base) = match endpoint {
            Endpoint::Unix(path) => (Socket::Unix(UnixStream::connect(path)?), HOST_OF_SOCKET, ""),
            Endpoint::Tcp { authority, base } => {
                let stream = TcpStream::connect(authority.as_str())?;
                // Requests are small and each is waited for.
                stream.set_nodelay(true)?;
                (Socket::Tcp(stream), authority.as_str(), base.as_str())
            }
        };
        Ok(Self {
            reader: BufReader::with_capacity(BUFFER_SIZE, socket),
            host: host.to_owned(),
            base: base.to_owned(),
        })
    }

    /// Whether the other end has neither closed it nor said something unasked.
    pub(super) fn is_open(&self) -> bool {
        let socket = self.reader.get_ref();
        if socket.set_nonblocking(true).is_err() {
            return false;
        }
        let quiet = socket.peek_is_empty();
        quiet && socket.set_nonblocking(false).is_ok()
    }

    /// Writes a whole request.
    pub(super) fn write(
        &mut self,
        request: &mut Request<'_>,
        path: &str,
        headers: &str,
    ) -> io::Result<()> {
        let mut message = Vec::with_capacity(1024);
        message.extend_from_slice(self.head(request, path, headers).as_bytes());
        if let Content::Json(bytes) = &request.content {
            message.extend_from_slice(bytes);
        }
        let socket = self.reader.get_mut();
        socket.write_all(&message)?;
        let Content::Stream(_, stream) = &mut request.content else { return Ok(()) };
        match write_chunks(socket, *stream) {
            // An engine that refuses need not read it all: its answer says why.
            Err(error) if is_disconnect(&error) => Ok(()),
            result => result,
        }
    }

    fn head(&self, request: &Request<'_>, path: &str, headers: &str) -> String {
        let method = request.method.name();
        let mut head = format!("{method} {}{path} HTTP/1.1\r\nHost: {}\r\n", self.base, self.host);
        head.push_str(headers);
        head.push_str(&request.headers);
        if request.upgrade {
            head.push_str("Connection: Upgrade\r\nUpgrade: tcp\r\n");
        }
        match &request.content {
            Content::Nothing if method == "POST" || method == "PUT" => {
                head.push_str("Content-Length: 0\r\n");
            }
            Content::Nothing => {}
            Content::Json(bytes) => {
                let length = bytes.len();
                let _ =
                    write!(head, "Content-Type: application/json\r\nContent-Length: {length}\r\n");
            }
            Content::Stream(kind, _) => {
                let _ = write!(head, "Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n");
            }
        }
        head.push_str("\r\n");
        head
    }

    pub(super) fn read_head(&mut self) -> io::Result<Head> {
        loop {
            let head = Head::read(&mut self.reader)?;
            // 100 Continue and its like only announce the answer.
            if head.status >= 200 || head.status == 101 {
                return Ok(head);
            }
        }
    }

    pub(super) const fn reader(&mut self) -> &mut BufReader<Socket> {
        &mut self.reader
    }

    /// The bare socket with what the engine has said already.
    pub(super) fn into_hijacked(self) -> Hijacked {
        let early = self.reader.buffer().to_vec();
        Hijacked::new(self.reader.into_inner(), early)
    }
}

fn is_disconnect(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// Copies a stream in the chunks of HTTP/1.1.
fn write_chunks(socket: &mut Socket, stream: &mut dyn Read) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        let length = match stream.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if length == 0 {
            return socket.write_all(b"0\r\n\r\n");
        }
        socket.write_all(format!("{length:x}\r\n").as_bytes())?;
        socket.write_all(&buffer[..length])?;
        socket.write_all(b"\r\n")?;
    }
}

impl Socket {
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
        })
    }

    pub(super) fn shutdown(&self, how: std::net::Shutdown) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.shutdown(how),
            Self::Tcp(stream) => stream.shutdown(how),
        }
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_nonblocking(nonblocking),
            Self::Tcp(stream) => stream.set_nonblocking(nonblocking),
        }
    }

    /// Whether there is nothing to read. An idle connection that has something was
    /// closed, or is out of step; either way it is of no more use.
    fn peek_is_empty(&self) -> bool {
        let mut byte = [0];
        let read = match self {
            Self::Unix(stream) => (&*stream).read(&mut byte),
            Self::Tcp(stream) => (&*stream).read(&mut byte),
        };
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(buffer),
            Self::Tcp(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
