//! What a probe's outcome says of the container, and when to look again: Docker's rules,
//! decided without doing anything.
//!
//! ```text
//!               success                     success
//!   Starting ───────────▶ Healthy ◀──────────────────── Unhealthy
//!      │                     │   `retries` failures in a row   ▲
//!      │                     └─────────────────────────────────┤
//!      └───────────────────────────────────────────────────────┘
//!        the same, counted from the end of the start period on
//! ```

use std::time::Duration;

use shim::health::{Health, HealthCheck, HealthStatus};

/// What a probe has found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finding {
    pub is_healthy: bool,
    /// From the container's start to the probe's.
    pub age: Duration,
}

/// What follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    pub status: HealthStatus,
    pub failing_streak: u32,
    /// This very probe was the one too many: time to act.
    pub is_the_last_straw: bool,
}

/// Decides what a finding means for a container that was in `health`.
pub(crate) fn decide(check: &HealthCheck, health: &Health, finding: Finding) -> Decision {
    if finding.is_healthy {
        return Decision {
            status: HealthStatus::Healthy,
            failing_streak: 0,
            is_the_last_straw: false,
        };
    }
    let is_forgiven = health.status == HealthStatus::Starting && finding.age < check.start_period;
    let failing_streak = health.failing_streak.saturating_add(u32::from(!is_forgiven));
    let is_too_much = !is_forgiven && failing_streak >= check.retries;
    Decision {
        status: if is_too_much { HealthStatus::Unhealthy } else { health.status },
        failing_streak,
        // Once in a streak: whoever acts needs time for it.
        is_the_last_straw: is_too_much && failing_streak == check.retries,
    }
}

/// How long to wait for the next probe of a container that started `age` ago.
pub(crate) fn pause(check: &HealthCheck, status: HealthStatus, age: Duration) -> Duration {
    if age < check.start_period && status == HealthStatus::Starting {
        check.start_interval
    } else {
        check.interval
    }
}

#[cfg(test)]
mod tests {
    use super::HealthStatus::{Healthy, Starting, Unhealthy};
    use super::*;
    use crate::health::tests::check;

    /// The statuses and streaks that findings at these ages (in seconds) lead to.
    fn story(check: &HealthCheck, findings: &[(bool, u64)]) -> Vec<(HealthStatus, u32, bool)> {
        let mut health =
            Health { status: Starting, failing_streak: 0, log: Vec::new(), last_action: None };
        findings
            .iter()
            .map(|(is_healthy, age)| {
                let finding = Finding { is_healthy: *is_healthy, age: Duration::from_secs(*age) };
                let decision = decide(check, &health, finding);
                health.status = decision.status;
                health.failing_streak = decision.failing_streak;
                (decision.status, decision.failing_streak, decision.is_the_last_straw)
            })
            .collect()
    }

    #[test]
    fn so_many_failures_in_a_row_make_it_unhealthy() {
        let check = HealthCheck { retries: 2, ..check() };
        assert_eq!(
            story(&check, &[(false, 1), (false, 2), (false, 3)]),
            [(Starting, 1, false), (Unhealthy, 2, true), (Unhealthy, 3, false)]
        );
    }

    #[test]
    fn one_success_makes_it_healthy_and_forgets_the_failures() {
        let check = HealthCheck { retries: 2, ..check() };
        assert_eq!(
            story(&check, &[(false, 1), (true, 2), (false, 3), (false, 4), (true, 5)]),
            [
                (Starting, 1, false),
                (Healthy, 0, false),
                (Healthy, 1, false),
                (Unhealthy, 2, true),
                (Healthy, 0, false),
            ]
        );
    }

    #[test]
    fn failures_in_the_start_period_do_not_count() {
        let check = HealthCheck { retries: 1, start_period: Duration::from_secs(5), ..check() };
        assert_eq!(
            story(&check, &[(false, 1), (false, 4), (false, 5)]),
            [(Starting, 0, false), (Starting, 0, false), (Unhealthy, 1, true)]
        );
    }

    #[test]
    fn after_a_success_the_start_period_forgives_nothing() {
        let check = HealthCheck { retries: 1, start_period: Duration::from_secs(5), ..check() };
        assert_eq!(
            story(&check, &[(true, 1), (false, 2)]),
            [(Healthy, 0, false), (Unhealthy, 1, true)]
        );
    }

    #[test]
    fn while_it_starts_it_is_looked_at_more_often() {
        let check = HealthCheck {
            start_period: Duration::from_secs(10),
            start_interval: Duration::from_secs(1),
            interval: Duration::from_secs(30),
            ..check()
        };
        for (status, age, expected) in
            [(Starting, 9, 1), (Starting, 10, 30), (Healthy, 1, 30), (Unhealthy, 1, 30)]
        {
            let pause = pause(&check, status, Duration::from_secs(age));
            assert_eq!(pause.as_secs(), expected, "{status:?} after {age} s");
        }
    }
}
