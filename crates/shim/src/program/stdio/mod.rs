//! What one process reads and writes: pipes or a terminal, the clients attached to them, and
//! the log.
//!
//! ```text
//!  process ──stdout──▶ Output ──┬──▶ log
//!          ──stderr──▶ Output ──┴──▶ Client, Client, …
//!          ◀──stdin─── Input  ◀───── Client, Client, …
//! ```
//!
//! Nothing here waits. While a client has much unread, the outputs are not read, so that the
//! process waits for the client, as it would in a shell's pipe; a client that is gone holds up
//! nobody. While the process does not read its input, clients are not read.

mod client;
mod detach_keys;

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::termios::Winsize;
use shim::protocol::AttachOptions;

pub(crate) use self::client::Client;
use self::client::{Gone, Received};
use crate::event_loop::{EventLoop, ProcessKey, Readiness, Token, Watched};
use crate::log::{Log, Source};

/// Bytes read at once of what a process writes: as much as a pipe holds by default.
const READ_BYTES: usize = 64 * 1024;

/// Bytes read at once of a busy output, and what its pipe holds then.
const BUSY_READ_BYTES: usize = 256 * 1024;

/// A read of so much shows that an output is busy.
const BUSY_FROM_BYTES: usize = 32 * 1024;

/// What is read at most of an output whose process has ended: as much as a pipe can hold
/// (`/proc/sys/fs/pipe-max-size`). More comes only from another writer that lives on.
const LAST_BYTES_MAX: usize = 1 << 20;

/// The process's ends of its streams.
#[derive(Debug)]
pub(crate) struct ProcessEnds {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// How a process's standard input ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputEnd {
    /// With that of the first client that gives any.
    WithClient,
    /// Not at all: a client whose input ends is detached.
    Never,
}

/// The streams of one process.
#[derive(Debug)]
pub(crate) struct Stdio {
    key: ProcessKey,
    is_terminal: bool,
    outputs: Vec<Output>,
    /// The outputs are not read, for a client has too much unread, or it was asked for.
    is_held_back: bool,
    is_held: bool,
    /// What was read last. Kept while an output is busy.
    buffer: Vec<u8>,
    input: Option<Input>,
    input_end: InputEnd,
    clients: Vec<Client>,
    /// Clients that are not attached any more, to be taken leave of.
    dismissed: Vec<Client>,
    next_client: u32,
}

#[derive(Debug)]
struct Output {
    source: Source,
    descriptor: Watched,
    is_busy: bool,
}

#[derive(Debug)]
struct Input {
    descriptor: Watched,
    /// What the process has not taken yet.
    pending: Vec<u8>,
    /// No more comes: close it once nothing is pending.
    is_ending: bool,
}

/// Something that whoever watches should hear of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ClientEvent {
    /// A client typed its detach keys.
    Detached,
}

impl Stdio {
    /// Streams over pipes, and the process's ends of them.
    pub(crate) fn pipes(
        key: ProcessKey,
        has_input: bool,
        input_end: InputEnd,
        events: &EventLoop,
    ) -> io::Result<(Self, ProcessEnds)> {
        let (stdin, input) = if has_input {
            let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
            (reader, Some(writer))
        } else {
            (open_null()?, None)
        };
        let (out_reader, stdout) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let (err_reader, stderr) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let mut stdio = Self::new(key, false, input_end);
        stdio.add_output(Source::Stdout, out_reader, events)?;
        stdio.add_output(Source::Stderr, err_reader, events)?;
        if let Some(writer) = input {
            stdio.set_input(writer, events)?;
        }
        Ok((stdio, ProcessEnds { stdin, stdout, stderr }))
    }

    /// Streams over a terminal that the process will have.
    pub(crate) fn terminal(key: ProcessKey, input_end: InputEnd) -> Self {
        Self::new(key, true, input_end)
    }

    /// No streams at all: the process has `/dev/null`.
    pub(crate) fn silent(key: ProcessKey) -> Self {
        Self::new(key, false, InputEnd::Never)
    }

    fn new(key: ProcessKey, is_terminal: bool, input_end: InputEnd) -> Self {
        Self {
            key,
            is_terminal,
            outputs: Vec::new(),
            is_held_back: false,
            is_held: false,
            buffer: Vec::new(),
            input: None,
            input_end,
            clients: Vec::new(),
            dismissed: Vec::new(),
            next_client: 0,
        }
    }

