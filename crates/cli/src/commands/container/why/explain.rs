//! From what is known of a container to an explanation. Pure: nothing is asked here.

use std::fmt::Write as _;

use docker_api::containers::{ContainerInspect, ContainerState};
use docker_api::events::EventMessage;
use jiff::Timestamp;
use serde::Serialize;

use super::endings;
use crate::output::{quote, units};

/// How a time that never was is written.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The exit code of a container that was lost with its host.
const LOST: i32 = 255;

/// How many results of health checks are shown.
const PROBES_SHOWN: usize = 3;

/// What is known of a container.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) container: ContainerInspect,
    /// What happened to it, the oldest first.
    pub(super) events: Vec<EventMessage>,
    /// The end of its output.
    pub(super) output: Vec<String>,
    /// Bytes that it uses now.
    pub(super) memory: Option<u64>,
    pub(super) now: Timestamp,
}

/// The explanation. Its members are what `--format` sees.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Report {
    pub(super) name: String,
    #[serde(rename = "ID")]
    pub(super) id: String,
    pub(super) status: String,
    pub(super) exit_code: i32,
    /// The state in one sentence.
    pub(super) summary: String,
    /// The reason in one sentence.
    pub(super) reason: String,
    /// Label and text of what else there is to know.
    pub(super) details: Vec<Detail>,
    pub(super) output: Vec<String>,
    pub(super) hint: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Detail {
    pub(super) label: &'static str,
    pub(super) text: String,
}

impl Report {
    /// As a person reads it.
    pub(super) fn screen(&self) -> String {
        let mut text = format!("{}  {}\n", self.name, self.summary);
        let details = self.details.iter().map(|detail| (detail.label, detail.text.as_str()));
        for (label, lines) in std::iter::once(("why", self.reason.as_str())).chain(details) {
            for (index, line) in lines.lines().enumerate() {
                let label = if index == 0 { label } else { "" };
                let _ = writeln!(text, "  {label:<9} {line}");
            }
        }
        if !self.output.is_empty() {
            let _ = writeln!(text, "  {:<9} last lines:", "output");
            for line in &self.output {
                let _ = writeln!(text, "    {line}");
            }
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "\nhint: {hint}");
        }
        text
    }
}

/// Explains a container.
pub(super) fn explain(facts: &Facts) -> Report {
    let container = &facts.container;
    let (reason, hint) = facts.reason();
    Report {
        name: container.name.trim_start_matches('/').to_owned(),
        id: container.id.clone(),
        status: container.state.status.clone(),
        exit_code: container.state.exit_code,
        summary: facts.summary(),
        reason,
        details: facts.details(),
        output: facts.output.clone(),
        hint,
    }
}

impl Facts {
    fn state(&self) -> &ContainerState {
        &self.container.state
    }

    fn name(&self) -> &str {
        self.container.name.trim_start_matches('/')
    }

    /// The state, and since when.
    fn summary(&self) -> String {
        let state = self.state();
        let ago = |text: &str| seconds(text).map(|at| units::ago(at, self.now));
        match state.status.as_str() {
            "running" | "paused" => {
                let up = seconds(&state.started_at)
                    .map(|at| units::duration(self.now.as_second() - at).to_lowercase());
                let paused = if state.paused { " and is paused" } else { "" };
                format!("runs for {}{paused}", up.unwrap_or_default())
            }
            "restarting" => {
                format!("waits to be restarted after an end with code {}", state.exit_code)
            }
            "created" if state.error.is_empty() => {
                format!("was created {} and never started", lower(ago(&self.container.created)))
            }
            "created" => "could not be started".to_owned(),
            "exited" if is_never(&state.started_at) => "could not be started".to_owned(),
            "exited" => {
                let after = self.lived_for().map(|lived| format!(", after {lived}"));
                format!(
                    "exited {} with code {}{}",
                    lower(ago(&state.finished_at)),
                    state.exit_code,
                    after.unwrap_or_default()
                )
            }
            "removing" => "is being removed".to_owned(),
            "dead" => "could not be removed".to_owned(),
            other => other.to_owned(),
        }
    }

    fn lived_for(&self) -> Option<String> {
        let state = self.state();
        let (start, end) = (seconds(&state.started_at)?, seconds(&state.finished_at)?);
        (end >= start).then(|| units::duration(end - start).to_lowercase())
    }

