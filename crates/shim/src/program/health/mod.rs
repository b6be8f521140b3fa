//! Looking after a container's health: when to probe, and what it comes to.
//!
//! [`decide`] has the rules. [`Monitor`] runs the probes, one at a time and without ever waiting
//! for one: what it hears from the event loop moves the present probe on. What should be known
//! outside comes back as [`News`].

mod command;
mod connection;
mod decide;
mod duration;
mod http;
mod output;

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use crate::container::Container;
use shim::health::{Health, HealthAction, HealthCheck, HealthStatus, LOG_LENGTH_MAX, Probe};
use shim::health::{ProbeResult, Target};
use shim::protocol::UnixNanos;

use self::command::{Command, CommandProbe, Tokens};
use self::connection::{ConnectionProbe, Networks, Outcome, Progress};
use self::decide::{Finding, decide};
use crate::clock::unix_nanoseconds;
use crate::container;
use crate::event_loop::{EventLoop, Token, Watched};

/// The exit code of a probe that came to no end.
const NO_EXIT_CODE: i32 = -1;

/// The exit code that an unhealthy connection stands for.
const UNHEALTHY_EXIT_CODE: i32 = 1;

/// Exit code of what was killed.
const KILLED_EXIT_CODE: i32 = 137;

/// Something that whoever watches should hear of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    ProbeStarted {
        id: String,
    },
    ProbeEnded {
        id: String,
        exit_code: i32,
    },
    StatusChanged,
    /// It has failed too often: time to act.
    LastStraw,
}

/// What a probe needs of the container's present run.
pub(crate) struct Surroundings<'a> {
    pub container_id: &'a str,
    pub container: &'a Container,
    /// `None`: the container has one of its own making, or the host's.
    pub network_namespace: Option<&'a OwnedFd>,
    pub events: &'a EventLoop,
    pub health: &'a mut Health,
}

/// Looks after one container's health, over all its runs.
#[derive(Debug)]
pub(crate) struct Monitor {
    check: HealthCheck,
    /// Found when first needed, and forgotten with the run.
    networks: Option<Networks>,
    began: Instant,
    next_at: Option<Instant>,
    probe: Option<Running>,
    /// Killed, but not gone yet.
    killed: Vec<Killed>,
    number: u32,
}

/// A probe on its way.
#[derive(Debug)]
struct Running {
    /// What an outsider knows it by, if it is a process.
    id: Option<String>,
    since: Since,
    deadline: Instant,
    kind: Kind,
}

/// When a probe began.
#[derive(Debug, Clone, Copy)]
struct Since {
    at: UnixNanos,
    age: Duration,
}

#[derive(Debug)]
enum Kind {
    Command(Box<CommandProbe>),
    Connection(Box<ConnectionProbe>),
}

#[derive(Debug)]
struct Killed {
    number: u32,
    id: String,
    process: Watched,
}

impl Running {
    /// When the process has to be made.
    fn making_deadline(&self) -> Option<Instant> {
        match &self.kind {
            Kind::Command(probe) => probe.deadline(),
            Kind::Connection(_) => None,
        }
    }
}

impl Monitor {
    pub(crate) fn new(check: HealthCheck) -> Self {
        Self {
            check,
            networks: None,
            began: Instant::now(),
            next_at: None,
            probe: None,
            killed: Vec::new(),
            number: 0,
        }
    }

    pub(crate) fn check(&self) -> &HealthCheck {
        &self.check
    }

    /// What is known at the start of a run: nothing but what was found in earlier ones.
    pub(crate) fn health_at_start(&mut self, earlier: Option<Health>) -> Health {
        let (log, last_action) = match earlier {
            Some(earlier) => (earlier.log, earlier.last_action),
            None => (std::mem::take(&mut self.check.log), None),
        };
        Health { status: HealthStatus::Starting, failing_streak: 0, log, last_action }
    }

    /// A run begins.
    pub(crate) fn begin(&mut self, health: &Health) {
        self.began = Instant::now();
        self.resume(health);
    }

    /// Goes on after a [`suspend`](Self::suspend).
    pub(crate) fn resume(&mut self, health: &Health) {
        let now = Instant::now();
        self.next_at = now.checked_add(self.pause(now, health));
    }

