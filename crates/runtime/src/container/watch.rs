//! Following a process of a container until it runs its program, or ends.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use crate::channel::{Channel, Message};
use crate::error::ProcessError;

/// Waits until a process runs its program: the channel closes without a word of failure.
pub(super) fn await_execution(
    channel: &Channel,
    pidfd: BorrowedFd<'_>,
    warnings: &mut Vec<String>,
    terminal: &mut Option<OwnedFd>,
) -> Result<(), ProcessError> {
    loop {
        let message = channel.receive().map_err(ProcessError::system("hear of the process"))?;
        match message {
            None => return check_execution(pidfd),
            Some(Message::Warning(text)) => warnings.push(text),
            Some(Message::Terminal(master)) => *terminal = Some(master),
            Some(Message::Failed(failure)) => return Err(failure.into()),
            Some(other) => return Err(out_of_turn(&other)),
        }
    }
}

/// The channel also closes when the process is killed before it gets there. What has ended
/// already may also have run its program, and run it fast: then its status is its own.
fn check_execution(pidfd: BorrowedFd<'_>) -> Result<(), ProcessError> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::PidFd(pidfd), options) {
        Ok(Some(status)) if status.terminating_signal() == Some(SIGSYS) => {
            Err(ProcessError::Died { how: "its own seccomp filter killed it".to_owned() })
        }
        _ => Ok(()),
    }
}

/// The signal of a filter's verdict to kill.
const SIGSYS: i32 = 31;

/// Why a process ended that had not come to its program.
pub(super) fn death_of(pidfd: BorrowedFd<'_>) -> ProcessError {
    let status = waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED);
    let how = match status.ok().flatten() {
        Some(status) => match (status.terminating_signal(), status.exit_status()) {
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
