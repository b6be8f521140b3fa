//! `--health-*`: how to find out whether a container is well.

use docker_api::containers::HealthConfig;

use crate::command_line::Parsed;
use crate::options::durations;

/// The flags that say what to look at, and what the engine calls it.
const TESTS: &[(&str, &str)] =
    &[("health-cmd", "CMD-SHELL"), ("health-tcp", "TCP"), ("health-http", "HTTP")];

/// What may be done with an unhealthy container.
const ACTIONS: &[&str] = &["", "none", "restart", "stop", "kill"];

/// The check, if any flag speaks of one.
pub(super) fn config(parsed: &Parsed) -> Result<Option<HealthConfig>, String> {
    let span = |flag: &str| durations::parse(parsed.text(flag)).unwrap_or_default();
    let config = HealthConfig {
        test: test(parsed)?,
        interval: span("health-interval"),
        timeout: span("health-timeout"),
        start_period: span("health-start-period"),
        start_interval: span("health-start-interval"),
        retries: parsed.int("health-retries"),
        action: parsed.text("health-action").to_owned(),
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
    if !ACTIONS.contains(&config.action.as_str()) {
        return Err(format!(
            "invalid argument \"{}\" for \"--health-action\": must be one of none, restart, stop, \
             kill",
            config.action
        ));
    }
    Ok(is_given.then_some(config))
}

fn test(parsed: &Parsed) -> Result<Option<Vec<String>>, String> {
    let mut given = TESTS.iter().filter(|(flag, _)| !parsed.text(flag).is_empty());
    let Some((flag, kind)) = given.next() else { return Ok(None) };
    if let Some((other, _)) = given.next() {
        return Err(format!("--{flag} conflicts with --{other}: a container has one health check"));
    }
    Ok(Some(vec![(*kind).to_owned(), parsed.text(flag).to_owned()]))
}

/// What only our own engine knows of: another one would take it and do nothing.
pub(crate) fn needs_wharf(config: &HealthConfig) -> Option<&'static str> {
    match config.test.as_deref().and_then(|test| test.first()).map(String::as_str) {
        Some("TCP") => Some("--health-tcp"),
        Some("HTTP") => Some("--health-http"),
        _ => (!config.action.is_empty()).then_some("--health-action"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_does_not_know_is_told_apart() {
        let config = |test: &str, action: &str| HealthConfig {
            test: Some(vec![test.to_owned(), "x".to_owned()]),
            action: action.to_owned(),
            ..HealthConfig::default()
        };
        assert_eq!(needs_wharf(&config("CMD-SHELL", "")), None);
        assert_eq!(needs_wharf(&config("TCP", "")), Some("--health-tcp"));
        assert_eq!(needs_wharf(&config("HTTP", "")), Some("--health-http"));
        assert_eq!(needs_wharf(&config("CMD-SHELL", "kill")), Some("--health-action"));
    }
}
