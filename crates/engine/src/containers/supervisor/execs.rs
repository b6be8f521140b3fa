//! Additional processes of a container.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use fail_points::{Point, pass};
use shim::protocol::{self, Answer, AttachOptions, Failure, FailureKind};

use super::super::errors::{ControlError, ExecError};
use super::super::handle::refuse_control;
use super::super::lifecycle::{Request, decide};
use super::super::requests::{ClientStream, detach_keys};
use super::super::{bundle, links, random_id, start};
use super::Supervisor;
use crate::exec::{ExecId, ExecSpec, ExecView};

/// Of a process of which nothing else is known.
pub(super) const KILLED_EXIT_CODE: i32 = 137;

/// How long it is remembered how an exec has ended, for whoever asks. As long as in Docker.
const EXEC_MEMORY: Duration = Duration::from_secs(5 * 60);

/// Execs of a container that are remembered at most once they have ended.
const ENDED_EXECS_MAX: usize = 4096;

impl Supervisor {
    /// Of links whose containers do not run any more nothing is said.
    fn link_environment(&self) -> Vec<String> {
        let children = links::children(&self.parts, &self.record).unwrap_or_default();
        links::environment(&self.record.name, &children)
    }

    pub(super) fn create_exec(&mut self, spec: ExecSpec) -> Result<ExecId, ControlError> {
        decide(self.phase, Request::Exec)
            .map_err(|refusal| refuse_control(self.id.as_str(), refusal))?;
        detach_keys(spec.detach_keys.as_deref(), spec.terminal)
            .map_err(|keys| ControlError::EscapeKeys { keys })?;
        let id = ExecId(random_id().into());
        self.tell_exec("exec_create", &spec.arguments, id.as_str());
        self.parts.registry.insert_exec(&id.0, &self.id);
        self.forget_old_execs();
        self.execs.push(ExecView::new(id.clone(), self.id.clone(), Arc::new(spec)));
        self.publish();
        pass(Point::ExecCreated);
        Ok(id)
    }

    pub(super) async fn start_exec(
        &mut self,
        id: &str,
        stream: Option<ClientStream>,
        terminal_size: Option<(u16, u16)>,
    ) -> Result<(), ExecError> {
        if let Some(stream) = &stream {
            stream.greet();
        }
        let exec =
            self.exec(id).cloned().ok_or_else(|| ExecError::NotFound { id: id.to_owned() })?;
        if exec.is_running {
            return Err(ExecError::AlreadyRunning { id: id.to_owned() });
        }
        if exec.exit_code.is_some() {
            return Err(ExecError::HasRun { id: id.to_owned() });
        }
        decide(self.phase, Request::Exec)
            .map_err(|refusal| ExecError::from(refuse_control(self.id.as_str(), refusal)))?;

        let spec = Arc::clone(&exec.spec);
        let (attach, descriptors) = exec_streams(&spec, stream)?;
        let request = protocol::ExecRequest {
            id: id.to_owned(),
            process: bundle::exec_process(
                &self.record.spec,
                &spec,
                &start::hostname_of(&self.record.spec, &self.id),
                &self.link_environment(),
            ),
            user: Some(spec.user.clone().unwrap_or_else(|| self.record.spec.process.user.clone())),
            additional_groups: self.record.spec.process.additional_groups.clone(),
            attach,
            terminal_size: terminal_size.or(spec.terminal_size),
        };
        self.tell_exec("exec_start", &spec.arguments, id);
        pass(Point::ExecAsk);
        let answer = self.call(protocol::Request::Exec(request), descriptors).await;
        pass(Point::ExecAnswered);
        let exec = self.exec(id).expect("only this task removes execs");
        let result = match answer {
            Ok(Answer::ExecStarted { pid }) => {
                exec.is_running = true;
                exec.pid = pid;
                Ok(())
            }
            Ok(other) => Err(self.unexpected(&other).into()),
            Err(ControlError::Shim { failure }) => {
                exec.end(exit_code_of(&failure));
                Err(ExecError::Runtime { failure })
            }
            Err(error) => Err(error.into()),
        };
        self.publish();
        result
    }

    /// Says which of them run. Of any other that has run the end is known, or on its way here.
    pub(super) async fn refresh_execs(&mut self) -> Result<Vec<String>, ControlError> {
        let state = self.converse(|mut connection| connection.state()).await?;
        for exec in &state.execs {
            // One that is forgotten here stays so.
            if exec.exit_code.is_none() || self.exec(&exec.id).is_some() {
                self.readopt_exec(exec);
            }
        }
        self.publish();
        let running = state.execs.into_iter().filter(|exec| exec.exit_code.is_none());
        Ok(running.map(|exec| exec.id).collect())
    }

    /// An exec that an earlier daemon started: what it was is unknown, how it goes is not.
    pub(super) fn readopt_exec(&mut self, state: &protocol::ExecState) {
        let id = ExecId(state.id.as_str().into());
        self.parts.registry.insert_exec(&id.0, &self.id);
        if self.exec(&state.id).is_none() {
            self.execs.push(ExecView::new(id, self.id.clone(), Arc::default()));
        }
        if let Some(exec) = self.exec(&state.id) {
            exec.pid = state.pid;
            match state.exit_code {
                Some(exit_code) => exec.end(exit_code),
                None => exec.is_running = true,
            }
        }
    }

    pub(super) fn exec(&mut self, id: &str) -> Option<&mut ExecView> {
        self.execs.iter_mut().find(|exec| exec.id.as_str() == id)
    }

    /// Makes room for one more: those that ended long ago go.
    fn forget_old_execs(&mut self) {
        let ended = self.execs.iter().filter(|exec| exec.ended_at.is_some()).count();
        let mut surplus = ended.saturating_sub(ENDED_EXECS_MAX);
        self.execs.retain(|exec| {
            let Some(ended_at) = exec.ended_at else { return true };
            let goes = surplus > 0 || ended_at.elapsed() > EXEC_MEMORY;
            surplus = surplus.saturating_sub(usize::from(goes));
            if goes {
                self.parts.registry.remove_exec(exec.id.as_str());
            }
            !goes
        });
    }

    pub(super) fn forget_execs(&mut self) {
        for exec in &mut self.execs {
            if exec.is_running {
                exec.end(KILLED_EXIT_CODE);
            }
        }
    }
}

/// The exit code of a process that could not be made, which Docker finds in the words of why.
fn exit_code_of(failure: &Failure) -> i32 {
    let says = |words: &str| failure.message.to_lowercase().contains(words);
    match failure.kind {
        FailureKind::ProgramNotFound => 127,
        FailureKind::ProgramNotExecutable => 126,
        _ if says("permission denied") => 126,
        _ if says("no such file or directory") => 127,
        _ if says("unable to find user") || says("unable to find group") => 126,
        _ => 128,
    }
}

/// How an exec's stream is to be served.
fn exec_streams(
    spec: &ExecSpec,
    stream: Option<ClientStream>,
) -> Result<(Option<AttachOptions>, Vec<OwnedFd>), ExecError> {
    let Some(stream) = stream else { return Ok((None, Vec::new())) };
    let detach_keys = detach_keys(spec.detach_keys.as_deref(), spec.terminal)
        .map_err(|keys| ControlError::EscapeKeys { keys })?;
    let options = AttachOptions {
        stdin: spec.stdin,
        stdout: spec.stdout,
        stderr: spec.stderr,
        detach_keys,
        early_input: stream.early_input,
    };
    Ok((Some(options), vec![stream.socket]))
}
