//! The one that acts: it owns the container, and everything that happens comes to it.
//!
//! ```text
//!            start                   pause
//!  (launch) ───────▶ Running ◀────────────────▶ Paused
//!                    │  ▲           resume        │
//!               exit │  │ back-off is over        │ exit
//!                    ▼  │                         │
//!                 Restarting ◀────────────────────┤
//!                    │ stop                       │
//!                    ▼                            │
//!                  Exited ◀───────────────────────┘
//! ```
//!
//! An end has several steps, in an order that others rely on: the rest of the output is read
//! and the clients get it; the cgroups go; the state is written; for good, the socket goes;
//! and last of all the watchers are told. So whoever hears of the end can start the container
//! anew at once.

mod calls;
mod ends;
mod exec;
mod health;
mod leaving;
mod logging;
mod requests;
mod stopping;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use fail_points::{Point, pass, reach};
use runtime::OutOfMemoryEvents;
use rustix::event::PollFlags;
use serde_json::Value;
use shim::protocol::{
    Answer, AttachOptions, Event, Failure, FailureKind, Launch, Phase, RestartPolicy, State,
    VERSION, What,
};

use crate::clock::unix_nanoseconds;
use crate::container::{self, Container, internal};
use crate::control::Control;
use crate::event_loop::{EventLoop, ProcessKey, Readiness, Token, Watched, key_after};
use crate::health::Monitor;
use crate::hearing::Program;
use crate::log::Log;
use crate::made::SIGKILL;
use crate::record::Record;
use crate::restart::Restarts;
use crate::stdio::{Client, ClientEvent, Stdio};

use self::calls::Pending;
use self::stopping::Unheard;

/// How long the output of an ended process is waited for while something else holds it open.
/// As long as Docker does.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// How long a client that has got everything may take to close its side.
const LEAVE_TIME: Duration = Duration::from_secs(1);

/// How long killed additional processes of an ended container may take to be gone.
const EXEC_DEATH_TIME: Duration = Duration::from_secs(1);

/// After a start, when the memory that only it needed is given back.
const TIDY_TIME: Duration = Duration::from_millis(500);

/// Ended additional processes that are remembered for a daemon that was away,
const ENDED_EXECS_MAX: usize = 32;

/// and while there is none.
const UNTOLD_EXECS_MAX: usize = 1024;

/// The container and all that belongs to it.
#[derive(Debug)]
pub(crate) struct Supervisor {
    events: EventLoop,
    control: Control,
    launch: Launch,
    policy: RestartPolicy,
    network_namespace: Option<OwnedFd>,
    /// Kept open, and nothing else: sockets that reserve host ports.
    held: Vec<OwnedFd>,
    state: State,
    record: Record,
    restarts: Restarts,
    /// Limits that were changed since the start (an OCI `linux.resources` object), to be
    /// changed again after a restart.
    updates: Value,
    log: Option<Log>,
    run: Option<Run>,
    execs: Vec<Exec>,
    next_key: ProcessKey,
    leaving: Vec<Leaving>,
    next_leaving: u32,
    kill_at: Option<Instant>,
    restart_at: Option<Instant>,
    /// Since when a restart waits for another container, whose namespace it joins.
    joins_since: Option<Instant>,
    tidy_at: Option<Instant>,
    log_told_at: Option<Instant>,
    /// Until when the rest of the log is delivered, once the container has exited.
    deliver_until: Option<Instant>,
    /// Nothing without a health check.
    monitor: Option<Box<Monitor>>,
    /// What the first process executes, as it was last seen.
    program: Option<Program>,
    /// A stop signal that was lost, and may be heard yet.
    unheard: Option<Unheard>,
    /// Nobody asked for the SIGKILL that `kill_at` is about.
    kill_is_news: bool,
    /// However it ends, there is no restart.
    is_last_run: bool,
    /// This run ends because it was unhealthy, to be followed by another.
    restarts_for_health: bool,
    /// What another runtime than our own was asked for, and has not done yet.
    calls: Vec<Pending>,
    next_call: u32,
    /// Only with another runtime than our own.
    strangers_at: Option<Instant>,
}

/// One run of the container, from one start to the next.
#[derive(Debug)]
struct Run {
    container: Container,
    stdio: Stdio,
    process: Watched,
    out_of_memory: Option<OutOfMemory>,
    began: Instant,
    ended: Option<Ended>,
}

#[derive(Debug)]
struct OutOfMemory {
    events: OutOfMemoryEvents,
    _watched: Watched,
}

/// An additional process.
#[derive(Debug)]
struct Exec {
    id: String,
    key: ProcessKey,
    process: Watched,
    stdio: Stdio,
    ended: Option<Ended>,
}

