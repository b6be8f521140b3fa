//! What others ask of the shim.

use std::os::fd::{AsFd as _, OwnedFd};

use oci::runtime::LinuxResources;
use serde::Deserialize as _;
use serde_json::Value;
use shim::protocol::{
    Answer, AttachOptions, Failure, FailureKind, Phase, Request, RestartPolicy, What,
};

use super::calls::Work;
use super::{Run, SIGKILL, Supervisor, container, failure, internal};
use crate::control::Asked;
use crate::event_loop::ProcessKey;

/// What somebody who has asked gets. Nothing now: the answer comes when another runtime's
/// program has done what it was asked for.
pub(super) type Reply = Option<Answer>;

/// What is to be different from now on.
#[derive(Debug)]
pub(super) struct Update {
    /// An OCI `linux.resources` object.
    resources: Option<Value>,
    restart: Option<RestartPolicy>,
}

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
            request => match self.carry_out(request, descriptors.next(), connection) {
                Ok(Some(answer)) => (answer, None),
                Ok(None) => return,
                Err(failure) => (Answer::Failed(failure), None),
            },
        };
        self.control.answer(connection, &answer, descriptor);
        if watches {
            self.control.set_watching(connection);
        }
        self.tidy_later();
    }

    fn carry_out(
        &mut self,
        request: Request,
        descriptor: Option<OwnedFd>,
        connection: u32,
    ) -> Result<Reply, Failure> {
        match request {
            Request::State | Request::Watch => {
                return Ok(Some(Answer::State(self.state.clone())));
            }
            Request::Exec(request) => return self.exec(request, descriptor, connection),
            Request::Processes => {
                return self.processes().map(|pids| Some(Answer::Processes { pids }));
            }
            Request::Signal { signal, all, last_run } => {
                self.is_last_run |= last_run;
                return self.signal(signal, all, connection);
            }
            Request::Stop { signal, grace } => self.stop(signal, grace),
            Request::Pause => return self.pause(connection),
            Request::Resume => return self.resume(Some(connection)),
            Request::Attach(options) => self.attach(&options, descriptor)?,
            Request::Resize { exec, rows, columns } => {
                self.resize(exec.as_deref(), rows, columns)?;
            }
            Request::Update { resources, restart } => {
                return self.update(Update { resources, restart }, connection);
            }
            Request::Start { .. } | Request::NetworkNamespace => {
                return Err(wrong_phase("the container was started by its launcher".to_owned()));
            }
        }
        Ok(Some(Answer::Done))
    }

    /// The run, if the container's first process lives.
    pub(super) fn live_run(&self) -> Result<&Run, Failure> {
        let id = &self.launch.container_id;
        match &self.run {
            Some(run) if run.ended.is_none() => Ok(run),
            _ if self.state.phase == Phase::Restarting => Err(wrong_phase(format!(
                "Container {id} is restarting, wait until the container is running"
            ))),
            _ => Err(wrong_phase(format!("container {id} is not running"))),
        }
    }

    pub(super) fn refuse_if_paused(&self, doing: &str) -> Result<(), Failure> {
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
    fn signal(&mut self, signal: i32, all: bool, connection: u32) -> Result<Reply, Failure> {
        if self.state.phase == Phase::Restarting {
            // Docker's answer: there is nothing to signal, and that is fine.
            if self.is_last_run {
                self.exit();
            }
            return Ok(Some(Answer::Done));
        }
        let run = self.live_run()?;
        let call = run.container.send(signal).map_err(internal)?;
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
            self.thaw_killed();
        }
        match call {
            Some(call) => Ok(self.await_call(Some(connection), Work::Signal(call, signal))),
            None => Ok(Some(Answer::Done)),
        }
    }

    /// As [`thaw_killed`](Self::thaw_killed), as everybody else does it.
    pub(super) fn thaw_if_paused(&mut self) {
        if self.state.phase == Phase::Paused
            && let Err(failure) = self.resume(None)
        {
            eprintln!("{}", failure.message);
        }
    }

    /// What was killed must not stay frozen, or it would not die.
    pub(super) fn thaw_killed(&mut self) {
        // It would freeze what is to go on.
        self.give_up_calls(|work| matches!(work, Work::Freeze(_)));
        let is_paused = self.state.phase == Phase::Paused;
        let Some(run) = self.run.as_ref() else { return };
        if is_paused || self.launch.runtime.is_some() {
            // A program may have frozen it without our knowledge.
            let thawed = run.container.cgroup().thaw();
            if let (true, Err(error)) = (is_paused, thawed) {
                eprintln!("{}", errors::chain(&error));
            }
        }
        if is_paused {
            self.resumed();
        }
    }

    fn pause(&mut self, connection: u32) -> Result<Reply, Failure> {
        let id = &self.launch.container_id;
        if self.state.phase == Phase::Paused {
            return Err(wrong_phase(format!("Container {id} is already paused")));
        }
        if let Some(call) = self.live_run()?.container.freeze()? {
            return Ok(self.await_call(Some(connection), Work::Freeze(call)));
        }
        self.paused();
        Ok(Some(Answer::Done))
    }

    pub(super) fn paused(&mut self) {
        self.state.phase = Phase::Paused;
        self.suspend_health();
        self.record();
        self.tell(What::Paused);
    }

    fn resume(&mut self, connection: Option<u32>) -> Result<Reply, Failure> {
        if self.state.phase != Phase::Paused {
            let id = &self.launch.container_id;
            return Err(wrong_phase(format!("Container {id} is not paused")));
        }
        let Some(run) = &self.run else { return Ok(Some(Answer::Done)) };
        if let Some(call) = run.container.thaw()? {
            return Ok(self.await_call(connection, Work::Thaw(call)));
        }
        self.resumed();
        Ok(Some(Answer::Done))
    }

    pub(super) fn resumed(&mut self) {
        self.state.phase = Phase::Running;
        self.resume_health();
        self.record();
        self.tell(What::Resumed);
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

    fn update(&mut self, update: Update, connection: u32) -> Result<Reply, Failure> {
        if let (Some(limits), Some(run)) = (&update.resources, &self.run) {
            let outcome = run.container.update(&parse_resources(limits)?);
            if let Ok(Some(call)) = outcome {
                return Ok(self.await_call(Some(connection), Work::Update(call, update)));
            }
            self.note_cgroups();
            outcome?;
        }
        self.updated(update);
        Ok(Some(Answer::Done))
    }

    /// A new limit may have made a folder in another hierarchy.
    pub(super) fn note_cgroups(&mut self) {
        if let Some(run) = &self.run {
            self.state.cgroup_paths = run.container.cgroup().paths();
            self.record();
        }
    }

    pub(super) fn updated(&mut self, update: Update) {
        if let Some(resources) = update.resources {
            merge(&mut self.updates, resources);
        }
        self.policy = update.restart.unwrap_or(self.policy);
    }
}

pub(super) fn wrong_phase(message: String) -> Failure {
    Failure { kind: FailureKind::WrongPhase, message }
}

pub(super) fn no_descriptor() -> Failure {
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
