//! The one owner of a container: the only code that acts on it.
//!
//! Each container has a task of its own, [`Supervisor`], which takes requests from a queue,
//! asks [`decide`] what they mean, does it, and publishes a new [`Snapshot`]. Everybody else
//! holds a [`Container`]: a handle that sends requests and reads the snapshot.
//!
//! The supervisor never waits for a container's end. A stop, a forced removal and the like
//! ask for the end through the queue and then wait on the snapshot, so that a container that
//! will not die can still be inspected, entered and asked again.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use shim::client::{CallError, ConnectError};
use shim::protocol::{self, Answer, AttachOptions, Failure, FailureKind, What};
use tokio::sync::{mpsc, oneshot, watch};

use super::errors::{ControlError, ExecError, LookupError, RemoveError, StartError};
use super::lifecycle::{Decision, Refusal, Request, decide};
use super::record::{Record, RecordedPhase};
use super::requests::{
    AttachStreams, ClientStream, Outcome, ProcessTable, RemoveOptions, StopOptions, UpdateContainer,
};
use super::spec::RestartPolicy;
use super::view::{MountKind, Phase, StateView, View};
use super::{ContainerId, remove, start, top};
use crate::engine::Parts;
use crate::events::ObjectKind;
use crate::exec::{ExecId, ExecSpec, ExecView};
use crate::metadata::CONTAINERS;

/// How long a stop waits before the kill, unless somebody said otherwise. Docker's.
pub(crate) const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// How long a process may take to end after SIGKILL before it is reported as stuck: only one
/// in an uninterruptible sleep does.
const KILL_PATIENCE: Duration = Duration::from_secs(30);

/// Execs of a container that are remembered once they have ended, for whoever asks how.
const EXECS_KEPT: usize = 64;

/// Requests that may wait for a container at once.
const QUEUE_LENGTH: usize = 64;

/// What everybody may see of a container.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) view: Arc<View>,
    pub(crate) execs: Arc<[ExecView]>,
    /// How often its process has ended: tells one end from the next.
    pub(crate) ends: u64,
    pub(crate) is_gone: bool,
}

/// A handle on a container. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    id: ContainerId,
    queue: mpsc::Sender<Message>,
    snapshot: watch::Receiver<Snapshot>,
}

/// A request with the place for its answer.
#[derive(Debug)]
enum Message {
    Start {
        reply: Reply<Outcome, StartError>,
    },
    /// Answered once the end is asked for; `None` if it has ended already.
    Stop {
        options: StopOptions,
        reply: Reply<Option<Ending>, ControlError>,
    },
    Signal {
        named: String,
        signal: i32,
        reply: Reply<(), ControlError>,
    },
    /// Ends it for a removal: no restart, SIGKILL to all.
    End {
        reply: Reply<Option<Ending>, ControlError>,
    },
    Pause {
        reply: Reply<(), ControlError>,
    },
    Unpause {
        reply: Reply<(), ControlError>,
    },
    Rename {
        name: String,
        reply: Reply<(), ControlError>,
    },
    Update {
        update: Box<UpdateContainer>,
        reply: Reply<(), ControlError>,
    },
    Remove {
        options: RemoveOptions,
        reply: Reply<(), RemoveError>,
    },
    Attach {
        streams: AttachStreams,
        stream: ClientStream,
        reply: Reply<(), ControlError>,
    },
    Resize {
        exec: Option<String>,
        rows: u16,
        columns: u16,
        reply: Reply<(), ControlError>,
    },
    Processes {
        reply: Reply<Vec<i32>, ControlError>,
    },
    NetworkNamespace {
        reply: Reply<OwnedFd, ControlError>,
    },
    CreateExec {
        spec: ExecSpec,
        reply: Reply<ExecId, ControlError>,
    },
    StartExec {
        id: String,
        stream: Option<ClientStream>,
        terminal_size: Option<(u16, u16)>,
        reply: Reply<(), ExecError>,
    },
    Restarted,
    Shim {
        generation: u64,
        event: Box<protocol::Event>,
    },
    ShimGone {
        generation: u64,
    },
}

type Reply<T, E> = oneshot::Sender<Result<T, E>>;

/// An end that was asked for: it has come once the snapshot counts more than `ends_before`.
#[derive(Debug, Clone, Copy)]
struct Ending {
    ends_before: u64,
    /// `None`: however long it takes.
    patience: Option<Duration>,
}