    /// Looks no more. As in Docker, what nobody looks at counts as unhealthy.
    pub(crate) fn suspend(&mut self, health: &mut Health) {
        self.next_at = None;
        health.status = HealthStatus::Unhealthy;
        if let Some(probe) = self.probe.take() {
            self.kill(probe);
        }
    }

    /// The run is over, and so are its probes; whoever is killed should be gone by `deadline`.
    pub(crate) fn end(&mut self, health: &mut Health, deadline: Instant) -> Vec<News> {
        self.suspend(health);
        self.networks = None;
        let killed = std::mem::take(&mut self.killed);
        let ended = killed.into_iter().map(|killed| {
            let is_gone = shim::process::await_end(&killed.process, deadline);
            let exit_code = is_gone.then(|| container::exit_code(killed.process.as_fd())).flatten();
            News::ProbeEnded { id: killed.id, exit_code: exit_code.unwrap_or(KILLED_EXIT_CODE) }
        });
        ended.collect()
    }

    /// When [`due`](Self::due) has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let of_probe = |probe: &Running| {
            probe.making_deadline().map_or(probe.deadline, |at| at.min(probe.deadline))
        };
        self.probe.as_ref().map(of_probe).or(self.next_at)
    }

    /// Whether another runtime's program makes a probe's process.
    pub(crate) fn is_making(&self) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.making_deadline().is_some())
    }

    /// Does what it is time for.
    pub(crate) fn due(&mut self, now: Instant, around: &mut Surroundings<'_>) -> Vec<News> {
        if let Some(late) = self.probe.take_if(|probe| probe.deadline <= now) {
            return self.time_out(late, around.health);
        }
        let making = self.probe.as_ref().and_then(Running::making_deadline);
        if making.is_some_and(|at| at <= now) {
            return self.ready(self.number, around);
        }
        if self.probe.is_none() && self.next_at.is_some_and(|at| at <= now) {
            self.next_at = None;
            return self.start(now, around);
        }
        Vec::new()
    }

    fn start(&mut self, now: Instant, around: &mut Surroundings<'_>) -> Vec<News> {
        self.number = self.number.wrapping_add(1);
        let since = Since { at: unix_nanoseconds(), age: now.duration_since(self.began) };
        let (target, path) = match &self.check.probe {
            Probe::Command { .. } => return self.execute(since, around),
            Probe::Tcp { target } => (*target, None),
            Probe::Http { target, path } => (*target, Some(path.clone())),
        };
        self.connect(target, path.as_deref(), since, around)
    }

    fn execute(&mut self, since: Since, around: &mut Surroundings<'_>) -> Vec<News> {
        let Probe::Command { process, user, additional_groups } = &self.check.probe else {
            return Vec::new();
        };
        if !self.killed.is_empty() {
            let output = "an earlier health check has been killed, and has not ended yet";
            return self.note(around.health, since, NO_EXIT_CODE, output.to_owned());
        }
        let id = match command::random_id() {
            Ok(id) => id,
            Err(error) => {
                return self.note(around.health, since, NO_EXIT_CODE, error.to_string());
            }
        };
        let mut news = vec![News::ProbeStarted { id: id.clone() }];
        let command = Command {
            container_id: around.container_id,
            process,
            user: user.as_deref(),
            additional_groups,
        };
        let (end, output) = (Token::Probe(self.number), Token::ProbeOutput(self.number));
        let tokens = Tokens { end, output };
        match CommandProbe::begin(command, around.container, around.events, tokens) {
            Ok(probe) => {
                let kind = Kind::Command(Box::new(probe));
                self.probe = Some(self.running(Some(id), since, kind));
            }
            Err(failure) => {
                news.extend(self.note(around.health, since, NO_EXIT_CODE, failure.message));
            }
        }
        news
    }

    fn connect(
        &mut self,
        target: Target,
        path: Option<&str>,
        since: Since,
        around: &mut Surroundings<'_>,
    ) -> Vec<News> {
        if self.networks.is_none() {
            match find_networks(around) {
                Ok(networks) => self.networks = Some(networks),
                Err(error) => {
                    return self.note(around.health, since, NO_EXIT_CODE, error.to_string());
                }
            }
        }
        let Some(networks) = &self.networks else { return Vec::new() };
        let token = Token::Probe(self.number);
        match ConnectionProbe::begin(target, path, networks, around.events, token) {
            Progress::Over(outcome) => self.note_connection(around.health, since, outcome),
            Progress::Pending(probe) => {
                let kind = Kind::Connection(Box::new(probe));
                self.probe = Some(self.running(None, since, kind));
                Vec::new()
            }
        }
    }

    fn running(&self, id: Option<String>, since: Since, kind: Kind) -> Running {
        // From here on: what it takes us to begin is no fault of the container's.
        let now = Instant::now();
        let deadline = now.checked_add(self.check.timeout).unwrap_or(now + FAR_AWAY);
        Running { id, since, deadline, kind }
    }

    /// A probe's process has ended, or its socket is ready.
    pub(crate) fn ready(&mut self, number: u32, around: &mut Surroundings<'_>) -> Vec<News> {
        if let Some(index) = self.killed.iter().position(|killed| killed.number == number) {
            return self.reap(index);
        }
        if number != self.number {
            return Vec::new();
        }
        let Some(Running { id, since, deadline, kind }) = self.probe.take() else {
            return Vec::new();
        };
        match kind {
            Kind::Command(probe) => {
                let id = id.unwrap_or_default();
                match probe.go_on(around.events, Token::Probe(number)) {
                    command::Progress::Ended { exit_code, output } => {
                        let ended = News::ProbeEnded { id, exit_code };
                        let found = self.note(around.health, since, exit_code, output);
                        [ended].into_iter().chain(found).collect()
                    }
                    command::Progress::Failed(failure) => {
                        self.note(around.health, since, NO_EXIT_CODE, failure.message)
                    }
                    command::Progress::Pending(probe) => {
                        let kind = Kind::Command(probe);
                        self.probe = Some(Running { id: Some(id), since, deadline, kind });
                        Vec::new()
                    }
                }
            }
            Kind::Connection(probe) => {
                let Some(networks) = &self.networks else { return Vec::new() };
                match probe.go_on(networks, around.events, Token::Probe(number)) {
                    Progress::Over(outcome) => self.note_connection(around.health, since, outcome),
                    Progress::Pending(probe) => {
                        let kind = Kind::Connection(Box::new(probe));
                        self.probe = Some(Running { id, since, deadline, kind });
                        Vec::new()
                    }
                }
            }
        }
    }

    /// A probe has said something.
    pub(crate) fn output_ready(&mut self, number: u32) {
        if let Some(Running { kind: Kind::Command(probe), .. }) = &mut self.probe
            && number == self.number
        {
            probe.read();
        }
    }

    fn reap(&mut self, index: usize) -> Vec<News> {
        let Some(exit_code) = container::exit_code(self.killed[index].process.as_fd()) else {
            return Vec::new();
        };
        let killed = self.killed.remove(index);
        vec![News::ProbeEnded { id: killed.id, exit_code }]
    }

    fn time_out(&mut self, probe: Running, health: &mut Health) -> Vec<News> {
        let since = probe.since;
        let mut message =
            format!("Health check exceeded timeout ({})", duration::text(self.check.timeout));
        let output = self.kill(probe);
        if !output.is_empty() {
            message.push_str(": ");
            message.push_str(&output);
        }
        self.note(health, since, NO_EXIT_CODE, message)
    }

    /// Makes an end of a probe, and hands back what it has said.
    fn kill(&mut self, probe: Running) -> String {
        match probe.kind {
            Kind::Command(command) => {
                let (output, process) = command.kill();
                let id = probe.id.unwrap_or_default();
                let killed = process.map(|process| Killed { number: self.number, id, process });
                self.killed.extend(killed);
                output
            }
            Kind::Connection(connection) => connection.so_far().to_owned(),
        }
    }

    fn note_connection(
        &mut self,
        health: &mut Health,
        since: Since,
        outcome: Outcome,
    ) -> Vec<News> {
        let exit_code = if outcome.is_healthy { 0 } else { UNHEALTHY_EXIT_CODE };
        self.note(health, since, exit_code, outcome.output)
    }

    /// Takes a result down, and plans the next probe.
    fn note(
        &mut self,
        health: &mut Health,
        since: Since,
        exit_code: i32,
        output: String,
    ) -> Vec<News> {
        let finding = Finding { is_healthy: exit_code == 0, age: since.age };
        let decision = decide(&self.check, health, finding);
        let has_changed = health.status != decision.status;
        health.status = decision.status;
        health.failing_streak = decision.failing_streak;
        if health.log.len() >= LOG_LENGTH_MAX {
            health.log.drain(..=health.log.len() - LOG_LENGTH_MAX);
        }
        let result = ProbeResult { start: since.at, end: unix_nanoseconds(), exit_code, output };
        health.log.push(result);
        self.resume(health);
        let acts = decision.is_the_last_straw && self.check.action != HealthAction::None;
        let changed = has_changed.then_some(News::StatusChanged);
        changed.into_iter().chain(acts.then_some(News::LastStraw)).collect()
    }

    fn pause(&self, now: Instant, health: &Health) -> Duration {
        decide::pause(&self.check, health.status, now.duration_since(self.began))
    }
}