    /// Takes the terminal's master side, now that there is one.
    pub(crate) fn set_terminal(
        &mut self,
        master: OwnedFd,
        has_input: bool,
        events: &EventLoop,
    ) -> io::Result<()> {
        if has_input {
            // A second descriptor, so that input and output are waited for separately.
            self.set_input(rustix::io::fcntl_dupfd_cloexec(&master, 3)?, events)?;
        }
        self.add_output(Source::Stdout, master, events)
    }

    fn set_input(&mut self, descriptor: OwnedFd, events: &EventLoop) -> io::Result<()> {
        set_nonblocking(descriptor.as_fd())?;
        let descriptor = events.watch(descriptor, Token::Input(self.key), None)?;
        self.input = Some(Input { descriptor, pending: Vec::new(), is_ending: false });
        Ok(())
    }

    fn add_output(
        &mut self,
        source: Source,
        descriptor: OwnedFd,
        events: &EventLoop,
    ) -> io::Result<()> {
        set_nonblocking(descriptor.as_fd())?;
        let token = Token::Output(self.key, source);
        let descriptor = events.watch(descriptor, token, Some(Readiness::IN))?;
        self.outputs.push(Output { source, descriptor, is_busy: false });
        Ok(())
    }

    /// Attaches a client. It sees what is written from now on.
    pub(crate) fn attach(
        &mut self,
        options: &AttachOptions,
        stream: OwnedFd,
        events: &EventLoop,
    ) -> io::Result<Vec<ClientEvent>> {
        // Anything else than a socket could block us.
        rustix::net::sockopt::socket_type(&stream)?;
        let number = self.next_client;
        self.next_client += 1;
        let token = Token::Client(self.key, number);
        let stream = events.watch(stream, token, Some(Readiness::empty()))?;
        let mut client = Client::new(number, stream, options, self.is_terminal);
        if self.input.is_none() {
            client.stop_input();
        }
        self.clients.push(client);
        let mut told = Vec::new();
        if !options.early_input.is_empty() {
            told = self.take_input(number, &options.early_input);
        }
        self.settle();
        Ok(told)
    }