impl Container {
    pub(crate) fn id(&self) -> &ContainerId {
        &self.id
    }

    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.snapshot.borrow().view)
    }

    pub(crate) fn snapshot(&self) -> watch::Receiver<Snapshot> {
        self.snapshot.clone()
    }

    /// Sends a request and waits for its answer; `None` if the container is gone.
    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(message(reply)).await.ok()?;
        answer.await.ok()
    }

    fn gone(&self) -> LookupError {
        LookupError::NotFound { name: self.id.to_string() }
    }

    async fn ask_control<T>(
        &self,
        message: impl FnOnce(Reply<T, ControlError>) -> Message,
    ) -> Result<T, ControlError> {
        self.ask(message).await.unwrap_or_else(|| Err(self.gone().into()))
    }

    pub(crate) async fn start(&self) -> Result<Outcome, StartError> {
        self.ask(|reply| Message::Start { reply }).await.unwrap_or_else(|| Err(self.gone().into()))
    }

    pub(crate) async fn stop(&self, options: StopOptions) -> Result<Outcome, ControlError> {
        match self.ask_control(|reply| Message::Stop { options, reply }).await? {
            Some(ending) => self.await_end(ending).await.map(|()| Outcome::Changed),
            None => Ok(Outcome::AlreadyThere),
        }
    }

    pub(crate) async fn restart(&self, options: StopOptions) -> Result<(), ControlError> {
        self.stop(options).await?;
        self.start().await?;
        // The event only; the container may have gone again by now.
        let _ = self.queue.send(Message::Restarted).await;
        Ok(())
    }

    pub(crate) async fn kill(&self, named: &str, signal: i32) -> Result<(), ControlError> {
        let ends_before = self.snapshot.borrow().ends;
        let named = named.to_owned();
        self.ask_control(|reply| Message::Signal { named, signal, reply }).await?;
        if signal == rustix::process::Signal::KILL.as_raw() {
            // Docker answers a kill once it has worked.
            self.await_end(Ending { ends_before, patience: Some(KILL_PATIENCE) }).await?;
        }
        Ok(())
    }

    pub(crate) async fn pause(&self) -> Result<(), ControlError> {
        self.ask_control(|reply| Message::Pause { reply }).await
    }

    pub(crate) async fn unpause(&self) -> Result<(), ControlError> {
        self.ask_control(|reply| Message::Unpause { reply }).await
    }

    pub(crate) async fn rename(&self, name: &str) -> Result<(), ControlError> {
        let name = name.to_owned();
        self.ask_control(|reply| Message::Rename { name, reply }).await
    }

    pub(crate) async fn update(&self, update: UpdateContainer) -> Result<(), ControlError> {
        self.ask_control(|reply| Message::Update { update: Box::new(update), reply }).await
    }

    pub(crate) async fn remove(&self, options: RemoveOptions) -> Result<(), RemoveError> {
        let view = self.view();
        let decision = decide(view.state.phase, Request::Remove { force: options.force })
            .map_err(|refusal| refuse_removal(&view, refusal))?;
        if decision == Decision::EndFirst {
            self.end().await.map_err(|source| RemoveError::Kill {
                name: view.name.clone(),
                source: Box::new(source),
            })?;
        }
        let removed = self.ask(|reply| Message::Remove { options, reply }).await;
        match removed {
            Some(result) => result,
            // It removed itself in the meantime (`--rm`), which a removal by force is content
            // with.
            None if options.force => Ok(()),
            None => Err(self.gone().into()),
        }
    }

    async fn end(&self) -> Result<(), ControlError> {
        match self.ask(|reply| Message::End { reply }).await {
            Some(ending) => match ending? {
                Some(ending) => self.await_end(ending).await,
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    async fn await_end(&self, ending: Ending) -> Result<(), ControlError> {
        let mut snapshot = self.snapshot();
        let ended = snapshot.wait_for(|now| now.ends > ending.ends_before || now.is_gone);
        let Some(patience) = ending.patience else {
            // An error means that the container is gone, and so has ended.
            let _ = ended.await;
            return Ok(());
        };
        match tokio::time::timeout(patience, ended).await {
            Ok(_) => Ok(()),
            Err(_) => Err(ControlError::Stuck {
                id: self.id.to_string(),
                seconds: KILL_PATIENCE.as_secs(),
            }),
        }
    }

    pub(crate) fn check_attach(&self) -> Result<Arc<View>, ControlError> {
        let view = self.view();
        match view.state.phase {
            Phase::Paused => Err(ControlError::IsPaused { id: view.id.to_string() }),
            Phase::Removing | Phase::Dead => {
                Err(ControlError::IsRemoving { id: view.id.to_string() })
            }
            Phase::Restarting => Err(ControlError::IsRestarting { id: view.id.to_string() }),
            Phase::Created | Phase::Running | Phase::Exited => Ok(view),
        }
    }

    pub(crate) async fn attach(
        &self,
        streams: AttachStreams,
        stream: ClientStream,
    ) -> Result<(), ControlError> {
        self.ask_control(|reply| Message::Attach { streams, stream, reply }).await
    }

    pub(crate) async fn resize(&self, rows: u16, columns: u16) -> Result<(), ControlError> {
        self.ask_control(|reply| Message::Resize { exec: None, rows, columns, reply }).await
    }

    pub(crate) async fn processes(&self, arguments: &str) -> Result<ProcessTable, ControlError> {
        let pids = self.ask_control(|reply| Message::Processes { reply }).await?;
        top::table(&self.id, &pids, arguments).await
    }

    /// The network namespace, for a container that joins it.
    pub(crate) async fn network_namespace(&self) -> Result<OwnedFd, ControlError> {
        self.ask_control(|reply| Message::NetworkNamespace { reply }).await
    }

    pub(crate) async fn create_exec(&self, spec: ExecSpec) -> Result<ExecId, ExecError> {
        if spec.arguments.is_empty() {
            return Err(ExecError::NoCommand);
        }
        Ok(self.ask_control(|reply| Message::CreateExec { spec, reply }).await?)
    }

    pub(crate) fn exec_view(&self, id: &str) -> Result<ExecView, ExecError> {
        let snapshot = self.snapshot.borrow();
        let exec = snapshot.execs.iter().find(|exec| exec.id.as_str() == id);
        exec.cloned().ok_or_else(|| ExecError::NotFound { id: id.to_owned() })
    }

    pub(crate) fn check_startable(&self, id: &str) -> Result<ExecView, ExecError> {
        let exec = self.exec_view(id)?;
        let view = self.view();
        decide(view.state.phase, Request::Exec)
            .map_err(|refusal| ExecError::from(refuse_control(view.id.as_str(), refusal)))?;
        match exec {
            ExecView { is_running: true, .. } => {
                Err(ExecError::AlreadyRunning { id: id.to_owned() })
            }
            ExecView { exit_code: Some(_), .. } => Err(ExecError::HasRun { id: id.to_owned() }),
            ready => Ok(ready),
        }
    }

    pub(crate) async fn start_exec(
        &self,
        id: &str,
        stream: Option<ClientStream>,
        terminal_size: Option<(u16, u16)>,
    ) -> Result<(), ExecError> {
        let id = id.to_owned();
        self.ask(|reply| Message::StartExec { id, stream, terminal_size, reply })
            .await
            .unwrap_or_else(|| Err(ControlError::from(self.gone()).into()))
    }

    pub(crate) async fn resize_exec(
        &self,
        id: &str,
        rows: u16,
        columns: u16,
    ) -> Result<(), ExecError> {
        let exec = Some(id.to_owned());
        Ok(self.ask_control(|reply| Message::Resize { exec, rows, columns, reply }).await?)
    }
}

/// A live shim, as its container's supervisor knows it.
#[derive(Debug)]
pub(crate) struct ShimLink {
    pub(crate) folder: PathBuf,
    pub(crate) state: protocol::State,
    pub(crate) attachment: Option<Arc<network::AttachmentRecord>>,
    pub(crate) network_namespace: Option<PathBuf>,
}

/// What a start made.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) link: ShimLink,
    pub(crate) watch: shim::client::Watch,
    /// The shim's process, if it is our child.
    pub(crate) shim: Option<std::process::Child>,
    pub(crate) mounts: Arc<[super::view::MountView]>,
}

/// The owner of one container.
pub(crate) struct Supervisor {
    parts: Arc<Parts>,
    id: ContainerId,
    record: Record,
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
    snapshot: watch::Sender<Snapshot>,
    queue: mpsc::Sender<Message>,
    requests: mpsc::Receiver<Message>,
}

/// Why a shim did not do as asked.
enum Unreachable {
    Connect(ConnectError),
    Call(CallError),
}

/// Gives a container its owner. A running one comes with what `start` (or a restore) made.
pub(crate) fn spawn(parts: &Arc<Parts>, record: Record, running: Option<Running>) -> Container {
    let id = ContainerId::from_record(&record.id);
    let (queue, requests) = mpsc::channel(QUEUE_LENGTH);
    let phase = record.phase.into();
    let first = Snapshot {
        view: Arc::new(view_of(parts, &id, &record, phase, None, &[])),
        execs: Arc::new([]),
        ends: 0,
        is_gone: false,
    };
    let (sender, snapshot) = watch::channel(first);
    let mut supervisor = Supervisor {
        parts: Arc::clone(parts),
        id: id.clone(),
        record,
        phase,
        link: None,
        generation: 0,
        waiting: Vec::new(),
        execs: Vec::new(),
        ends: 0,
        is_stopping: false,
        snapshot: sender,
        queue: queue.clone(),
        requests,
    };
    if let Some(running) = running {
        supervisor.take_over(running);
    }
    tokio::spawn(supervisor.run());
    Container { id, queue, snapshot }
}

impl Supervisor {
    async fn run(mut self) {
        while let Some(message) = self.requests.recv().await {
            if self.handle(message).await {
                break;
            }
        }
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
                if failed && self.record.spec.remove_at_end && self.phase == Phase::Created {
                    return self.remove_by_itself().await;
                }
            }
            Message::Stop { options, reply } => drop(reply.send(self.stop(&options).await)),
            Message::Signal { named, signal, reply } => {
                let _ = reply.send(self.signal(&named, signal).await);
            }
            Message::End { reply } => drop(reply.send(self.end().await)),
            Message::Pause { reply } => drop(reply.send(self.pause().await)),
            Message::Unpause { reply } => drop(reply.send(self.unpause().await)),
            Message::Rename { name, reply } => drop(reply.send(self.rename(&name).await)),
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
            Message::Restarted => self.tell("restart", []),
            Message::Shim { generation, event } if generation == self.generation => {
                return self.heed(*event).await;
            }
            Message::ShimGone { generation } if generation == self.generation => {
                return self.bury_shim().await;
            }
            Message::Shim { .. } | Message::ShimGone { .. } => {}
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
        match start::start(&self.parts, &self.record, waiting).await {
            Ok(running) => {
                self.record.mounts = Arc::clone(&running.mounts);
                self.record.was_stopped = false;
                self.record.restart_count = 0;
                self.take_over(running);
                self.record_later();
                self.tell_resources("mount", "connect");
                self.tell("start", []);
                Ok(Outcome::Changed)
            }
            Err(error) => {
                self.note_failed_start(&error);
                Err(error)
            }
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
        tokio::spawn(forward(running.watch, running.shim, self.queue.clone(), self.generation));
    }

    /// Takes what a shim says of its container over.
    fn adopt_state(&mut self, state: &protocol::State) {
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
        record.error = state.error.clone().unwrap_or_default();
        record.restart_count = state.restart_count;
        record.was_stopped |= state.stop_requested;
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
        self.tell("kill", [("signal", signal.to_string())]);
        self.call(protocol::Request::Stop { signal, grace }, Vec::new()).await?;
        Ok(Some(ending))
    }

    async fn end(&mut self) -> Result<Option<Ending>, ControlError> {
        self.record.was_stopped = true;
        if !self.phase.is_live() {
            return Ok(None);
        }
        let ending = Ending { ends_before: self.ends, patience: Some(KILL_PATIENCE) };
        let signal = rustix::process::Signal::KILL.as_raw();
        self.tell("kill", [("signal", signal.to_string())]);
        self.call(protocol::Request::Stop { signal, grace: Some(Duration::ZERO) }, Vec::new())
            .await?;
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
        let request = if signal == kill {
            // Whoever kills wants it down: Docker does not restart it either.
            self.record.was_stopped = true;
            protocol::Request::Stop { signal, grace: Some(Duration::ZERO) }
        } else if signal == self.record.spec.stop_signal {
            // So does whoever sends the very signal that ends it.
            self.record.was_stopped = true;
            protocol::Request::Stop { signal, grace: None }
        } else {
            protocol::Request::Signal { signal, all: false }
        };
        self.call(request, Vec::new()).await.map(drop)
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
        self.publish();
        self.tell("rename", [("oldName", format!("/{old}"))]);
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

    async fn attach(
        &mut self,
        streams: &AttachStreams,
        stream: ClientStream,
    ) -> Result<(), ControlError> {
        let options = AttachOptions {
            stdin: streams.stdin && self.record.spec.process.stdin_open,
            stdout: streams.stdout,
            stderr: streams.stderr,
            detach_keys: super::requests::detach_keys(
                streams.detach_keys.as_deref(),
                self.record.spec.process.terminal,
            )
            .map_err(|reason| ControlError::Invalid { reason })?,
            early_input: stream.early_input,
        };
        self.tell("attach", []);
        if self.phase.is_live() {
            return self
                .call(protocol::Request::Attach(options), vec![stream.socket])
                .await
                .map(drop);
        }
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
        self.call(protocol::Request::Resize { exec, rows, columns }, Vec::new()).await?;
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

    // Execs.

    fn create_exec(&mut self, spec: ExecSpec) -> Result<ExecId, ControlError> {
        decide(self.phase, Request::Exec)
            .map_err(|refusal| refuse_control(self.id.as_str(), refusal))?;
        super::requests::detach_keys(spec.detach_keys.as_deref(), spec.terminal)
            .map_err(|reason| ControlError::Invalid { reason })?;
        let id = ExecId(super::random_id().into());
        self.tell_exec("exec_create", &spec, id.as_str());
        self.parts.registry.insert_exec(&id.0, &self.id);
        self.forget_old_execs();
        self.execs.push(ExecView {
            id: id.clone(),
            container: self.id.clone(),
            spec: Arc::new(spec),
            is_running: false,
            pid: 0,
            exit_code: None,
        });
        self.publish();
        Ok(id)
    }

    async fn start_exec(
        &mut self,
        id: &str,
        stream: Option<ClientStream>,
        terminal_size: Option<(u16, u16)>,
    ) -> Result<(), ExecError> {
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
            process: super::bundle::exec_process(
                &self.record.spec,
                &spec,
                &start::hostname_of(&self.record.spec, &self.id),
            ),
            user: Some(spec.user.clone().unwrap_or_else(|| self.record.spec.process.user.clone())),
            additional_groups: self.record.spec.process.additional_groups.clone(),
            attach,
            terminal_size: terminal_size.or(spec.terminal_size),
        };
        self.tell_exec("exec_start", &spec, id);
        let answer = self.call(protocol::Request::Exec(request), descriptors).await;
        let exec = self.exec(id).expect("only this task removes execs");
        let result = match answer {
            Ok(Answer::ExecStarted { pid }) => {
                exec.is_running = true;
                exec.pid = pid;
                Ok(())
            }
            Ok(other) => Err(self.unexpected(&other).into()),
            Err(ControlError::Shim { failure }) => {
                exec.exit_code = Some(match failure.kind {
                    FailureKind::ProgramNotFound => 127,
                    _ => 126,
                });
                Err(ExecError::Runtime { failure })
            }
            Err(error) => Err(error.into()),
        };
        self.publish();
        result
    }

    /// An exec that an earlier daemon started: what it was is unknown, how it goes is not.
    fn readopt_exec(&mut self, state: &protocol::ExecState) {
        let id = ExecId(state.id.as_str().into());
        self.parts.registry.insert_exec(&id.0, &self.id);
        if self.exec(&state.id).is_none() {
            self.execs.push(ExecView {
                id,
                container: self.id.clone(),
                spec: Arc::new(ExecSpec::default()),
                is_running: false,
                pid: 0,
                exit_code: None,
            });
        }
        if let Some(exec) = self.exec(&state.id) {
            exec.pid = state.pid;
            exec.exit_code = state.exit_code;
            exec.is_running = state.exit_code.is_none();
        }
    }

    fn exec(&mut self, id: &str) -> Option<&mut ExecView> {
        self.execs.iter_mut().find(|exec| exec.id.as_str() == id)
    }

    /// Makes room for one more: the oldest that have ended go.
    fn forget_old_execs(&mut self) {
        while self.execs.len() >= EXECS_KEPT {
            let Some(oldest) = self.execs.iter().position(|exec| exec.exit_code.is_some()) else {
                return;
            };
            let exec = self.execs.remove(oldest);
            self.parts.registry.remove_exec(exec.id.as_str());
        }
    }

    // What the shim tells.

    /// Takes an event of the shim's; `true` if the container is gone by it.
    async fn heed(&mut self, event: protocol::Event) -> bool {
        match event.what {
            What::ExecExited { id, exit_code } => {
                if let Some(exec) = self.exec(&id) {
                    exec.is_running = false;
                    exec.exit_code = Some(exit_code);
                    self.tell("exec_die", [("execID", id), ("exitCode", exit_code.to_string())]);
                    self.publish();
                }
            }
            What::OutOfMemory => {
                self.record.oom_killed = true;
                self.publish();
                self.tell("oom", []);
            }
            What::Detached { exec: None } => self.tell("detach", []),
            What::Detached { exec: Some(id) } => self.tell("exec_detach", [("execID", id)]),
            What::Started => {
                // The answer to the first start has told this already.
                if self.phase == Phase::Restarting {
                    self.note_state(event.state);
                    self.tell("start", []);
                }
            }
            What::Exited => return self.note_end(event.state).await,
            What::Paused | What::Resumed | What::Other => self.note_state(event.state),
        }
        false
    }

    fn note_state(&mut self, state: protocol::State) {
        self.adopt_state(&state);
        if let Some(link) = &mut self.link {
            link.state = state;
        }
        self.publish();
    }

    /// The process has ended; `true` if the container goes with it.
    async fn note_end(&mut self, state: protocol::State) -> bool {
        self.forget_execs();
        let is_final = state.phase == protocol::Phase::Exited;
        self.adopt_state(&state);
        let attributes = [
            ("execDuration", exec_duration(&state).to_string()),
            ("exitCode", self.record.exit_code.to_string()),
        ];
        if !is_final {
            if let Some(link) = &mut self.link {
                link.state = state;
            }
            self.ends += 1;
            self.tell("die", attributes);
            self.publish();
            return false;
        }
        self.release().await;
        if std::mem::take(&mut self.is_stopping) {
            self.tell("stop", []);
        }
        self.tell("die", attributes);
        if self.record.spec.remove_at_end {
            return self.remove_by_itself().await;
        }
        self.record_later();
        self.ends += 1;
        self.publish();
        false
    }

    /// Lets go of what a run held: its addresses, ports and run folder.
    async fn release(&mut self) {
        self.generation += 1;
        let Some(link) = self.link.take() else { return };
        start::release(&self.parts, &self.id, link.folder).await;
        self.tell_resources("unmount", "disconnect");
    }

    /// The shim is gone without a word: so is the container, and somebody has to say so.
    async fn bury_shim(&mut self) -> bool {
        let Some(link) = &self.link else { return false };
        let state = start::clean_up_after(&link.folder, link.state.clone()).await;
        let restarts = match self.record.spec.restart {
            RestartPolicy::Always | RestartPolicy::UnlessStopped => !state.stop_requested,
            RestartPolicy::OnFailure { retries_max } => {
                !state.stop_requested
                    && state.exit_code != Some(0)
                    && retries_max.is_none_or(|most| state.restart_count < most)
            }
            RestartPolicy::No => false,
        };
        tracing::warn!(container = %self.id, "the container's supervisor died; it was ended");
        let is_gone = self.note_end(state).await;
        if !is_gone
            && restarts
            && let Err(error) = self.start().await
        {
            tracing::warn!(
                container = %self.id, error = errors::chain(&error),
                "cannot restart a container whose supervisor died"
            );
        }
        is_gone
    }

    fn forget_execs(&mut self) {
        for exec in &mut self.execs {
            if std::mem::take(&mut exec.is_running) {
                exec.exit_code.get_or_insert(137);
            }
        }
    }

    // Removal.

    async fn remove(&mut self, options: RemoveOptions) -> Result<(), RemoveError> {
        match decide(self.phase, Request::Remove { force: options.force }) {
            Ok(Decision::Go) => {}
            Ok(_) => {
                return Err(RemoveError::IsLive {
                    name: self.record.name.clone(),
                    phase: self.phase,
                });
            }
            Err(refusal) => return Err(refuse_removal(&self.view(), refusal)),
        }
        self.phase = Phase::Removing;
        self.publish();
        // Clients that wait for a start which never comes.
        self.waiting.clear();
        match remove::remove(&self.parts, &self.record, options.volumes).await {
            Ok(()) => {
                self.tell("destroy", []);
                self.parts.registry.remove(&self.id, &self.record.name);
                self.ends += 1;
                self.snapshot.send_modify(|snapshot| {
                    snapshot.is_gone = true;
                    snapshot.ends = self.ends;
                });
                Ok(())
            }
            Err(error) => {
                self.phase = Phase::Dead;
                self.record.phase = RecordedPhase::Removing;
                self.record.error = errors::chain(&error);
                self.record_later();
                self.publish();
                Err(error)
            }
        }
    }

    /// `--rm`: the container goes with its end, and so do its anonymous volumes.
    async fn remove_by_itself(&mut self) -> bool {
        let view = self.view();
        self.snapshot.send_modify(|snapshot| snapshot.view = Arc::new(view));
        match self.remove(RemoveOptions { force: false, volumes: true }).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(
                    container = %self.id, error = errors::chain(&error),
                    "cannot remove a container at its end"
                );
                self.ends += 1;
                self.publish();
                false
            }
        }
    }

    // Telling.

    /// Asks the shim for something.
    async fn call(
        &self,
        request: protocol::Request,
        descriptors: Vec<OwnedFd>,
    ) -> Result<Answer, ControlError> {
        self.converse(move |mut connection| {
            let borrowed: Vec<_> = descriptors.iter().map(|owned| owned.as_fd()).collect();
            connection.call(&request, &borrowed)
        })
        .await
    }

    /// Talks to the shim, on a thread that may block.
    async fn converse<T: Send + 'static>(
        &self,
        talk: impl FnOnce(shim::client::Connection) -> Result<T, CallError> + Send + 'static,
    ) -> Result<T, ControlError> {
        let id = self.id.to_string();
        let Some(link) = &self.link else { return Err(ControlError::NotRunning { id }) };
        let folder = link.folder.clone();
        let result = blocking(move || match shim::client::connect(&folder) {
            Ok(connection) => talk(connection).map_err(Unreachable::Call),
            Err(error) => Err(Unreachable::Connect(error)),
        })
        .await;
        result.map_err(|error| match error {
            Unreachable::Call(CallError::Failed(Failure {
                kind: FailureKind::WrongPhase, ..
            })) => ControlError::NotRunning { id },
            Unreachable::Call(CallError::Failed(failure)) => ControlError::Shim { failure },
            // It leaves with its container; the news of that is on its way.
            Unreachable::Connect(ConnectError::Gone { .. })
            | Unreachable::Call(CallError::Gone) => ControlError::NotRunning { id },
            Unreachable::Connect(source) => ControlError::ShimConnect { id, source },
            Unreachable::Call(source) => ControlError::ShimUnreachable { id, source },
        })
    }

    fn unexpected(&self, answer: &Answer) -> ControlError {
        ControlError::Invalid {
            reason: format!("the supervisor of container {} answered {answer:?}", self.id),
        }
    }

    fn record_later(&self) {
        self.parts.metadata.put_later(CONTAINERS, self.id.as_str(), self.record.encode());
    }

    fn view(&self) -> View {
        view_of(&self.parts, &self.id, &self.record, self.phase, self.link.as_ref(), &self.execs)
    }

    fn publish(&self) {
        let view = Arc::new(self.view());
        let execs: Arc<[ExecView]> = self.execs.as_slice().into();
        let ends = self.ends;
        self.snapshot.send_replace(Snapshot { view, execs, ends, is_gone: false });
    }

    /// Publishes an event about this container.
    fn tell<const N: usize>(&self, action: &str, attributes: [(&str, String); N]) {
        let mut all = self.record.event_attributes();
        all.extend(attributes.map(|(key, value)| (key.to_owned(), value)));
        self.parts.events.publish(ObjectKind::Container, action, self.id.as_str(), all);
    }

    fn tell_exec(&self, action: &str, spec: &ExecSpec, id: &str) {
        // With the trailing space of Docker's, which scripts that cut at `: ` know.
        let words = spec.arguments.join(" ");
        let program = spec.arguments.first().map_or("", String::as_str);
        let rest = words.strip_prefix(program).unwrap_or_default().trim_start();
        self.tell(&format!("{action}: {program} {rest}"), [("execID", id.to_owned())]);
    }

    /// Tells of the volumes and the network that a run takes or gives back.
    fn tell_resources(&self, volume_action: &str, network_action: &str) {
        let container = || ("container".to_owned(), self.id.to_string());
        if let super::spec::NetworkMode::Network(name) = &self.record.spec.network.mode
            && let Ok(info) = self.parts.networks.get(name)
        {
            let attributes = [
                container(),
                ("name".to_owned(), info.name.clone()),
                ("type".to_owned(), info.driver.clone()),
            ];
            self.parts.events.publish(
                ObjectKind::Network,
                network_action,
                info.id,
                attributes.into(),
            );
        }
        for mount in self.record.mounts.iter().filter(|mount| mount.kind == MountKind::Volume) {
            let mut attributes = BTreeMap::from([container()]);
            attributes.insert("driver".to_owned(), "local".to_owned());
            if volume_action == "mount" {
                attributes.insert("destination".to_owned(), mount.target.clone());
                attributes.insert("propagation".to_owned(), mount.propagation.clone());
                attributes.insert("read/write".to_owned(), mount.writable.to_string());
            }
            let name = mount.name.clone().unwrap_or_default();
            self.parts.events.publish(ObjectKind::Volume, volume_action, name, attributes);
        }
    }
}

