//! How to find out whether the container is well.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use docker_api::containers::{ContainerConfig, HealthConfig};
use engine::containers::{HealthAction, HealthSpec, HealthTest};

use super::Refusal;

/// Docker's defaults.
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const START_PERIOD: Duration = Duration::ZERO;
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;

/// Nothing may be shorter, in nanoseconds.
const NANOS_MIN: i64 = 1_000_000;

/// The shell of `CMD-SHELL`, unless the container's configuration names another.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// What users of [`HealthConfig::action`] may ask for.
const ACTIONS: &[(&str, HealthAction)] = &[
    ("", HealthAction::None),
    ("none", HealthAction::None),
    ("restart", HealthAction::Restart),
    ("stop", HealthAction::Stop),
    ("kill", HealthAction::Kill),
];

/// Checks what the user says, whatever the image does.
pub(super) fn check(config: &ContainerConfig) -> Result<(), Refusal> {
    let Some(health) = &config.healthcheck else { return Ok(()) };
    for (name, nanos) in [("Interval", health.interval), ("Timeout", health.timeout)] {
        check_nanos(name, nanos)?;
    }
    if health.retries < 0 {
        return Err(Refusal::new("Retries in Healthcheck cannot be negative"));
    }
    for (name, nanos) in
        [("StartPeriod", health.start_period), ("StartInterval", health.start_interval)]
    {
        check_nanos(name, nanos)?;
    }
    action(health).map(drop)
}

fn check_nanos(name: &str, nanos: i64) -> Result<(), Refusal> {
    if nanos != 0 && nanos < NANOS_MIN {
        return Err(Refusal::new(format!("{name} in Healthcheck cannot be less than 1ms")));
    }
    Ok(())
}

fn action(health: &HealthConfig) -> Result<HealthAction, Refusal> {
    let found = ACTIONS.iter().find(|(name, _)| *name == health.action);
    found.map(|(_, action)| *action).ok_or_else(|| {
        Refusal::new(format!("invalid health action: {}", health.action))
            .with_hint("it is one of `none`, `restart`, `stop` and `kill`")
    })
}

pub(super) fn convert(config: &ContainerConfig) -> Result<Option<HealthSpec>, Refusal> {
    let Some(health) = &config.healthcheck else { return Ok(None) };
    let Some(test) = test(config, health)? else { return Ok(None) };
    let or = |nanos: i64, default: Duration| match u64::try_from(nanos) {
        Ok(nanos @ 1..) => Duration::from_nanos(nanos),
        _ => default,
    };
    Ok(Some(HealthSpec {
        test,
        interval: or(health.interval, INTERVAL),
        start_interval: or(health.start_interval, START_INTERVAL),
        timeout: or(health.timeout, TIMEOUT),
        start_period: or(health.start_period, START_PERIOD),
        retries: match health.retries {
            ..=0 => RETRIES,
            retries => u32::try_from(retries).unwrap_or(u32::MAX),
        },
        action: action(health)?,
    }))
}

/// As in Docker, a kind that is unknown is as good as none.
fn test(config: &ContainerConfig, health: &HealthConfig) -> Result<Option<HealthTest>, Refusal> {
    let Some((kind, words)) = health.test.as_deref().unwrap_or_default().split_first() else {
        return Ok(None);
    };
    Ok(match kind.as_str() {
        "CMD" => Some(HealthTest::Command { arguments: words.to_vec() }),
        // Without a word Docker looks for a command in vain, and so do we.
        "CMD-SHELL" if words.is_empty() => Some(HealthTest::Command { arguments: Vec::new() }),
        "CMD-SHELL" => {
            let shell = match config.shell.as_deref() {
                None | Some([]) => SHELL.map(str::to_owned).to_vec(),
                Some(shell) => shell.to_vec(),
            };
            Some(HealthTest::Command { arguments: [&shell, words].concat() })
        }
        "TCP" => Some(tcp(words)?),
        "HTTP" => Some(http(words)?),
        _ => None,
    })
}

/// `["TCP", "8080"]`, or `["TCP", "172.17.0.2:8080"]`.
fn tcp(words: &[String]) -> Result<HealthTest, Refusal> {
    let [place] = words else { return Err(one_word("TCP")) };
    let (address, port) = address_and_port(place, None).ok_or_else(|| {
        Refusal::new(format!("invalid health check: {place:?} is not a port"))
            .with_hint("a TCP health check takes a port, as in `8080`, or an address and a port")
    })?;
    Ok(HealthTest::Tcp { address, port })
}

/// `["HTTP", "http://:8080/path"]`, also without the scheme or the colon.
fn http(words: &[String]) -> Result<HealthTest, Refusal> {
    const PORT: u16 = 80;
    let [url] = words else { return Err(one_word("HTTP")) };
    if url.starts_with("https:") {
        return Err(Refusal::new(format!("invalid health check: {url:?} needs TLS")).with_hint(
            "an HTTP health check speaks plain HTTP; `--health-tcp` asks whether the port is open",
        ));
    }
    let rest = url.strip_prefix("http://");
    let (place, path) = rest.unwrap_or(url).split_once('/').unwrap_or((rest.unwrap_or(url), ""));
    let is_clean = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let default = rest.is_some().then_some(PORT);
    let found = address_and_port(place, default).filter(|_| is_clean);
    let (address, port) = found.ok_or_else(|| {
        Refusal::new(format!("invalid health check: {url:?} is not a URL in the container"))
            .with_hint("it has a port and a path, as in `8080/health`; its host may be an address")
    })?;
    Ok(HealthTest::Http { address, port, path: format!("/{path}") })
}

fn one_word(kind: &str) -> Refusal {
    Refusal::new(format!("invalid health check: {kind} takes one argument"))
}