/// A process has ended; its outputs perhaps have not.
#[derive(Debug, Clone, Copy)]
struct Ended {
    exit_code: i32,
    at: i64,
    drain_until: Instant,
}

impl Ended {
    fn now(exit_code: i32) -> Self {
        Self { exit_code, at: unix_nanoseconds(), drain_until: Instant::now() + DRAIN_TIME }
    }
}

/// A client that only gets what is left for it.
#[derive(Debug)]
struct Leaving {
    client: Client,
    /// When it is closed although it has not closed; not before it has everything.
    until: Option<Instant>,
}

impl Supervisor {
    /// Makes the socket. The container follows with [`Supervisor::begin`].
    pub(crate) fn new(
        events: EventLoop,
        control: Control,
        record: Record,
        mut launch: Launch,
        network_namespace: Option<OwnedFd>,
        held: Vec<OwnedFd>,
    ) -> Self {
        let state = State {
            version: VERSION,
            phase: Phase::Starting,
            shim_pid: rustix::process::getpid().as_raw_nonzero().get(),
            pid: 0,
            pid_start_ticks: 0,
            started_at: None,
            finished_at: None,
            exit_code: None,
            oom_killed: false,
            memory_peak: None,
            error: None,
            warnings: Vec::new(),
            restart_count: launch.restart_count,
            stop_requested: false,
            cgroup_paths: Vec::new(),
            log_entries_lost: 0,
            execs: Vec::new(),
            health: None,
            probe: None,
            unheard_stop_signal: None,
        };
        Self {
            events,
            control,
            policy: launch.restart,
            restarts: Restarts::after(launch.restart_count),
            monitor: launch.health.take().map(|check| Box::new(Monitor::new(check))),
            program: None,
            unheard: None,
            kill_is_news: false,
            is_last_run: false,
            restarts_for_health: false,
            launch,
            network_namespace,
            held,
            state,
            record,
            updates: Value::Null,
            log: None,
            run: None,
            execs: Vec::new(),
            next_key: key_after(ProcessKey::FIRST),
            leaving: Vec::new(),
            next_leaving: 0,
            kill_at: None,
            restart_at: None,
            joins_since: None,
            tidy_at: None,
            log_told_at: None,
            deliver_until: None,
            calls: Vec::new(),
            next_call: 0,
            strangers_at: None,
        }
    }

    /// Starts the container for the first time, with clients attached from the first byte,
    /// and answers the launcher. `false`: it did not start, and there is nothing to supervise.
    pub(crate) fn begin(
        &mut self,
        launcher: OwnedFd,
        attach: Vec<(AttachOptions, OwnedFd)>,
    ) -> bool {
        let outcome = self
            .open_log()
            .and_then(|()| reach(Point::StartLog).map_err(internal))
            .and_then(|()| self.start(attach));
        // A launcher that is gone is no reason not to run: the next daemon finds us.
        let launcher = self.control.add(launcher, &self.events).ok();
        let answer = match outcome {
            Ok(()) => Answer::Started(self.state.clone()),
            Err(failure) => {
                self.record_failed_start(&failure);
                // Before the answer, so that a next try finds nothing in its way.
                let _ = Control::remove_socket();
                Answer::Failed(failure)
            }
        };
        if let Some(launcher) = launcher {
            pass(Point::StartExecuted);
            self.control.answer(launcher, &answer, None);
            pass(Point::StartAnswered);
            self.control.set_watching(launcher);
        }
        matches!(answer, Answer::Started(_))
    }

    fn open_log(&mut self) -> Result<(), Failure> {
        self.log = Log::open(&self.launch.log, &self.events).map_err(|error| Failure {
            kind: FailureKind::Internal,
            message: format!(
                "failed to create task for container: failed to initialize logging driver: \
                 {error}"
            ),
        })?;
        Ok(())
    }

    /// One start: the first, or one after a back-off.
    fn start(&mut self, attach: Vec<(AttachOptions, OwnedFd)>) -> Result<(), Failure> {
        let network_namespace = self.network_namespace.as_ref().map(|fd| fd.as_fd());
        let (container, stdio) = container::create(&self.launch, network_namespace, &self.events)?;
        let mut run = match self.prepare(container, stdio) {
            Ok(run) => run,
            Err(refused) => {
                let (container, failure) = *refused;
                delete(container);
                return Err(failure);
            }
        };
        for (options, stream) in attach {
            // A client that cannot be attached is closed, which it notices.
            let _ = run.stdio.attach(&options, stream, &self.events);
        }
        if let Err(failure) = container::start(&mut run.container) {
            self.take_leave_of(run.stdio.into_clients());
            delete(run.container);
            return Err(failure);
        }
        run.began = Instant::now();
        self.state.phase = Phase::Running;
        self.state.exit_code = None;
        self.state.started_at = Some(unix_nanoseconds());
        self.state.warnings = run.container.warnings().to_vec();
        self.run = Some(run);
        self.begin_health();
        self.strangers_at = self.launch.runtime.as_ref().map(|_| Instant::now());
        self.record();
        self.tidy_later();
        Ok(())
    }

