//! A connection that has become a raw stream of bytes, both ways.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use super::connection::Socket;

/// Both directions of the stream.
#[derive(Debug)]
pub struct Hijacked {
    socket: Socket,
    /// What the engine said right behind its answer.
    early: Vec<u8>,
}

/// One direction of the stream, for a thread of its own.
#[derive(Debug)]
pub struct Side {
    socket: Socket,
    early: Vec<u8>,
    position: usize,
}

impl Hijacked {
    pub(super) const fn new(socket: Socket, early: Vec<u8>) -> Self {
        Self { socket, early }
    }

    /// What the engine sends, and where to send to it.
    pub fn split(self) -> io::Result<(Side, Side)> {
        let writer = Side { socket: self.socket.try_clone()?, early: Vec::new(), position: 0 };
        Ok((Side { socket: self.socket, early: self.early, position: 0 }, writer))
    }
}

impl Side {
    /// Tells the engine that nothing more will come.
    pub fn close_write(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Ends the stream, also for a thread that is reading.
    pub fn close(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Both)
    }
}

impl Read for Side {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let early = &self.early[self.position..];
        if early.is_empty() {
            return self.socket.read(buffer);
        }
        let length = early.len().min(buffer.len());
        buffer[..length].copy_from_slice(&early[..length]);
        self.position += length;
        Ok(length)
    }
}

impl Write for Side {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.socket.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
