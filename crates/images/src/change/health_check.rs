//! `HEALTHCHECK [--flag=value …] CMD …`, or `NONE`.

use crate::change::{ChangeError, duration, json_strings};
use crate::image::HealthCheck;

/// Docker refuses to check more often than this, in nanoseconds.
const DURATION_MIN: i64 = 1_000_000;

/// Reads what follows `HEALTHCHECK`.
pub(super) fn parse(rest: &str) -> Result<HealthCheck, ChangeError> {
    let mut check = HealthCheck::default();
    let mut rest = rest;
    let mut retries = None;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        rest = after.trim_start();
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        match name {
            "interval" => check.interval = time("interval", value)?,
            "timeout" => check.timeout = time("timeout", value)?,
            "start-period" => check.start_period = time("start-period", value)?,
            "start-interval" => check.start_interval = time("start-interval", value)?,
            "retries" => retries = Some(value),
            _ => return Err(ChangeError::Flag { flag: name.to_owned() }),
        }
    }
    if let Some(text) = retries {
        let number = text.parse::<u32>().ok();
        let number = number.ok_or_else(|| ChangeError::Retries { text: text.to_owned() })?;
        check.retries = number.into();
    }
    let (kind, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let command = command.trim();
    check.test = match kind.to_ascii_uppercase().as_str() {
        "" => return Err(ChangeError::NoArguments { instruction: "HEALTHCHECK" }),
        "NONE" if command.is_empty() => vec!["NONE".to_owned()],
        "NONE" => return Err(ChangeError::HealthCheckNone),
        "CMD" => test(command)?,
        other => return Err(ChangeError::HealthCheckKind { kind: other.to_owned() }),
    };
    Ok(check)
}

fn test(command: &str) -> Result<Vec<String>, ChangeError> {
    match json_strings(command)? {
        Some(arguments) if !arguments.is_empty() => {
            Ok([vec!["CMD".to_owned()], arguments].concat())
        }
        None if !command.is_empty() => Ok(vec!["CMD-SHELL".to_owned(), command.to_owned()]),
        _ => Err(ChangeError::HealthCheckCommand),
    }
}

fn time(flag: &'static str, text: &str) -> Result<i64, ChangeError> {
    if text.is_empty() {
        return Err(ChangeError::FlagValue { flag: flag.to_owned() });
    }
    let nanoseconds =
        duration::parse(text).ok_or_else(|| ChangeError::Duration { text: text.to_owned() })?;
    match nanoseconds {
        0 => Ok(0),
        nanoseconds if nanoseconds < DURATION_MIN => Err(ChangeError::DurationTooShort { flag }),
        nanoseconds => Ok(nanoseconds),
    }
}