    /// Why it is as it is, and what to do.
    fn reason(&self) -> (String, Option<String>) {
        let state = self.state();
        let hint = state.error_hint.clone();
        match state.status.as_str() {
            "created" if state.error.is_empty() => (
                "nobody has started it".to_owned(),
                Some(format!("`wharf start {}` starts it", self.name())),
            ),
            "paused" => (
                "its processes are frozen, and keep their memory".to_owned(),
                Some(format!("`wharf unpause {}` lets them go on", self.name())),
            ),
            "running" => self.reason_of_running(),
            "removing" => ("somebody asked for its removal".to_owned(), None),
            _ if state.oom_killed => self.reason_of_want_of_memory(),
            _ if !state.error.is_empty() => {
                let hint = hint.or_else(|| endings::advice(state.exit_code).map(str::to_owned));
                (state.error.clone(), hint)
            }
            _ => self.reason_of_end(),
        }
    }

    fn reason_of_running(&self) -> (String, Option<String>) {
        let health = self.state().health.as_ref();
        if health.is_some_and(|health| health.status == "unhealthy") {
            let hint = format!("`wharf logs {0}`, `wharf debug {0}`", self.name());
            return ("its program runs, and its health check fails".to_owned(), Some(hint));
        }
        if self.state().oom_killed {
            let (reason, hint) = self.reason_of_want_of_memory();
            return (format!("its program runs, though {reason}"), hint);
        }
        match self.last("die") {
            Some(end) if self.container.restart_count > 0 => {
                let code = exit_code_of(end);
                (format!("it was restarted; before that, {}", endings::meaning(code)), None)
            }
            _ => ("its program runs".to_owned(), None),
        }
    }

    fn reason_of_want_of_memory(&self) -> (String, Option<String>) {
        let peak = self
            .state()
            .memory_peak
            .map(|peak| format!(", and it had used {} at most", bytes(peak)))
            .unwrap_or_default();
        let limit = self.container.host_config.resources.memory;
        match u64::try_from(limit) {
            Ok(limit) if limit > 0 => (
                format!(
                    "it ran out of memory: the kernel killed a process of it at its limit of {}{peak}",
                    bytes(limit)
                ),
                Some(format!("`wharf update --memory {} --memory-swap -1 {}` doubles the limit", bytes_flag(2 * limit), self.name())),
            ),
            _ => (
                format!(
                    "the host ran out of memory, and the kernel killed a process of it{peak}"
                ),
                Some("`--memory` keeps one container from taking all; `dmesg` has the kernel's account".to_owned()),
            ),
        }
    }

    /// Why a program that ran has ended.
    fn reason_of_end(&self) -> (String, Option<String>) {
        let code = self.state().exit_code;
        let meaning = endings::meaning(code);
        let asked = self.asked();
        let hint = endings::advice(code).map(str::to_owned);
        if code == LOST && self.last("die").is_none() {
            let reason = "nobody saw it end: the host went down while it ran";
            return (reason.to_owned(), Some(format!("`wharf start {}` starts it", self.name())));
        }
        if let Some(told) = self.reason_of_the_engine() {
            return told;
        }
        match (asked.as_slice(), endings::signal_of(code)) {
            ([], Some(9)) => (
                format!("{meaning}; nobody asked this engine for it"),
                Some("look at what else on the host kills processes, and at `dmesg`".to_owned()),
            ),
            ([], _) => (meaning, hint),
            ([.., last], _) if asked.len() > 1 && *last == 9 => (
                format!(
                    "somebody stopped it: {} did not end it in time, so SIGKILL did",
                    endings::signal_name(asked[0])
                ),
                Some(format!(
                    "let the program handle {}, set --stop-signal to one that it handles, or run it with --init",
                    endings::signal_name(asked[0])
                )),
            ),
            ([.., last], _) => (
                format!("somebody asked for it with {}; {meaning}", endings::signal_name(*last)),
                None,
            ),
        }
    }

    /// Why the engine ended it by itself, if it did and says so.
    fn reason_of_the_engine(&self) -> Option<(String, Option<String>)> {
        let reason = self.last("die")?.actor.attributes.get("reason")?;
        if reason == "unhealthy" {
            let reason = "its health check failed too often, and its health action ended it";
            return Some((reason.to_owned(), None));
        }
        let hint = "run it with --init, or have its program handle the stop signal";
        Some((
            format!("somebody stopped it, and it was killed at once: {reason}"),
            Some(hint.to_owned()),
        ))
    }

