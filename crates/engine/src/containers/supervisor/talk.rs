//! Talking with a container's shim.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use shim::client::{CallError, ConnectError, LAUNCH_DEADLINE};
use shim::protocol::{self, Answer, Failure, FailureKind};
use tokio::sync::mpsc;

use super::super::errors::ControlError;
use super::super::handle::Message;
use super::Supervisor;
use super::execs::KILLED_EXIT_CODE;

/// Why a shim did not do as asked.
enum Unreachable {
    Connect(ConnectError),
    Call(CallError),
}

impl Supervisor {
    /// Asks the shim for something.
    pub(super) async fn call(
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
    pub(super) async fn converse<T: Send + 'static>(
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
            Unreachable::Call(CallError::Failed(Failure {
                kind: FailureKind::Unsupported,
                ..
            })) => ControlError::OtherBuild { id },
            Unreachable::Call(CallError::Failed(failure)) => ControlError::Shim { failure },
            // It leaves with its container; the news of that is on its way.
            Unreachable::Connect(ConnectError::Gone { .. })
            | Unreachable::Call(CallError::Gone) => ControlError::NotRunning { id },
            Unreachable::Connect(source) => ControlError::ShimConnect { id, source },
            Unreachable::Call(source) => ControlError::ShimUnreachable { id, source },
        })
    }

    pub(super) fn unexpected(&self, answer: &Answer) -> ControlError {
        ControlError::Invalid {
            reason: format!("the supervisor of container {} answered {answer:?}", self.id),
        }
    }
}

/// Between two tries to hear from a shim that does not answer.
const SILENCE_PAUSE: Duration = Duration::from_millis(500);

impl Supervisor {
    /// Hears what the shim tells from now on.
    pub(super) fn follow(&self, watch: Option<shim::client::Watch>) {
        match watch {
            Some(watch) => {
                tokio::spawn(forward(watch, self.queue.clone(), self.generation));
            }
            None => self.watch_again(),
        }
    }

    /// Tries to hear from a shim that lives but does not answer, until it does or is dead.
    pub(super) fn watch_again(&self) {
        let Some(link) = &self.link else { return };
        // One that starts its container answers after that, and all that is asked waits for it.
        let pause = if self.is_unstarted() { Duration::ZERO } else { SILENCE_PAUSE };
        tokio::spawn(find_again(link.folder.clone(), self.queue.clone(), self.generation, pause));
        if self.is_unstarted() {
            tokio::spawn(tell_late_start(self.queue.clone(), self.generation));
        }
    }

    /// A start that is not wanted any more, or that takes for ever, ends with its shim.
    pub(super) async fn kill_starting_shim(&self) {
        let Some(link) = &self.link else { return };
        let folder = link.folder.clone();
        if let Err(error) = blocking(move || shim::client::kill(&folder)).await {
            tracing::error!(container = %self.id, %error, "cannot end a supervisor");
        }
    }

    /// A shim answers again. It may have come to its end meanwhile; `true` if the container is
    /// gone by that.
    pub(super) async fn hear_again(
        &mut self,
        state: protocol::State,
        watch: shim::client::Watch,
    ) -> bool {
        tracing::info!(container = %self.id, "the container's supervisor answers again");
        if state.phase == protocol::Phase::Exited && state.never_ran() {
            return self.undo_start(&state).await;
        }
        if state.phase == protocol::Phase::Exited {
            return self.note_end(state).await;
        }
        for exec in &state.execs {
            self.readopt_exec(exec);
        }
        if self.is_unstarted() {
            self.note_first_state(state);
        } else {
            self.note_missed(state);
        }
        self.follow(Some(watch));
        false
    }
}

impl Supervisor {
    /// What a shim could not tell: executions that have ended, and another run.
    fn note_missed(&mut self, state: protocol::State) {
        for exec in self.execs.iter_mut().filter(|exec| exec.is_running) {
            if !state.execs.iter().any(|known| known.id == exec.id.as_str()) {
                // With what exit code nobody knows any more.
                exec.end(KILLED_EXIT_CODE);
            }
        }
        let began = self.record.started_at;
        // Once another run has begun, nobody knows it any more.
        let exit_code = state.exit_code.map(|code| ("exitCode", code.to_string()));
        self.note_state(state);
        if self.record.started_at != began {
            self.ends += 1;
            self.tell("die", exit_code);
            self.tell("start", []);
            self.publish();
        }
    }
}

/// Asks a shim for its events until it answers, or is dead.
async fn find_again(
    folder: PathBuf,
    queue: mpsc::Sender<Message>,
    generation: u64,
    mut pause: Duration,
) {
    loop {
        tokio::time::sleep(pause).await;
        pause = SILENCE_PAUSE;
        let place = folder.clone();
        let found = blocking(move || {
            let connection = shim::client::connect(&place).map_err(drop)?;
            connection.watch().map_err(drop)
        })
        .await;
        let message = match found {
            Ok((state, watch)) => Message::Watched { generation, state: Box::new(state), watch },
            Err(()) if shim::client::is_alive(&folder) && !queue.is_closed() => continue,
            Err(()) => Message::ShimGone { generation },
        };
        // The container may be gone, and its owner with it.
        let _ = queue.send(message).await;
        return;
    }
}

/// What can be known of a shim's container without the shim: what it wrote down last.
pub(crate) fn silent_state(folder: &Path) -> protocol::State {
    shim::client::last_state(folder).ok().flatten().unwrap_or_else(protocol::State::starting)
}

/// Gives a start that an earlier engine began as long as this engine would give its own.
async fn tell_late_start(queue: mpsc::Sender<Message>, generation: u64) {
    tokio::time::sleep(LAUNCH_DEADLINE).await;
    // The container may be gone, and its owner with it.
    let _ = queue.send(Message::StartLate { generation }).await;
}

/// Passes what a shim tells on to its container's owner, until the shim leaves.
pub(super) async fn forward(
    watch: shim::client::Watch,
    queue: mpsc::Sender<Message>,
    generation: u64,
) {
    let mut events = match super::super::wait::ShimEvents::new(watch) {
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

pub(crate) fn timestamp(nanos: protocol::UnixNanos) -> Option<Timestamp> {
    Timestamp::from_nanosecond(i128::from(nanos)).ok()
}
