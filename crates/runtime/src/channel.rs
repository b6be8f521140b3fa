//! What a container's process and its maker say to each other until `execve`.
//!
//! ```text
//!   child                                   maker
//!     │ ◀──────────── UsersMapped ────────────│   only with a user namespace
//!     │ ◀──────────── CgroupReady ────────────│
//!     │ ──────────────── Born ───────────────▶│   only if it is born in two steps
//!     │ ◀──────────── BirthNoted ─────────────│
//!     │ ◀────────────── Filter ───────────────│   only for a container's first process
//!     │ ────────────── MapMount ─────────────▶│   for each id-mapped mount
//!     │ ◀──────────── MountMapped ────────────│
//!     │ ───────────── WantMount ─────────────▶│   for each source that is out of the child's reach
//!     │ ◀───────────── Mount ─────────────────│
//!     │ ───────────── HooksDue ──────────────▶│   only with hooks before the change of root
//!     │ ◀──────────── HooksDone ──────────────│
//!     │ ── Warning, Terminal (any number) ───▶│
//!     │ ───────────── Ready ─────────────────▶│   only for a container's first process
//!     │ ◀──────────── Released ───────────────│   only if it waits at a socket
//!     │ ◀──────────── Start ──────────────────│
//!     │ ─────────── Listener ────────────────▶│   only with a filter that asks
//!     │ ◀───────── ListenerTaken ─────────────│
//!     ▼ execve closes the channel: success
//! ```
//!
//! At any time the child may say that it has failed, and why. A socket that keeps messages
//! apart; the first byte says which it is.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::process::Pid;

use linux::seccomp::{INSTRUCTIONS_MAX, Instruction};

use crate::error::ProcessError;

/// The longest text of a message. A longer one is cut.
const TEXT_BYTES_MAX: usize = 4000;

/// Room for the longest message, which is the largest filter that the kernel takes.
const MESSAGE_BYTES_MAX: usize = 1 + INSTRUCTIONS_MAX * INSTRUCTION_BYTES;

const LISTENER: u8 = b'l';
const LISTENER_TAKEN: u8 = b'L';

/// An instruction of a filter on the wire: its fields in order, as the machine has them.
const INSTRUCTION_BYTES: usize = 8;

/// One end of the channel.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: OwnedFd,
}

/// What either side says.
#[derive(Debug)]
pub(crate) enum Message {
    UsersMapped,
    CgroupReady,
    /// The number of the process that takes this one's place, which ends.
    Born(Pid),
    BirthNoted,
    /// The seccomp filter to install.
    Filter(Vec<Instruction>),
    /// A detached mount to show its files' owners as the configuration's mount of this number
    /// has it, which takes rights over the file system.
    MapMount(usize, OwnedFd),
    MountMapped,
    /// What the configuration's mount of this number is to show lies where the child may not go.
    WantMount(usize),
    /// It, detached.
    Mount(OwnedFd),
    HooksDue,
    HooksDone,
    Ready,
    /// The maker has noted the container down, and may go.
    Released,
    Start,
    /// The number that the child's descriptor for the filter's questions has there.
    Listener(RawFd),
    ListenerTaken,
    /// Something was done only in part.
    Warning(String),
    /// The master side of the process's terminal.
    Terminal(OwnedFd),
    Failed(Failure),
}

/// A failure as it is told to the maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) text: String,
}

/// What the maker needs to know of a failure besides its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FailureKind {
    ProgramNotFound,
    ProgramNotExecutable,
    UserNotFound,
    /// The step that failed. Its index in the text's first line on the wire.
    Step(String),
}

