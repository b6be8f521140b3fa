//! Starting, stopping, pausing, limits, and what cannot be started.

use std::os::fd::AsFd as _;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::json;
use shim::client::{CallError, LaunchError, Program};
use shim::protocol::{Answer, Failure, FailureKind, Phase, Request, What};

use crate::workshop::{Workshop, is_possible, output_only};

#[track_caller]
fn refused(outcome: Result<Answer, CallError>) -> Failure {
    match outcome {
        Err(CallError::Failed(failure)) => failure,
        other => panic!("not refused but {other:?}"),
    }
}

#[track_caller]
fn check_failed_launch(mut workshop: Workshop, kind: FailureKind, words: &str) {
    let failure = match workshop.try_launch() {
        Err(LaunchError::Failed(failure)) => failure,
        other => panic!("not refused but {other:?}"),
    };
    assert_eq!(failure.kind, kind);
    assert!(failure.message.contains(words), "{}", failure.message);
    workshop.assert_clean();
    let state = shim::client::last_state(&workshop.run_folder()).unwrap();
    assert!(state.is_none_or(|state| state.error == Some(failure.message)));
}

#[test]
fn a_program_that_is_not_there_is_told_apart_from_one_that_cannot_be_executed() {
    if !is_possible() {
        return;
    }
    check_failed_launch(
        Workshop::program(&["nope"]),
        FailureKind::ProgramNotFound,
        "exec: \"nope\": executable file not found in $PATH",
    );
    check_failed_launch(
        Workshop::program(&["/nope"]),
        FailureKind::ProgramNotFound,
        "exec: \"/nope\": stat /nope: no such file or directory",
    );
    check_failed_launch(
        Workshop::program(&["/etc/passwd"]),
        FailureKind::ProgramNotExecutable,
        "exec: \"/etc/passwd\": permission denied",
    );
}

#[test]
fn nonsense_is_refused_and_a_runtime_that_is_not_there_too() {
    if !is_possible() {
        return;
    }
    let mut nonsense = Workshop::program(&["true"]);
    nonsense.config = json!({ "process": 3 });
    check_failed_launch(nonsense, FailureKind::InvalidConfiguration, "config.json");
    let mut other = Workshop::program(&["true"]);
    other.launch.runtime = Some("/nonexistent/runtime".into());
    check_failed_launch(other, FailureKind::Internal, "/nonexistent/runtime");
}

#[test]
fn a_program_that_is_no_shim_is_noticed() {
    if !is_possible() {
        return;
    }
    let mut workshop = Workshop::program(&["true"]);
    workshop.program = Program::new("/bin/false".into());
    assert!(matches!(workshop.try_launch(), Err(LaunchError::Spawn { .. })));
    workshop.program = Program::new("/nonexistent/wharf-shim".into());
    assert!(matches!(workshop.try_launch(), Err(LaunchError::Spawn { .. })));
    workshop.assert_clean();
}

#[test]
fn an_exit_code_or_a_signal_is_reported() {
    if !is_possible() {
        return;
    }
    assert_eq!(Workshop::program(&["false"]).launch().finish().exit_code, Some(1));
    let running = Workshop::program(&["sleep", "1000"]).launch();
    running
        .connect()
        .call(&Request::Signal { signal: 9, all: false, last_run: false }, &[])
        .unwrap();
    assert_eq!(running.finish().exit_code, Some(137));
}

#[test]
fn stop_asks_first() {
    if !is_possible() {
        return;
    }
    let script = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done";
    let mut workshop = Workshop::shell(script);
    let mut client = workshop.attach_early(output_only());
    let running = workshop.launch();
    client.read_until("ready\n");
    let stop = Request::Stop { signal: 15, grace: Some(Duration::from_secs(60)) };
    running.connect().call(&stop, &[]).unwrap();
    client.read_until("bye\n");
    drop(client);
    let end = running.finish();
    assert_eq!(end.exit_code, Some(7));
    assert!(end.stop_requested);
}

#[test]
fn stop_kills_what_does_not_listen() {
    if !is_possible() {
        return;
    }
    let mut workshop = Workshop::shell("trap '' TERM; echo ready; while :; do sleep 1000; done");
    let mut client = workshop.attach_early(output_only());
    let running = workshop.launch();
    client.read_until("ready\n");
    let stop = Request::Stop { signal: 15, grace: Some(Duration::from_millis(50)) };
    running.connect().call(&stop, &[]).unwrap();
    drop(client);
    assert_eq!(running.finish().exit_code, Some(137));
}

