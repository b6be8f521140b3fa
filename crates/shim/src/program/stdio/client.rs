//! One attached client: a socket that gets output and may give input.

use std::io::IoSlice;
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};
use shim::protocol::AttachOptions;

use super::detach_keys::DetachKeys;
use crate::event_loop::{Readiness, Token, Watched};
use crate::log::Source;

/// Output that waits for a client that reads slowly. Beyond it the container waits too.
const QUEUE_BYTES_MAX: usize = 1 << 20;

/// Bytes read at once of what a client types or sends.
const READ_BYTES: usize = 16 * 1024;

/// How the client gets its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Docker's frames: a header of eight bytes says which stream the bytes are of.
    Multiplexed,
    /// A terminal has one output only.
    Raw,
}

/// A client as long as its process lives, and until it has all of its output.
#[derive(Debug)]
pub(crate) struct Client {
    pub number: u32,
    stream: Watched,
    framing: Framing,
    wants_stdout: bool,
    wants_stderr: bool,
    pub detach_keys: Option<DetachKeys>,
    /// It may still send input.
    gives_input: bool,
    queue: Queue,
}

/// The client is no more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// What a client sent.
#[derive(Debug)]
pub(crate) enum Received {
    Bytes(Vec<u8>),
    /// It has closed its side, or all of it.
    End,
    Nothing,
}

impl Client {
    pub(crate) fn new(
        number: u32,
        stream: Watched,
        options: &AttachOptions,
        is_terminal: bool,
    ) -> Self {
        let detach_keys = options.detach_keys.clone();
        Self {
            number,
            stream,
            framing: if is_terminal { Framing::Raw } else { Framing::Multiplexed },
            wants_stdout: options.stdout,
            wants_stderr: options.stderr,
            detach_keys: DetachKeys::new(detach_keys).filter(|_| is_terminal),
            gives_input: options.stdin,
            queue: Queue::default(),
        }
    }

    pub(crate) fn gives_input(&self) -> bool {
        self.gives_input
    }

    pub(crate) fn stop_input(&mut self) {
        self.gives_input = false;
    }

    /// Whether so much waits for it that the container should wait as well.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= QUEUE_BYTES_MAX
    }

    pub(crate) fn has_output_left(&self) -> bool {
        self.queue.len() > 0
    }

    /// Sends output, as much as goes, and queues the rest.
    pub(crate) fn deliver(&mut self, source: Source, bytes: &[u8]) -> Result<(), Gone> {
        let is_wanted = match source {
            Source::Stdout => self.wants_stdout,
            Source::Stderr => self.wants_stderr,
        };
        if !is_wanted {
            return Ok(());
        }
        let header = match self.framing {
            Framing::Multiplexed => &frame_header(source, bytes.len())[..],
            Framing::Raw => &[],
        };
        let sent = if self.has_output_left() { 0 } else { self.send(header, bytes)? };
        if let Some(rest) = header.get(sent..) {
            self.queue.push(rest);
        }
        self.queue.push(&bytes[sent.saturating_sub(header.len())..]);
        Ok(())
    }

    /// Sends what waits, as much as goes.
    pub(crate) fn flush(&mut self) -> Result<(), Gone> {
        while self.has_output_left() {
            let sent = self.send(&[], self.queue.bytes())?;
            if sent == 0 {
                break;
            }
            self.queue.drop_front(sent);
        }
        Ok(())
    }

    fn send(&self, header: &[u8], bytes: &[u8]) -> Result<usize, Gone> {
        let parts = [IoSlice::new(header), IoSlice::new(bytes)];
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let sent = rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(&self.stream, &parts, &mut SendAncillaryBuffer::default(), flags)
        });
        match sent {
            Ok(sent) => Ok(sent),
            Err(Errno::AGAIN | Errno::NOBUFS) => Ok(0),
            Err(_) => Err(Gone),
        }
    }

    pub(crate) fn receive(&self) -> Received {
        let mut bytes = Vec::with_capacity(READ_BYTES);
        match receive(self.stream.as_fd(), &mut bytes) {
            Ok(0) => Received::End,
            Ok(_) => Received::Bytes(bytes),
            Err(Errno::AGAIN) => Received::Nothing,
            Err(_) => Received::End,
        }
    }

    /// Nothing more will be delivered: tells the client so, once it has what waits for it.
    /// `true` when it can be closed without the client losing anything.
    ///
    /// A socket closed with input unread would be reset, and the client lose output that it
    /// has not read yet. So the input is read, and thrown away, until the client closes too.
    pub(crate) fn take_leave(&mut self) -> Result<bool, Gone> {
        self.flush()?;
        if self.has_output_left() {
            return Ok(false);
        }
        rustix::net::shutdown(&self.stream, Shutdown::Write).map_err(|_| Gone)?;
        self.gives_input = true;
        loop {
            match self.receive() {
                Received::Bytes(_) => {}
                Received::End => return Ok(true),
                Received::Nothing => return Ok(false),
            }
        }
    }

    /// Tells the event loop what to wait for.
    pub(crate) fn settle(&mut self, input_is_welcome: bool) {
        let mut wanted = Readiness::empty();
        wanted.set(Readiness::IN, self.gives_input && input_is_welcome);
        wanted.set(Readiness::OUT, self.has_output_left());
        // It is in the set already: changing what is waited for needs no memory.
        let _ = self.stream.want(Some(wanted));
    }

    /// Goes on as one of those that only get what is left for them.
    pub(crate) fn set_leaving(&mut self, number: u32) -> rustix::io::Result<()> {
        self.number = number;
        self.stream.rename(Token::Leaving(number))
    }
}

