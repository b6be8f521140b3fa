//! `--health-*`: how to find out whether a container is well.

use docker_api::containers::HealthConfig;

use crate::command_line::Parsed;
use crate::options::durations;

/// The check, if any flag speaks of one.
pub(super) fn config(parsed: &Parsed) -> Result<Option<HealthConfig>, String> {
    let span = |flag: &str| durations::parse(parsed.text(flag)).unwrap_or_default();
    let command = parsed.text("health-cmd");
    let config = HealthConfig {
        test: (!command.is_empty()).then(|| vec!["CMD-SHELL".to_owned(), command.to_owned()]),
        interval: span("health-interval"),
        timeout: span("health-timeout"),
        start_period: span("health-start-period"),
        start_interval: span("health-start-interval"),
        retries: parsed.int("health-retries"),
    };
    let is_given = config != HealthConfig::default();
    if parsed.switch("no-healthcheck") {
        if is_given {
            return Err("--no-healthcheck conflicts with --health-* options".to_owned());
        }
        let test = Some(vec!["NONE".to_owned()]);
        return Ok(Some(HealthConfig { test, ..HealthConfig::default() }));
    }
    for (flag, number) in [
        ("interval", config.interval),
        ("timeout", config.timeout),
        ("retries", config.retries),
        ("start-period", config.start_period),
        ("start-interval", config.start_interval),
    ] {
        if number < 0 {
            return Err(format!("--health-{flag} cannot be negative"));
        }
    }
    Ok(is_given.then_some(config))
}