/// Passes what a shim tells on to its container's owner, until the shim leaves.
///
/// A shim that is our child is reaped: it leaves right after its last word.
async fn forward(
    watch: shim::client::Watch,
    shim: Option<std::process::Child>,
    queue: mpsc::Sender<Message>,
    generation: u64,
) {
    let mut events = match super::wait::ShimEvents::new(watch) {
        Ok(events) => events,
        Err(error) => {
            tracing::error!(%error, "cannot watch a supervisor");
            return;
        }
    };
    while let Some(event) = events.next().await {
        // The container may be gone, and its owner with it.
        let _ = queue.send(Message::Shim { generation, event: Box::new(event) }).await;
    }
    if let Some(mut shim) = shim
        && let Err(error) = blocking(move || shim.wait()).await
    {
        tracing::warn!(%error, "cannot reap a supervisor");
    }
    let _ = queue.send(Message::ShimGone { generation }).await;
}

/// Runs what may block on a thread for that.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => panic!("a blocking task was cancelled: {error}"),
        },
    }
}

/// How an exec's stream is to be served.
fn exec_streams(
    spec: &ExecSpec,
    stream: Option<ClientStream>,
) -> Result<(Option<AttachOptions>, Vec<OwnedFd>), ExecError> {
    let Some(stream) = stream else { return Ok((None, Vec::new())) };
    let detach_keys = super::requests::detach_keys(spec.detach_keys.as_deref(), spec.terminal)
        .map_err(|reason| ControlError::Invalid { reason })?;
    let options = AttachOptions {
        stdin: spec.stdin,
        stdout: spec.stdout,
        stderr: spec.stderr,
        detach_keys,
        early_input: stream.early_input,
    };
    Ok((Some(options), vec![stream.socket]))
}

