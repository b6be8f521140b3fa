//! A handle on a container: sends requests to its owner, and reads what that publishes.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, mpsc, oneshot, watch};

use super::errors::{ControlError, ExecError, LookupError, RemoveError, StartError};
use super::files::{FILES_PATIENCE, FilesLock};
use super::lifecycle::{Decision, Refusal, Request, decide};
use super::requests::{
    AttachStreams, ClientStream, Outcome, ProcessTable, RemoveOptions, StopOptions, Stopped,
    UpdateContainer,
};
use super::view::{Phase, View};
use super::{ContainerId, blocking, stuck, top, users};
use crate::exec::{ExecId, ExecSpec, ExecView};
use shim::protocol;

/// How long a process may take to end after SIGKILL before it is reported as stuck: only one
/// in an uninterruptible sleep does.
///
/// With Docker's grace of 10 s before it, whoever stops such a container hears so within 30 s.
pub(super) const KILL_PATIENCE: Duration = Duration::from_secs(15);

/// How long a request may wait for its turn and its answer, behind whatever its container's owner
/// does meanwhile. Longer than any of the owner's own waits but a start's and a removal's.
const TURN_PATIENCE: Duration = Duration::from_secs(25);

/// How long somebody who wants to see a container waits for its shim's word.
const REFRESH_PATIENCE: Duration = Duration::from_secs(2);

/// How often a removal by force ends a container that somebody else starts again meanwhile.
const REMOVAL_TRIES_MAX: u32 = 5;

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
    /// Held by whoever has its file system mounted while it does not run.
    files: FilesLock,
    /// Held by whoever has paused it to commit it.
    commit: Arc<tokio::sync::Mutex<()>>,
    doing: Doing,
}

/// What a container's owner does now, for whoever waits for it in vain.
#[derive(Debug, Clone, Default)]
pub(super) struct Doing(Arc<Mutex<Option<&'static str>>>);

impl Doing {
    pub(super) fn set(&self, doing: Option<&'static str>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = doing;
    }

    fn now(&self) -> &'static str {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or("served in turn")
    }
}

/// A request with the place for its answer.
#[derive(Debug)]
pub(super) enum Message {
    Start {
        reply: Reply<Outcome, StartError>,
    },
    /// Answered once the end is asked for; `None` if it has ended already.
    Stop {
        options: StopOptions,
        /// A start follows.
        is_restart: bool,
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
    /// Forgets the link of this alias.
    Unlink {
        alias: String,
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
    /// Asks the shim how the execs are, ahead of its events.
    RefreshExecs {
        reply: Reply<Vec<String>, ControlError>,
    },
    /// Asks the shim what the last health checks found.
    RefreshHealth {
        reply: Reply<(), ControlError>,
    },
    Restarted,
    /// The end that a restart waited for did not come in time.
    RestartGivenUp,
    /// How a run ended is on the disk.
    EndRecorded {
        generation: u64,
    },
    Shim {
        generation: u64,
        event: Box<protocol::Event>,
    },
    ShimGone {
        generation: u64,
    },
    /// A start that an earlier engine began has had as long as a start may take.
    StartLate {
        generation: u64,
    },
    /// A shim that had not answered does.
    Watched {
        generation: u64,
        state: Box<protocol::State>,
        watch: shim::client::Watch,
    },
}

impl Message {
    /// What happens to the container meanwhile, as in "it is being …".
    pub(super) fn doing(&self) -> &'static str {
        match self {
            Self::Start { .. } => "started",
            Self::Stop { .. } | Self::End { .. } => "stopped",
            Self::Signal { .. } => "signalled",
            Self::Pause { .. } => "paused",
            Self::Unpause { .. } => "unpaused",
            Self::Remove { .. } => "removed",
            Self::StartExec { .. } => "entered by an additional process",
            Self::Shim { .. } | Self::ShimGone { .. } | Self::Watched { .. } => "cleaned up after",
            _ => "asked something else",
        }
    }
}

pub(super) type Reply<T, E> = oneshot::Sender<Result<T, E>>;

/// An end that was asked for: it has come once the snapshot counts more than `ends_before`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    pub(super) ends_before: u64,
    /// `None`: however long it takes.
    pub(super) patience: Option<Duration>,
}