impl Channel {
    /// The two ends of a new channel.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (one, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self { socket: one }, Self { socket: other }))
    }

    /// A channel over a connected socket that keeps messages apart.
    pub(crate) fn over(socket: OwnedFd) -> Self {
        Self { socket }
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// From now on nobody waits longer than that for a word of the other side, or for room to
    /// say one.
    pub(crate) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        set_socket_timeout(&self.socket, Timeout::Recv, Some(patience))?;
        set_socket_timeout(&self.socket, Timeout::Send, Some(patience))?;
        Ok(())
    }

    /// Says something. `Ok` even if the other side has gone: it will not miss it.
    pub(crate) fn send(&self, message: &Message) -> io::Result<()> {
        let (tag, bytes, descriptor) = match message {
            Message::UsersMapped => (b'u', Vec::new(), None),
            Message::CgroupReady => (b'c', Vec::new(), None),
            Message::Born(pid) => (b'i', text_bytes(&pid.as_raw_nonzero().to_string()), None),
            Message::BirthNoted => (b'I', Vec::new(), None),
            Message::Filter(program) => (b'f', program_bytes(program), None),
            Message::MapMount(at, tree) => (b'm', text_bytes(&at.to_string()), Some(tree.as_fd())),
            Message::MountMapped => (b'M', Vec::new(), None),
            Message::WantMount(at) => (b'b', text_bytes(&at.to_string()), None),
            Message::Mount(tree) => (b'B', Vec::new(), Some(tree.as_fd())),
            Message::HooksDue => (b'h', Vec::new(), None),
            Message::HooksDone => (b'H', Vec::new(), None),
            Message::Ready => (b'r', Vec::new(), None),
            Message::Released => (b'R', Vec::new(), None),
            Message::Start => (b's', Vec::new(), None),
            Message::Listener(number) => (LISTENER, number.to_ne_bytes().to_vec(), None),
            Message::ListenerTaken => (LISTENER_TAKEN, Vec::new(), None),
            Message::Warning(text) => (b'w', text_bytes(text), None),
            Message::Terminal(master) => (b't', Vec::new(), Some(master.as_fd())),
            Message::Failed(failure) => {
                let (tag, text) = failure.encode();
                (tag, text_bytes(&text), None)
            }
        };
        let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        let parts = [IoSlice::new(std::slice::from_ref(&tag)), IoSlice::new(&bytes)];
        match rustix::io::retry_on_intr(|| {
            sendmsg(&self.socket, &parts, &mut ancillary, SendFlags::NOSIGNAL)
        }) {
            Ok(_) | Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Has the other side take a copy of `listener`, and comes back when it has.
    ///
    /// By `write` and `read`, and nothing besides: a filter is in force that may ask about any
    /// other call, and nobody can answer yet.
    pub(crate) fn hand_over_listener(&self, listener: BorrowedFd<'_>) -> io::Result<()> {
        let mut message = [LISTENER, 0, 0, 0, 0];
        message[1..].copy_from_slice(&listener.as_raw_fd().to_ne_bytes());
        rustix::io::write(&self.socket, &message)?;
        let mut answer = [0];
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.socket, &mut answer))? {
            1 if answer == [LISTENER_TAKEN] => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Says that something has failed, by whatever the filter in force lets through.
    pub(crate) fn send_failure(&self, failure: Failure) -> io::Result<()> {
        let (tag, text) = failure.encode();
        let message = [&[tag], text_bytes(&text).as_slice()].concat();
        match rustix::io::write(&self.socket, &message) {
            Ok(_) => Ok(()),
            Err(_) => self.send(&Message::Failed(failure)),
        }
    }

    /// The next message, other than a filter; `None` when the other side has closed the channel.
    pub(crate) fn receive(&self) -> io::Result<Option<Message>> {
        // Not on the heap: a supervisor would keep the page for as long as its container lives.
        self.receive_into(&mut [0; 1 + TEXT_BYTES_MAX])
    }

    fn receive_into(&self, bytes: &mut [u8]) -> io::Result<Option<Message>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut parts = [IoSliceMut::new(bytes)];
            match recvmsg(&self.socket, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Ok(received) => break received.bytes,
                // The other side has gone without reading all that was said to it. That is told
                // once, and before what it said itself.
                Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
                Err(error) => return Err(error.into()),
            }
        };
        let descriptor = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        let Some((tag, text)) = bytes[..received].split_first() else { return Ok(None) };
        decode(*tag, text, descriptor).map(Some)
    }

    /// Waits for the other side to say something, of whatever size. An end of the channel is an
    /// error: the other side has gone.
    pub(crate) fn await_message(&self) -> io::Result<Message> {
        let message = self.receive_into(&mut vec![0; MESSAGE_BYTES_MAX])?;
        message.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

fn text_bytes(text: &str) -> Vec<u8> {
    text.as_bytes()[..text.len().min(TEXT_BYTES_MAX)].to_vec()
}

fn program_bytes(program: &[Instruction]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(program.len() * INSTRUCTION_BYTES);
    for instruction in program {
        bytes.extend(instruction.code.to_ne_bytes());
        bytes.extend([instruction.jump_true, instruction.jump_false]);
        bytes.extend(instruction.operand.to_ne_bytes());
    }
    bytes
}

fn program_of(bytes: &[u8]) -> Vec<Instruction> {
    let (instructions, _) = bytes.as_chunks::<INSTRUCTION_BYTES>();
    instructions
        .iter()
        .map(|[code0, code1, jump_true, jump_false, operand @ ..]| Instruction {
            code: u16::from_ne_bytes([*code0, *code1]),
            jump_true: *jump_true,
            jump_false: *jump_false,
            operand: u32::from_ne_bytes(*operand),
        })
        .collect()
}

fn decode(tag: u8, bytes: &[u8], descriptor: Option<OwnedFd>) -> io::Result<Message> {
    let text = String::from_utf8_lossy(bytes);
    Ok(match (tag, descriptor) {
        (b'u', _) => Message::UsersMapped,
        (b'c', _) => Message::CgroupReady,
        (b'i', _) => match text.parse().ok().and_then(Pid::from_raw) {
            Some(pid) => Message::Born(pid),
            None => return Err(io::ErrorKind::InvalidData.into()),
        },
        (b'I', _) => Message::BirthNoted,
        (b'm', Some(tree)) => match text.parse() {
            Ok(at) => Message::MapMount(at, tree),
            Err(_) => return Err(io::ErrorKind::InvalidData.into()),
        },
        (b'M', _) => Message::MountMapped,
        (b'b', _) => match text.parse() {
            Ok(at) => Message::WantMount(at),
            Err(_) => return Err(io::ErrorKind::InvalidData.into()),
        },
        (b'B', Some(tree)) => Message::Mount(tree),
        (b'h', _) => Message::HooksDue,
        (b'H', _) => Message::HooksDone,
        (b'r', _) => Message::Ready,
        (b'R', _) => Message::Released,
        (b's', _) => Message::Start,
        (LISTENER, _) => {
            let number = bytes.try_into().map_err(|_| io::ErrorKind::InvalidData)?;
            Message::Listener(RawFd::from_ne_bytes(number))
        }
        (LISTENER_TAKEN, _) => Message::ListenerTaken,
        (b'f', _) => Message::Filter(program_of(bytes)),
        (b'w', _) => Message::Warning(text.into_owned()),
        (b't', Some(master)) => Message::Terminal(master),
        (tag, _) => match Failure::decode(tag, &text) {
            Some(failure) => Message::Failed(failure),
            None => return Err(io::ErrorKind::InvalidData.into()),
        },
    })
}

impl Failure {
    fn encode(&self) -> (u8, String) {
        match &self.kind {
            FailureKind::ProgramNotFound => (b'N', self.text.clone()),
            FailureKind::ProgramNotExecutable => (b'X', self.text.clone()),
            FailureKind::UserNotFound => (b'U', self.text.clone()),
            FailureKind::Step(step) => (b'S', format!("{step}\n{}", self.text)),
        }
    }

    fn decode(tag: u8, text: &str) -> Option<Self> {
        let (kind, text) = match tag {
            b'N' => (FailureKind::ProgramNotFound, text),
            b'X' => (FailureKind::ProgramNotExecutable, text),
            b'U' => (FailureKind::UserNotFound, text),
            b'S' => {
                let (step, text) = text.split_once('\n')?;
                (FailureKind::Step(step.to_owned()), text)
            }
            _ => return None,
        };
        Some(Self { kind, text: text.to_owned() })
    }
}

impl From<Failure> for ProcessError {
    fn from(Failure { kind, text }: Failure) -> Self {
        match kind {
            FailureKind::ProgramNotFound => Self::ProgramNotFound(text),
            FailureKind::ProgramNotExecutable => Self::ProgramNotExecutable(text),
            FailureKind::UserNotFound => Self::UserNotFound(text),
            FailureKind::Step(step) => Self::Step { step, reason: text },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_arrives_whole() {
        let (child, maker) = Channel::pair().unwrap();
        let failure = Failure {
            kind: FailureKind::Step("mount `/x`".to_owned()),
            text: "no such device\nreally".to_owned(),
        };
        child.send(&Message::Failed(failure.clone())).unwrap();
        drop(child);
        let Some(Message::Failed(received)) = maker.receive().unwrap() else { panic!() };
        assert_eq!(received, failure);
        assert!(maker.receive().unwrap().is_none());
    }

    #[test]
    fn the_largest_filter_travels() {
        let (child, maker) = Channel::pair().unwrap();
        let instruction =
            Instruction { code: 6, jump_true: 1, jump_false: 2, operand: 0x7fff_0000 };
        let program = vec![instruction; INSTRUCTIONS_MAX];
        maker.send(&Message::Filter(program.clone())).unwrap();
        let Message::Filter(received) = child.await_message().unwrap() else { panic!() };
        assert_eq!(received, program);
    }

    #[test]
    fn a_descriptor_travels_along() {
        let (child, maker) = Channel::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        child.send(&Message::Terminal(file.into())).unwrap();
        assert!(matches!(maker.receive().unwrap(), Some(Message::Terminal(_))));
    }
}