/// Whole seconds between start and end.
fn exec_duration(state: &protocol::State) -> i64 {
    match (state.started_at, state.finished_at) {
        (Some(start), Some(end)) => (end - start).max(0) / 1_000_000_000,
        _ => 0,
    }
}

pub(crate) fn timestamp(nanos: protocol::UnixNanos) -> Option<Timestamp> {
    Timestamp::from_nanosecond(i128::from(nanos)).ok()
}

fn refuse_control(id: &str, refusal: Refusal) -> ControlError {
    let id = id.to_owned();
    match refusal {
        Refusal::NotRunning | Refusal::IsLive => ControlError::NotRunning { id },
        Refusal::NotPaused => ControlError::NotPaused { id },
        Refusal::IsPaused => ControlError::IsPaused { id },
        Refusal::IsRestarting => ControlError::IsRestarting { id },
        Refusal::IsRemoving => ControlError::IsRemoving { id },
    }
}

fn refuse_removal(view: &View, refusal: Refusal) -> RemoveError {
    match refusal {
        Refusal::IsRemoving => RemoveError::InProgress { id: view.id.to_string() },
        Refusal::IsPaused => RemoveError::IsPaused { name: view.name.clone() },
        _ => RemoveError::IsLive { name: view.name.clone(), phase: view.state.phase },
    }
}