fn receive(stream: BorrowedFd<'_>, bytes: &mut Vec<u8>) -> rustix::io::Result<usize> {
    rustix::io::retry_on_intr(|| {
        rustix::net::recv(stream, rustix::buffer::spare_capacity(bytes), RecvFlags::DONTWAIT)
    })
    .map(|(received, _)| received)
}

/// The header of one of Docker's frames: the stream, three zeroes, the length.
fn frame_header(source: Source, length: usize) -> [u8; 8] {
    let length = u32::try_from(length).expect("a piece of output is what one read gave");
    let [a, b, c, d] = length.to_be_bytes();
    [source as u8, 0, 0, 0, a, b, c, d]
}

/// Bytes that wait, the oldest first.
#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// How many of them have gone.
    start: usize,
}

impl Queue {
    fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn push(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn drop_front(&mut self, count: usize) {
        self.start += count;
        if self.len() == 0 {
            // Whoever fell behind once need not do so again: the memory goes back.
            *self = Self::default();
        } else if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::event_loop::EventLoop;

    fn client(is_terminal: bool) -> (Client, UnixStream) {
        let (theirs, ours) = UnixStream::pair().unwrap();
        let events = EventLoop::new().unwrap();
        let ours = events.watch(ours.into(), Token::Leaving(0), None).unwrap();
        let options =
            AttachOptions { stdin: true, stdout: true, stderr: true, ..AttachOptions::default() };
        (Client::new(0, ours, &options, is_terminal), theirs)
    }

    #[test]
    fn output_is_framed_as_docker_does() {
        let (mut client, mut theirs) = client(false);
        client.deliver(Source::Stdout, b"hello\n").unwrap();
        client.deliver(Source::Stderr, b"oops").unwrap();
        drop(client);
        let mut seen = Vec::new();
        theirs.read_to_end(&mut seen).unwrap();
        assert_eq!(seen, b"\x01\0\0\0\0\0\0\x06hello\n\x02\0\0\0\0\0\0\x04oops");
    }

    #[test]
    fn a_terminal_is_raw() {
        let (mut client, mut theirs) = client(true);
        client.deliver(Source::Stdout, b"$ ").unwrap();
        drop(client);
        let mut seen = Vec::new();
        theirs.read_to_end(&mut seen).unwrap();
        assert_eq!(seen, b"$ ");
    }

    #[test]
    fn a_slow_client_gets_everything_in_order() {
        let (mut client, mut theirs) = client(true);
        let piece: Vec<u8> = (0..100_003_u32).map(|number| number as u8).collect();
        let mut delivered = Vec::new();
        while !client.is_full() {
            client.deliver(Source::Stdout, &piece).unwrap();
            delivered.extend_from_slice(&piece);
        }

        let mut seen = vec![0; delivered.len()];
        let mut filled = 0;
        while filled < seen.len() {
            filled += theirs.read(&mut seen[filled..]).unwrap();
            client.flush().unwrap();
        }
        assert!(seen == delivered);
        assert!(!client.has_output_left());
    }

    #[test]
    fn a_client_that_left_is_gone() {
        let (mut client, theirs) = client(true);
        drop(theirs);
        assert_eq!(client.deliver(Source::Stdout, b"x"), Err(Gone));
    }

    #[test]
    fn leaving_waits_for_the_client_to_close_and_swallows_its_input() {
        let (mut client, mut theirs) = client(true);
        theirs.write_all(b"typed too late").unwrap();
        client.deliver(Source::Stdout, b"bye").unwrap();
        assert_eq!(client.take_leave(), Ok(false));
        let mut seen = Vec::new();
        theirs.read_to_end(&mut seen).unwrap();
        assert_eq!(seen, b"bye");
        drop(theirs);
        assert_eq!(client.take_leave(), Ok(true));
    }
}
