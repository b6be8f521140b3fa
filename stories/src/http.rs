//! As much HTTP as a story needs: one request, one whole answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::patience::PATIENCE;

/// What ends an answer's head.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// An answer: its status, its head as it came, and its body.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// An answer whose body need not be text.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self { status: reply.status, body: reply.text(), head: reply.head }
    }
}

/// A connection that is no longer HTTP.
#[derive(Debug)]
pub(crate) struct Stream {
    early: Vec<u8>,
    stream: UnixStream,
}

impl Stream {
    /// Everything until its end, however that comes.
    pub(crate) fn read_all(mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.early);
        // A connection that breaks has told what it has told.
        let _ = self.stream.read_to_end(&mut bytes);
        bytes
    }
}

/// Gets a page from the server at `address`, or says why not.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: story\r\n\r\n")?;
    Ok(read_reply(stream, true)?.into())
}

/// Asks the daemon behind `socket`. A body is JSON, or an archive.
pub(crate) fn ask(socket: &Path, method: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
    Ok(exchange(socket, method, path, body)?.into())
}

/// As [`ask`]. An answer that was cut off is an error.
pub(crate) fn exchange(socket: &Path, method: &str, path: &str, body: &[u8]) -> io::Result<Reply> {
    let mut stream = connect(socket)?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: story\r\nConnection: close\r\n")?;
    write!(stream, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len())?;
    stream.write_all(body)?;
    read_reply(stream, method != "HEAD")
}

/// Asks for a connection that is no longer HTTP, or hears why there is none.
pub(crate) fn upgrade(socket: &Path, path: &str) -> io::Result<Result<Stream, Reply>> {
    let mut stream = connect(socket)?;
    write!(stream, "POST {path} HTTP/1.1\r\nHost: story\r\nConnection: Upgrade\r\n")?;
    write!(stream, "Upgrade: tcp\r\nContent-Length: 0\r\n\r\n")?;
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = position(&bytes, HEAD_END) {
            break end + HEAD_END.len();
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    };
    if bytes.starts_with(b"HTTP/1.1 101 ") {
        return Ok(Ok(Stream { early: bytes.split_off(end), stream }));
    }
    read_reply(io::Cursor::new(bytes).chain(stream), true).map(Err)
}

fn connect(socket: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn read_reply(mut stream: impl Read, has_body: bool) -> io::Result<Reply> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let cut_off = |what: &str| io::Error::other(format!("{what} was cut off"));
    let end = position(&bytes, HEAD_END).ok_or_else(|| cut_off("the head"))?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let body = &bytes[end + HEAD_END.len()..];
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("not an HTTP answer: {head:?}")))?;
    let body = if !has_body {
        Vec::new()
    } else if header(&head, "transfer-encoding").is_some_and(|value| value == "chunked") {
        join_chunks(body).ok_or_else(|| cut_off("the body"))?
    } else {
        let length = header(&head, "content-length").and_then(|value| value.parse().ok());
        if length.is_some_and(|length: usize| body.len() < length) {
            return Err(cut_off("the body"));
        }
        body.to_owned()
    };
    Ok(Reply { status, head, body })
}

fn header(head: &str, name: &str) -> Option<String> {
    let lower = head.to_lowercase();
    let value = lower.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.map(|value| value.trim().to_owned())
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Takes the sizes out of a body that was sent in chunks; nothing, if the last is missing.
fn join_chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = position(rest, b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        rest = &rest[line + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}