impl Container {
    pub(super) fn new(
        id: ContainerId,
        queue: mpsc::Sender<Message>,
        snapshot: watch::Receiver<Snapshot>,
        doing: Doing,
    ) -> Self {
        Self { id, queue, snapshot, doing, files: FilesLock::default(), commit: Arc::default() }
    }

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
    ///
    /// What may become of it depends on a start that an earlier engine began, if there is one:
    /// that is waited for, but by whoever wants the container's end.
    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Option<T> {
        self.await_begun_start().await;
        self.ask_now(message).await
    }

    /// Waits until it is clear what becomes of a start that an earlier engine began.
    pub(super) async fn await_begun_start(&self) {
        let mut snapshot = self.snapshot();
        // An error means that the container is gone.
        let _ = snapshot.wait_for(|now| !now.view.state.is_starting || now.is_gone).await;
    }

    async fn ask_now<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Option<T> {
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
        self.in_time(self.ask(message)).await
    }

    async fn in_time<T>(
        &self,
        asked: impl Future<Output = Option<Result<T, ControlError>>>,
    ) -> Result<T, ControlError> {
        match tokio::time::timeout(TURN_PATIENCE, asked).await {
            Ok(answer) => answer.unwrap_or_else(|| Err(self.gone().into())),
            Err(_) => Err(ControlError::Busy {
                id: self.id.to_string(),
                seconds: TURN_PATIENCE.as_secs(),
                doing: self.doing.now(),
            }),
        }
    }

