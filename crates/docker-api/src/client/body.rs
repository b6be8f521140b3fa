//! The body of an answer, however its end is told.

use std::io::{self, BufRead as _, Read};

use super::connection::Connection;
use super::head::{Head, malformed};

/// The longest line between two chunks.
const CHUNK_LINE_MAX: u64 = 4096;

/// The most room that is made before anything has come.
const ROOM_MAX: usize = 16 << 20;

/// The body of an answer.
#[derive(Debug)]
pub struct Body {
    connection: Connection,
    rest: Rest,
    /// Whether the connection outlives the body.
    keeps_alive: bool,
}

/// What of the body is still to come.
#[derive(Debug, PartialEq, Eq)]
enum Rest {
    Nothing,
    Bytes(u64),
    /// In chunks, with so much of the present one.
    Chunks(u64),
    UntilClosed,
}

impl Body {
    pub(super) fn new(connection: Connection, head: &Head, has_body: bool) -> Self {
        let chunked = head.header("transfer-encoding").is_some_and(|coding| coding == "chunked");
        let length = head.header("content-length").and_then(|length| length.parse().ok());
        let rest = match length {
            _ if !has_body => Rest::Nothing,
            _ if chunked => Rest::Chunks(0),
            Some(0) => Rest::Nothing,
            Some(length) => Rest::Bytes(length),
            None => Rest::UntilClosed,
        };
        let keeps_alive =
            head.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close"));
        Self { connection, rest, keeps_alive }
    }

    /// The connection, if the body was read to its end and another request may follow.
    pub(super) fn into_reusable(self) -> Option<Connection> {
        (self.keeps_alive && self.rest == Rest::Nothing).then_some(self.connection)
    }

    /// How much room to make for it. What an engine announces is not trusted blindly.
    pub(super) fn length_hint(&self) -> usize {
        match self.rest {
            Rest::Nothing => 0,
            // A byte more, to find the end without growing.
            Rest::Bytes(length) => usize::try_from(length + 1).unwrap_or(ROOM_MAX).min(ROOM_MAX),
            Rest::Chunks(_) | Rest::UntilClosed => 4096,
        }
    }

    fn read_up_to(&mut self, limit: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.connection.reader().read(&mut buffer[..limit])?;
        if read == 0 && limit > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(read)
    }

    /// The length of the next chunk.
    fn next_chunk(&mut self) -> io::Result<u64> {
        let line = self.chunk_line()?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        u64::from_str_radix(digits, 16).map_err(|_| malformed("a bad chunk"))
    }

    fn chunk_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.connection.reader().take(CHUNK_LINE_MAX).read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line)
    }

    fn read_chunks(&mut self, left: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = if left > 0 { left } else { self.next_chunk()? };
        if left == 0 {
            // Trailers end, like the head, with an empty line.
            while !self.chunk_line()?.trim_end().is_empty() {}
            self.rest = Rest::Nothing;
            return Ok(0);
        }
        let read = self.read_up_to(left, buffer)?;
        let left = left - read as u64;
        if left == 0 {
            self.chunk_line()?;
        }
        self.rest = Rest::Chunks(left);
        Ok(read)
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        match self.rest {
            Rest::Nothing => Ok(0),
            Rest::UntilClosed => self.connection.reader().read(buffer),
            Rest::Chunks(left) => self.read_chunks(left, buffer),
            Rest::Bytes(left) => {
                let read = self.read_up_to(left, buffer)?;
                let left = left - read as u64;
                self.rest = if left == 0 { Rest::Nothing } else { Rest::Bytes(left) };
                Ok(read)
            }
        }
    }
}
