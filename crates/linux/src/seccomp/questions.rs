//! Answering what a filter asks: the other end of `SECCOMP_FILTER_FLAG_NEW_LISTENER`.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::event::{PollFd, PollFlags, poll};

/// A call that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    id: u64,
    /// The thread that makes the call, or 0 if it is not in our pid namespace.
    pub thread: u32,
    pub number: i32,
    pub arguments: [u64; 6],
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy)]
pub enum Reply {
    /// It goes on as if nobody had been asked.
    Continue,
    /// It has this result, and is not made.
    Value(i64),
    /// It fails with this error number.
    Error(i32),
}

/// `struct seccomp_notif`, as the kernel writes it.
#[repr(C)]
#[derive(Default)]
struct Notification {
    id: u64,
    pid: u32,
    flags: u32,
    number: i32,
    architecture: u32,
    instruction_pointer: u64,
    arguments: [u64; 6],
}

/// `struct seccomp_notif_resp`, as the kernel reads it.
#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

// `_IOWR('!', 0, …)` and `_IOWR('!', 1, …)` of `linux/seccomp.h`.
const RECEIVE: libc::Ioctl = 0xc050_2100_u32 as libc::Ioctl;
const SEND: libc::Ioctl = 0xc018_2101_u32 as libc::Ioctl;
const CONTINUE: u32 = 1;

/// Waits for the next question. `None` when nobody is left who could ask.
pub fn next_question(listener: BorrowedFd<'_>) -> io::Result<Option<Question>> {
    loop {
        let mut waiting = [PollFd::from_borrowed_fd(listener, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut waiting, None))?;
        if !waiting[0].revents().contains(PollFlags::IN) {
            return Ok(None);
        }
        let mut notification = Notification::default();
        // SAFETY: the kernel writes one `struct seccomp_notif`, whose layout this is, all
        // zeroes as it demands, during the call.
        let result = unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut notification) };
        if result == 0 {
            let Notification { id, pid: thread, number, arguments, .. } = notification;
            return Ok(Some(Question { id, thread, number, arguments }));
        }
        let error = io::Error::last_os_error();
        // Who asked has been killed meanwhile.
        if !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) {
            return Err(error);
        }
    }
}

/// Answers a question. `Ok` even if who asked has been killed meanwhile.
pub fn answer(listener: BorrowedFd<'_>, question: &Question, reply: Reply) -> io::Result<()> {
    let (value, error, flags) = match reply {
        Reply::Continue => (0, 0, CONTINUE),
        Reply::Value(value) => (value, 0, 0),
        Reply::Error(number) => (0, -number, 0),
    };
    let response = Response { id: question.id, value, error, flags };
    // SAFETY: the kernel reads one `struct seccomp_notif_resp`, whose layout this is, during
    // the call.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw const response) };
    match io::Error::last_os_error() {
        _ if result == 0 => Ok(()),
        error if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        error => Err(error),
    }
}
