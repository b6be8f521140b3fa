//! The end of processes: of additional ones, of a run, and of the container for good.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use fail_points::{Point, pass};
use shim::past_runs::{PastRun, note_past_run};
use shim::protocol::{Failure, Phase, What};

use super::calls::Work;
use super::{
    ENDED_EXECS_MAX, EXEC_DEATH_TIME, Ended, KILLED_EXIT_CODE, Supervisor, UNTOLD_EXECS_MAX,
    container, delete,
};
use crate::container::Container;
use crate::control::Control;
use crate::event_loop::ProcessKey;
use crate::joins::{self, Renewal};
use crate::restart::End;
use crate::stdio::{Stdio, open_null};

/// A run that is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Over {
    ended: Ended,
    ran_for: Duration,
}

impl Supervisor {
    pub(super) fn first_process_ended(&mut self) {
        let Some(run) = self.run.as_mut().filter(|run| run.ended.is_none()) else { return };
        let Some(exit_code) = container::exit_code(run.process.as_fd()) else { return };
        pass(Point::StopEnded);
        // It stays readable for ever.
        let _ = run.process.want(None);
        run.ended = Some(Ended::now(exit_code));
        self.check_memory();
        self.suspend_health();
        let Some(run) = &mut self.run else { return };
        if !run.stdio.read_rest(self.log.as_mut()) {
            // Without a pid namespace of its own, the container's other processes live on.
            let _ = run.container.cgroup().kill_all();
        }
        self.finish_if_drained(ProcessKey::FIRST);
    }

    pub(super) fn exec_ended(&mut self, key: ProcessKey) {
        let Some(exec) = self.execs.iter_mut().find(|exec| exec.key == key) else { return };
        if exec.ended.is_some() {
            return;
        }
        let Some(exit_code) = container::exit_code(exec.process.as_fd()) else { return };
        let _ = exec.process.want(None);
        exec.ended = Some(Ended::now(exit_code));
        exec.stdio.read_rest(None);
        self.finish_if_drained(key);
    }

    pub(super) fn finish_if_drained(&mut self, key: ProcessKey) {
        let is_over = |ended: Option<Ended>, stdio: &Stdio| ended.is_some() && stdio.is_drained();
        if key == ProcessKey::FIRST {
            if self.run.as_ref().is_some_and(|run| is_over(run.ended, &run.stdio)) {
                self.finish_run();
            }
        } else if let Some(index) = self.execs.iter().position(|exec| exec.key == key)
            && is_over(self.execs[index].ended, &self.execs[index].stdio)
        {
            self.finish_exec(index);
        }
    }

    pub(super) fn finish_exec(&mut self, index: usize) {
        let mut exec = self.execs.remove(index);
        pass(Point::ExecEnded);
        let exit_code = exec.ended.map_or(KILLED_EXIT_CODE, |ended| ended.exit_code);
        exec.stdio.read_rest(None);
        self.take_leave_of(exec.stdio.into_clients());
        for known in self.state.execs.iter_mut().filter(|known| known.id == exec.id) {
            known.exit_code = Some(exit_code);
        }
        self.forget_old_execs();
        self.record();
        self.tell(What::ExecExited { id: exec.id, exit_code });
    }

    fn forget_old_execs(&mut self) {
        let is_told = self.control.has_watchers();
        let kept = if is_told { ENDED_EXECS_MAX } else { UNTOLD_EXECS_MAX };
        let execs = &mut self.state.execs;
        let ended = execs.iter().filter(|exec| exec.exit_code.is_some()).count();
        let mut surplus = ended.saturating_sub(kept);
        execs.retain(|exec| {
            let goes = exec.exit_code.is_some() && surplus > 0;
            surplus -= usize::from(goes);
            !goes
        });
    }

    /// A run is over, with its output.
    pub(super) fn finish_run(&mut self) {
        let Some(mut run) = self.run.take() else { return };
        let ended = run.ended.unwrap_or_else(|| Ended::now(KILLED_EXIT_CODE));
        run.stdio.read_rest(self.log.as_mut());
        if let Some(log) = &mut self.log {
            log.finish();
        }
        self.take_leave_of(run.stdio.into_clients());
        if self.state.oom_killed || ended.exit_code == KILLED_EXIT_CODE {
            // Its cgroup is the only one that knows, and goes now.
            self.state.memory_peak = memory_peak(&run.container);
        }
        self.give_up_calls(|_| true);
        pass(Point::StopDelete);
        let over = Over { ended, ran_for: run.began.elapsed() };
        match run.container.ask_to_delete() {
            Some(call) => drop(self.await_call(None, Work::Delete(call, run.container, over))),
            None => {
                delete(run.container);
                self.run_deleted(over);
            }
        }
    }