#[test]
fn a_paused_container_does_not_run_and_is_not_entered() {
    if !is_possible() {
        return;
    }
    let mut running = Workshop::program(&["sleep", "1000"]).launch();
    running.connect().call(&Request::Pause, &[]).unwrap();
    assert_eq!(running.await_event(&What::Paused).phase, Phase::Paused);

    let failure = refused(running.connect().call(&Request::Pause, &[]));
    assert_eq!(failure.kind, FailureKind::WrongPhase);
    let mut request = crate::workshop::exec("one", &["true"]);
    request.attach = None;
    let failure = refused(running.connect().call(&Request::Exec(request), &[]));
    assert!(failure.message.contains("is paused, unpause the container before exec"));

    running.connect().call(&Request::Resume, &[]).unwrap();
    assert_eq!(running.await_event(&What::Resumed).phase, Phase::Running);
    let failure = refused(running.connect().call(&Request::Resume, &[]));
    assert_eq!(failure.kind, FailureKind::WrongPhase);
    running.stop();
}

#[test]
fn a_paused_container_wakes_up_to_its_stop_signal_or_its_death() {
    if !is_possible() {
        return;
    }
    let mut workshop =
        Workshop::shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done");
    let mut client = workshop.attach_early(output_only());
    let running = workshop.launch();
    client.read_until("ready\n");
    drop(client);
    running.connect().call(&Request::Pause, &[]).unwrap();
    let stop = Request::Stop { signal: 15, grace: Some(Duration::from_secs(60)) };
    running.connect().call(&stop, &[]).unwrap();
    assert_eq!(running.finish().exit_code, Some(7));

    let running = Workshop::program(&["sleep", "1000"]).launch();
    running.connect().call(&Request::Pause, &[]).unwrap();
    running
        .connect()
        .call(&Request::Signal { signal: 9, all: false, last_run: false }, &[])
        .unwrap();
    assert_eq!(running.finish().exit_code, Some(137));
}

#[test]
fn the_shim_is_deaf_to_those_who_end_the_daemon() {
    if !is_possible() {
        return;
    }
    let running = Workshop::program(&["sleep", "1000"]).launch();
    let shim = Pid::from_raw(running.shim.as_ref().unwrap().pid()).unwrap();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        rustix::process::kill_process(shim, signal).unwrap();
    }
    assert_eq!(running.connect().state().unwrap().phase, Phase::Running);
    assert_eq!(rustix::process::getsid(Some(shim)).unwrap(), shim);
    running.stop();
}

#[test]
fn who_is_killed_for_want_of_memory_is_said_to_be() {
    if !is_possible() {
        return;
    }
    let mut workshop = Workshop::program(&["tail", "/dev/zero"]);
    workshop.config["linux"]["resources"] =
        json!({ "memory": { "limit": 32 << 20, "swap": 32 << 20 } });
    let end = workshop.launch().finish();
    assert_eq!(end.exit_code, Some(137));
    assert!(end.oom_killed);
}

#[test]
fn processes_are_listed_and_limits_changed() {
    if !is_possible() {
        return;
    }
    let mut workshop = Workshop::shell("sleep 1000 & echo ready; wait");
    let mut client = workshop.attach_early(output_only());
    let running = workshop.launch();
    client.read_until("ready\n");
    drop(client);
    let Ok(Answer::Processes { pids }) = running.connect().call(&Request::Processes, &[]) else {
        panic!("no processes")
    };
    assert_eq!(pids.len(), 2);
    assert!(pids.contains(&running.started.pid));
    let resources = Some(json!({ "pids": { "limit": 77 } }));
    running.connect().call(&Request::Update { resources, restart: None }, &[]).unwrap();
    assert_eq!(running.workshop.process_limits(), ["77\n"]);
    running.stop();
}

#[test]
fn the_network_namespace_can_be_had() {
    if !is_possible() {
        return;
    }
    let mut workshop = Workshop::program(&["sleep", "1000"]);
    let given = linux::network_namespace::in_new(|| linux::network_namespace::current().unwrap());
    let given = given.unwrap();
    workshop.network_namespace = Some(given.try_clone().unwrap());
    let running = workshop.launch();
    let inode = |fd| rustix::fs::fstat(fd).unwrap().st_ino;
    let own = running.connect().network_namespace().unwrap();
    assert_eq!(inode(own.as_fd()), inode(given.as_fd()));
    running.stop();

    let running = Workshop::program(&["sleep", "1000"]).launch();
    let own = running.connect().network_namespace().unwrap();
    assert_ne!(inode(own.as_fd()), inode(given.as_fd()));
    running.stop();
}
