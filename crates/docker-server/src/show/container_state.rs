//! Where a container is in its life, for programs and for people.

use docker_api::containers::{ContainerState, Health, HealthActionTaken, HealthResult};
use engine::containers::health::ProbeView;
use engine::containers::{HealthStatus, HealthView, Phase, StateView};
use jiff::Timestamp;

use super::time_text;

/// The `State` of a container's details.
pub(super) fn state(view: &StateView) -> ContainerState {
    ContainerState {
        status: view.phase.name().to_owned(),
        // A paused container runs, and so does one between two runs: nobody may start it.
        running: view.phase.is_live(),
        paused: view.phase == Phase::Paused,
        restarting: view.phase == Phase::Restarting,
        oom_killed: view.oom_killed,
        log_entries_lost: view.log_entries_lost,
        dead: view.phase == Phase::Dead,
        pid: view.pid,
        exit_code: view.exit_code,
        error: view.error.clone(),
        error_hint: view.error_hint.clone(),
        memory_peak: view.memory_peak,
        started_at: time_text(view.started_at),
        finished_at: time_text(view.finished_at),
        health: view.health.as_deref().map(health),
    }
}

fn health(view: &HealthView) -> Health {
    let result = |probe: &ProbeView| HealthResult {
        start: time_text(probe.start),
        end: time_text(probe.end),
        exit_code: i64::from(probe.exit_code),
        output: probe.output.clone(),
    };
    Health {
        status: view.status.name().to_owned(),
        failing_streak: i64::from(view.failing_streak),
        log: Some(view.log.iter().map(result).collect()),
        last_action: view.last_action.map(|(action, at)| HealthActionTaken {
            action: action.name().to_owned(),
            at: time_text(at),
        }),
    }
}

/// For people: `Up 5 minutes`, `Exited (0) 3 seconds ago`.
pub(super) fn people_status(view: &StateView, now: Timestamp) -> String {
    let since = |at: Option<Timestamp>| duration(at.map_or(0, |at| seconds_between(at, now)));
    match view.phase {
        Phase::Created => "Created".to_owned(),
        Phase::Running => match &view.health {
            None => format!("Up {}", since(view.started_at)),
            Some(health) => format!("Up {} ({})", since(view.started_at), people_health(health)),
        },
        Phase::Paused => format!("Up {} (Paused)", since(view.started_at)),
        Phase::Restarting => {
            format!("Restarting ({}) {} ago", view.exit_code, since(view.finished_at))
        }
        Phase::Removing => "Removal In Progress".to_owned(),
        Phase::Dead => "Dead".to_owned(),
        Phase::Exited if view.started_at.is_none() => "Created".to_owned(),
        Phase::Exited if view.finished_at.is_none() => String::new(),
        Phase::Exited => format!("Exited ({}) {} ago", view.exit_code, since(view.finished_at)),
    }
}

fn people_health(view: &HealthView) -> &'static str {
    match view.status {
        HealthStatus::Starting => "health: starting",
        status => status.name(),
    }
}

fn seconds_between(from: Timestamp, to: Timestamp) -> i64 {
    to.as_second().saturating_sub(from.as_second())
}

/// A length of time in one rounded number, as Docker words it.
fn duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    let hours = (seconds + 1800) / 3600;
    match (seconds, minutes, hours) {
        (..1, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, ..60, _) => format!("{minutes} minutes"),
        (.., 1) => "About an hour".to_owned(),
        (.., ..48) => format!("{hours} hours"),
        (.., ..336) => format!("{} days", hours / 24),
        (.., ..1440) => format!("{} weeks", hours / 24 / 7),
        (.., ..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_worded_as_docker_words_them() {
        for (seconds, words) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (7200, "2 hours"),
            (3600 * 48, "2 days"),
            (86400 * 14, "2 weeks"),
            (86400 * 60, "2 months"),
            (86400 * 365 * 2, "2 years"),
        ] {
            assert_eq!(duration(seconds), words, "{seconds}");
        }
    }

    #[test]
    fn a_container_that_ended_says_how_and_when() {
        let now = Timestamp::now();
        let view = StateView {
            phase: Phase::Exited,
            is_starting: false,
            pid: 0,
            exit_code: 3,
            oom_killed: false,
            log_entries_lost: 0,
            memory_peak: None,
            error: String::new(),
            error_hint: None,
            started_at: Some(now),
            finished_at: Some(now),
            unheard_stop_signal: None,
            health: None,
        };
        assert_eq!(people_status(&view, now), "Exited (3) Less than a second ago");
        let view = StateView { phase: Phase::Paused, ..view };
        assert_eq!(people_status(&view, now), "Up Less than a second (Paused)");
    }
}
