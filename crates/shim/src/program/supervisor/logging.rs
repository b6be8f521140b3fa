//! A log that somebody else keeps: when the container has to wait for it, what is missing in
//! it, and its end.

use std::time::{Duration, Instant};

use shim::protocol::{Phase, What};

use super::Supervisor;
use crate::log::Log;

/// How long the rest of a log is delivered after the container's end.
const FAREWELL_TIME: Duration = Duration::from_secs(5);

/// How often watchers are told that entries were lost.
const TELL_TIME: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Lets the container wait for its log, or go on, and tells of entries that were lost.
    pub(super) fn settle_log(&mut self) {
        let Some(log) = &self.log else { return };
        if let Some(run) = &mut self.run {
            run.stdio.hold(log.is_full());
        }
        let lost = log.lost();
        if lost == self.state.log_entries_lost {
            return;
        }
        let now = Instant::now();
        if self.log_told_at.is_some_and(|told| now < told + TELL_TIME) {
            return;
        }
        self.log_told_at = Some(now);
        self.state.log_entries_lost = lost;
        if self.state.phase != Phase::Exited {
            self.record();
            self.tell(What::LogEntriesLost);
        }
    }

    pub(super) fn log_deadlines(&self) -> impl Iterator<Item = Instant> {
        let log = self.log.as_ref();
        let is_untold = log.is_some_and(|log| log.lost() != self.state.log_entries_lost);
        let tell = self.log_told_at.map(|told| told + TELL_TIME).filter(|_| is_untold);
        log.and_then(Log::deadline)
            .into_iter()
            .chain(tell)
            .chain(self.deliver_until.filter(|_| self.must_deliver()))
    }

    pub(super) fn rest_log(&mut self) {
        if let Some(run) = &mut self.run {
            run.stdio.rest();
        }
        if let Some(log) = &mut self.log {
            log.rest();
        }
    }

    /// The container has exited for good.
    pub(super) fn end_log(&mut self) {
        if let Some(log) = &self.log {
            self.state.log_entries_lost = log.lost();
        }
        if self.log.as_ref().is_some_and(Log::is_delivering) {
            self.deliver_until = Some(Instant::now() + FAREWELL_TIME);
        }
    }

    /// Whether the end of the log is still on its way.
    pub(super) fn must_deliver(&self) -> bool {
        self.deliver_until.is_some_and(|until| Instant::now() < until)
            && self.log.as_ref().is_some_and(Log::is_delivering)
    }
}