    /// Makes a created container known on disk, so that it can be cleaned up should we be
    /// killed, and waits for its end from now on.
    fn prepare(
        &mut self,
        container: Container,
        stdio: Stdio,
    ) -> Result<Run, Box<(Container, Failure)>> {
        let pid = container.pid().as_raw_nonzero().get();
        self.state.phase = Phase::Starting;
        self.state.pid = pid;
        self.state.pid_start_ticks = shim::process::start_ticks(pid).unwrap_or_default();
        self.state.oom_killed = false;
        self.state.memory_peak = None;
        self.state.error = None;
        self.state.unheard_stop_signal = None;
        self.program = None;
        if let Err(failure) = self.apply_updates(&container) {
            return Err(Box::new((container, failure)));
        }
        self.state.cgroup_paths = container.cgroup().paths();
        self.record();
        let watched = reach(Point::StartSupervised)
            .and_then(|()| container::pidfd_of(&container))
            .and_then(|pidfd| {
                let token = Token::Process(ProcessKey::FIRST);
                Ok(self.events.watch(pidfd, token, Some(Readiness::IN))?)
            });
        match watched {
            Ok(process) => {
                let out_of_memory = self.watch_memory(&container);
                let began = Instant::now();
                Ok(Run { container, stdio, process, out_of_memory, began, ended: None })
            }
            Err(error) => Err(Box::new((container, internal(error)))),
        }
    }

    fn apply_updates(&self, container: &Container) -> Result<(), Failure> {
        if self.updates.is_null() {
            return Ok(());
        }
        let resources = requests::parse_resources(&self.updates)?;
        match container.update(&resources)? {
            Some(call) => call.wait().map_err(|error| error.with_prefix("")),
            None => Ok(()),
        }
    }

    /// Without these events the container runs as well; only nobody hears why it died.
    fn watch_memory(&self, container: &Container) -> Option<OutOfMemory> {
        let events = container.cgroup().out_of_memory_events().ok().flatten()?;
        let wanted = if events.poll_flags().contains(PollFlags::PRI) {
            Readiness::PRI
        } else {
            Readiness::IN
        };
        let copy = rustix::io::fcntl_dupfd_cloexec(&events, 3).ok()?;
        let watched = self.events.watch(copy, Token::OutOfMemory, Some(wanted)).ok()?;
        Some(OutOfMemory { events, _watched: watched })
    }

    fn record_failed_start(&mut self, failure: &Failure) {
        self.state.phase = Phase::Exited;
        self.state.pid = 0;
        self.state.cgroup_paths.clear();
        self.state.finished_at = Some(unix_nanoseconds());
        self.state.exit_code = Some(container::exit_code_of_failure(failure.kind));
        self.state.error = Some(failure.message.clone());
        self.record();
    }

    /// Supervises until the container has exited for good, and every client has its output and
    /// the log its end.
    pub(crate) fn run(mut self) -> io::Result<()> {
        while self.state.phase != Phase::Exited || !self.leaving.is_empty() || self.must_deliver() {
            for (token, readiness) in self.events.wait(self.next_deadline())? {
                self.handle(token, readiness);
            }
            self.handle_deadlines();
            self.settle_log();
            if self.state.phase == Phase::Exited {
                // Clients may stay on for long. Nobody should wait for them.
                self.control.close_all();
            }
        }
        if let Some(log) = self.log {
            log.close();
        }
        Ok(())
    }

    fn next_deadline(&self) -> Option<Instant> {
        let run = self.run.iter().filter_map(|run| run.ended.as_ref());
        let execs = self.execs.iter().filter_map(|exec| exec.ended.as_ref());
        run.chain(execs)
            .map(|ended| ended.drain_until)
            .chain(self.leaving.iter().filter_map(|leaving| leaving.until))
            .chain(self.kill_at)
            .chain(self.restart_at)
            .chain(self.tidy_at)
            .chain(self.log_deadlines())
            .chain(self.unheard.as_ref().map(|unheard| unheard.look_at))
            .chain(self.monitor.as_ref().and_then(|monitor| monitor.next_deadline()))
            .chain(self.strangers_at)
            .chain(self.calls.iter().map(Pending::deadline))
            .min()
    }

