//! What happens to a container by itself: what its shim tells of it, and its going.

use std::sync::Arc;

use fail_points::{Point, pass};
use shim::protocol::{self, What};

use super::super::errors::RemoveError;
use super::super::handle::{Message, refuse_removal};
use super::super::lifecycle::{Decision, Request, decide};
use super::super::record::RecordedPhase;
use super::super::requests::RemoveOptions;
use super::super::spec::RestartPolicy;
use super::super::view::Phase;
use super::super::{remove, restore, start};
use super::{Supervisor, blocking, health};
use crate::metadata::CONTAINERS;

/// Why the first process was sent SIGKILL before its time was over, in events.
const UNHEARD: &str = "process 1 does not hear the stop signal";

impl Supervisor {
    /// Takes an event of the shim's; `true` if the container is gone by it.
    pub(super) async fn heed(&mut self, event: protocol::Event) -> bool {
        match event.what {
            What::ExecExited { id, exit_code } => {
                if let Some(exec) = self.exec(&id) {
                    exec.end(exit_code);
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
                if self.is_unstarted() {
                    self.note_first_state(event.state);
                // The answer to the first start has told this already.
                } else if self.phase == Phase::Restarting {
                    self.note_state(event.state);
                    self.tell("start", []);
                }
            }
            What::Exited => return self.note_end(event.state).await,
            What::Paused | What::Resumed | What::LogEntriesLost | What::Other => {
                self.note_state(event.state);
            }
            What::Killed => self.note_kill(event.state),
            What::ProbeStarted => self.note_probe(&event.state),
            What::ProbeEnded => self.note_probe(&event.state),
            What::HealthChanged => self.note_health(event.state),
            What::HealthActionTaken => self.note_health_action(event.state),
        }
        false
    }

    /// Everything was sent SIGKILL, since the signal that asked for the end was in vain.
    fn note_kill(&mut self, state: protocol::State) {
        let reason = end_reason(&state, false);
        self.note_state(state);
        let kill = rustix::process::Signal::KILL.as_raw();
        let signal = ("signal", kill.to_string());
        let reason = reason.map(|reason| ("reason", reason.to_owned()));
        self.tell("kill", [signal].into_iter().chain(reason));
    }

    /// A run that an earlier engine began has begun indeed.
    pub(super) fn note_first_state(&mut self, state: protocol::State) {
        self.record.was_stopped = false;
        self.note_state(state);
        self.note_start();
    }

    pub(super) fn note_state(&mut self, state: protocol::State) {
        self.adopt_state(&state);
        if let Some(link) = &mut self.link {
            link.state = state;
        }
        self.publish();
    }

    /// The process has ended; `true` if the container goes with it.
    pub(super) async fn note_end(&mut self, state: protocol::State) -> bool {
        pass(Point::StopHeard);
        self.forget_execs();
        tracing::debug!(
            container = %self.id, exit_code = state.exit_code, "a container's process has ended"
        );
        let is_final = state.phase == protocol::Phase::Exited;
        let was_unstarted = self.is_unstarted();
        self.adopt_state(&state);
        if was_unstarted {
            self.note_start();
        }
        let mut attributes = vec![
            ("execDuration", exec_duration(&state).to_string()),
            ("exitCode", self.record.exit_code.to_string()),
        ];
        let is_unhealthy = self.health_action.take().is_some();
        if let Some(reason) = end_reason(&state, is_unhealthy) {
            attributes.push(("reason", reason.to_owned()));
        }
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
        pass(Point::StopReleased);
        if std::mem::take(&mut self.is_stopping) {
            self.tell("stop", []);
        }
        self.tell("die", attributes);
        if self.record.spec.remove_at_end && !std::mem::take(&mut self.is_restarting) {
            return self.remove_by_itself().await;
        }
        self.record_end();
        self.ends += 1;
        self.publish();
        false
    }

    /// Lets go of what a run held: its addresses and ports. Its run folder stays until it is on
    /// record how the run ended: until then the folder is what the next engine knows it from.
    async fn release(&mut self) {
        if self.let_go().await {
            self.tell_resources("unmount", "disconnect");
        }
    }

    /// As [`release`](Self::release), of a run that nobody was told of; `false` if there was none.
    async fn let_go(&mut self) -> bool {
        self.generation += 1;
        if self.link.take().is_none() {
            return false;
        }
        start::disconnect(&self.parts, &self.id).await;
        if self.parts.volumes.has_mounted(&self.record.mounts) {
            let (parts, mounts) = (Arc::clone(&self.parts), Arc::clone(&self.record.mounts));
            let id = self.id.clone();
            blocking(move || parts.volumes.release(&mounts, id.as_str())).await;
        }
        true
    }

    /// Records the end, and removes the run folder once that is on the disk.
    fn record_end(&self) {
        let (parts, queue) = (Arc::clone(&self.parts), self.queue.clone());
        let (id, record) = (self.id.clone(), self.record.encode());
        let generation = self.generation;
        tokio::spawn(async move {
            let recorded = parts.metadata.put(CONTAINERS, id.as_str(), record).await;
            pass(Point::StopRecordedEnd);
            match recorded {
                // The container may have been removed meanwhile, with its folder.
                Ok(()) => drop(queue.send(Message::EndRecorded { generation }).await),
                Err(error) => tracing::error!(
                    container = %id, error = errors::chain(&error), "cannot record an end"
                ),
            }
        });
    }

    /// Removes the run folder of a run whose end is on record, unless a new run has it.
    pub(super) async fn tidy(&self) {
        let (parts, id) = (Arc::clone(&self.parts), self.id.clone());
        blocking(move || start::remove_run_folder_of(&parts, &id)).await;
        pass(Point::StopTidied);
    }

    /// The shim is gone without a word: so is the container, and somebody has to say so.
    pub(super) async fn bury_shim(&mut self) -> bool {
        let Some(link) = &self.link else { return false };
        let Some(state) = start::clean_up_after(&link.folder, link.state.clone()).await else {
            self.watch_again();
            return false;
        };
        if state.never_ran() {
            return self.undo_start(&state).await;
        }
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

    /// A start that an earlier engine began has come to nothing: the container is what it was.
    pub(super) async fn undo_start(&mut self, state: &protocol::State) -> bool {
        let has_failed = state.phase == protocol::Phase::Exited;
        tracing::warn!(
            container = %self.id, has_failed, error = state.error,
            "a start that an earlier daemon began has come to nothing"
        );
        self.let_go().await;
        self.tidy().await;
        self.record.note_failed_start(state);
        self.record_later();
        self.ends += 1;
        self.publish();
        if restore::removes_itself(&self.record) || has_failed && self.record.spec.remove_at_end {
            return self.remove_by_itself().await;
        }
        if !has_failed
            && restore::wants_restart(&self.record)
            && let Err(error) = self.start().await
        {
            tracing::warn!(
                container = %self.id, error = errors::chain(&error), "cannot start a container"
            );
        }
        false
    }

    pub(super) async fn remove(&mut self, options: RemoveOptions) -> Result<(), RemoveError> {
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
                tracing::debug!(container = %self.id, "a container was removed");
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
    pub(super) async fn remove_by_itself(&mut self) -> bool {
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
}

/// Why a container ended that did not do so by itself, for those who read its events.
fn end_reason(state: &protocol::State, is_unhealthy: bool) -> Option<&'static str> {
    match state.unheard_stop_signal {
        Some(_) => Some(UNHEARD),
        None => is_unhealthy.then_some(health::UNHEALTHY),
    }
}

/// Whole seconds between start and end.
fn exec_duration(state: &protocol::State) -> i64 {
    match (state.started_at, state.finished_at) {
        (Some(start), Some(end)) => (end - start).max(0) / 1_000_000_000,
        _ => 0,
    }
}
