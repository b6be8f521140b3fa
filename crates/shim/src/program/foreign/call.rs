//! One call of the program, from its beginning to its end.
//!
//! Nobody has to wait for it: an event loop can watch it. Whatever becomes of a call, the
//! program does not outlive it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde::Deserialize;
use shim::protocol::Failure;

use super::error::ProgramError;
use super::files::CallFiles;
use super::{internal, read_process};
use crate::event_loop::{EventLoop, Readiness, Token, Watched};

/// How long a killed program may take to be gone. One that takes longer is waited for with
/// the strangers.
const DEATH_TIME: Duration = Duration::from_secs(1);

/// At most so much of the program's own words is shown.
const WORDS_BYTES_MAX: usize = 4096;

/// A call that is on its way.
#[derive(Debug)]
pub(crate) struct Call {
    child: Reaped,
    process: OwnedFd,
    watched: Option<Watched>,
    files: CallFiles,
    /// What the program says, where its streams are not a container's.
    words: Option<File>,
    program: PathBuf,
    patience: Duration,
    deadline: Instant,
}

/// A child that is killed, with whatever it has started, unless its end was seen.
#[derive(Debug)]
struct Reaped(Child);

/// A line of the program's log.
#[derive(Deserialize)]
struct LogLine {
    #[serde(default)]
    level: String,
    #[serde(default)]
    msg: String,
}

impl Call {
    /// Runs `command`, which leads a process group of its own.
    pub(super) fn begin(
        mut command: Command,
        files: CallFiles,
        words: Option<File>,
        patience: Duration,
    ) -> io::Result<Self> {
        let child = Reaped(command.spawn()?);
        let process = shim::process::open(Pid::from_child(&child.0))?;
        Ok(Self {
            child,
            process,
            watched: None,
            files,
            words,
            program: command.get_program().into(),
            patience,
            deadline: Instant::now() + patience,
        })
    }

    /// Has the event loop tell of the end.
    pub(crate) fn watch(&mut self, events: &EventLoop, token: Token) -> rustix::io::Result<()> {
        let copy = rustix::io::fcntl_dupfd_cloexec(&self.process, 3)?;
        self.watched = Some(events.watch(copy, token, Some(Readiness::IN))?);
        Ok(())
    }

    /// When to [`finish`](Self::finish) it although it has not ended.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What has come of it. A program that still runs is killed.
    pub(crate) fn finish(mut self) -> Result<(), ProgramError> {
        let ended = self.child.0.try_wait();
        self.outcome(ended)
    }

    /// Waits for the end.
    pub(crate) fn wait(mut self) -> Result<(), ProgramError> {
        shim::process::await_end(&self.process, self.deadline);
        let ended = self.child.0.try_wait();
        self.outcome(ended)
    }

    /// Waits for the end, and finds the process that it has made.
    pub(super) fn wait_for_process(mut self, prefix: &str) -> Result<(Pid, OwnedFd), Failure> {
        shim::process::await_end(&self.process, self.deadline);
        self.take_process(prefix)
    }

    /// As [`finish`](Self::finish), of a call that makes a process. What a call that has failed
    /// or comes to no end has made is killed.
    pub(super) fn finish_process(mut self, prefix: &str) -> Result<(Pid, OwnedFd), Failure> {
        self.take_process(prefix)
    }

    fn take_process(&mut self, prefix: &str) -> Result<(Pid, OwnedFd), Failure> {
        let ended = self.child.0.try_wait();
        let outcome = self.outcome(ended).map_err(|error| error.with_prefix(prefix));
        if outcome.is_err() {
            self.abandon();
        }
        outcome.and_then(|()| read_process(&self.files.pid()).map_err(internal))
    }

    /// Kills the program, and the process that it has made.
    pub(super) fn abandon(&mut self) {
        self.child.kill();
        // Ours from now on, and nobody waits for it: the number is its own.
        if let Ok((pid, process)) = read_process(&self.files.pid())
            && is_ours(pid)
        {
            shim::process::kill(process);
        }
    }

    fn outcome(&mut self, ended: io::Result<Option<ExitStatus>>) -> Result<(), ProgramError> {
        let reason = match ended {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(_)) => return Err(self.explain()),
            Ok(None) => {
                format!("it has not come to an end within {} s", self.patience.as_secs())
            }
            Err(error) => error.to_string(),
        };
        Err(ProgramError::new(format!("the runtime {}: {reason}", self.program.display())))
    }

    /// The last error of the program's log or, without one, what it said.
    fn explain(&mut self) -> ProgramError {
        let log = std::fs::read_to_string(self.files.log()).unwrap_or_default();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<LogLine>(line).ok());
        let last = lines.rfind(|line| line.level == "error");
        let message = last.map(|line| line.msg).filter(|message| !message.is_empty());
        let message = message.or_else(|| self.said()).unwrap_or_else(|| {
            format!("the runtime {} failed and did not say why", self.program.display())
        });
        ProgramError::new(message)
    }

    fn said(&mut self) -> Option<String> {
        let mut file = self.words.take()?;
        file.rewind().ok()?;
        let mut bytes = Vec::new();
        file.take(WORDS_BYTES_MAX as u64).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
        Some(text).filter(|text| !text.is_empty())
    }
}

/// Whether this is a child of ours: field 4 of `/proc/PID/stat` (see `proc_pid_stat(5)`).
fn is_ours(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    let parent = stat.ok().and_then(|stat| {
        stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse::<i32>().ok()
    });
    parent == Some(rustix::process::getpid().as_raw_nonzero().get())
}

impl Reaped {
    fn kill(&mut self) {
        let pid = Pid::from_child(&self.0);
        if !matches!(self.0.try_wait(), Ok(None)) {
            return;
        }
        // Nobody has waited for it, so the number is still its own. What it has put into the
        // container leads a group of its own.
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        let _ = self.0.kill();
        if let Ok(process) = shim::process::open(pid) {
            shim::process::await_end(process.as_fd(), Instant::now() + DEATH_TIME);
        }
        let _ = self.0.try_wait();
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;

    use super::*;

    #[test]
    fn a_program_ends_with_whoever_called_it() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo $!; wait"]).process_group(0);
        command.stdout(std::process::Stdio::piped());
        let mut child = Reaped(command.spawn().unwrap());
        let mut line = [0; 16];
        let length = child.0.stdout.as_mut().unwrap().read(&mut line).unwrap();
        let grandchild = std::str::from_utf8(&line[..length]).unwrap().trim().parse().unwrap();
        let grandchild = shim::process::open(Pid::from_raw(grandchild).unwrap()).unwrap();
        let own = shim::process::open(Pid::from_child(&child.0)).unwrap();

        drop(child);

        let soon = Instant::now() + Duration::from_secs(10);
        assert!(shim::process::await_end(&grandchild, soon));
        // It was waited for as well: there is no such process any more.
        assert!(rustix::process::pidfd_send_signal(&own, Signal::CONT).is_err());
    }
}