    /// Passes on what the process has written. `true` if there was much, and there may be more
    /// at once: then call [`Stdio::rest`] later.
    pub(crate) fn output_ready(&mut self, source: Source, log: Option<&mut Log>) -> bool {
        if self.is_held_back {
            return false;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let is_busy = self.read_output(source, log, &mut buffer) >= BUSY_FROM_BYTES;
        if is_busy {
            self.make_busy(source);
            self.buffer = buffer;
        }
        self.settle();
        is_busy
    }

    /// A process that writes much is woken less often if its pipe holds more.
    fn make_busy(&mut self, source: Source) {
        let is_pipe = !self.is_terminal;
        if let Some(output) = self.outputs.iter_mut().find(|output| output.source == source)
            && !output.is_busy
        {
            output.is_busy = true;
            if is_pipe {
                // An unprivileged user may have used up what there is for larger pipes.
                let _ = rustix::pipe::fcntl_setpipe_size(&output.descriptor, BUSY_READ_BYTES);
            }
        }
    }

    /// Gives memory back that only a busy output needs.
    pub(crate) fn rest(&mut self) {
        self.buffer = Vec::new();
    }

    /// Nothing is read while the log is full, say.
    pub(crate) fn hold(&mut self, is_held: bool) {
        if is_held != self.is_held {
            self.is_held = is_held;
            self.settle();
        }
    }

    /// Reads an output once; says how much there was.
    fn read_output(
        &mut self,
        source: Source,
        log: Option<&mut Log>,
        buffer: &mut Vec<u8>,
    ) -> usize {
        let Some(index) = self.outputs.iter().position(|output| output.source == source) else {
            return 0;
        };
        buffer.clear();
        let is_busy = self.outputs[index].is_busy;
        let read_bytes = if is_busy { BUSY_READ_BYTES } else { READ_BYTES };
        let read_bytes_max = log.as_deref().and_then(Log::read_bytes_max);
        buffer.reserve_exact(read_bytes_max.map_or(read_bytes, |max| max.min(read_bytes)));
        let descriptor = &self.outputs[index].descriptor;
        match rustix::io::retry_on_intr(|| {
            rustix::io::read(descriptor, rustix::buffer::spare_capacity(buffer))
        }) {
            Err(Errno::AGAIN) => {}
            // A terminal whose last user has closed it answers EIO.
            Ok(0) | Err(_) => drop(self.outputs.remove(index)),
            Ok(_) => {
                if let Some(log) = log {
                    log.write(source, buffer);
                }
                let is_gone = |client: &mut Client| client.deliver(source, buffer) == Err(Gone);
                let gone: Vec<_> = self
                    .clients
                    .iter_mut()
                    .filter_map(|client| is_gone(client).then_some(client.number))
                    .collect();
                for number in gone {
                    self.take_away(number);
                }
            }
        }
        buffer.len()
    }

    /// Passes on what a client has sent, and sends it what waits for it.
    pub(crate) fn client_ready(&mut self, number: u32, readiness: Readiness) -> Vec<ClientEvent> {
        let mut told = Vec::new();
        let Some(client) = self.client(number) else { return told };
        let has_failed = readiness.intersects(Readiness::ERR)
            || (readiness.contains(Readiness::OUT) && client.flush() == Err(Gone));
        if has_failed {
            self.take_away(number);
        } else if readiness.intersects(Readiness::IN | Readiness::HUP) {
            told = self.client_sends(number, readiness);
        }
        self.settle();
        told
    }

    fn client_sends(&mut self, number: u32, readiness: Readiness) -> Vec<ClientEvent> {
        let Some(client) = self.client(number) else { return Vec::new() };
        if !client.gives_input() {
            // It hears of nothing but its hang-up.
            self.take_away(number);
            return Vec::new();
        }
        match client.receive() {
            Received::Bytes(bytes) => return self.take_input(number, &bytes),
            Received::End if readiness.contains(Readiness::HUP) => drop(self.take_away(number)),
            Received::End => self.end_of_input(number),
            Received::Nothing => {}
        }
        Vec::new()
    }

    fn take_input(&mut self, number: u32, bytes: &[u8]) -> Vec<ClientEvent> {
        let Some(client) = self.client(number) else { return Vec::new() };
        let filtered = client.detach_keys.as_mut().map(|keys| keys.filter(bytes));
        let typed = filtered.as_ref().map_or(bytes, |filtered| &filtered.input);
        if let Some(input) = &mut self.input {
            input.pending.extend_from_slice(typed);
        }
        self.input_ready();
        if filtered.is_none_or(|filtered| !filtered.detached) {
            return Vec::new();
        }
        self.dismiss(number);
        vec![ClientEvent::Detached]
    }

    /// A client has closed its side only. As in Docker, that ends the process's input or,
    /// where that never ends, the client's being attached.
    fn end_of_input(&mut self, number: u32) {
        if self.input_ends_with_client() {
            if let Some(client) = self.client(number) {
                client.stop_input();
            }
            self.end_input();
        } else {
            self.dismiss(number);
        }
    }

    fn input_ends_with_client(&self) -> bool {
        self.input_end == InputEnd::WithClient && !self.is_terminal
    }

    fn end_input(&mut self) {
        if let Some(input) = &mut self.input {
            input.is_ending = true;
        }
    }

    /// A client is not attached any more, while the process lives on.
    fn dismiss(&mut self, number: u32) {
        let client = self.take_away(number);
        self.dismissed.extend(client);
    }

    fn take_away(&mut self, number: u32) -> Option<Client> {
        let index = self.clients.iter().position(|client| client.number == number)?;
        let client = self.clients.remove(index);
        if client.gives_input() && self.input_ends_with_client() {
            self.end_input();
        }
        Some(client)
    }

    /// Clients that are not attached any more. Each still has to get the rest of its output
    /// and then the end.
    pub(crate) fn take_dismissed(&mut self) -> Vec<Client> {
        std::mem::take(&mut self.dismissed)
    }

    fn client(&mut self, number: u32) -> Option<&mut Client> {
        self.clients.iter_mut().find(|client| client.number == number)
    }

    /// Writes what is pending to the process, as much as it takes.
    pub(crate) fn input_ready(&mut self) {
        if let Some(input) = &mut self.input
            && !input.flush()
        {
            // Nobody reads it any more.
            self.input = None;
        }
        self.settle();
    }

    /// Adjusts what is waited for to what has become of it.
    fn settle(&mut self) {
        if self.input.as_ref().is_some_and(|input| input.is_ending && input.pending.is_empty()) {
            self.input = None;
        }
        if let Some(input) = &mut self.input {
            let must_wait = !input.pending.is_empty();
            // While nothing is pending a closed reader must not wake us again and again.
            let _ = input.descriptor.want(must_wait.then_some(Readiness::OUT));
        }
        self.settle_outputs();
        let input_is_welcome = self.input.as_ref().is_some_and(Input::has_room);
        for client in &mut self.clients {
            client.settle(input_is_welcome);
        }
    }

    /// Holds the outputs back, or lets them go on. They leave the event loop for that: a pipe
    /// that is hung up would wake it again and again.
    fn settle_outputs(&mut self) {
        self.is_held_back = self.is_held || self.clients.iter().any(Client::is_full);
        let wanted = (!self.is_held_back).then_some(Readiness::IN);
        for output in &mut self.outputs {
            // It was in the event loop before, so there is room for it again.
            let _ = output.descriptor.want(wanted);
        }
    }

    /// Reads what the ended process has left in its outputs, however much waits for clients.
    /// `true` when all of them are at their end.
    pub(crate) fn read_rest(&mut self, mut log: Option<&mut Log>) -> bool {
        let mut buffer = std::mem::take(&mut self.buffer);
        for source in [Source::Stdout, Source::Stderr] {
            let mut total = 0;
            while total < LAST_BYTES_MAX {
                match self.read_output(source, log.as_deref_mut(), &mut buffer) {
                    0 => break,
                    count => total += count,
                }
            }
        }
        self.settle();
        self.outputs.is_empty()
    }

    /// Whether every output is at its end.
    pub(crate) fn is_drained(&self) -> bool {
        self.outputs.is_empty()
    }

    /// Sets the terminal's size. Without a terminal it does nothing, as in Docker.
    pub(crate) fn resize(&self, rows: u16, columns: u16) -> io::Result<()> {
        if let Some(output) = self.outputs.first().filter(|_| self.is_terminal) {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            rustix::termios::tcsetwinsize(&output.descriptor, size)?;
        }
        Ok(())
    }

    /// All the clients, when the process is over.
    pub(crate) fn into_clients(self) -> Vec<Client> {
        self.clients.into_iter().chain(self.dismissed).collect()
    }
}

impl Input {
    fn has_room(&self) -> bool {
        self.pending.is_empty() && !self.is_ending
    }

