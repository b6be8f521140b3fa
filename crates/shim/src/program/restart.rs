//! Whether a container runs again, and when: Docker's rules, decided without doing anything.
//!
//! The first restart comes after 100 ms and each further one after twice the time, up to a
//! minute. A run of ten seconds counts as healthy: the next pause is 100 ms again.

use std::time::Duration;

use shim::protocol::RestartPolicy;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A container that ran for so long had started well.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// How a run ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub exit_code: i32,
    pub ran_for: Duration,
    /// Somebody asked for it.
    pub stop_requested: bool,
}

/// What is known from the runs before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Restarts {
    pub count: u32,
    last_pause: Option<Duration>,
}

impl Restarts {
    /// Goes on counting where an earlier shim stopped.
    pub(crate) fn after(count: u32) -> Self {
        Self { count, last_pause: None }
    }

    /// How long to wait before the next run; `None`: there is none. Counts it.
    pub(crate) fn decide(&mut self, policy: RestartPolicy, end: End) -> Option<Duration> {
        if end.stop_requested || !wants_restart(policy, end.exit_code, self.count) {
            return None;
        }
        Some(self.again(end))
    }

    /// How long to wait before the next run, which there is whatever the policy. Counts it.
    pub(crate) fn again(&mut self, end: End) -> Duration {
        let last_pause = self.last_pause.filter(|_| end.ran_for < HEALTHY_AFTER);
        let pause = last_pause.map_or(FIRST_PAUSE, |pause| LONGEST_PAUSE.min(pause * 2));
        self.last_pause = Some(pause);
        self.count += 1;
        pause
    }
}

fn wants_restart(policy: RestartPolicy, exit_code: i32, count: u32) -> bool {
    match policy {
        RestartPolicy::No => false,
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        RestartPolicy::OnFailure { retries_max } => {
            // Docker's 0 is no limit.
            exit_code != 0 && retries_max.is_none_or(|max| max == 0 || count < max)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed_after(seconds: u64) -> End {
        End { exit_code: 1, ran_for: Duration::from_secs(seconds), stop_requested: false }
    }

    #[track_caller]
    fn check(policy: RestartPolicy, end: End, expected: bool) {
        let decided = Restarts::default().decide(policy, end).is_some();
        assert_eq!(decided, expected, "{policy:?} after {end:?}");
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut restarts = Restarts::default();
        let pauses: Vec<_> = (0..12)
            .map(|_| restarts.decide(RestartPolicy::Always, failed_after(0)).unwrap().as_millis())
            .collect();
        let expected =
            [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000];
        assert_eq!(pauses, expected);
    }

    #[test]
    fn a_healthy_run_resets_the_pause_but_not_the_count() {
        let mut restarts = Restarts::default();
        restarts.decide(RestartPolicy::Always, failed_after(0));
        restarts.decide(RestartPolicy::Always, failed_after(0));
        assert_eq!(restarts.decide(RestartPolicy::Always, failed_after(10)), Some(FIRST_PAUSE));
        assert_eq!(restarts.count, 3);
    }

    #[test]
    fn a_stopped_container_stays_down() {
        let stopped = End { stop_requested: true, ..failed_after(0) };
        check(RestartPolicy::Always, stopped, false);
        check(RestartPolicy::UnlessStopped, stopped, false);
        check(RestartPolicy::OnFailure { retries_max: None }, stopped, false);
    }

    #[test]
    fn success_ends_on_failure_only() {
        let succeeded = End { exit_code: 0, ..failed_after(0) };
        check(RestartPolicy::Always, succeeded, true);
        check(RestartPolicy::UnlessStopped, succeeded, true);
        check(RestartPolicy::OnFailure { retries_max: None }, succeeded, false);
        check(RestartPolicy::No, failed_after(0), false);
    }

    #[test]
    fn on_failure_gives_up_at_its_limit() {
        let policy = RestartPolicy::OnFailure { retries_max: Some(2) };
        let mut restarts = Restarts::default();
        let runs = std::iter::from_fn(|| restarts.decide(policy, failed_after(0))).count();
        assert_eq!(runs, 2);
        check(RestartPolicy::OnFailure { retries_max: Some(0) }, failed_after(0), true);
        assert_eq!(Restarts::after(2).decide(policy, failed_after(0)), None);
    }
}