    /// Nothing is left of a run: what comes next?
    pub(super) fn run_deleted(&mut self, Over { ended, ran_for }: Over) {
        pass(Point::StopDeleted);
        self.end_execs();
        self.end_health();
        self.kill_at = None;
        self.unheard = None;
        self.kill_is_news = false;

        self.state.pid = 0;
        self.state.pid_start_ticks = 0;
        self.state.cgroup_paths.clear();
        self.state.exit_code = Some(ended.exit_code);
        self.state.finished_at = Some(ended.at);
        let end = End {
            exit_code: ended.exit_code,
            ran_for,
            stop_requested: self.state.stop_requested || self.is_last_run,
        };
        let pause = if std::mem::take(&mut self.restarts_for_health) && !end.stop_requested {
            Some(self.restarts.again(end))
        } else {
            self.restarts.decide(self.policy, end)
        };
        match pause {
            Some(pause) => {
                self.restart_at = Some(Instant::now() + pause);
                self.state.restart_count = self.restarts.count;
                self.state.phase = Phase::Restarting;
                self.note_past_run();
                self.record();
                self.tell(What::Exited);
            }
            None => self.exit(),
        }
    }

    /// For a daemon that is away: the state is only about the last run.
    fn note_past_run(&self) {
        let state = &self.state;
        let (Some(started_at), Some(finished_at)) = (state.started_at, state.finished_at) else {
            return;
        };
        let exit_code = state.exit_code.unwrap_or_default();
        let restarts = state.restart_count;
        let run = PastRun { restarts, started_at, finished_at, exit_code };
        if let Err(error) = note_past_run(Path::new("."), run) {
            eprintln!("cannot write down a run: {error}");
        }
    }

    /// The container has exited for good.
    pub(super) fn exit(&mut self) {
        self.restart_at = None;
        self.end_log();
        self.state.phase = Phase::Exited;
        self.record();
        pass(Point::StopRecorded);
        if let Err(error) = Control::remove_socket() {
            eprintln!("cannot remove the shim's socket: {error}");
        }
        pass(Point::StopSocket);
        // It is a lock as well, by which it is known that we are in charge. No longer.
        if let Ok(null) = open_null() {
            let _ = rustix::stdio::dup2_stderr(null);
        }
        // Whoever hears of the end may want the same host ports at once.
        self.held.clear();
        self.network_namespace = None;
        self.tell(What::Exited);
        pass(Point::StopTold);
    }

    /// Additional processes do not outlive the container.
    fn end_execs(&mut self) {
        let deadline = Instant::now() + EXEC_DEATH_TIME;
        while let Some(exec) = self.execs.last_mut() {
            if exec.ended.is_none() {
                let exit_code = shim::process::end(exec.process.as_fd(), deadline)
                    .then(|| container::exit_code(exec.process.as_fd()))
                    .flatten();
                exec.ended = Some(Ended::now(exit_code.unwrap_or(KILLED_EXIT_CODE)));
            }
            self.finish_exec(self.execs.len() - 1);
        }
    }

    pub(super) fn restart(&mut self) {
        self.restart_at = None;
        pass(Point::RestartDue);
        let exit_code = self.state.exit_code;
        match self.renew_joins() {
            Ok(Renewal::Done) => {}
            Ok(Renewal::NotYet(_)) => {
                self.restart_at = Some(Instant::now() + joins::PAUSE);
                return;
            }
            Err(failure) => {
                self.record_failed_start(&failure);
                // As in Docker: nothing was tried, so the last end is the one that counts.
                self.state.exit_code = exit_code;
                return self.exit();
            }
        }
        match self.start(Vec::new()) {
            Ok(()) => {
                pass(Point::RestartStarted);
                self.tell(What::Started);
            }
            // As in Docker: what cannot be started is not tried again.
            Err(failure) => {
                self.record_failed_start(&failure);
                self.exit();
            }
        }
    }

    /// Finds the namespaces of other containers that the next run joins.
    fn renew_joins(&mut self) -> Result<Renewal, Failure> {
        let since = self.joins_since.take().unwrap_or_else(Instant::now);
        match joins::renew(&self.launch.joins)? {
            Renewal::NotYet(failure) if joins::is_too_late(since) => Err(failure),
            Renewal::NotYet(failure) => {
                self.joins_since = Some(since);
                Ok(Renewal::NotYet(failure))
            }
            Renewal::Done => Ok(Renewal::Done),
        }
    }

    pub(super) fn check_memory(&mut self) {
        let Some(watch) = self.run.as_mut().and_then(|run| run.out_of_memory.as_mut()) else {
            return;
        };
        if watch.events.take().is_ok_and(|count| count > 0) {
            self.state.oom_killed = true;
            self.record();
            self.tell(What::OutOfMemory);
        }
    }
}

/// The most memory that the container used at once, in bytes, where its cgroup counts that.
fn memory_peak(container: &Container) -> Option<u64> {
    container.cgroup().statistics().ok()?.memory.used_max
}
