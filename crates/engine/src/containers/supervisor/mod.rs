//! The one owner of a container: the only code that acts on it.
//!
//! Each container has a task of its own, [`Supervisor`], which takes requests from a queue,
//! asks [`decide`] what they mean, does it, and publishes a new [`Snapshot`]. Everybody else
//! holds a [`Container`]: a handle that sends requests and reads the snapshot.
//!
//! The supervisor never waits for a container's end. A stop, a forced removal and the like
//! ask for the end through the queue and then wait on the snapshot, so that a container that
//! will not die can still be inspected, entered and asked again.
//!
//! Here is what can be asked. [`ends`] is what happens by itself, [`execs`] additional
//! processes, [`talk`] the shim's side, [`tell`] what everybody else gets to know.

mod ends;
mod execs;
mod health;
pub(super) mod talk;
mod tell;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fail_points::{Point, pass};
use shim::protocol::{self, Answer, AttachOptions, FailureKind};
use tokio::sync::{mpsc, watch};

use super::errors::{ControlError, StartError};
use super::handle::{Container, Doing, Ending, KILL_PATIENCE, Message, Snapshot, refuse_control};
use super::health::HealthAction;
use super::lifecycle::{Decision, Refusal, Request, decide};
use super::record::{Record, RecordedPhase};
use super::requests::{
    AttachStreams, ClientStream, Outcome, StopOptions, UpdateContainer, detach_keys,
};
use super::spec::RestartPolicy;
use super::view::Phase;
use super::{ContainerId, start};
use crate::engine::Parts;
use crate::exec::ExecView;
use crate::metadata::{CONTAINERS, Recording};

pub(crate) use talk::{blocking, timestamp};
pub(crate) use tell::{container_event, resource_events};

/// How long a stop waits before the kill, unless somebody said otherwise. Docker's.
pub(crate) const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// Requests that may wait for a container at once.
const QUEUE_LENGTH: usize = 64;

/// A live shim, as its container's supervisor knows it.
#[derive(Debug)]
pub(crate) struct ShimLink {
    pub(crate) folder: PathBuf,
    pub(crate) state: protocol::State,
    pub(crate) attachment: Option<Arc<network::AttachmentRecord>>,
    /// Not that of the host or of another container.
    pub(crate) has_own_network: bool,
}

impl ShimLink {
    /// Where the host finds the container's own network namespace.
    fn network_namespace(&self) -> Option<PathBuf> {
        let pid = self.state.pid;
        (self.has_own_network && pid > 0).then(|| format!("/proc/{pid}/ns/net").into())
    }
}

/// What a start made.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) link: ShimLink,
    /// `None`: the shim lives, but does not answer.
    pub(crate) watch: Option<shim::client::Watch>,
    pub(crate) mounts: Arc<[super::view::MountView]>,
}

/// The owner of one container.
pub(crate) struct Supervisor {
    parts: Arc<Parts>,
    id: ContainerId,
    record: Record,
    /// Until the record is on the disk for the first time.
    recording: Option<Recording>,
    phase: Phase,
    link: Option<ShimLink>,
    /// Counts shims, so that the last words of one are not taken for the next one's.
    generation: u64,
    /// Clients that came before the start.
    waiting: Vec<(AttachOptions, OwnedFd)>,
    /// Oldest first.
    execs: Vec<ExecView>,
    ends: u64,
    /// Somebody used `stop` on this run: an event of its own tells so.
    is_stopping: bool,
    /// It is to be started again, so it does not go with its end.
    is_restarting: bool,
    /// What the shim did to this run because it was unhealthy.
    health_action: Option<HealthAction>,
    snapshot: watch::Sender<Snapshot>,
    queue: mpsc::Sender<Message>,
    requests: mpsc::Receiver<Message>,
    doing: Doing,
}

/// Gives a container its owner. A running one comes with what `start` (or a restore) made, one
/// whose record is not on the disk yet with its `recording`.
pub(crate) fn spawn(
    parts: &Arc<Parts>,
    record: Record,
    running: Option<Running>,
    recording: Option<Recording>,
) -> Container {
    let id = ContainerId::from_record(&record.id);
    let (queue, requests) = mpsc::channel(QUEUE_LENGTH);
    let phase = record.phase.into();
    let first = Snapshot {
        view: Arc::new(tell::view_of(parts, &id, &record, phase, None, &[])),
        execs: Arc::new([]),
        ends: 0,
        is_gone: false,
    };
    let (sender, snapshot) = watch::channel(first);
    let doing = Doing::default();
    let mut supervisor = Supervisor {
        parts: Arc::clone(parts),
        id: id.clone(),
        record,
        recording,
        phase,
        link: None,
        generation: 0,
        waiting: Vec::new(),
        execs: Vec::new(),
        ends: 0,
        is_stopping: false,
        is_restarting: false,
        health_action: None,
        snapshot: sender,
        queue: queue.clone(),
        requests,
        doing: doing.clone(),
    };
    if let Some(running) = running {
        supervisor.take_over(running);
    }
    supervisor.rest();
    tokio::spawn(supervisor.run());
    Container::new(id, queue, snapshot, doing)
}

