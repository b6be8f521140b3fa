//! Explanations of containers in each state.

use std::collections::BTreeMap;

use docker_api::containers::{Health, HealthResult};
use docker_api::events::Actor;
use expect_test::{Expect, expect};

use super::*;

/// A container called `web` that ended a minute ago with this code, after an hour.
fn ended(exit_code: i32) -> Facts {
    let now: Timestamp = "2026-05-01T12:00:00Z".parse().unwrap();
    let mut container = ContainerInspect {
        name: "/web".to_owned(),
        path: "server".to_owned(),
        args: vec!["-v".to_owned(), "a b".to_owned()],
        ..ContainerInspect::default()
    };
    container.config.image = "shop:2".to_owned();
    container.state.status = "exited".to_owned();
    container.state.exit_code = exit_code;
    container.state.started_at = "2026-05-01T10:59:00.5Z".to_owned();
    container.state.finished_at = "2026-05-01T11:58:58Z".to_owned();
    Facts { container, events: Vec::new(), output: Vec::new(), memory: None, now }
}

fn event(action: &str, attributes: &[(&str, &str)]) -> EventMessage {
    let attributes: BTreeMap<_, _> =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    EventMessage {
        action: action.to_owned(),
        actor: Actor { id: String::new(), attributes },
        ..EventMessage::default()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is made for this")]
#[track_caller]
fn check(facts: &Facts, expected: Expect) {
    expected.assert_eq(&explain(facts).screen());
}

#[test]
fn an_end_by_itself() {
    let mut facts = ended(3);
    facts.output = vec!["listening".to_owned(), "no such table".to_owned()];
    check(
        &facts,
        expect![[r#"
        web  exited about a minute ago with code 3, after 59 minutes
          why       its program ended by itself, with code 3
          image     shop:2
          command   server -v "a b"
          output    last lines:
            listening
            no such table
    "#]],
    );
}

#[test]
fn want_of_memory_with_its_limit_and_its_peak() {
    let mut facts = ended(137);
    facts.container.state.oom_killed = true;
    facts.container.state.memory_peak = Some(64 << 20);
    facts.container.host_config.resources.memory = 64 << 20;
    facts.container.host_config.restart_policy.name = "on-failure".to_owned();
    facts.container.host_config.restart_policy.maximum_retry_count = 2;
    facts.container.restart_count = 2;
    check(
        &facts,
        expect![[r#"
        web  exited about a minute ago with code 137, after 59 minutes
          why       it ran out of memory: the kernel killed a process of it at its limit of 64MiB, and it had used 64MiB at most
          restarts  2 (policy on-failure:2, which is used up)
          image     shop:2
          command   server -v "a b"

        hint: `wharf update --memory 128m --memory-swap -1 web` doubles the limit
    "#]],
    );
}

#[test]
fn a_stop_that_had_to_kill_is_told_from_a_kill_by_a_stranger() {
    let mut facts = ended(137);
    facts.events = vec![
        // Of the run before.
        event("kill", &[("signal", "10")]),
        event("start", &[]),
        event("kill", &[("signal", "15")]),
        event("kill", &[("signal", "9")]),
        event("die", &[("exitCode", "137")]),
    ];
    let reason = explain(&facts).reason;
    assert_eq!(reason, "somebody stopped it: SIGTERM did not end it in time, so SIGKILL did");
    facts.events.clear();
    let reason = explain(&facts).reason;
    assert!(reason.ends_with("nobody asked this engine for it"), "{reason}");
}

#[test]
fn what_the_engine_ended_by_itself() {
    let mut facts = ended(137);
    facts.events = vec![event("start", &[]), event("die", &[("reason", "unhealthy")])];
    assert!(explain(&facts).reason.starts_with("its health check failed too often"));
    let deaf = "process 1 does not hear the stop signal";
    facts.events = vec![event("start", &[]), event("die", &[("reason", deaf)])];
    let report = explain(&facts);
    assert!(report.reason.ends_with(deaf), "{}", report.reason);
    assert!(report.hint.unwrap().contains("--init"));
}

#[test]
fn a_stop_that_it_heeded() {
    let mut facts = ended(0);
    facts.events = vec![event("start", &[]), event("kill", &[("signal", "15")])];
    let reason = explain(&facts).reason;
    assert_eq!(
        reason,
        "somebody asked for it with SIGTERM; its program ended by itself, with success"
    );
}

#[test]
fn a_start_that_failed_has_its_hint() {
    let mut facts = ended(127);
    facts.container.state.started_at = NEVER.to_owned();
    facts.container.state.status = "created".to_owned();
    facts.container.state.error = "exec: \"sevrer\": executable file not found".to_owned();
    let report = explain(&facts);
    assert_eq!(report.summary, "could not be started");
    assert!(report.reason.contains("sevrer"));
    assert!(report.hint.unwrap().contains("spelling"));
    facts.container.state.error_hint = Some("do this".to_owned());
    assert_eq!(explain(&facts).hint.unwrap(), "do this");
}

#[test]
fn a_container_that_runs_and_is_ill() {
    let mut facts = ended(0);
    facts.container.state.status = "running".to_owned();
    facts.container.state.running = true;
    facts.memory = Some(3 << 20);
    let probe = |code, output: &str| HealthResult {
        end: "2026-05-01T11:59:55Z".to_owned(),
        exit_code: code,
        output: output.to_owned(),
        ..HealthResult::default()
    };
    facts.container.state.health = Some(Health {
        status: "unhealthy".to_owned(),
        failing_streak: 2,
        log: Some(vec![probe(0, "fine"), probe(1, "refused\nmore"), probe(-1, "")]),
        last_action: None,
    });
    check(
        &facts,
        expect![[r#"
        web  runs for about an hour
          why       its program runs, and its health check fails
          memory    3MiB
          health    unhealthy, 2 failures in a row
                    5 seconds ago, code -1: no output
                    5 seconds ago, code 1: refused
          image     shop:2
          command   server -v "a b"

        hint: `wharf logs web`, `wharf debug web`
    "#]],
    );
}

#[test]
fn a_container_that_was_lost_with_its_host() {
    let facts = ended(255);
    assert!(explain(&facts).reason.contains("the host went down"));
}
