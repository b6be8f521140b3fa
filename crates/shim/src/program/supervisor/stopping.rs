//! Asking the container to end, and seeing to it that it does.

use std::time::{Duration, Instant};

use fail_points::{Point, pass};
use shim::protocol::{Phase, What};

use super::calls::Work;
use super::{SIGKILL, Supervisor};
use crate::hearing::{LOOK_INTERVAL, Program, is_deaf};

/// A stop signal that the first process cannot have heard.
#[derive(Debug)]
pub(super) struct Unheard {
    signal: i32,
    /// When to see whether it listens by now.
    pub(super) look_at: Instant,
}

/// A signal that is to end the first process.
#[derive(Debug, Clone, Copy)]
pub(super) struct StopSignal {
    signal: i32,
    /// Nobody could have heard it before it was sent.
    was_deaf: bool,
}

impl StopSignal {
    pub(super) fn signal(self) -> i32 {
        self.signal
    }
}

impl Supervisor {
    /// As somebody wishes: no restart.
    pub(super) fn stop(&mut self, signal: i32, grace: Option<Duration>) {
        self.state.stop_requested = true;
        if self.state.phase == Phase::Restarting {
            self.exit();
            return;
        }
        self.record();
        pass(Point::StopSignal);
        self.ask_to_end(signal, grace);
    }

    /// Sends a signal, and SIGKILL to every process once `grace` is over, or as soon as it is
    /// certain that nobody has heard the signal.
    pub(super) fn ask_to_end(&mut self, signal: i32, grace: Option<Duration>) {
        let Some(run) = self.run.as_ref().filter(|run| run.ended.is_none()) else { return };
        let pid = run.container.pid();
        // Who waits for ever may have reasons of their own.
        let may_be_unheard = grace.is_some_and(|grace| !grace.is_zero());
        let sent = StopSignal { signal, was_deaf: may_be_unheard && is_deaf(pid, signal) };
        // It may be ending by itself.
        let call = run.container.send(signal).unwrap_or_default();
        let kill_at = grace.and_then(|grace| Instant::now().checked_add(grace));
        self.kill_at = self.kill_at.into_iter().chain(kill_at).min();
        self.kill_is_news = signal != SIGKILL;
        match call {
            Some(call) => drop(self.await_call(None, Work::StopSignal(call, sent))),
            None => self.stop_signal_sent(sent),
        }
    }

    pub(super) fn stop_signal_sent(&mut self, StopSignal { signal, was_deaf }: StopSignal) {
        let Some(run) = self.run.as_ref().filter(|run| run.ended.is_none()) else { return };
        // Before and after: it was so when the signal came.
        if was_deaf && is_deaf(run.container.pid(), signal) {
            self.unheard = Some(Unheard { signal, look_at: Instant::now() });
        }
        // The signal first, so that it is the first thing that the process sees.
        if signal == SIGKILL {
            self.thaw_killed();
        } else {
            self.thaw_if_paused();
        }
        pass(Point::StopSignalled);
    }

    /// A signal was lost: sends it again to a process that listens by now, kills one that has
    /// had time enough to do so, and looks again later otherwise.
    pub(super) fn listen_for_hearing(&mut self, now: Instant) {
        let Some(Unheard { signal, .. }) = self.unheard.take() else { return };
        self.note_program();
        let Some(run) = self.run.as_ref().filter(|run| run.ended.is_none()) else { return };
        if !is_deaf(run.container.pid(), signal) {
            if let Ok(Some(call)) = run.container.send(signal) {
                self.await_call(None, Work::Signal(call, signal));
            }
        } else if self.program.is_some_and(|program| program.is_settled(now)) {
            self.state.unheard_stop_signal = Some(signal);
            self.end_the_wait();
        } else {
            self.unheard = Some(Unheard { signal, look_at: now + LOOK_INTERVAL });
        }
    }

    /// Remembers what the first process executes now, and since when it does.
    pub(super) fn note_program(&mut self) {
        if let Some(run) = self.run.as_ref().filter(|run| run.ended.is_none()) {
            self.program = Program::look(run.container.pid(), self.program, Instant::now());
        }
    }

    /// What was asked for has not come.
    pub(super) fn end_the_wait(&mut self) {
        self.kill_at = None;
        self.unheard = None;
        if self.run.as_ref().is_none_or(|run| run.ended.is_some()) {
            return;
        }
        self.kill_everything();
        if std::mem::take(&mut self.kill_is_news) {
            self.record();
            self.tell(What::Killed);
        }
    }

    fn kill_everything(&mut self) {
        if let Some(run) = self.run.as_ref().filter(|run| run.ended.is_none()) {
            let _ = run.container.send_directly(SIGKILL);
            if let Err(error) = run.container.cgroup().kill_all() {
                eprintln!("{}", errors::chain(&error));
            }
            self.thaw_killed();
            self.end_makings();
        }
    }
}
