//! What happened to containers while no engine was there to tell it, told by the next one.
//!
//! A shim knows when its container's last run began and ended, and the record what was known
//! of that before. The difference is told with its own time, unless the log of events has it
//! already: an engine may have died after it told of an end and before it recorded it.
//!
//! Of a container that its shim has restarted several times meanwhile, the shim's list of past
//! runs has the others, up to a number. The first that is told says how many there were before
//! ([`UNTOLD`]). A shim of an earlier build has no such list, and of its container only the last
//! end and the last start are known.

use jiff::Timestamp;
use shim::past_runs::PastRun;

use super::ContainerId;
use super::record::{Record, RecordedPhase};
use super::supervisor::{Running, container_event, resource_events, timestamp};
use crate::engine::Parts;
use crate::events::Event;

/// Attribute of an event: so many runs before have not been told.
const UNTOLD: &str = "untoldRuns";

/// What was on record before the shim was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    restart_count: u32,
}

/// Something that nobody has told, perhaps.
#[derive(Debug)]
pub(super) struct Missed {
    at: Timestamp,
    event: Event,
}

impl Known {
    pub(super) fn of(record: &Record) -> Self {
        Self {
            started_at: record.started_at,
            finished_at: record.finished_at,
            restart_count: record.restart_count,
        }
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
        let past = shim::past_runs::past_runs(&parts.settings.run_folder(&id));
        let mut missed = self.past(&past, &id, record);
        let is_at = |nanoseconds, wanted| timestamp(nanoseconds) == Some(wanted);
        let has_begun = |at| past.iter().any(|run| is_at(run.started_at, at));
        let has_ended = |at| past.iter().any(|run| is_at(run.finished_at, at));
        let ended = finished_at.filter(|at| self.finished_at != Some(*at) && !has_ended(*at));
        if let Some(at) = ended {
            if running.is_none() {
                let given_back = resource_events(parts, &id, record, "unmount", "disconnect");
                missed.extend(given_back.into_iter().map(|event| Missed { at, event }));
            }
            // The run that ended is the later one only if it began before that.
            let began = started_at.filter(|began| *began <= at).or(self.started_at);
            missed.push(die(&id, record, (began, at), exit_code.unwrap_or(0)));
        }
        let begun = started_at.filter(|at| self.started_at != Some(*at) && !has_begun(*at));
        if let Some(at) = begun {
            missed.push(start(&id, record, at));
        }
        missed
    }

    /// What the shim has noted of runs that were followed by others.
    fn past(self, runs: &[PastRun], id: &ContainerId, record: &Record) -> Vec<Missed> {
        let mut missed = Vec::new();
        for run in runs {
            let times = timestamp(run.started_at).zip(timestamp(run.finished_at));
            let Some((began, ended)) = times.filter(|times| Some(times.1) > self.finished_at)
            else {
                continue;
            };
            let is_first = missed.is_empty();
            if Some(began) > self.started_at {
                missed.push(start(id, record, began));
            }
            missed.push(die(id, record, (Some(began), ended), run.exit_code));
            let untold = run.restarts.saturating_sub(self.restart_count + 1);
            if is_first && untold > 0 {
                let first: &mut Missed = &mut missed[0];
                first.event.attributes.insert(UNTOLD.to_owned(), untold.to_string());
            }
        }
        missed
    }
}

fn start(id: &ContainerId, record: &Record, at: Timestamp) -> Missed {
    let event = container_event(id, record, "start", []);
    Missed { at, event: Event { run: Some(at), ..event } }
}

fn die(
    id: &ContainerId,
    record: &Record,
    (began, at): (Option<Timestamp>, Timestamp),
    exit_code: i32,
) -> Missed {
    let seconds = began.map_or(0, |began| at.duration_since(began).as_secs().max(0));
    let attributes = [("execDuration", seconds.to_string()), ("exitCode", exit_code.to_string())];
    let event = container_event(id, record, "die", attributes);
    Missed { at, event: Event { run: Some(at), ..event } }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    /// Run `number` lasts from second `10 * number` for five seconds.
    fn run(number: u32) -> PastRun {
        let nanoseconds = |seconds: u32| i64::from(seconds) * 1_000_000_000;
        PastRun {
            restarts: number,
            started_at: nanoseconds(10 * number),
            finished_at: nanoseconds(10 * number + 5),
            exit_code: 3,
        }
    }

    #[track_caller]
    fn check(known: Known, runs: &[PastRun], expected: &[&str]) {
        let text = include_bytes!("samples/record-1.json");
        let record: Record = serde_json::from_slice(text).unwrap();
        let id = ContainerId::from_record(&record.id);
        let missed = known.past(runs, &id, &record);
        let words = |missed: &Missed| {
            let untold = missed.event.attributes.get(UNTOLD);
            let untold = untold.map(|untold| format!(" after {untold}")).unwrap_or_default();
            format!("{} {}{untold}", missed.event.action, missed.at.as_second())
        };
        assert_eq!(missed.iter().map(words).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_run_that_is_not_on_record_was_missed() {
        let known = Known { started_at: Some(at(10)), finished_at: None, restart_count: 0 };
        check(known, &[run(1), run(2)], &["die 15", "start 20", "die 25"]);
    }

    #[test]
    fn what_is_on_record_was_told() {
        let known = Known { started_at: Some(at(20)), finished_at: Some(at(15)), restart_count: 1 };
        check(known, &[run(1), run(2)], &["die 25"]);
        let known = Known { started_at: Some(at(20)), finished_at: Some(at(25)), restart_count: 2 };
        check(known, &[run(1), run(2)], &[]);
    }

    #[test]
    fn runs_that_are_not_kept_are_counted() {
        let known = Known { started_at: Some(at(10)), finished_at: None, restart_count: 0 };
        check(known, &[run(5), run(6)], &["start 50 after 4", "die 55", "start 60", "die 65"]);
    }
}
