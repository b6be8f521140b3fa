//! Asking a container to end: how long that may take.

use std::time::{Duration, Instant};

use shim::protocol::{Request, State, What};

use crate::workshop::{Running, Workshop, is_possible};

const TERMINATE: i32 = 15;

/// Far more than a program has to install its handlers.
const LONG: Duration = Duration::from_secs(60);

/// Asks for the end and waits for it.
fn stop(running: Running, grace: Duration) -> (State, Duration) {
    let begin = Instant::now();
    ask(&running, grace);
    let state = running.finish();
    (state, begin.elapsed())
}

fn ask(running: &Running, grace: Duration) {
    let request = Request::Stop { signal: TERMINATE, grace: Some(grace) };
    running.connect().call(&request, &[]).unwrap();
}

#[test]
fn one_that_does_not_hear_the_signal_is_killed_before_its_time_is_over() {
    if !is_possible() {
        return;
    }
    // As the first process of its namespace a shell does not end by a signal without a trap.
    let running = Workshop::shell("while true; do sleep 0.1; done").launch();
    let (state, _) = stop(running, LONG);
    assert_eq!((state.exit_code, state.unheard_stop_signal), (Some(137), Some(TERMINATE)));
}

#[test]
fn whoever_watches_hears_of_the_kill() {
    if !is_possible() {
        return;
    }
    let mut running = Workshop::program(&["sleep", "1000"]).launch();
    ask(&running, Duration::from_millis(50));
    // Its time is over sooner than it is certain that it does not hear.
    assert_eq!(running.await_event(&What::Killed).unheard_stop_signal, None);
    let state = running.finish();
    assert_eq!((state.exit_code, state.unheard_stop_signal), (Some(137), None));
}

#[test]
fn one_that_has_not_set_its_trap_yet_gets_the_signal_again() {
    if !is_possible() {
        return;
    }
    let script = "sleep 1; trap 'exit 5' TERM; while true; do sleep 0.1; done";
    let (state, _) = stop(Workshop::shell(script).launch(), LONG);
    assert_eq!((state.exit_code, state.unheard_stop_signal), (Some(5), None));
}

#[test]
fn a_program_that_has_just_taken_anothers_place_has_time_to_set_its_trap() {
    if !is_possible() {
        return;
    }
    // Long enough for the first program to be an old one.
    let script = "busybox mkdir /other; cat /bin/busybox > /other/busybox; \
                  busybox chmod 755 /other/busybox; sleep 4; exec /other/busybox sh -c \
                  'echo here; sleep 1; trap \"exit 5\" TERM; while true; do sleep 0.1; done'";
    let mut workshop = Workshop::shell(script);
    let mut client = workshop.attach_early(crate::workshop::output_only());
    let running = workshop.launch();
    client.read_until("here");
    let (state, _) = stop(running, LONG);
    assert_eq!((state.exit_code, state.unheard_stop_signal), (Some(5), None));
}

#[test]
fn one_that_ignores_the_signal_on_purpose_has_all_its_time() {
    if !is_possible() {
        return;
    }
    let mut workshop = Workshop::shell("trap '' TERM; echo deaf; while true; do sleep 0.1; done");
    let mut client = workshop.attach_early(crate::workshop::output_only());
    let running = workshop.launch();
    client.read_until("deaf");
    let grace = Duration::from_millis(4500);
    let (state, took) = stop(running, grace);
    assert_eq!((state.exit_code, state.unheard_stop_signal), (Some(137), None));
    assert!(took >= grace, "{took:?}");
}

#[test]
fn one_that_shares_the_hosts_processes_ends_by_the_signal() {
    if !is_possible() {
        return;
    }
    let mut workshop = Workshop::program(&["sleep", "1000"]);
    let namespaces = workshop.config["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != "pid");
    let (state, _) = stop(workshop.launch(), LONG);
    assert_eq!((state.exit_code, state.unheard_stop_signal), (Some(143), None));
}