/// A deadline that does not fit the clock is none.
const FAR_AWAY: Duration = Duration::from_secs(86_400 * 365);

fn find_networks(around: &Surroundings<'_>) -> std::io::Result<Networks> {
    let containers = match around.network_namespace {
        Some(namespace) => namespace.try_clone()?,
        None => container::network_namespace_of(around.container.pid().as_raw_nonzero().get())?,
    };
    Networks::of(containers)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A check with Docker's defaults.
    pub(crate) fn check() -> HealthCheck {
        HealthCheck {
            probe: Probe::Tcp { target: Target { address: None, port: 80 } },
            interval: Duration::from_secs(30),
            start_interval: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            start_period: Duration::ZERO,
            retries: 3,
            action: HealthAction::None,
            stop_signal: 15,
            stop_grace: Some(Duration::from_secs(10)),
            log: Vec::new(),
        }
    }

    #[test]
    fn the_newest_results_are_kept() {
        let mut monitor = Monitor::new(check());
        let mut health = monitor.health_at_start(None);
        let since = Since { at: 1, age: Duration::ZERO };
        for number in 0..8 {
            monitor.note(&mut health, since, 0, number.to_string());
        }
        let kept: Vec<_> = health.log.iter().map(|result| result.output.as_str()).collect();
        assert_eq!(kept, ["3", "4", "5", "6", "7"]);
    }

    #[test]
    fn the_first_results_of_a_run_stand_behind_those_of_the_last() {
        let mut monitor = Monitor::new(check());
        let mut health = monitor.health_at_start(None);
        let since = Since { at: 1, age: Duration::ZERO };
        assert_eq!(monitor.note(&mut health, since, 0, "old".to_owned()), [News::StatusChanged]);
        monitor.end(&mut health, Instant::now());
        assert_eq!(health.status, HealthStatus::Unhealthy);
        let mut health = monitor.health_at_start(Some(health));
        assert_eq!((health.status, health.log.len()), (HealthStatus::Starting, 1));
        monitor.note(&mut health, since, 1, "new".to_owned());
        assert_eq!(health.log[1].output, "new");
    }

    #[test]
    fn only_who_wants_an_action_hears_of_the_last_straw() {
        let since = Since { at: 1, age: Duration::ZERO };
        let wants = HealthCheck { retries: 1, action: HealthAction::Kill, ..check() };
        let mut monitor = Monitor::new(wants.clone());
        let mut health = monitor.health_at_start(None);
        let news = monitor.note(&mut health, since, 1, String::new());
        assert_eq!(news, [News::StatusChanged, News::LastStraw]);
        let mut monitor = Monitor::new(HealthCheck { action: HealthAction::None, ..wants });
        let mut health = monitor.health_at_start(None);
        let news = monitor.note(&mut health, since, 1, String::new());
        assert_eq!(news, [News::StatusChanged]);
    }

    #[test]
    fn the_next_probe_comes_after_the_interval() {
        let mut monitor = Monitor::new(check());
        let health = monitor.health_at_start(None);
        assert_eq!(monitor.next_deadline(), None);
        monitor.begin(&health);
        let wait = monitor.next_deadline().unwrap() - Instant::now();
        assert!(wait > Duration::from_secs(29) && wait <= Duration::from_secs(30), "{wait:?}");
    }
}
