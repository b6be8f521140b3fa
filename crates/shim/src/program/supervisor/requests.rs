//! What others ask of the shim.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use fail_points::{Point, pass, reach};
use oci::runtime::LinuxResources;
use serde::Deserialize as _;
use serde_json::Value;
use shim::protocol::{
    Answer, AttachOptions, ExecRequest, ExecState, Failure, FailureKind, Phase, Request,
    RestartPolicy, What,
};

use super::{Exec, Run, SIGKILL, Supervisor, container, failure, internal};
use crate::control::Asked;
use crate::event_loop::{ProcessKey, Readiness, Token, key_after};

impl Supervisor {
    pub(super) fn answer(&mut self, connection: u32, asked: Asked) {
        let mut descriptors = asked.descriptors.into_iter();
        let request = match asked.request {
            Ok(request) => request,
            Err(error) => {
                let answer = Answer::Failed(failure(FailureKind::Unsupported, &error));
                return self.control.answer(connection, &answer, None);
            }
        };
        let watches = matches!(request, Request::Watch);
        let (answer, descriptor) = match request {
            Request::NetworkNamespace => match self.network_namespace_copy() {
                Ok(descriptor) => (Answer::Done, Some(descriptor)),
                Err(failure) => (Answer::Failed(failure), None),
            },
            request => {
                let outcome = self.carry_out(request, descriptors.next());
                (outcome.unwrap_or_else(Answer::Failed), None)
            }
        };
        self.control.answer(connection, &answer, descriptor);
        if watches {
            self.control.set_watching(connection);
        }
        // What was asked for may have left some.
        self.strangers_at = self.strangers_at.map(|_| Instant::now());
        self.tidy_later();
    }

    fn carry_out(
        &mut self,
        request: Request,
        descriptor: Option<OwnedFd>,
    ) -> Result<Answer, Failure> {
        match request {
            Request::State | Request::Watch => return Ok(Answer::State(self.state.clone())),
            Request::Exec(request) => {
                return self.exec(&request, descriptor).map(|pid| Answer::ExecStarted { pid });
            }
            Request::Processes => return self.processes().map(|pids| Answer::Processes { pids }),
            Request::Signal { signal, all, last_run } => {
                self.is_last_run |= last_run;
                self.signal(signal, all)?;
            }
            Request::Stop { signal, grace } => self.stop(signal, grace),
            Request::Pause => self.pause()?,
            Request::Resume => self.resume()?,
            Request::Attach(options) => self.attach(&options, descriptor)?,
            Request::Resize { exec, rows, columns } => {
                self.resize(exec.as_deref(), rows, columns)?;
            }
            Request::Update { resources, restart } => self.update(resources, restart)?,
            Request::Start { .. } | Request::NetworkNamespace => {
                return Err(wrong_phase("the container was started by its launcher".to_owned()));
            }
        }
        Ok(Answer::Done)
    }

    /// The run, if the container's first process lives.
    fn live_run(&self) -> Result<&Run, Failure> {
        let id = &self.launch.container_id;
        match &self.run {
            Some(run) if run.ended.is_none() => Ok(run),
            _ if self.state.phase == Phase::Restarting => Err(wrong_phase(format!(
                "Container {id} is restarting, wait until the container is running"
            ))),
            _ => Err(wrong_phase(format!("container {id} is not running"))),
        }
    }

    fn refuse_if_paused(&self, doing: &str) -> Result<(), Failure> {
        let id = &self.launch.container_id;
        match self.state.phase {
            Phase::Paused => Err(wrong_phase(format!(
                "Container {id} is paused, unpause the container before {doing}"
            ))),
            _ => Ok(()),
        }
    }

    fn network_namespace_copy(&self) -> Result<OwnedFd, Failure> {
        match &self.network_namespace {
            Some(namespace) => namespace.try_clone().map_err(internal),
            None => {
                let pid = self.live_run()?.container.pid();
                container::network_namespace_of(pid.as_raw_nonzero().get()).map_err(internal)
            }
        }
    }

    fn processes(&self) -> Result<Vec<i32>, Failure> {
        let processes = self.live_run()?.container.cgroup().processes();
        let processes = processes.map_err(|error| failure(FailureKind::Internal, &error))?;
        Ok(processes.into_iter().map(|pid| pid.as_raw_nonzero().get()).collect())
    }

    /// A signal that leaves the restart policy alone. A killed container must not stay frozen,
    /// or it would not die.
    fn signal(&mut self, signal: i32, all: bool) -> Result<(), Failure> {
        if self.state.phase == Phase::Restarting {
            // Docker's answer: there is nothing to signal, and that is fine.
            if self.is_last_run {
                self.exit();
            }
            return Ok(());
        }
        let run = self.live_run()?;
        run.container.send(signal).map_err(internal)?;
        if all {
            let first = run.container.pid();
            let processes = run.container.cgroup().processes();
            for pid in processes.map_err(|error| failure(FailureKind::Internal, &error))? {
                if pid != first
                    && let Ok(process) = shim::process::open(pid)
                {
                    // It may have ended in between.
                    let _ = linux::signals::send(process.as_fd(), signal);
                }
            }
        }
        if signal == SIGKILL {
            self.thaw_if_paused();
        }
        Ok(())
    }

    pub(super) fn thaw_if_paused(&mut self) {
        if self.state.phase == Phase::Paused
            && let Err(failure) = self.resume()
        {
            eprintln!("{}", failure.message);
        }
    }

