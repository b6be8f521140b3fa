//! An additional process on its way: a call of the program that makes one.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use runtime::{ExecProcess, ExecRequest};
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;
use shim::protocol::Failure;

use super::call::Call;
use super::files::{CallFiles, own_path};
use super::program::{Program, Streams};
use super::terminal::TerminalSocket;
use super::{configuration, internal};
use crate::event_loop::{EventLoop, Token};

/// What Docker puts before the program's words.
const PREFIX: &str = "OCI runtime exec failed: ";

/// A call that makes an additional process.
#[derive(Debug)]
pub(crate) struct ExecCall {
    call: Call,
    terminal: Option<TerminalSocket>,
}

impl ExecCall {
    /// Begins; `first` is the container's first process.
    pub(super) fn begin(
        program: &Program,
        first: Pid,
        request: ExecRequest<'_>,
    ) -> Result<Self, Failure> {
        let root = open_root(first).map_err(internal)?;
        let process = configuration::process(&request, root.as_fd())?;
        let stdio = request.stdio;
        let files = CallFiles::new();
        std::fs::write(files.process(), process.to_string()).map_err(internal)?;
        let terminal = TerminalSocket::for_streams(&stdio, files.terminal()).map_err(internal)?;
        let mut words = vec!["exec".into(), "--detach".into()];
        words.extend(["--process".into(), own_path(&files.process())]);
        words.extend(["--pid-file".into(), own_path(&files.pid())]);
        words.extend(terminal.iter().flat_map(TerminalSocket::flags));
        words.push(program.container().into());
        let streams = Streams { process: Some(stdio), ..Streams::default() };
        let call = program.begin(&words, files, streams);
        let call = call.map_err(|error| error.with_prefix(PREFIX))?;
        Ok(Self { call, terminal })
    }

    /// Has the event loop tell of the end.
    pub(crate) fn watch(&mut self, events: &EventLoop, token: Token) -> rustix::io::Result<()> {
        self.call.watch(events, token)
    }

    /// When to [`finish`](Self::finish) it although it has not ended.
    pub(crate) fn deadline(&self) -> Instant {
        self.call.deadline()
    }

    /// The process. Of a program that still runs, or has failed, nothing is left.
    pub(crate) fn finish(self) -> Result<ExecProcess, Failure> {
        let (pid, pidfd) = self.call.finish_process(PREFIX)?;
        let terminal = self.terminal.map(TerminalSocket::receive).transpose();
        let terminal = terminal.map_err(|error| {
            shim::process::kill(&pidfd);
            internal(error)
        })?;
        Ok(ExecProcess { pid, pidfd, terminal, warnings: Vec::new() })
    }

    /// Ends the program, and what it has made.
    pub(crate) fn abandon(mut self) {
        self.call.abandon();
    }
}

fn open_root(first: Pid) -> io::Result<OwnedFd> {
    let path = format!("/proc/{}/root", first.as_raw_nonzero());
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}