impl Supervisor {
    async fn run(mut self) {
        while let Some(message) = self.requests.recv().await {
            self.doing.set(Some(message.doing()));
            if self.handle(message).await {
                break;
            }
            self.rest();
        }
    }

    /// Does nothing, until somebody asks.
    fn rest(&self) {
        self.doing.set(self.is_unstarted().then_some("started"));
    }

    /// Whether an earlier engine has begun a start of which nobody knows yet what comes. Nobody
    /// asks anything meanwhile ([`Container`] waits), unless it is to be ended.
    fn is_unstarted(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.state.never_ran())
    }

    /// Does one request; `true` if the container is gone.
    ///
    /// Nobody has to be there for an answer: a client may have left in the meantime.
    async fn handle(&mut self, message: Message) -> bool {
        match message {
            Message::Start { reply } => {
                let result = self.start().await;
                let failed = result.is_err();
                let _ = reply.send(result);
                // `run --rm` of a program that is not there leaves nothing behind.
                let is_down = matches!(self.phase, Phase::Created | Phase::Exited);
                if failed && self.record.spec.remove_at_end && is_down {
                    return self.remove_by_itself().await;
                }
            }
            Message::Stop { options, is_restart, reply } => {
                let result = self.stop(&options).await;
                self.is_restarting = is_restart && matches!(result, Ok(Some(_)));
                let _ = reply.send(result);
            }
            Message::Signal { named, signal, reply } => {
                let _ = reply.send(self.signal(&named, signal).await);
            }
            Message::End { reply } => drop(reply.send(self.end().await)),
            Message::Pause { reply } => drop(reply.send(self.pause().await)),
            Message::Unpause { reply } => drop(reply.send(self.unpause().await)),
            Message::Rename { name, reply } => drop(reply.send(self.rename(&name).await)),
            Message::Unlink { alias, reply } => drop(reply.send(self.unlink(&alias))),
            Message::Update { update, reply } => drop(reply.send(self.update(*update).await)),
            Message::Remove { options, reply } => {
                let result = self.remove(options).await;
                let is_gone = result.is_ok();
                let _ = reply.send(result);
                return is_gone;
            }
            Message::Attach { streams, stream, reply } => {
                let _ = reply.send(self.attach(&streams, stream).await);
            }
            Message::Resize { exec, rows, columns, reply } => {
                let _ = reply.send(self.resize(exec, rows, columns).await);
            }
            Message::Processes { reply } => drop(reply.send(self.processes().await)),
            Message::NetworkNamespace { reply } => {
                let _ = reply.send(self.network_namespace().await);
            }
            Message::CreateExec { spec, reply } => drop(reply.send(self.create_exec(spec))),
            Message::StartExec { id, stream, terminal_size, reply } => {
                let _ = reply.send(self.start_exec(&id, stream, terminal_size).await);
            }
            Message::RefreshExecs { reply } => drop(reply.send(self.refresh_execs().await)),
            Message::RefreshHealth { reply } => drop(reply.send(self.refresh_health().await)),
            Message::Restarted => self.tell("restart", []),
            Message::RestartGivenUp => {
                self.is_restarting = false;
                // It may have ended just now.
                if self.record.spec.remove_at_end && self.phase == Phase::Exited {
                    return self.remove_by_itself().await;
                }
            }
            Message::Shim { generation, event } if generation == self.generation => {
                return self.heed(*event).await;
            }
            Message::ShimGone { generation } if generation == self.generation => {
                return self.bury_shim().await;
            }
            Message::Watched { generation, state, watch } if generation == self.generation => {
                return self.hear_again(*state, watch).await;
            }
            Message::EndRecorded { generation } if generation == self.generation => {
                self.tidy().await;
            }
            Message::StartLate { generation }
                if generation == self.generation && self.is_unstarted() =>
            {
                tracing::error!(
                    container = %self.id,
                    "a start that an earlier daemon began takes too long, and is given up"
                );
                self.kill_starting_shim().await;
            }
            Message::Shim { .. }
            | Message::ShimGone { .. }
            | Message::Watched { .. }
            | Message::StartLate { .. }
            | Message::EndRecorded { .. } => {}
        }
        false
    }

    // Starting.

    async fn start(&mut self) -> Result<Outcome, StartError> {
        match decide(self.phase, Request::Start) {
            Ok(Decision::AlreadyThere) => return Ok(Outcome::AlreadyThere),
            Ok(_) => {}
            Err(Refusal::IsPaused) => return Err(StartError::IsPaused),
            Err(_) => return Err(StartError::IsRemoving),
        }
        let waiting = std::mem::take(&mut self.waiting);
        let started = start::start(&self.parts, &self.record, waiting).await;
        self.await_record().await;
        match started {
            Ok(running) => {
                self.record.mounts = Arc::clone(&running.mounts);
                self.record.was_stopped = false;
                self.record.restart_count = 0;
                self.take_over(running);
                self.note_start();
                Ok(Outcome::Changed)
            }
            Err(error) => {
                self.note_failed_start(&error);
                Err(error)
            }
        }
    }

    /// Tells and records that a run has begun: in this order, for what is on record is not told
    /// by the next daemon any more.
    fn note_start(&self) {
        self.tell_resources("mount", "connect");
        self.tell("start", []);
        self.record_later();
        pass(Point::StartRecorded);
        tracing::debug!(container = %self.id, "a container was started");
    }

    /// Nobody is told that a container runs before it is on record: what runs without a record
    /// is ended by the next engine.
    async fn await_record(&mut self) {
        let Some(recording) = self.recording.take() else { return };
        if let Err(error) = recording.done().await {
            tracing::error!(
                container = %self.id, error = errors::chain(&error), "cannot record a container"
            );
        }
    }

    /// A container that could not be started keeps the reason, and the exit code that a shell
    /// would give.
    fn note_failed_start(&mut self, error: &StartError) {
        self.record.exit_code = match error {
            StartError::Runtime { failure } => match failure.kind {
                FailureKind::ProgramNotFound => 127,
                FailureKind::ProgramNotExecutable => 126,
                _ => 128,
            },
            _ => 128,
        };
        self.record.error = errors::chain(error);
        self.record.error_hint = errors::Explain::hint(error);
        self.record_later();
        self.ends += 1;
        self.publish();
    }

    /// Begins to watch a shim.
    fn take_over(&mut self, running: Running) {
        self.generation += 1;
        self.adopt_state(&running.link.state);
        for exec in &running.link.state.execs {
            self.readopt_exec(exec);
        }
        self.link = Some(running.link);
        self.publish();
        self.follow(running.watch);
    }

    /// Takes what a shim says of its container over. Until that has begun to run, it is what it
    /// was before.
    fn adopt_state(&mut self, state: &protocol::State) {
        if state.never_ran() {
            return;
        }
        self.phase = match state.phase {
            protocol::Phase::Starting | protocol::Phase::Running => Phase::Running,
            protocol::Phase::Paused => Phase::Paused,
            protocol::Phase::Restarting => Phase::Restarting,
            protocol::Phase::Exited => Phase::Exited,
        };
        let record = &mut self.record;
        record.phase = match self.phase {
            Phase::Exited => RecordedPhase::Exited,
            _ => RecordedPhase::Live,
        };
        record.started_at = state.started_at.and_then(timestamp).or(record.started_at);
        record.finished_at = state.finished_at.and_then(timestamp).or(record.finished_at);
        record.exit_code = match self.phase {
            Phase::Running | Phase::Paused => 0,
            _ => state.exit_code.unwrap_or(record.exit_code),
        };
        record.oom_killed = state.oom_killed;
        record.log_entries_lost = state.log_entries_lost;
        record.memory_peak = state.memory_peak;
        record.error = state.error.clone().unwrap_or_default();
        record.error_hint = None;
        record.restart_count = state.restart_count;
        record.was_stopped |= state.stop_requested;
        record.unheard_stop_signal = state.unheard_stop_signal;
        if state.health.is_some() {
            record.health.clone_from(&state.health);
        }
        if self.phase == Phase::Exited {
            record.end_health();
        }
    }

    // Ending.

    async fn stop(&mut self, options: &StopOptions) -> Result<Option<Ending>, ControlError> {
        // Whatever it does now, it was asked to be down: `unless-stopped` heeds that.
        self.record.was_stopped = true;
        if decide(self.phase, Request::Stop) == Ok(Decision::AlreadyThere) {
            return Ok(None);
        }
        let spec = &self.record.spec;
        let grace = options.grace.or(spec.stop_timeout).unwrap_or(DEFAULT_GRACE);
        let grace = (grace != Duration::MAX).then_some(grace);
        let signal = options.signal.unwrap_or(spec.stop_signal);
        let ending = Ending {
            ends_before: self.ends,
            patience: grace.map(|grace| grace.saturating_add(KILL_PATIENCE)),
        };
        self.is_stopping = true;
        pass(Point::StopAsk);
        self.tell("kill", [("signal", signal.to_string())]);
        self.ask_for_end(signal, grace).await?;
        Ok(Some(ending))
    }

    /// A shim that has left already does so with its container: the news of that is on its way,
    /// and is what is waited for.
    async fn ask_for_end(&self, signal: i32, grace: Option<Duration>) -> Result<(), ControlError> {
        match self.call(protocol::Request::Stop { signal, grace }, Vec::new()).await {
            Ok(_) | Err(ControlError::NotRunning { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn end(&mut self) -> Result<Option<Ending>, ControlError> {
        self.record.was_stopped = true;
        if self.is_unstarted() {
            self.kill_starting_shim().await;
            return Ok(Some(Ending { ends_before: self.ends, patience: Some(KILL_PATIENCE) }));
        }
        if !self.phase.is_live() {
            return Ok(None);
        }
        let ending = Ending { ends_before: self.ends, patience: Some(KILL_PATIENCE) };
        let signal = rustix::process::Signal::KILL.as_raw();
        self.tell("kill", [("signal", signal.to_string())]);
        self.ask_for_end(signal, Some(Duration::ZERO)).await?;
        Ok(Some(ending))
    }

    async fn signal(&mut self, named: &str, signal: i32) -> Result<(), ControlError> {
        decide(self.phase, Request::Signal).map_err(|refusal| match refusal {
            Refusal::NotRunning => ControlError::KillNotRunning {
                container: named.to_owned(),
                id: self.id.to_string(),
            },
            other => refuse_control(self.id.as_str(), other),
        })?;
        let kill = rustix::process::Signal::KILL.as_raw();
        self.tell("kill", [("signal", signal.to_string())]);
        // Whoever sends a signal takes matters into their own hands: Docker does not start such
        // a container by itself again when the engine starts.
        self.record.was_stopped = true;
        let spec = &self.record.spec;
        let mut wakes = false;
        let request = if signal == kill {
            protocol::Request::Stop { signal, grace: Some(Duration::ZERO) }
        } else if signal == spec.stop_signal {
            protocol::Request::Stop { signal, grace: None }
        } else {
            // Also Docker's: a paused one wakes up to any of these signals.
            wakes = self.phase == Phase::Paused && !spec.has_own_stop_signal;
            // Docker's rule: any signal ends the restarts, unless it is certain that it is not
            // meant to stop the container.
            let last_run =
                !spec.has_own_stop_signal || spec.restart == RestartPolicy::UnlessStopped;
            protocol::Request::Signal { signal, all: false, last_run }
        };
        self.call(request, Vec::new()).await?;
        if wakes { self.unpause().await } else { Ok(()) }
    }

    // The rest of what can be asked.

    async fn pause(&mut self) -> Result<(), ControlError> {
        decide(self.phase, Request::Pause).map_err(|refusal| match refusal {
            Refusal::IsPaused => ControlError::AlreadyPaused { id: self.id.to_string() },
            other => refuse_control(self.id.as_str(), other),
        })?;
        self.call(protocol::Request::Pause, Vec::new()).await?;
        self.phase = Phase::Paused;
        self.publish();
        self.tell("pause", []);
        Ok(())
    }

    async fn unpause(&mut self) -> Result<(), ControlError> {
        decide(self.phase, Request::Unpause)
            .map_err(|refusal| refuse_control(self.id.as_str(), refusal))?;
        self.call(protocol::Request::Resume, Vec::new()).await?;
        self.phase = Phase::Running;
        self.publish();
        self.tell("unpause", []);
        Ok(())
    }

    async fn rename(&mut self, name: &str) -> Result<(), ControlError> {
        let name = name.strip_prefix('/').unwrap_or(name);
        if matches!(self.phase, Phase::Removing | Phase::Dead) {
            return Err(ControlError::IsRemoving { id: self.id.to_string() });
        }
        if !crate::names::is_valid(name) {
            return Err(ControlError::InvalidName { name: name.to_owned() });
        }
        if name == self.record.name {
            return Err(ControlError::SameName);
        }
        self.parts.registry.reserve_name(name, &self.id).map_err(|holder| {
            ControlError::NameTaken { name: name.to_owned(), holder: holder.to_string() }
        })?;
        let old = std::mem::replace(&mut self.record.name, name.to_owned());
        if let Err(source) =
            self.parts.metadata.put(CONTAINERS, self.id.as_str(), self.record.encode()).await
        {
            self.parts.registry.release_name(name);
            self.record.name = old;
            return Err(ControlError::Record { source });
        }
        self.parts.registry.release_name(&old);
        self.parts.networks.rename(self.id.as_str(), name);
        self.publish();
        self.tell("rename", [("oldName", format!("/{old}"))]);
        Ok(())
    }

    /// What the running container was told of the other one stays until it is started again.
    fn unlink(&mut self, alias: &str) -> Result<(), ControlError> {
        let mut spec = (*self.record.spec).clone();
        spec.network.links.retain(|link| link.alias != alias);
        self.record.spec = Arc::new(spec);
        self.record_later();
        self.publish();
        Ok(())
    }

    async fn update(&mut self, update: UpdateContainer) -> Result<(), ControlError> {
        let mut spec = (*self.record.spec).clone();
        spec.limits.merge(&update.limits);
        spec.restart = update.restart.unwrap_or(spec.restart);
        if self.phase.is_live() {
            let resources = super::bundle::resources(&spec)
                .map_err(|reason| ControlError::Invalid { reason })?;
            let request = protocol::Request::Update {
                resources: Some(resources),
                restart: Some(spec.restart.into()),
            };
            self.call(request, Vec::new()).await?;
            self.refresh_state().await;
        }
        self.record.spec = Arc::new(spec);
        if let Some(document) = update.document {
            self.record.document = document.into();
        }
        self.record_later();
        self.publish();
        self.tell("update", []);
        Ok(())
    }

    /// A new limit may have given the container a folder in a further hierarchy of cgroups.
    async fn refresh_state(&mut self) {
        // Who cannot be asked any more has ended, and the news of that is on its way.
        if let Ok(Answer::State(state)) = self.call(protocol::Request::State, Vec::new()).await
            && let Some(link) = &mut self.link
        {
            link.state.cgroup_paths = state.cgroup_paths;
        }
    }

    async fn attach(
        &mut self,
        streams: &AttachStreams,
        stream: ClientStream,
    ) -> Result<(), ControlError> {
        let keys = detach_keys(streams.detach_keys.as_deref(), self.record.spec.process.terminal);
        let is_live = self.phase.is_live();
        if is_live && keys.is_ok() {
            stream.greet();
        }
        let options = AttachOptions {
            stdin: streams.stdin && self.record.spec.process.stdin_open,
            stdout: streams.stdout,
            stderr: streams.stderr,
            detach_keys: keys.map_err(|keys| ControlError::DetachKeys { keys })?,
            early_input: stream.early_input.clone(),
        };
        self.tell("attach", []);
        if is_live {
            let request = protocol::Request::Attach(options);
            return self.call(request, vec![stream.socket]).await.map(drop);
        }
        // From here on a start serves it.
        stream.greet();
        self.waiting.push((options, stream.socket));
        Ok(())
    }

    async fn resize(
        &mut self,
        exec: Option<String>,
        rows: u16,
        columns: u16,
    ) -> Result<(), ControlError> {
        let tells = exec.is_none();
        self.need_process()?;
        let id = exec.clone().unwrap_or_default();
        let resized =
            self.call(protocol::Request::Resize { exec, rows, columns }, Vec::new()).await;
        resized.map_err(|error| match error {
            ControlError::Shim { failure } if failure.kind == FailureKind::NotFound => {
                ControlError::ExecGone { id }
            }
            other => other,
        })?;
        if tells {
            self.tell("resize", [("height", rows.to_string()), ("width", columns.to_string())]);
        }
        Ok(())
    }

    async fn processes(&mut self) -> Result<Vec<i32>, ControlError> {
        self.need_process()?;
        self.tell("top", []);
        match self.call(protocol::Request::Processes, Vec::new()).await? {
            Answer::Processes { pids } => Ok(pids),
            other => Err(self.unexpected(&other)),
        }
    }

    async fn network_namespace(&mut self) -> Result<OwnedFd, ControlError> {
        self.need_process()?;
        self.converse(|mut connection| connection.network_namespace()).await
    }

    fn need_process(&self) -> Result<(), ControlError> {
        match self.phase {
            Phase::Running | Phase::Paused => Ok(()),
            Phase::Restarting => Err(ControlError::IsRestarting { id: self.id.to_string() }),
            _ => Err(ControlError::NotRunning { id: self.id.to_string() }),
        }
    }
}
