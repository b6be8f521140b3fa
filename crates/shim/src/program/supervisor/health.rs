//! The container's health: passing on what its [`Monitor`] finds, and acting on it.
//!
//! A container without a health check has no monitor, and then nothing here does anything.

use std::time::Instant;

use shim::health::{ActionTaken, HealthAction, ProbeProcess};
use shim::protocol::{Phase, What};

use super::{EXEC_DEATH_TIME, SIGKILL, Supervisor};
use crate::clock::unix_nanoseconds;
use crate::health::{Monitor, News, Surroundings};

impl Supervisor {
    /// A run begins.
    pub(super) fn begin_health(&mut self) {
        let Some(monitor) = &mut self.monitor else { return };
        let health = monitor.health_at_start(self.state.health.take());
        monitor.begin(&health);
        self.state.health = Some(health);
    }

    /// Nobody looks any more: the container is paused, or its first process has ended.
    pub(super) fn suspend_health(&mut self) {
        if let (Some(monitor), Some(health)) = (&mut self.monitor, &mut self.state.health) {
            monitor.suspend(health);
        }
    }

    pub(super) fn resume_health(&mut self) {
        if let (Some(monitor), Some(health)) = (&mut self.monitor, &self.state.health) {
            monitor.resume(health);
        }
    }

    /// The run is over.
    pub(super) fn end_health(&mut self) {
        if let (Some(monitor), Some(health)) = (&mut self.monitor, &mut self.state.health) {
            let news = monitor.end(health, Instant::now() + EXEC_DEATH_TIME);
            self.pass_on(news);
        }
    }

    pub(super) fn look_after_health(&mut self, now: Instant) {
        let is_time = |monitor: &Monitor| monitor.next_deadline().is_some_and(|at| at <= now);
        if self.monitor.as_deref().is_some_and(is_time) {
            self.with_monitor(|monitor, around| monitor.due(now, around));
        }
    }

    /// A probe has ended, or is ready to go on.
    pub(super) fn probe_ready(&mut self, number: u32) {
        self.with_monitor(|monitor, around| monitor.ready(number, around));
    }

    pub(super) fn probe_output_ready(&mut self, number: u32) {
        if let Some(monitor) = &mut self.monitor {
            monitor.output_ready(number);
        }
    }

    fn with_monitor(
        &mut self,
        work: impl FnOnce(&mut Monitor, &mut Surroundings<'_>) -> Vec<News>,
    ) {
        let (Some(monitor), Some(run), Some(health)) =
            (&mut self.monitor, &self.run, &mut self.state.health)
        else {
            return;
        };
        let mut around = Surroundings {
            container_id: &self.launch.container_id,
            container: &run.container,
            network_namespace: self.network_namespace.as_ref(),
            events: &self.events,
            health,
        };
        let news = work(monitor, &mut around);
        self.pass_on(news);
    }

    fn pass_on(&mut self, news: Vec<News>) {
        for news in news {
            match news {
                News::ProbeStarted { id } => {
                    self.state.probe = Some(ProbeProcess { id, exit_code: None });
                    self.tell(What::ProbeStarted);
                }
                News::ProbeEnded { id, exit_code } => {
                    self.state.probe = Some(ProbeProcess { id, exit_code: Some(exit_code) });
                    self.tell(What::ProbeEnded);
                }
                News::StatusChanged => {
                    self.record();
                    self.tell(What::HealthChanged);
                }
                News::LastStraw => self.act_on_health(),
            }
        }
    }

    /// Does what was wished for a container that is unhealthy.
    fn act_on_health(&mut self) {
        let Some(monitor) = &self.monitor else { return };
        let check = monitor.check();
        let (action, signal, grace) = (check.action, check.stop_signal, check.stop_grace);
        if self.state.phase != Phase::Running || self.state.stop_requested {
            return;
        }
        if let Some(health) = &mut self.state.health {
            health.last_action = Some(ActionTaken { action, at: unix_nanoseconds() });
        }
        match action {
            HealthAction::None => {}
            HealthAction::Restart => {
                self.restarts_for_health = true;
                self.ask_to_end(signal, grace);
            }
            HealthAction::Stop => {
                self.state.stop_requested = true;
                self.ask_to_end(signal, grace);
            }
            HealthAction::Kill => self.ask_to_end(SIGKILL, None),
        }
        self.record();
        self.tell(What::HealthActionTaken);
    }
}
