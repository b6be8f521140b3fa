//! Restart policies.

use shim::protocol::{Phase, Request, RestartPolicy, What};

use crate::workshop::{Workshop, is_possible, output_only};

#[test]
fn a_failing_container_is_started_anew_until_it_has_failed_too_often() {
    if !is_possible() {
        return;
    }
    // What a run writes to the root is still there in the next.
    let script = "echo x >> /count; cat /count; exit 3";
    let policy = RestartPolicy::OnFailure { retries_max: Some(2) };
    let mut workshop = Workshop::shell(script).with_restart(policy);
    let mut client = workshop.attach_early(output_only());
    let mut running = workshop.launch();
    let first = running.started.pid;
    let state = running.await_event(&What::Exited);
    assert_eq!((state.phase, state.exit_code), (Phase::Restarting, Some(3)));
    assert_eq!(state.restart_count, 1);
    // As in Docker, a client is attached to one run.
    assert_eq!(client.read_frames().0, "x\n");
    let state = running.await_event(&What::Started);
    assert_eq!(state.phase, Phase::Running);
    assert_ne!(state.pid, first);
    drop(client);
    let log = running.workshop.run_folder().parent().unwrap().join("log");
    let end = running.finish();
    assert_eq!((end.exit_code, end.restart_count), (Some(3), 2));
    // The log's folder goes with the workshop, which `finish` has consumed.
    assert!(!log.exists());
}

#[test]
fn all_runs_share_the_log_and_the_network_namespace() {
    if !is_possible() {
        return;
    }
    let policy = RestartPolicy::OnFailure { retries_max: Some(1) };
    let mut workshop = Workshop::shell("readlink /proc/self/ns/net; exit 1").with_restart(policy);
    let namespace =
        linux::network_namespace::in_new(|| linux::network_namespace::current().unwrap()).unwrap();
    let inode = rustix::fs::fstat(&namespace).unwrap().st_ino;
    workshop.network_namespace = Some(namespace);
    let mut running = workshop.launch();
    while running.await_event(&What::Exited).phase != Phase::Exited {}
    assert_eq!(running.workshop.logged(), format!("net:[{inode}]\n").repeat(2));
    running.shim.take().unwrap().wait().unwrap();
    running.workshop.assert_clean();
}

#[test]
fn stopping_ends_the_restarts() {
    if !is_possible() {
        return;
    }
    let mut running = Workshop::program(&["false"]).with_restart(RestartPolicy::Always).launch();
    while running.await_event(&What::Exited).restart_count < 3 {}
    let stop = Request::Stop { signal: 15, grace: None };
    running.connect().call(&stop, &[]).unwrap();
    let end = running.finish();
    assert_eq!(end.exit_code, Some(1));
    assert!(end.stop_requested);

    let running =
        Workshop::program(&["sleep", "1000"]).with_restart(RestartPolicy::Always).launch();
    assert_eq!(running.stop().restart_count, 0);
}

#[test]
fn a_killed_container_that_nobody_stopped_comes_back() {
    if !is_possible() {
        return;
    }
    let mut running =
        Workshop::program(&["sleep", "1000"]).with_restart(RestartPolicy::UnlessStopped).launch();
    running
        .connect()
        .call(&Request::Signal { signal: 9, all: false, last_run: false }, &[])
        .unwrap();
    let state = running.await_event(&What::Started);
    assert_eq!((state.phase, state.exit_code), (Phase::Running, None));
    let request = Request::Update { resources: None, restart: Some(RestartPolicy::No) };
    running.connect().call(&request, &[]).unwrap();
    running
        .connect()
        .call(&Request::Signal { signal: 9, all: false, last_run: false }, &[])
        .unwrap();
    assert_eq!(running.finish().restart_count, 1);
}

#[test]
fn changed_limits_hold_after_a_restart() {
    if !is_possible() {
        return;
    }
    let mut running =
        Workshop::program(&["sleep", "1000"]).with_restart(RestartPolicy::Always).launch();
    let resources = Some(serde_json::json!({ "pids": { "limit": 77 } }));
    running.connect().call(&Request::Update { resources, restart: None }, &[]).unwrap();
    running
        .connect()
        .call(&Request::Signal { signal: 9, all: false, last_run: false }, &[])
        .unwrap();
    running.await_event(&What::Started);
    assert_eq!(running.workshop.process_limits(), ["77\n"]);
    running.stop();
}

#[test]
fn a_restart_that_fails_is_the_end() {
    if !is_possible() {
        return;
    }
    // The first run takes the program away from the second.
    let script = "while ! rm /bin/sh; do :; done; exit 1";
    let workshop = Workshop::program(&["/bin/sh", "-c", script]);
    let mut running = workshop.with_restart(RestartPolicy::Always).launch();
    let state = running.await_event(&What::Exited);
    assert_eq!(state.phase, Phase::Restarting);
    let end = running.finish();
    assert_eq!(end.exit_code, Some(127), "{end:?}");
    assert!(end.error.unwrap().contains("no such file or directory"));
}

#[test]
fn a_signal_may_be_the_end_of_the_restarts() {
    if !is_possible() {
        return;
    }
    let script = "trap 'exit 3' HUP; echo ready; while true; do sleep 0.05; done";
    let mut running = Workshop::shell(script).with_restart(RestartPolicy::Always).launch();
    let signal = |last_run| Request::Signal { signal: 1, all: false, last_run };
    running.workshop.await_logged("ready", 1);
    running.connect().call(&signal(false), &[]).unwrap();
    let state = running.await_event(&What::Exited);
    assert_eq!((state.phase, state.exit_code), (Phase::Restarting, Some(3)));
    running.workshop.await_logged("ready", 2);
    running.connect().call(&signal(true), &[]).unwrap();
    let end = running.finish();
    assert_eq!((end.exit_code, end.stop_requested), (Some(3), false));
}

#[test]
fn a_signal_between_two_runs_is_heard_by_nobody() {
    if !is_possible() {
        return;
    }
    let mut running = Workshop::program(&["false"]).with_restart(RestartPolicy::Always).launch();
    while running.await_event(&What::Exited).restart_count < 4 {}
    let signal = |last_run| Request::Signal { signal: 1, all: false, last_run };
    running.connect().call(&signal(false), &[]).unwrap();
    while running.await_event(&What::Exited).restart_count < 5 {}
    running.connect().call(&signal(true), &[]).unwrap();
    assert_eq!(running.finish().restart_count, 5);
}