/// `8080`, `:8080`, `localhost:8080`, `127.0.0.1:8080`, `[::1]:8080`. Other names than
/// `localhost` mean nothing to who probes.
fn address_and_port(text: &str, default: Option<u16>) -> Option<(Option<IpAddr>, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ if default.is_some() => (text, None),
        _ => ("", Some(text)),
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None => default?,
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let address = match (host, bare) {
        ("" | "localhost", _) => None,
        (_, Some(bare)) => Some(IpAddr::V6(bare.parse().ok()?)),
        (host, None) => Some(IpAddr::V4(host.parse::<Ipv4Addr>().ok()?)),
    };
    Some((address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(test: &[&str]) -> ContainerConfig {
        let test = Some(test.iter().map(|word| (*word).to_owned()).collect());
        let healthcheck = Some(HealthConfig { test, ..HealthConfig::default() });
        ContainerConfig { healthcheck, ..ContainerConfig::default() }
    }

    #[track_caller]
    fn checks(test: &[&str], expected: &Option<HealthTest>) {
        let spec = convert(&config(test)).unwrap();
        assert_eq!(&spec.map(|spec| spec.test), expected, "{test:?}");
    }

    fn command(arguments: &[&str]) -> Option<HealthTest> {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        Some(HealthTest::Command { arguments })
    }

    #[track_caller]
    fn fetches(url: &str, address: Option<&str>, port: u16, path: &str) {
        let address = address.map(|address| address.parse().unwrap());
        checks(&["HTTP", url], &Some(HealthTest::Http { address, port, path: path.to_owned() }));
    }

    #[track_caller]
    fn refuses(test: &[&str]) {
        assert!(convert(&config(test)).is_err(), "{test:?}");
    }

    #[test]
    fn commands_run_by_themselves_or_in_a_shell() {
        checks(&["CMD", "a", "b"], &command(&["a", "b"]));
        checks(&["CMD-SHELL", "a b"], &command(&["/bin/sh", "-c", "a b"]));
        checks(&["CMD"], &command(&[]));
        checks(&["CMD-SHELL"], &command(&[]));
        let shell = Some(vec!["/bin/bash".to_owned(), "-ec".to_owned()]);
        let config = ContainerConfig { shell, ..config(&["CMD-SHELL", "a"]) };
        let test = convert(&config).unwrap().unwrap().test;
        assert_eq!(Some(test), command(&["/bin/bash", "-ec", "a"]));
    }

    #[test]
    fn what_is_none_or_unknown_is_no_check() {
        for test in [&[][..], &["NONE"], &["NONE", "x"], &["PING", "x"]] {
            checks(test, &None);
        }
    }

    #[test]
    fn a_port_may_have_an_address() {
        for (text, address, port) in [
            ("8080", None, 8080),
            (":8080", None, 8080),
            ("localhost:1", None, 1),
            ("172.17.0.2:65535", Some("172.17.0.2"), 65535),
            ("[::1]:80", Some("::1"), 80),
        ] {
            let address = address.map(|address: &str| address.parse().unwrap());
            checks(&["TCP", text], &Some(HealthTest::Tcp { address, port }));
        }
        for text in ["", "0", "65536", "http", "web:80", "::1:80", "[1.2.3.4]:80", "1.2.3.4"] {
            refuses(&["TCP", text]);
        }
        refuses(&["TCP"]);
        refuses(&["TCP", "80", "81"]);
    }

    #[test]
    fn a_page_has_a_port_and_a_path() {
        fetches("8080", None, 8080, "/");
        fetches("8080/", None, 8080, "/");
        fetches(":8080/a/b?c=d", None, 8080, "/a/b?c=d");
        fetches("http://:8080/a", None, 8080, "/a");
        fetches("http://localhost/a", None, 80, "/a");
        fetches("http://127.0.0.1", Some("127.0.0.1"), 80, "/");
        fetches("http://[::1]:81/x", Some("::1"), 81, "/x");
        fetches("http://[::1]/x", Some("::1"), 80, "/x");
        for url in ["", "/health", "https://:443/", "http://web:80/", "80/a b", "80/a\r\nX: y"] {
            refuses(&["HTTP", url]);
        }
    }

    #[test]
    fn what_is_not_said_is_dockers_default() {
        let spec = convert(&config(&["CMD", "true"])).unwrap().unwrap();
        let times = [spec.interval, spec.timeout, spec.start_period, spec.start_interval];
        assert_eq!(times.map(|time| time.as_secs()), [30, 30, 0, 5]);
        assert_eq!((spec.retries, spec.action), (3, HealthAction::None));
    }

    #[test]
    fn times_are_a_millisecond_at_least() {
        #[track_caller]
        fn check_says(health: HealthConfig, expected: &str) {
            let config =
                ContainerConfig { healthcheck: Some(health), ..ContainerConfig::default() };
            assert_eq!(check(&config).unwrap_err().message(), expected);
        }
        let health = HealthConfig::default();
        check_says(
            HealthConfig { interval: 999_999, ..health.clone() },
            "Interval in Healthcheck cannot be less than 1ms",
        );
        check_says(
            HealthConfig { timeout: -1, ..health.clone() },
            "Timeout in Healthcheck cannot be less than 1ms",
        );
        check_says(
            HealthConfig { retries: -1, ..health.clone() },
            "Retries in Healthcheck cannot be negative",
        );
        check_says(
            HealthConfig { start_period: 1, ..health.clone() },
            "StartPeriod in Healthcheck cannot be less than 1ms",
        );
        check_says(
            HealthConfig { start_interval: 1, ..health.clone() },
            "StartInterval in Healthcheck cannot be less than 1ms",
        );
        check_says(
            HealthConfig { action: "reboot".to_owned(), ..health },
            "invalid health action: reboot",
        );
    }
}
