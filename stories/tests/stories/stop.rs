//! `stop`: asking, waiting, and no longer than there is hope.

use serde_json::Value;
use stories::{Host, eventually};

/// Ends by itself on SIGTERM, once it has said so.
const POLITE: &str = "sh -c 'trap \"exit 7\" TERM; echo ready; while :; do sleep 0.01; done'";

/// Hears the signal, and does nothing about it.
const STUBBORN: &str = "sh -c 'trap \"\" TERM; echo ready; while :; do sleep 0.01; done'";

/// Actions and signals, in order.
fn told(host: &Host) -> Vec<(String, Option<String>)> {
    let lines = host.events(
        "--filter event=kill --filter event=stop --filter event=die --filter event=restart \
         --filter event=start --format json",
    );
    let read = |line: &str| {
        let event: Value = serde_json::from_str(line).expect("an event is JSON");
        let signal = event["Actor"]["Attributes"]["signal"].as_str().map(str::to_owned);
        (event["Action"].as_str().unwrap_or_default().to_owned(), signal)
    };
    lines.lines().map(read).collect()
}

#[track_caller]
fn check(host: &Host, expected: &[(&str, Option<&str>)]) {
    let owned =
        |(action, signal): &(&str, Option<&str>)| ((*action).to_owned(), signal.map(str::to_owned));
    let mut told = told(host);
    let mut expected: Vec<_> = expected.iter().map(owned).collect();
    // Docker tells these two in either order.
    let is_racing = |(action, _): &(String, _)| action == "stop" || action == "die";
    for list in [&mut told, &mut expected] {
        for pair in 1..list.len() {
            if is_racing(&list[pair - 1]) && is_racing(&list[pair]) {
                list[pair - 1..=pair].sort();
            }
        }
    }
    assert_eq!(told, expected);
}

#[test]
fn one_that_ends_in_time_is_told_of_once() {
    let host = Host::start();
    let container = host.run(&format!("--name web busybox {POLITE}"));
    container.logs_eventually("ready");

    host.docker("stop web").succeeds();

    check(&host, &[("start", None), ("kill", Some("15")), ("stop", None), ("die", None)]);
}

#[test]
fn when_the_time_is_over_the_kill_is_told_as_well() {
    let host = Host::start();
    let container = host.run(&format!("--name web busybox {STUBBORN}"));
    container.logs_eventually("ready");

    host.docker("restart --timeout 1 web").succeeds();
    container.logs_eventually("ready\nready");
    assert_eq!(container.status(), "running");

    check(
        &host,
        &[
            ("start", None),
            ("kill", Some("15")),
            ("kill", Some("9")),
            ("stop", None),
            ("die", None),
            ("start", None),
            ("restart", None),
        ],
    );
    container.remove_by_force();
}

#[test]
fn one_that_cannot_hear_is_not_waited_for() {
    if !Host::is_wharf_or_skips("dockerd waits until the time is over") {
        return;
    }
    let host = Host::start();
    let container = host.run("--name web busybox sleep 1000");

    let outcome = host.docker("stop --timeout 1000 web").succeeds().prints("web\n");

    assert_eq!(container.exit_code(), 137);
    if Host::has_own_client_or_skips() {
        outcome.stderr_has("web: process 1 does not hear SIGTERM, so it was killed at once");
    }
    check(
        &host,
        &[
            ("start", None),
            ("kill", Some("15")),
            ("kill", Some("9")),
            ("stop", None),
            ("die", None),
        ],
    );
    for action in ["kill", "die"] {
        let lines = host.events(&format!("--filter event={action} --format json"));
        let event: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        let reason = &event["Actor"]["Attributes"]["reason"];
        assert_eq!(reason, "process 1 does not hear the stop signal", "{action}");
    }
    // The next run knows nothing of it.
    host.docker("start web").succeeds();
    let answer = host.api("POST", "/v1.51/containers/web/stop?t=0", None);
    assert_eq!(answer.status, 204);
    assert!(!answer.head.to_lowercase().contains("wharf-notice"), "{}", answer.head);
}

#[test]
fn one_that_has_only_just_begun_is_given_time_to_listen() {
    if !Host::is_wharf_or_skips("dockerd sends the signal once, and nobody hears it") {
        return;
    }
    let host = Host::start();
    let script = "sleep 1; trap \"exit 7\" TERM; while :; do sleep 0.01; done";
    let container = host.run(&format!("--name web busybox sh -c '{script}'"));

    host.docker("stop --timeout 60 web").succeeds();

    assert_eq!(container.exit_code(), 7);
}

#[test]
fn with_an_init_everybody_hears() {
    let host = Host::start();
    let container = host.run("--init --name web busybox sleep 1000");
    eventually("the program below the init", || {
        host.docker("top web").succeeds().stdout.contains("sleep 1000").then_some(())
    });

    host.docker("stop --timeout 60 web").succeeds();

    assert_eq!(container.exit_code(), 143);
}
