//! Health checks: what they find, whoever watches.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use shim::health::{Health, HealthAction, HealthCheck, HealthStatus, Probe, Target};
use shim::protocol::{Phase, Request, RestartPolicy, State, What};

use crate::workshop::{Running, Workshop, is_possible, process};

const SHORT: Duration = Duration::from_millis(50);

/// Long enough not to be the reason for anything.
const LONG: Duration = Duration::from_secs(60);

fn check(probe: Probe) -> HealthCheck {
    HealthCheck {
        probe,
        interval: SHORT,
        start_interval: SHORT,
        timeout: LONG,
        start_period: Duration::ZERO,
        retries: 2,
        action: HealthAction::None,
        stop_signal: 15,
        stop_grace: Some(Duration::ZERO),
        log: Vec::new(),
    }
}

fn command(script: &str) -> HealthCheck {
    check(Probe::Command {
        process: process(&["sh", "-c", script]),
        user: None,
        additional_groups: Vec::new(),
    })
}

fn target(port: u16) -> Target {
    Target { address: None, port }
}

fn launch(mut workshop: Workshop, check: HealthCheck) -> Running {
    workshop.launch.health = Some(check);
    workshop.launch()
}

fn health(state: &State) -> &Health {
    state.health.as_ref().expect("it has a health check")
}