    /// Waits until nobody has its files mounted.
    pub(crate) async fn lock_files(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.files).lock_owned().await
    }

    /// Waits until nobody commits it with a pause.
    pub(crate) async fn lock_commit(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.commit).lock_owned().await
    }

    pub(crate) async fn start(&self) -> Result<Outcome, StartError> {
        let files = tokio::time::timeout(FILES_PATIENCE, self.lock_files()).await;
        let _files = files.map_err(|_| StartError::FilesInUse {
            id: self.id.to_string(),
            seconds: FILES_PATIENCE.as_secs(),
        })?;
        self.ask(|reply| Message::Start { reply }).await.unwrap_or_else(|| Err(self.gone().into()))
    }

    pub(crate) async fn stop(&self, options: StopOptions) -> Result<Stopped, ControlError> {
        self.stop_for(options, false).await
    }

    async fn stop_for(
        &self,
        options: StopOptions,
        is_restart: bool,
    ) -> Result<Stopped, ControlError> {
        let asked = self.ask_control(|reply| Message::Stop { options, is_restart, reply }).await?;
        let Some(ending) = asked else {
            return Ok(Stopped { outcome: Outcome::AlreadyThere, unheard_signal: None });
        };
        self.await_end(ending).await?;
        // Also of one that went with its end.
        let unheard_signal = self.view().state.unheard_stop_signal;
        Ok(Stopped { outcome: Outcome::Changed, unheard_signal })
    }

    pub(crate) async fn restart(&self, options: StopOptions) -> Result<Stopped, ControlError> {
        let stopped = match self.stop_for(options, true).await {
            Ok(stopped) => stopped,
            Err(error) => {
                // It ends as any other, whenever it does.
                let _ = self.queue.send(Message::RestartGivenUp).await;
                return Err(error);
            }
        };
        self.start().await?;
        // The event only; the container may have gone again by now.
        let _ = self.queue.send(Message::Restarted).await;
        Ok(stopped)
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

    pub(crate) async fn unlink(&self, alias: &str) -> Result<(), ControlError> {
        let alias = alias.to_owned();
        self.ask_control(|reply| Message::Unlink { alias, reply }).await
    }

    pub(crate) async fn update(&self, update: UpdateContainer) -> Result<(), ControlError> {
        self.ask_control(|reply| Message::Update { update: Box::new(update), reply }).await
    }

    pub(crate) async fn remove(&self, options: RemoveOptions) -> Result<(), RemoveError> {
        for _ in 1..REMOVAL_TRIES_MAX {
            match self.try_remove(options).await {
                // It was started between its end, if that was asked for, and its removal.
                Err(RemoveError::IsLive { .. }) if options.force => {}
                done => return done,
            }
        }
        self.try_remove(options).await
    }

    async fn try_remove(&self, options: RemoveOptions) -> Result<(), RemoveError> {
        let view = self.view();
        let decision = decide(view.state.phase, Request::Remove { force: options.force })
            .map_err(|refusal| refuse_removal(&view, refusal))?;
        if decision == Decision::EndFirst || options.force && view.state.is_starting {
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
        match self.in_time(self.ask_now(|reply| Message::End { reply })).await {
            Ok(Some(ending)) => self.await_end(ending).await,
            Ok(None) | Err(ControlError::Lookup(LookupError::NotFound { .. })) => Ok(()),
            Err(error) => Err(error),
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
                what: stuck::what_holds(self.view().state.pid),
            }),
        }
    }

    pub(crate) fn check_attach(&self, named: &str) -> Result<Arc<View>, ControlError> {
        let view = self.view();
        match view.state.phase {
            Phase::Paused => Err(ControlError::AttachPaused { named: named.to_owned() }),
            Phase::Removing | Phase::Dead => {
                Err(ControlError::IsRemoving { id: view.id.to_string() })
            }
            Phase::Restarting => Err(ControlError::AttachRestarting { named: named.to_owned() }),
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

    pub(crate) async fn create_exec(
        &self,
        named: &str,
        spec: ExecSpec,
    ) -> Result<ExecId, ExecError> {
        if spec.arguments.is_empty() {
            return Err(ExecError::NoCommand);
        }
        self.check_user(&spec).await?;
        let created = self.ask_control(|reply| Message::CreateExec { spec, reply }).await;
        created.map_err(|error| match error {
            ControlError::IsPaused { .. } => ControlError::IsPaused { id: named.to_owned() }.into(),
            other => other.into(),
        })
    }

    /// Somebody whom the container does not know is refused early.
    async fn check_user(&self, spec: &ExecSpec) -> Result<(), ControlError> {
        let view = self.view();
        let Some(user) = spec.user.clone().filter(|_| view.state.phase == Phase::Running) else {
            return Ok(());
        };
        let pid = view.state.pid;
        let checked = blocking(move || users::check(pid, &user)).await;
        checked.map_err(|reason| ControlError::Invalid { reason })
    }

    pub(crate) fn exec_view(&self, id: &str) -> Result<ExecView, ExecError> {
        let snapshot = self.snapshot.borrow();
        let exec = snapshot.execs.iter().find(|exec| exec.id.as_str() == id);
        exec.cloned().ok_or_else(|| ExecError::NotFound { id: id.to_owned() })
    }

    /// As it is, and not as it was told to be last: a client that has seen an exec's stream
    /// end asks for its exit code sooner than the news of it gets here.
    pub(crate) async fn current_exec_view(&self, id: &str) -> Result<ExecView, ExecError> {
        // Not `is_running`: a short one may have ended before its start is noted here, and
        // the question waits behind that start.
        if self.exec_view(id)?.exit_code.is_some() {
            return self.exec_view(id);
        }
        // Without its container it has ended, and the news of that has come first.
        if let Ok(running) = self.ask_control(|reply| Message::RefreshExecs { reply }).await
            && !running.iter().any(|other| other == id)
        {
            let mut snapshot = self.snapshot();
            let is_told = |now: &Snapshot| {
                !now.execs.iter().any(|exec| exec.id.as_str() == id && exec.is_running)
            };
            // The shim has told of its end; that may wait behind what others ask.
            let _ = tokio::time::timeout(TURN_PATIENCE, snapshot.wait_for(is_told)).await;
        }
        self.exec_view(id)
    }

    /// As it is, and not as it was told to be last: the shim tells of a health check only what
    /// has changed by it.
    pub(crate) async fn current_view(&self) -> Arc<View> {
        let view = self.view();
        if view.spec.health.is_some() && view.state.phase.is_live() {
            let refresh = self.ask_control(|reply| Message::RefreshHealth { reply });
            // Without its container nothing has changed since; and where somebody else keeps the
            // owner busy, what is known must do.
            let _ = tokio::time::timeout(REFRESH_PATIENCE, refresh).await;
        }
        self.view()
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

pub(super) fn refuse_control(id: &str, refusal: Refusal) -> ControlError {
    let id = id.to_owned();
    match refusal {
        Refusal::NotRunning | Refusal::IsLive => ControlError::NotRunning { id },
        Refusal::NotPaused => ControlError::NotPaused { id },
        Refusal::IsPaused => ControlError::IsPaused { id },
        Refusal::IsRestarting => ControlError::IsRestarting { id },
        Refusal::IsRemoving => ControlError::IsRemoving { id },
    }
}

pub(super) fn refuse_removal(view: &View, refusal: Refusal) -> RemoveError {
    match refusal {
        Refusal::IsRemoving => RemoveError::InProgress { id: view.id.to_string() },
        Refusal::IsPaused => RemoveError::IsPaused { name: view.name.clone() },
        _ => RemoveError::IsLive { name: view.name.clone(), phase: view.state.phase },
    }
}