/// What everybody sees of a container now.
fn view_of(
    parts: &Parts,
    id: &ContainerId,
    record: &Record,
    phase: Phase,
    link: Option<&ShimLink>,
    execs: &[ExecView],
) -> View {
    let folder = parts.settings.container_folder(id);
    let snapshot = parts.settings.data_root.join("snapshots").join(id.as_str());
    View {
        id: id.clone(),
        name: record.name.clone(),
        created_at: record.created_at,
        image_id: record.image_id.clone(),
        image_name: record.image_name.clone(),
        spec: Arc::clone(&record.spec),
        document: Arc::clone(&record.document),
        state: StateView {
            phase,
            pid: link.map_or(0, |link| link.state.pid),
            exit_code: record.exit_code,
            oom_killed: record.oom_killed,
            error: record.error.clone(),
            started_at: record.started_at,
            finished_at: record.finished_at,
        },
        attachment: link.and_then(|link| link.attachment.clone()),
        network_namespace: link.and_then(|link| link.network_namespace.clone()),
        mounts: Arc::clone(&record.mounts),
        restart_count: record.restart_count,
        execs: execs.iter().map(|exec| exec.id.clone()).collect(),
        log_path: (record.spec.log.driver == "json-file").then(|| parts.settings.log_path(id)),
        hostname_path: folder.join("hostname"),
        hosts_path: folder.join("hosts"),
        resolv_conf_path: folder.join("resolv.conf"),
        upper_directory: snapshot.join("fs"),
        work_directory: snapshot.join("work"),
    }
}
