//! What happened to containers while no engine was there to tell it, told by the next one.
//!
//! A shim knows when its container's last run began and ended, and the record what was known
//! of that before. The difference is told with its own time, unless the log of events has it
//! already: an engine may have died after it told of an end and before it recorded it.
//!
//! Of a container that its shim has restarted several times meanwhile, only the last end and
//! the last start are known.

use jiff::Timestamp;

use super::ContainerId;
use super::record::{Record, RecordedPhase};
use super::supervisor::{Running, container_event, resource_events, timestamp};
use crate::engine::Parts;
use crate::events::Event;

/// What was on record before the shim was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

/// Something that nobody has told, perhaps.
#[derive(Debug)]
pub(super) struct Missed {
    at: Timestamp,
    event: Event,
}

impl Known {
    pub(super) fn of(record: &Record) -> Self {
        Self { started_at: record.started_at, finished_at: record.finished_at }
    }

    /// What has happened since.
    pub(super) fn compare(
        self,
        parts: &Parts,
        record: &Record,
        running: Option<&Running>,
    ) -> Vec<Missed> {
        let (started_at, finished_at, exit_code) = match running {
            Some(running) if running.link.state.never_ran() => return Vec::new(),
            Some(running) => {
                let state = &running.link.state;
                let at = |nanoseconds: Option<i64>| nanoseconds.and_then(timestamp);
                (at(state.started_at), at(state.finished_at), state.exit_code)
            }
            None if record.phase == RecordedPhase::Created => return Vec::new(),
            None => (record.started_at, record.finished_at, Some(record.exit_code)),
        };
        let id = ContainerId::from_record(&record.id);
        let mut missed = Vec::new();
        if let Some(at) = finished_at.filter(|at| self.finished_at != Some(*at)) {
            if running.is_none() {
                let given_back = resource_events(parts, &id, record, "unmount", "disconnect");
                missed.extend(given_back.into_iter().map(|event| Missed { at, event }));
            }
            // The run that ended is the later one only if it began before that.
            let began = started_at.filter(|began| *began <= at).or(self.started_at);
            let seconds = began.map_or(0, |began| at.duration_since(began).as_secs().max(0));
            let attributes = [
                ("execDuration", seconds.to_string()),
                ("exitCode", exit_code.unwrap_or(0).to_string()),
            ];
            let event = container_event(&id, record, "die", attributes);
            missed.push(Missed { at, event: Event { run: Some(at), ..event } });
        }
        if let Some(at) = started_at.filter(|at| self.started_at != Some(*at)) {
            let event = container_event(&id, record, "start", []);
            missed.push(Missed { at, event: Event { run: Some(at), ..event } });
        }
        missed
    }
}

/// Tells what nobody has told, in the order in which it happened.
pub(super) fn tell(parts: &Parts, mut missed: Vec<Missed>) {
    if missed.is_empty() {
        return;
    }
    let told = parts.events.told_runs();
    let is_told = |event: &Event| {
        let run = |run| (event.id.clone(), event.action.clone(), run);
        event.run.is_some_and(|at| told.contains(&run(at)))
    };
    // What came with an end was told with it.
    let ends: Vec<(String, Timestamp)> = missed
        .iter()
        .filter(|missed| is_told(&missed.event))
        .map(|missed| (missed.event.id.clone(), missed.at))
        .collect();
    missed.retain(|missed| {
        let owner = missed.event.attributes.get("container").unwrap_or(&missed.event.id);
        !ends.iter().any(|(id, at)| id == owner && *at == missed.at)
    });
    missed.sort_by_key(|missed| missed.at);
    missed.into_iter().for_each(|missed| parts.events.publish_late(missed.at, missed.event));
}
