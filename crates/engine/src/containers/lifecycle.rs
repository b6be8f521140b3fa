//! What a container may do next, decided without doing it.
//!
//! Every rule about a container's life is in [`decide`]. It takes the phase the container is
//! in and what was asked, and answers with what that means. It does not wait, lock, log or
//! touch the kernel. [`supervisor`](super::supervisor) owns the container and is the only
//! caller that acts on the answer.
//!
//! ```text
//!             start              pause
//!   Created ─────────▶ Running ─────────▶ Paused
//!      │                │  ▲   ◀─────────   │
//!      │           exit │  │ start  unpause │ kill
//!      │                ▼  │                │
//!      │              Exited ◀──────────────┘
//!      │                │  ▲ stop
//!      │   own restart  ▼  │
//!      │             Restarting ──▶ Running
//!      └──remove──▶ Removing ──▶ (gone, or Dead and removable again)
//! ```
//!
//! Rules that surprise people, all of them Docker's, and scripts rely on them:
//!
//! - Stopping a container that has ended is not an error: it is already where the caller
//!   wants it.
//! - A paused container still has a live process, so it cannot be started, and is removed
//!   only by force.
//! - A container that waits for its own restart can be stopped (it stays ended) and started
//!   (at once), but neither paused nor entered.

use super::view::Phase;

/// What somebody wants of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    Start,
    Stop,
    Signal,
    Pause,
    Unpause,
    Exec,
    Remove { force: bool },
}

/// What it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Do it.
    Go,
    /// End the process first, then do it.
    EndFirst,
    /// Nothing to do.
    AlreadyThere,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NotRunning,
    NotPaused,
    IsPaused,
    IsRestarting,
    IsLive,
    IsRemoving,
}

/// Decides what `request` means for a container in `phase`.
pub fn decide(phase: Phase, request: Request) -> Result<Decision, Refusal> {
    use Decision::{AlreadyThere, EndFirst, Go};
    use Phase::{Created, Dead, Exited, Paused, Removing, Restarting, Running};

    match (request, phase) {
        (Request::Remove { .. }, Removing) => Err(Refusal::IsRemoving),
        (Request::Remove { .. }, Created | Exited | Dead) => Ok(Go),
        (Request::Remove { force: true }, Running | Paused | Restarting) => Ok(EndFirst),
        (Request::Remove { force: false }, Running | Restarting) => Err(Refusal::IsLive),
        (Request::Remove { force: false }, Paused) => Err(Refusal::IsPaused),

        (Request::Start | Request::Exec | Request::Pause, Removing | Dead) => {
            Err(Refusal::IsRemoving)
        }

        (Request::Start, Created | Exited) => Ok(Go),
        (Request::Start, Running | Restarting) => Ok(AlreadyThere),
        (Request::Start, Paused) => Err(Refusal::IsPaused),

        (Request::Stop, Running | Paused | Restarting) => Ok(Go),
        (Request::Stop, Created | Exited | Removing | Dead) => Ok(AlreadyThere),

        // Between two runs there is nobody to hear it, but it may be the end of the restarts.
        (Request::Signal, Running | Paused | Restarting) => Ok(Go),
        (Request::Signal, Created | Exited | Removing | Dead) => Err(Refusal::NotRunning),

        (Request::Pause, Running) => Ok(Go),
        (Request::Pause, Paused) => Err(Refusal::IsPaused),
        (Request::Pause, Restarting) => Err(Refusal::IsRestarting),
        (Request::Pause, Created | Exited) => Err(Refusal::NotRunning),

        (Request::Unpause, Paused) => Ok(Go),
        (Request::Unpause, _) => Err(Refusal::NotPaused),

        (Request::Exec, Running) => Ok(Go),
        (Request::Exec, Paused) => Err(Refusal::IsPaused),
        (Request::Exec, Restarting) => Err(Refusal::IsRestarting),
        (Request::Exec, Created | Exited) => Err(Refusal::NotRunning),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(phase: Phase, request: Request, expected: Result<Decision, Refusal>) {
        assert_eq!(decide(phase, request), expected, "{request:?} while {phase:?}");
    }

    #[test]
    fn stopping_an_ended_container_changes_nothing() {
        check(Phase::Exited, Request::Stop, Ok(Decision::AlreadyThere));
    }

    #[test]
    fn starting_a_running_container_changes_nothing() {
        check(Phase::Running, Request::Start, Ok(Decision::AlreadyThere));
    }

    #[test]
    fn a_paused_container_cannot_be_started() {
        check(Phase::Paused, Request::Start, Err(Refusal::IsPaused));
    }

    #[test]
    fn a_live_container_is_removed_only_by_force() {
        for phase in [Phase::Running, Phase::Restarting] {
            check(phase, Request::Remove { force: false }, Err(Refusal::IsLive));
            check(phase, Request::Remove { force: true }, Ok(Decision::EndFirst));
        }
        check(Phase::Paused, Request::Remove { force: false }, Err(Refusal::IsPaused));
    }

    #[test]
    fn a_container_that_could_not_be_removed_can_be_tried_again() {
        check(Phase::Dead, Request::Remove { force: false }, Ok(Decision::Go));
        check(Phase::Removing, Request::Remove { force: true }, Err(Refusal::IsRemoving));
    }

    #[test]
    fn a_container_between_two_runs_can_be_stopped_but_not_entered() {
        check(Phase::Restarting, Request::Stop, Ok(Decision::Go));
        check(Phase::Restarting, Request::Exec, Err(Refusal::IsRestarting));
        check(Phase::Restarting, Request::Signal, Ok(Decision::Go));
    }

    #[test]
    fn a_paused_container_takes_signals_but_no_exec() {
        check(Phase::Paused, Request::Signal, Ok(Decision::Go));
        check(Phase::Paused, Request::Exec, Err(Refusal::IsPaused));
    }
}
