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

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use oci::runtime::LinuxResources;
use runtime::{Container, OutOfMemoryEvents};
use rustix::event::PollFlags;
use serde::Deserialize as _;
use serde_json::Value;
use shim::protocol::{
    Answer, AttachOptions, Event, ExecRequest, ExecState, Failure, FailureKind, Launch, Phase,
    Request, RestartPolicy, State, VERSION, What,
};

use crate::clock::unix_nanoseconds;
use crate::container::{self, internal};
use crate::control::{Asked, Control};
use crate::event_loop::{EventLoop, ProcessKey, Readiness, Token, Watched, key_after};
use crate::log::JsonLog;
use crate::record::Record;
use crate::restart::{End, Restarts};
use crate::stdio::{Client, ClientEvent, Stdio, open_null};

/// How long the output of an ended process is waited for while something else holds it open.
/// As long as Docker does.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// How long a client that has got everything may take to close its side.
const LEAVE_TIME: Duration = Duration::from_secs(1);

/// How long killed additional processes of an ended container may take to be gone.
const EXEC_DEATH_TIME: Duration = Duration::from_secs(1);

/// After a start, when the memory that only it needed is given back.
const TIDY_TIME: Duration = Duration::from_millis(500);

/// Ended additional processes that are remembered, for a daemon that was away.
const ENDED_EXECS_MAX: usize = 32;

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
    log: Option<JsonLog>,
    run: Option<Run>,
    execs: Vec<Exec>,
    next_key: ProcessKey,
    leaving: Vec<Leaving>,
    next_leaving: u32,
    kill_at: Option<Instant>,
    restart_at: Option<Instant>,
    tidy_at: Option<Instant>,
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
        launch: Launch,
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
            error: None,
            warnings: Vec::new(),
            restart_count: launch.restart_count,
            stop_requested: false,
            cgroup_paths: Vec::new(),
            execs: Vec::new(),
        };
        Self {
            events,
            control,
            policy: launch.restart,
            restarts: Restarts::after(launch.restart_count),
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
            tidy_at: None,
        }
    }

    /// Starts the container for the first time, with clients attached from the first byte,
    /// and answers the launcher. `false`: it did not start, and there is nothing to supervise.
    pub(crate) fn begin(
        &mut self,
        launcher: OwnedFd,
        attach: Vec<(AttachOptions, OwnedFd)>,
    ) -> bool {
        let outcome = self.open_log().and_then(|()| self.start(attach));
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
            self.control.answer(launcher, &answer, None);
            self.control.set_watching(launcher);
        }
        matches!(answer, Answer::Started(_))
    }

    fn open_log(&mut self) -> Result<(), Failure> {
        self.log = JsonLog::open(&self.launch.log).map_err(|error| Failure {
            kind: FailureKind::Internal,
            message: format!("failed to initialize logging driver: {error}"),
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
        self.state.error = None;
        if let Err(failure) = self.apply_updates(&container) {
            return Err(Box::new((container, failure)));
        }
        self.state.cgroup_paths = container.cgroup().paths();
        self.record();
        let watched = container::pidfd_of(&container).and_then(|pidfd| {
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
        let resources = parse_resources(&self.updates)?;
        let outcome = container.cgroup().update(&resources);
        outcome.map_err(|error| failure(FailureKind::Internal, &error))
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

    /// Supervises until the container has exited for good and every client has its output.
    pub(crate) fn run(mut self) -> io::Result<()> {
        while self.state.phase != Phase::Exited || !self.leaving.is_empty() {
            for (token, readiness) in self.events.wait(self.next_deadline())? {
                self.handle(token, readiness);
            }
            self.handle_deadlines();
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
                if let Some((stdio, log)) = self.stdio(key) {
                    stdio.output_ready(source, log);
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
        }
    }

    /// The streams of a process, and where they are logged: additional processes are not.
    fn stdio(&mut self, key: ProcessKey) -> Option<(&mut Stdio, Option<&mut JsonLog>)> {
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

    // The end of processes.

    fn first_process_ended(&mut self) {
        let Some(run) = self.run.as_mut().filter(|run| run.ended.is_none()) else { return };
        let Some(exit_code) = container::exit_code(run.process.as_fd()) else { return };
        // It stays readable for ever.
        let _ = run.process.want(None);
        run.ended = Some(Ended::now(exit_code));
        self.check_memory();
        let Some(run) = &mut self.run else { return };
        if !run.stdio.read_rest(self.log.as_mut()) {
            // Without a pid namespace of its own, the container's other processes live on.
            let _ = run.container.cgroup().kill_all();
        }
        self.finish_if_drained(ProcessKey::FIRST);
    }

    fn exec_ended(&mut self, key: ProcessKey) {
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

    fn finish_if_drained(&mut self, key: ProcessKey) {
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

    fn finish_exec(&mut self, index: usize) {
        let mut exec = self.execs.remove(index);
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
        let execs = &mut self.state.execs;
        let ended = execs.iter().filter(|exec| exec.exit_code.is_some()).count();
        let mut surplus = ended.saturating_sub(ENDED_EXECS_MAX);
        execs.retain(|exec| {
            let goes = exec.exit_code.is_some() && surplus > 0;
            surplus -= usize::from(goes);
            !goes
        });
    }

    /// A run is over, with its output.
    fn finish_run(&mut self) {
        let Some(mut run) = self.run.take() else { return };
        let ended = run.ended.unwrap_or_else(|| Ended::now(KILLED_EXIT_CODE));
        run.stdio.read_rest(self.log.as_mut());
        if let Some(log) = &mut self.log {
            log.finish();
        }
        self.take_leave_of(run.stdio.into_clients());
        delete(run.container);
        self.end_execs();
        self.kill_at = None;

        self.state.pid = 0;
        self.state.pid_start_ticks = 0;
        self.state.cgroup_paths.clear();
        self.state.exit_code = Some(ended.exit_code);
        self.state.finished_at = Some(ended.at);
        let end = End {
            exit_code: ended.exit_code,
            ran_for: run.began.elapsed(),
            stop_requested: self.state.stop_requested,
        };
        match self.restarts.decide(self.policy, end) {
            Some(pause) => {
                self.restart_at = Some(Instant::now() + pause);
                self.state.restart_count = self.restarts.count;
                self.state.phase = Phase::Restarting;
                self.record();
                self.tell(What::Exited);
            }
            None => self.exit(),
        }
    }

    /// The container has exited for good.
    fn exit(&mut self) {
        self.restart_at = None;
        self.state.phase = Phase::Exited;
        self.record();
        if let Err(error) = Control::remove_socket() {
            eprintln!("cannot remove the shim's socket: {error}");
        }
        // It is a lock as well, by which it is known that we are in charge. No longer.
        if let Ok(null) = open_null() {
            let _ = rustix::stdio::dup2_stderr(null);
        }
        // Whoever hears of the end may want the same host ports at once.
        self.held.clear();
        self.network_namespace = None;
        self.tell(What::Exited);
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

    fn restart(&mut self) {
        self.restart_at = None;
        match self.start(Vec::new()) {
            Ok(()) => self.tell(What::Started),
            // As in Docker: what cannot be started is not tried again.
            Err(failure) => {
                self.record_failed_start(&failure);
                self.exit();
            }
        }
    }

    fn check_memory(&mut self) {
        let Some(watch) = self.run.as_mut().and_then(|run| run.out_of_memory.as_mut()) else {
            return;
        };
        if watch.events.take().is_ok_and(|count| count > 0) {
            self.state.oom_killed = true;
            self.record();
            self.tell(What::OutOfMemory);
        }
    }

    // Clients that only get what is left for them.

    fn take_leave_of(&mut self, clients: Vec<Client>) {
        for mut client in clients {
            let Ok(false) = client.take_leave() else { continue };
            let number = self.next_leaving;
            self.next_leaving = self.next_leaving.wrapping_add(1);
            if client.set_leaving(number).is_ok() {
                self.leaving.push(Leaving { client, until: None });
                self.client_leaves(number);
            }
        }
    }

    fn client_leaves(&mut self, number: u32) {
        let Some(index) = self.leaving.iter().position(|left| left.client.number == number) else {
            return;
        };
        let leaving = &mut self.leaving[index];
        if leaving.client.take_leave() != Ok(false) {
            self.leaving.remove(index);
            return;
        }
        if !leaving.client.has_output_left() {
            leaving.until.get_or_insert_with(|| Instant::now() + LEAVE_TIME);
        }
        leaving.client.settle(true);
    }

    fn handle_deadlines(&mut self) {
        let now = Instant::now();
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            self.kill_everything();
        }
        if self.restart_at.is_some_and(|at| at <= now) {
            self.restart();
        }
        if self.tidy_at.is_some_and(|at| at <= now) {
            self.tidy();
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

    // What others ask.

    fn answer(&mut self, connection: u32, asked: Asked) {
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
            Request::Signal { signal, all } => self.signal(signal, all)?,
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
            return Ok(());
        }
        let run = self.live_run()?;
        linux::signals::send(run.container.pidfd(), signal).map_err(internal)?;
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

    fn stop(&mut self, signal: i32, grace: Option<Duration>) {
        self.state.stop_requested = true;
        if self.state.phase == Phase::Restarting {
            self.exit();
            return;
        }
        self.record();
        if let Some(run) = self.run.as_ref().filter(|run| run.ended.is_none()) {
            // It may be ending by itself.
            let _ = linux::signals::send(run.container.pidfd(), signal);
            // The signal first, so that it is the first thing that the process sees.
            self.thaw_if_paused();
            let kill_at = grace.and_then(|grace| Instant::now().checked_add(grace));
            self.kill_at = self.kill_at.into_iter().chain(kill_at).min();
        }
    }

    fn kill_everything(&mut self) {
        if let Some(run) = self.run.as_ref().filter(|run| run.ended.is_none()) {
            let _ = linux::signals::send(run.container.pidfd(), SIGKILL);
            if let Err(error) = run.container.cgroup().kill_all() {
                eprintln!("{}", errors::chain(&error));
            }
            self.thaw_if_paused();
        }
    }

    fn thaw_if_paused(&mut self) {
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
        let outcome = self.live_run()?.container.cgroup().freeze();
        outcome.map_err(|error| failure(FailureKind::Internal, &error))?;
        self.state.phase = Phase::Paused;
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
        run.container.cgroup().thaw().map_err(|error| failure(FailureKind::Internal, &error))?;
        self.state.phase = Phase::Running;
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
        let key = self.next_key;
        let (started, mut stdio) = container::exec(&run.container, key, request, &self.events)?;
        self.next_key = key_after(key);
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
                let cgroup = run.container.cgroup();
                let outcome = cgroup.update(&resources);
                // A new limit may have made a folder in another hierarchy.
                self.state.cgroup_paths = cgroup.paths();
                self.record();
                outcome.map_err(|error| failure(FailureKind::Internal, &error))?;
            }
            merge(&mut self.updates, update);
        }
        self.policy = restart.unwrap_or(self.policy);
        Ok(())
    }
}

fn parse_resources(resources: &Value) -> Result<LinuxResources, Failure> {
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

/// The exit code of a process that was killed.
const KILLED_EXIT_CODE: i32 = 128 + SIGKILL;

/// `SIGKILL`, which is 9 on every architecture.
const SIGKILL: i32 = 9;

fn failure(kind: FailureKind, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure { kind, message: errors::chain(error) }
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

/// Removes what is left of a container. The container is over all the same if that fails;
/// [`clean_up`](shim::client::clean_up) tries again.
fn delete(container: Container) {
    if let Err(error) = container.delete() {
        eprintln!("{}", errors::chain(&error));
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