    /// The signals that somebody sent through the engine to the last run.
    fn asked(&self) -> Vec<i32> {
        let start = self.events.iter().rposition(|event| event.action == "start").unwrap_or(0);
        let signals = self.events[start..].iter().filter(|event| event.action == "kill");
        signals.filter_map(|event| event.actor.attributes.get("signal")?.parse().ok()).collect()
    }

    fn last(&self, action: &str) -> Option<&EventMessage> {
        self.events.iter().rev().find(|event| event.action == action)
    }

    fn details(&self) -> Vec<Detail> {
        let container = &self.container;
        let mut details = Vec::new();
        let mut add = |label, text: String| details.push(Detail { label, text });
        if let Some(memory) = self.memory_now() {
            add("memory", memory);
        }
        if let Some(health) = self.health() {
            add("health", health);
        }
        if let Some(restarts) = self.restarts() {
            add("restarts", restarts);
        }
        if self.state().log_entries_lost > 0 {
            add("log", format!("{} entries are missing", self.state().log_entries_lost));
        }
        add("image", container.config.image.clone());
        let words = std::iter::once(&container.path).chain(&container.args);
        add("command", words.map(|word| quoted_if_needed(word)).collect::<Vec<_>>().join(" "));
        details
    }

    fn memory_now(&self) -> Option<String> {
        let limit = u64::try_from(self.container.host_config.resources.memory).ok()?;
        let used = bytes(self.memory?);
        Some(if limit == 0 { used } else { format!("{used} of {}", bytes(limit)) })
    }

    fn restarts(&self) -> Option<String> {
        let policy = &self.container.host_config.restart_policy;
        let count = self.container.restart_count;
        let (name, most) = (policy.name.as_str(), policy.maximum_retry_count);
        if count == 0 && matches!(name, "" | "no") {
            return None;
        }
        let limit = match most {
            1.. if i64::from(count) >= most => format!(":{most}, which is used up"),
            1.. => format!(":{most}"),
            _ => String::new(),
        };
        Some(format!("{count} (policy {name}{limit})"))
    }

    fn health(&self) -> Option<String> {
        let health = self.state().health.as_ref()?;
        let mut text = health.status.clone();
        if health.failing_streak > 0 {
            let _ = write!(text, ", {} failures in a row", health.failing_streak);
        }
        if let Some(taken) = &health.last_action {
            let ago = lower(seconds(&taken.at).map(|at| units::ago(at, self.now)));
            let _ = write!(text, "; health action: {}, {ago}", taken.action);
        }
        let log = health.log.as_deref().unwrap_or_default();
        for probe in log.iter().rev().take(PROBES_SHOWN).filter(|probe| probe.exit_code != 0) {
            let ago = lower(seconds(&probe.end).map(|at| units::ago(at, self.now)));
            let said = probe.output.trim().lines().next().unwrap_or("no output");
            let _ = write!(text, "\n{ago}, code {}: {said}", probe.exit_code);
        }
        Some(text)
    }
}

fn exit_code_of(event: &EventMessage) -> i32 {
    event.actor.attributes.get("exitCode").and_then(|code| code.parse().ok()).unwrap_or_default()
}

fn is_never(time: &str) -> bool {
    time.is_empty() || time == NEVER
}

fn seconds(time: &str) -> Option<i64> {
    if is_never(time) {
        return None;
    }
    time.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

fn quoted_if_needed(word: &str) -> String {
    let is_plain = !word.is_empty() && !word.contains(|letter: char| letter.is_whitespace());
    if is_plain { word.to_owned() } else { quote::quote(word) }
}

/// Within a sentence.
fn lower(span: Option<String>) -> String {
    span.unwrap_or_else(|| "at an unknown time".to_owned()).to_lowercase()
}

#[expect(clippy::cast_precision_loss, reason = "four digits of it are shown")]
fn bytes(count: u64) -> String {
    units::binary_size(count as f64)
}

/// A size as `--memory` takes it.
fn bytes_flag(count: u64) -> String {
    const MEBIBYTE: u64 = 1 << 20;
    match count % MEBIBYTE {
        0 => format!("{}m", count / MEBIBYTE),
        _ => format!("{count}b"),
    }
}

#[cfg(test)]
mod tests;
