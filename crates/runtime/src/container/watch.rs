//! Following a process of a container until it runs its program, or ends.

use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::channel::{Channel, Message};
use crate::error::ProcessError;

/// A process on its way to its program.
pub(super) struct Awaited<'a> {
    pub(super) channel: &'a Channel,
    pub(super) pid: Pid,
    pub(super) pidfd: BorrowedFd<'a>,
    /// Whether it has a seccomp filter, which may end it without a word.
    pub(super) is_filtered: bool,
    /// Tells the seccomp agent that the process has a listener, by its number there.
    pub(super) introduce: &'a dyn Fn(RawFd) -> Result<(), ProcessError>,
}

/// Waits until a process runs its program: the channel closes without a word of failure.
pub(super) fn await_execution(
    awaited: &Awaited<'_>,
    warnings: &mut Vec<String>,
    terminal: &mut Option<OwnedFd>,
) -> Result<(), ProcessError> {
    loop {
        let channel = awaited.channel;
        let message = channel.receive().map_err(ProcessError::system("hear of the process"))?;
        match message {
            None => return check_execution(awaited),
            Some(Message::Listener(number)) => {
                (awaited.introduce)(number)?;
                channel
                    .send(&Message::ListenerTaken)
                    .map_err(ProcessError::system("speak to the process"))?;
            }
            Some(Message::Warning(text)) => warnings.push(text),
            Some(Message::Terminal(master)) => *terminal = Some(master),
            Some(Message::Failed(failure)) => return Err(failure.into()),
            Some(other) => return Err(out_of_turn(&other)),
        }
    }
}

/// The channel also closes when the process ends before it gets there: forbidden by its own
/// filter to execute a program, and even to say so. Without a filter it can but have been killed,
/// which its exit status tells as that of a program.
fn check_execution(awaited: &Awaited<'_>) -> Result<(), ProcessError> {
    if !awaited.is_filtered || has_executed(awaited.pid) {
        return Ok(());
    }
    await_end(awaited.pidfd);
    Err(death_of(awaited.pidfd))
}

/// Whether a process runs, or ran, another program than its parent. So the kernel says; of one
/// that nobody can be asked about any more, it may be supposed.
fn has_executed(pid: Pid) -> bool {
    /// Forked, and no `execve` since; see `PF_FORKNOEXEC` in the kernel's `sched.h`.
    const NOT_EXECUTED: u64 = 0x40;
    let Ok(text) = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) else {
        return true;
    };
    // The second field, a name, is in brackets and may contain anything. The ninth is flags.
    let flags = text.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(6));
    let flags = flags.and_then(|flags| flags.parse::<u64>().ok());
    flags.is_none_or(|flags| flags & NOT_EXECUTED == 0)
}

/// The signal of a filter's verdict to kill.
const SIGSYS: i32 = 31;

/// Why a process ended that had not come to its program.
pub(super) fn death_of(pidfd: BorrowedFd<'_>) -> ProcessError {
    let status = waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED);
    let how = match status.ok().flatten() {
        Some(status) => match (status.terminating_signal(), status.exit_status()) {
            (Some(SIGSYS), _) => "its own seccomp filter killed it".to_owned(),
            (Some(signal), _) => format!("signal {signal}"),
            (None, Some(code)) => format!("exit code {code}"),
            (None, None) => "it has stopped".to_owned(),
        },
        None => "it was not there to be waited for".to_owned(),
    };
    ProcessError::Died { how }
}

pub(super) fn out_of_turn(message: &Message) -> ProcessError {
    ProcessError::Died { how: format!("it spoke out of turn: {message:?}") }
}

/// Waits for the end of a process that may be nobody's child here.
pub(super) fn await_end(pidfd: BorrowedFd<'_>) {
    let mut waiting = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    while matches!(poll(&mut waiting, None), Err(Errno::INTR)) {}
}
