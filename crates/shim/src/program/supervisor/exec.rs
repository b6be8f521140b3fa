//! Additional processes: from the request to the process that is known.

use std::os::fd::OwnedFd;

use fail_points::{Point, pass, reach};
use runtime::ExecProcess;
use shim::protocol::{Answer, AttachOptions, ExecRequest, ExecState, Failure};

use super::calls::Work;
use super::requests::{Reply, no_descriptor, wrong_phase};
use super::{Exec, Supervisor, container, internal};
use crate::container::ExecBegun;
use crate::event_loop::{ProcessKey, Readiness, Token, key_after};
use crate::stdio::Stdio;

/// A process that was asked for, and is not there yet.
#[derive(Debug)]
pub(super) struct Making {
    request: ExecRequest,
    key: ProcessKey,
    stdio: Stdio,
    client: Option<(AttachOptions, OwnedFd)>,
}

impl Making {
    fn is_of(&self, id: &str) -> bool {
        self.request.id == id
    }
}

impl Supervisor {
    pub(super) fn exec(
        &mut self,
        request: ExecRequest,
        descriptor: Option<OwnedFd>,
        connection: u32,
    ) -> Result<Reply, Failure> {
        let run = self.live_run()?;
        self.refuse_if_paused("exec")?;
        if self.knows_exec(&request.id) {
            return Err(wrong_phase(format!("exec {} has already been started", request.id)));
        }
        if request.attach.is_some() && descriptor.is_none() {
            return Err(no_descriptor());
        }
        reach(Point::ExecStreams).map_err(internal)?;
        let key = self.next_key;
        let (begun, stdio) = container::exec(&run.container, key, &request, &self.events)?;
        self.next_key = key_after(key);
        let client = request.attach.clone().zip(descriptor);
        let making = Making { request, key, stdio, client };
        match begun {
            ExecBegun::Made(process) => self.exec_made(process, making).map(Some),
            ExecBegun::Asked(call) => {
                Ok(self.await_call(Some(connection), Work::Exec(call, Box::new(making))))
            }
        }
    }

    fn knows_exec(&self, id: &str) -> bool {
        let is_making = |work: &Work| matches!(work, Work::Exec(_, making) if making.is_of(id));
        self.execs.iter().any(|exec| exec.id == id)
            || self.calls.iter().any(|call| is_making(call.work()))
    }

    pub(super) fn exec_made(
        &mut self,
        mut process: ExecProcess,
        making: Making,
    ) -> Result<Answer, Failure> {
        pass(Point::ExecStarted);
        let Making { request, key, mut stdio, client } = making;
        if let Err(error) = container::connect(&mut process, &mut stdio, &request, &self.events) {
            shim::process::kill(&process.pidfd);
            return Err(internal(error));
        }
        let mut told = Vec::new();
        if let Some((options, stream)) = client {
            // A client that cannot be attached is closed, which it notices.
            told = stdio.attach(&options, stream, &self.events).unwrap_or_default();
        }
        let watched = self.events.watch(process.pidfd, Token::Process(key), Some(Readiness::IN));
        let watched = watched.map_err(internal)?;
        let id = request.id;
        let pid = process.pid.as_raw_nonzero().get();
        self.execs.push(Exec { id: id.clone(), key, process: watched, stdio, ended: None });
        self.state.execs.retain(|exec| exec.id != id);
        self.state.execs.push(ExecState { id, pid, exit_code: None });
        self.record();
        pass(Point::ExecRecorded);
        self.client_events(key, &told);
        Ok(Answer::ExecStarted { pid })
    }
}
