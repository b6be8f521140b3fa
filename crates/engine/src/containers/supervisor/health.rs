//! What a container's shim finds out about its health, and what it does about it.

use shim::protocol::State;

use super::super::errors::ControlError;
use super::super::health::HealthAction;
use super::Supervisor;

/// Why a container ended that did not want to, in its events.
pub(super) const UNHEALTHY: &str = "unhealthy";

impl Supervisor {
    /// A probe that is a process begins or has ended. Docker tells of it as of an exec.
    pub(super) fn note_probe(&mut self, state: &State) {
        let (Some(probe), Some(health)) = (&state.probe, &self.record.spec.health) else { return };
        match probe.exit_code {
            None => {
                self.tell_exec("exec_create", health.arguments(), &probe.id);
                self.tell_exec("exec_start", health.arguments(), &probe.id);
            }
            Some(exit_code) => {
                let attributes =
                    [("execID", probe.id.clone()), ("exitCode", exit_code.to_string())];
                self.tell("exec_die", attributes);
            }
        }
    }

    pub(super) fn note_health(&mut self, state: State) {
        let status = state.health.as_ref().map(|health| health.status);
        self.note_state(state);
        if let Some(status) = status {
            self.tell(&format!("health_status: {}", status.name()), []);
        }
    }

    /// The shim ends the container, and everybody hears of it as if somebody had asked for it.
    pub(super) fn note_health_action(&mut self, state: State) {
        let taken = state.health.as_ref().and_then(|health| health.last_action);
        self.note_state(state);
        let Some(action) = taken.map(|taken| taken.action) else { return };
        self.health_action = Some(action);
        self.is_stopping = action == HealthAction::Stop;
        let signal = match action {
            HealthAction::Kill => rustix::process::Signal::KILL.as_raw(),
            _ => self.record.spec.stop_signal,
        };
        self.tell(&format!("health_action: {}", action.name()), []);
        let reason = ("reason", UNHEALTHY.to_owned());
        self.tell("kill", [("signal", signal.to_string()), reason]);
    }

    pub(super) async fn refresh_health(&mut self) -> Result<(), ControlError> {
        let state: State = self.converse(|mut connection| connection.state()).await?;
        if state.health.is_some() {
            self.record.health = state.health;
            self.publish();
        }
        Ok(())
    }
}