    fn handle(&mut self, token: Token, readiness: Readiness) {
        match token {
            Token::Listener => self.control.accept(&self.events),
            Token::Connection(number) => {
                for asked in self.control.ready(number, readiness) {
                    self.answer(number, asked);
                }
            }
            Token::Process(ProcessKey::FIRST) => self.first_process_ended(),
            Token::Process(key) => self.exec_ended(key),
            Token::OutOfMemory => self.check_memory(),
            Token::Output(key, source) => {
                let is_busy =
                    self.stdio(key).is_some_and(|(stdio, log)| stdio.output_ready(source, log));
                if is_busy {
                    self.tidy_later();
                }
                self.finish_if_drained(key);
            }
            Token::Input(key) => {
                if let Some((stdio, _)) = self.stdio(key) {
                    stdio.input_ready();
                }
            }
            Token::Client(key, number) => {
                let told = self
                    .stdio(key)
                    .map_or_else(Vec::new, |(stdio, _)| stdio.client_ready(number, readiness));
                self.client_events(key, &told);
            }
            Token::Leaving(number) => self.client_leaves(number),
            Token::Log => {
                if let Some(log) = &mut self.log {
                    log.ready(readiness);
                }
            }
            Token::Probe(number) => self.probe_ready(number),
            Token::ProbeOutput(number) => self.probe_output_ready(number),
            Token::Call(number) => self.call_ended(number),
        }
    }

    /// The streams of a process, and where they are logged: additional processes are not.
    fn stdio(&mut self, key: ProcessKey) -> Option<(&mut Stdio, Option<&mut Log>)> {
        if key == ProcessKey::FIRST {
            return Some((&mut self.run.as_mut()?.stdio, self.log.as_mut()));
        }
        let exec = self.execs.iter_mut().find(|exec| exec.key == key)?;
        Some((&mut exec.stdio, None))
    }

    fn client_events(&mut self, key: ProcessKey, told: &[ClientEvent]) {
        if let Some((stdio, _)) = self.stdio(key) {
            let dismissed = stdio.take_dismissed();
            self.take_leave_of(dismissed);
        }
        let exec = self.execs.iter().find(|exec| exec.key == key).map(|exec| exec.id.clone());
        for ClientEvent::Detached in told {
            self.tell(What::Detached { exec: exec.clone() });
        }
    }

    fn handle_deadlines(&mut self) {
        let now = Instant::now();
        if self.kill_at.is_some_and(|at| at <= now) {
            self.end_the_wait();
        }
        if self.unheard.as_ref().is_some_and(|unheard| unheard.look_at <= now) {
            self.listen_for_hearing(now);
        }
        if self.restart_at.is_some_and(|at| at <= now) {
            self.restart();
        }
        if self.tidy_at.is_some_and(|at| at <= now) {
            self.tidy();
        }
        if let Some(log) = &mut self.log {
            log.handle_deadline(now);
        }
        self.look_after_health(now);
        self.end_late_calls(now);
        if self.strangers_at.is_some_and(|at| at <= now) {
            self.reap_strangers();
        }
        self.leaving.retain(|leaving| leaving.until.is_none_or(|until| until > now));
        let is_late = |ended: Option<Ended>| ended.is_some_and(|ended| ended.drain_until <= now);
        while let Some(index) = self.execs.iter().position(|exec| is_late(exec.ended)) {
            self.finish_exec(index);
        }
        if self.run.as_ref().is_some_and(|run| is_late(run.ended)) {
            self.finish_run();
        }
    }

    /// Something large was done, and what it took is to be given back once there is time: many
    /// containers are over before that.
    fn tidy_later(&mut self) {
        self.tidy_at = Some(Instant::now() + TIDY_TIME);
    }

    fn tidy(&mut self) {
        self.tidy_at = None;
        self.rest_log();
        self.note_program();
        linux::resident::trim_heap();
        // It only saves memory: nothing is lost if it fails.
        let _ = linux::resident::release_program();
    }

    // Telling others.

    fn record(&mut self) {
        if let Err(error) = self.record.write(&self.state) {
            // It matters only to those who come after our death.
            eprintln!("cannot write the container's state: {error}");
        }
    }

    fn tell(&mut self, what: What) {
        self.control.tell(&Event { what, state: self.state.clone() });
    }
}

/// The exit code of a process that was killed.
const KILLED_EXIT_CODE: i32 = 128 + SIGKILL;

fn failure(kind: FailureKind, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure { kind, message: errors::chain(error) }
}

/// Removes what is left of a container. The container is over all the same if that fails;
/// [`clean_up`](shim::client::clean_up) tries again.
fn delete(container: Container) {
    if let Err(failure) = container.delete() {
        eprintln!("{}", failure.message);
    }
}