    /// `false` when nobody reads it any more.
    fn flush(&mut self) -> bool {
        while !self.pending.is_empty() {
            match rustix::io::write(&self.descriptor, &self.pending) {
                Ok(written) => drop(self.pending.drain(..written)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
        self.pending = Vec::new();
        true
    }
}

pub(crate) fn set_nonblocking(descriptor: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(descriptor)?;
    rustix::fs::fcntl_setfl(descriptor, flags | OFlags::NONBLOCK)
}

/// Nothing to read, anything to write.
pub(crate) fn open_null() -> rustix::io::Result<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, rustix::fs::Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use shim::protocol::{LogAddress, LogPeer, LogSettings, RemoteLog, SyslogFormat};

    use super::*;

    #[test]
    fn of_a_log_that_has_to_wait_little_is_read_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        // It never reads.
        let _peer = UnixListener::bind(&path).unwrap();
        let settings = LogSettings::Remote(RemoteLog {
            peer: LogPeer::Syslog {
                address: LogAddress::Unix(path),
                facility: 3,
                format: SyslogFormat::Rfc3164,
                hostname: "here".to_owned(),
                tag: "tag".to_owned(),
            },
            copy: None,
            queue_bytes_max: 10_000,
            is_lossy: false,
            patience: None,
            is_optional: false,
        });
        let events = EventLoop::new().unwrap();
        let mut log = Log::open(&settings, &events).unwrap().unwrap();
        let (mut stdio, ends) =
            Stdio::pipes(ProcessKey::FIRST, false, InputEnd::Never, &events).unwrap();
        rustix::io::write(&ends.stdout, &b"x\n".repeat(30_000)).unwrap();
        let mut reads = 0_u64;
        while !log.is_full() {
            stdio.output_ready(Source::Stdout, Some(&mut log));
            reads += 1;
        }
        assert_eq!(log.lost(), 0);
        let unread = rustix::io::ioctl_fionread(&stdio.outputs[0].descriptor).unwrap();
        assert_eq!(unread, 60_000 - reads * 4096);
        // Its last words are read all the same.
        assert!(!stdio.read_rest(Some(&mut log)));
        assert_eq!(rustix::io::ioctl_fionread(&stdio.outputs[0].descriptor), Ok(0));
    }
}