/// What is known now, asked until it is as wanted.
fn health_when(running: &Running, wanted: impl Fn(&Health) -> bool) -> Health {
    loop {
        let state = running.connect().state().unwrap();
        let health = health(&state).clone();
        if wanted(&health) {
            return health;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_command_that_fails_too_often_makes_it_unhealthy_until_it_succeeds() {
    if !is_possible() {
        return;
    }
    let mut running =
        launch(Workshop::program(&["sleep", "1000"]), command("echo looking; cat /well"));
    assert_eq!(health(&running.started).status, HealthStatus::Starting);
    let state = running.await_event(&What::HealthChanged);
    let found = health(&state);
    assert_eq!((found.status, found.failing_streak), (HealthStatus::Unhealthy, 2));
    let last = found.log.last().unwrap();
    assert_eq!(last.exit_code, 1);
    assert_eq!(last.output, "looking\ncat: can't open '/well': No such file or directory\n");
    assert!(last.start <= last.end);
    running.exec(crate::workshop::exec("make", &["sh", "-c", "echo ok > /well"])).read_to_end();
    let state = running.await_event(&What::HealthChanged);
    let found = health(&state);
    assert_eq!((found.status, found.failing_streak), (HealthStatus::Healthy, 0));
    assert_eq!(found.log.last().unwrap().output, "looking\nok\n");
    health_when(&running, |health| health.log.len() == 5);
    let end = running.stop();
    // As in Docker: nobody looks at it.
    assert_eq!(health(&end).status, HealthStatus::Unhealthy);
    assert_eq!(health(&end).log.len(), 5);
}

#[test]
fn whoever_watches_hears_of_each_process() {
    if !is_possible() {
        return;
    }
    let mut running = launch(Workshop::program(&["sleep", "1000"]), command("exit 7"));
    for _ in 0..2 {
        let begun = running.await_event(&What::ProbeStarted).probe.unwrap();
        assert_eq!((begun.id.len(), begun.exit_code), (64, None));
        let ended = running.await_event(&What::ProbeEnded).probe.unwrap();
        assert_eq!((ended.id, ended.exit_code), (begun.id, Some(7)));
    }
    // They are no execs.
    assert!(running.stop().execs.is_empty());
}

#[test]
fn a_command_that_takes_too_long_is_killed_with_what_it_started() {
    if !is_possible() {
        return;
    }
    let check = HealthCheck {
        timeout: Duration::from_millis(150),
        ..command("echo slow; sleep 1000; echo never")
    };
    let mut running = launch(Workshop::program(&["sleep", "1000"]), check);
    let state = running.await_event(&What::HealthChanged);
    let result = &health(&state).log[0];
    assert_eq!(result.exit_code, -1);
    assert_eq!(result.output, "Health check exceeded timeout (150ms): slow\n");
    assert_eq!(running.await_event(&What::ProbeEnded).probe.unwrap().exit_code, Some(137));
    // The first process and, at most, one probe that is just being killed: a shell and its child.
    let request = Request::Processes;
    let shim::protocol::Answer::Processes { pids } = running.connect().call(&request, &[]).unwrap()
    else {
        panic!("another answer")
    };
    assert!(pids.len() <= 3, "{pids:?}");
    running.stop();
}

#[test]
fn a_command_that_cannot_be_run_is_unhealthy() {
    if !is_possible() {
        return;
    }
    let probe = |arguments: &[&str]| {
        check(Probe::Command {
            process: process(arguments),
            user: None,
            additional_groups: Vec::new(),
        })
    };
    let mut running = launch(Workshop::program(&["sleep", "1000"]), probe(&["/nowhere"]));
    let state = running.await_event(&What::HealthChanged);
    let result = &health(&state).log[0];
    assert_eq!(result.exit_code, -1);
    assert!(
        result.output.contains("exec: \"/nowhere\": stat /nowhere: no such file"),
        "{result:?}"
    );
    running.stop();
    let mut running = launch(Workshop::program(&["sleep", "1000"]), probe(&[]));
    let state = running.await_event(&What::HealthChanged);
    assert!(health(&state).log[0].output.ends_with("has no command"));
    running.stop();
}

#[test]
fn while_it_is_paused_nobody_looks() {
    if !is_possible() {
        return;
    }
    let mut running = launch(Workshop::program(&["sleep", "1000"]), command("true"));
    running.await_event(&What::HealthChanged);
    running.connect().call(&Request::Pause, &[]).unwrap();
    let paused = running.await_event(&What::Paused);
    assert_eq!(health(&paused).status, HealthStatus::Unhealthy);
    // Another one's is a clock: this one would have been looked at as often.
    let clock = launch(Workshop::program(&["sleep", "1000"]), command("true"));
    for _ in 0..4 {
        let last = |health: &Health| health.log.last().map(|result| result.start);
        let before = health_when(&clock, |_| true);
        health_when(&clock, |health| last(health) > last(&before));
    }
    clock.stop();
    let later = running.connect().state().unwrap();
    assert_eq!(health(&later).log, health(&paused).log);
    running.connect().call(&Request::Resume, &[]).unwrap();
    assert_eq!(health(&running.await_event(&What::HealthChanged)).status, HealthStatus::Healthy);
    running.stop();
}

#[test]
fn a_port_is_probed_in_the_containers_own_network() {
    if !is_possible() {
        return;
    }
    let script = "sleep 0.3; exec busybox nc -ll -p 8080 -e true";
    let mut running = launch(Workshop::shell(script), check(Probe::Tcp { target: target(8080) }));
    let state = running.await_event(&What::HealthChanged);
    let found = health(&state);
    assert_eq!(found.status, HealthStatus::Unhealthy);
    let refusal = "cannot connect to 127.0.0.1:8080: Connection refused";
    assert_eq!((found.log[0].exit_code, found.log[0].output.as_str()), (1, refusal));
    let state = running.await_event(&What::HealthChanged);
    let found = health(&state);
    assert_eq!(found.status, HealthStatus::Healthy);
    let last = found.log.last().unwrap();
    assert!(last.output.starts_with("connected to "), "{last:?}");
    running.stop();
}

#[test]
fn a_network_that_others_share_is_probed_as_well() {
    if !is_possible() {
        return;
    }
    let mut workshop = Workshop::shell("exec busybox nc -ll -p 8080 -e true");
    workshop.network_namespace = Some(
        linux::network_namespace::in_new(|| {
            linux::loopback::bring_up().unwrap();
            linux::network_namespace::current().unwrap()
        })
        .unwrap(),
    );
    let address = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let probe = Probe::Tcp { target: Target { address, port: 8080 } };
    let mut running = launch(workshop, check(probe));
    loop {
        let state = running.await_event(&What::HealthChanged);
        if health(&state).status == HealthStatus::Healthy {
            break;
        }
    }
    running.stop();
}

#[test]
fn a_page_is_fetched_and_its_status_judged() {
    if !is_possible() {
        return;
    }
    let script = "mkdir /www; echo fine > /www/health; exec busybox httpd -f -p 8080 -h /www";
    let path = "/health".to_owned();
    let probe = Probe::Http { target: target(8080), path };
    let mut running = launch(Workshop::shell(script), check(probe));
    let found = loop {
        let state = running.await_event(&What::HealthChanged);
        if health(&state).status == HealthStatus::Healthy {
            break health(&state).log.last().unwrap().clone();
        }
    };
    assert_eq!((found.exit_code, found.output.as_str()), (0, "HTTP/1.1 200 OK\n\nfine\n"));
    running.exec(crate::workshop::exec("break", &["busybox", "rm", "/www/health"])).read_to_end();
    let state = running.await_event(&What::HealthChanged);
    let found = health(&state);
    assert_eq!(found.status, HealthStatus::Unhealthy);
    let last = found.log.last().unwrap();
    assert_eq!(last.exit_code, 1);
    assert!(last.output.starts_with("HTTP/1.1 404 Not Found\n\n"), "{last:?}");
    running.stop();
}

#[test]
fn a_server_that_does_not_answer_is_too_slow() {
    if !is_possible() {
        return;
    }
    let probe = Probe::Http { target: target(8080), path: "/".to_owned() };
    let check = HealthCheck {
        start_period: Duration::from_secs(1),
        retries: 1,
        timeout: Duration::from_millis(200),
        ..check(probe)
    };
    let mut running = launch(Workshop::shell("exec busybox nc -ll -p 8080 -e sleep 1000"), check);
    let state = running.await_event(&What::HealthChanged);
    let last = health(&state).log.last().unwrap();
    let words = "Health check exceeded timeout (200ms): connected, but no answer yet";
    assert_eq!((last.exit_code, last.output.as_str()), (-1, words));
    running.stop();
}

#[test]
fn an_unhealthy_container_is_started_anew_if_so_wished() {
    if !is_possible() {
        return;
    }
    let check = HealthCheck { action: HealthAction::Restart, ..command("false") };
    let mut running = launch(Workshop::program(&["sleep", "1000"]), check);
    let first = running.started.pid;
    let state = running.await_event(&What::HealthActionTaken);
    assert_eq!(health(&state).last_action.unwrap().action, HealthAction::Restart);
    let state = running.await_event(&What::Exited);
    assert_eq!((state.phase, state.restart_count), (Phase::Restarting, 1));
    let state = running.await_event(&What::Started);
    assert_ne!(state.pid, first);
    let found = health(&state);
    assert_eq!((found.status, found.failing_streak), (HealthStatus::Starting, 0));
    // What was found before is still to be seen: both failures, and what another probe may have
    // found before the container had ended.
    assert!(found.log.len() >= 2, "{:?}", found.log);
    running.await_event(&What::HealthActionTaken);
    running.stop();
}

#[test]
fn an_unhealthy_container_is_stopped_if_so_wished() {
    if !is_possible() {
        return;
    }
    let check = HealthCheck { action: HealthAction::Stop, ..command("false") };
    let workshop = Workshop::program(&["sleep", "1000"]).with_restart(RestartPolicy::Always);
    let end = launch(workshop, check).finish();
    assert!(end.stop_requested);
    assert_eq!(end.exit_code, Some(137));
    assert_eq!(health(&end).last_action.unwrap().action, HealthAction::Stop);
}

#[test]
fn after_a_kill_the_restart_policy_decides() {
    if !is_possible() {
        return;
    }
    let check = HealthCheck { action: HealthAction::Kill, ..command("false") };
    let end = launch(Workshop::program(&["sleep", "1000"]), check.clone()).finish();
    assert_eq!((end.exit_code, end.restart_count), (Some(137), 0));
    let policy = RestartPolicy::OnFailure { retries_max: Some(1) };
    let workshop = Workshop::program(&["sleep", "1000"]).with_restart(policy);
    let end = launch(workshop, check).finish();
    assert_eq!((end.exit_code, end.restart_count), (Some(137), 1));
}