    fn pause(&mut self) -> Result<(), Failure> {
        let id = &self.launch.container_id;
        if self.state.phase == Phase::Paused {
            return Err(wrong_phase(format!("Container {id} is already paused")));
        }
        self.live_run()?.container.freeze()?;
        self.state.phase = Phase::Paused;
        self.suspend_health();
        self.record();
        self.tell(What::Paused);
        Ok(())
    }

    fn resume(&mut self) -> Result<(), Failure> {
        if self.state.phase != Phase::Paused {
            let id = &self.launch.container_id;
            return Err(wrong_phase(format!("Container {id} is not paused")));
        }
        let Some(run) = &self.run else { return Ok(()) };
        run.container.thaw()?;
        self.state.phase = Phase::Running;
        self.resume_health();
        self.record();
        self.tell(What::Resumed);
        Ok(())
    }

    fn attach(
        &mut self,
        options: &AttachOptions,
        descriptor: Option<OwnedFd>,
    ) -> Result<(), Failure> {
        let stream = descriptor.ok_or_else(no_descriptor)?;
        self.live_run()?;
        self.refuse_if_paused("attach")?;
        let Some(run) = &mut self.run else { return Ok(()) };
        let told = run.stdio.attach(options, stream, &self.events).map_err(internal)?;
        self.client_events(ProcessKey::FIRST, &told);
        Ok(())
    }

    fn exec(&mut self, request: &ExecRequest, descriptor: Option<OwnedFd>) -> Result<i32, Failure> {
        let run = self.live_run()?;
        self.refuse_if_paused("exec")?;
        if self.execs.iter().any(|exec| exec.id == request.id) {
            return Err(wrong_phase(format!("exec {} has already been started", request.id)));
        }
        let attach = match (&request.attach, descriptor) {
            (Some(options), Some(stream)) => Some((options, stream)),
            (None, _) => None,
            (Some(_), None) => return Err(no_descriptor()),
        };
        reach(Point::ExecStreams).map_err(internal)?;
        let key = self.next_key;
        let (started, mut stdio) = container::exec(&run.container, key, request, &self.events)?;
        self.next_key = key_after(key);
        pass(Point::ExecStarted);
        let mut told = Vec::new();
        if let Some((options, stream)) = attach {
            // A client that cannot be attached is closed, which it notices.
            told = stdio.attach(options, stream, &self.events).unwrap_or_default();
        }
        let watched = self.events.watch(started.pidfd, Token::Process(key), Some(Readiness::IN));
        let process = watched.map_err(internal)?;
        let id = request.id.clone();
        let pid = started.pid.as_raw_nonzero().get();
        self.execs.push(Exec { id: id.clone(), key, process, stdio, ended: None });
        self.state.execs.retain(|exec| exec.id != id);
        self.state.execs.push(ExecState { id, pid, exit_code: None });
        self.record();
        pass(Point::ExecRecorded);
        self.client_events(key, &told);
        Ok(pid)
    }

    fn resize(&mut self, exec: Option<&str>, rows: u16, columns: u16) -> Result<(), Failure> {
        let stdio = match exec {
            None => &self.live_run()?.stdio,
            Some(id) => {
                let exec = self.execs.iter().find(|exec| exec.id == id);
                let exec = exec.ok_or_else(|| Failure {
                    kind: FailureKind::NotFound,
                    message: format!("exec {id} is not running"),
                })?;
                &exec.stdio
            }
        };
        stdio.resize(rows, columns).map_err(internal)
    }

    fn update(
        &mut self,
        resources: Option<Value>,
        restart: Option<RestartPolicy>,
    ) -> Result<(), Failure> {
        if let Some(update) = resources {
            let resources = parse_resources(&update)?;
            if let Some(run) = &self.run {
                let outcome = run.container.update(&resources);
                // A new limit may have made a folder in another hierarchy.
                self.state.cgroup_paths = run.container.cgroup().paths();
                self.record();
                outcome?;
            }
            merge(&mut self.updates, update);
        }
        self.policy = restart.unwrap_or(self.policy);
        Ok(())
    }
}

fn wrong_phase(message: String) -> Failure {
    Failure { kind: FailureKind::WrongPhase, message }
}

fn no_descriptor() -> Failure {
    Failure {
        kind: FailureKind::InvalidConfiguration,
        message: "no stream came with the request".to_owned(),
    }
}

pub(super) fn parse_resources(resources: &Value) -> Result<LinuxResources, Failure> {
    LinuxResources::deserialize(resources)
        .map_err(|error| failure(FailureKind::InvalidConfiguration, &error))
}

/// Lays `update` over what is there: fields replace fields of the same name, and objects are
/// merged field by field.
fn merge(there: &mut Value, update: Value) {
    match (there, update) {
        (Value::Object(there), Value::Object(update)) => {
            for (name, value) in update {
                merge(there.entry(name).or_insert(Value::Null), value);
            }
        }
        (there, update) => *there = update,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn later_limits_are_laid_over_earlier_ones() {
        let mut updates = Value::Null;
        merge(&mut updates, json!({ "memory": { "limit": 1, "swap": 2 } }));
        merge(&mut updates, json!({ "memory": { "limit": 3 }, "pids": { "limit": 4 } }));
        let expected = json!({ "memory": { "limit": 3, "swap": 2 }, "pids": { "limit": 4 } });
        assert_eq!(updates, expected);
    }
}
