//! `--restart`: coming back by itself.

use stories::{Host, eventually};

/// Counts its starts in a file and ends at once.
const COUNTER: &str = "sh -c 'echo start >> /starts; exit 3'";

#[test]
fn on_failure_gives_up_after_its_number() {
    let host = Host::start();

    let container = host.run(&format!("--restart on-failure:2 busybox {COUNTER}"));

    eventually("the last attempt", || {
        let state = container.inspect();
        (state["RestartCount"] == 2 && state["State"]["Status"] == "exited").then_some(())
    });
    assert_eq!(container.exit_code(), 3);
    let log = container.at("/HostConfig/RestartPolicy");
    assert_eq!(log, serde_json::json!({"Name": "on-failure", "MaximumRetryCount": 2}));
}

#[test]
fn success_is_no_failure() {
    let host = Host::start();

    let container = host.run("--restart on-failure busybox true");
    container.becomes("exited");

    assert_eq!(container.at("/RestartCount"), 0);
}

#[test]
fn always_comes_back_until_it_is_stopped() {
    let host = Host::start();
    let container = host.run("--restart always busybox sh -c 'echo start; exec sleep 1000'");
    let first = container.pid();

    // Killed from inside or by the host, not by the user's wish.
    container.exec("true").succeeds();
    let pid = rustix::process::Pid::from_raw(first.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    eventually("a new process", || {
        let state = container.at("/State");
        (state["Running"] == true && state["Pid"] != first).then_some(())
    });
    assert_eq!(container.at("/RestartCount"), 1);
    container.logs_eventually("start\nstart\n");

    host.docker(&format!("stop -t 0 {}", container.id)).succeeds();
    container.becomes("exited");
}

#[test]
fn it_waits_longer_each_time() {
    let host = Host::start();
    let container = host.run(&format!("--restart always busybox {COUNTER}"));

    eventually("a few attempts", || {
        (container.at("/RestartCount").as_u64().unwrap() >= 3).then_some(())
    });
    eventually("a pause between two attempts", || {
        let state = container.at("/State");
        (state["Restarting"] == true && state["Running"] == true).then_some(())
    });
    let status = host.answer("ps --all --format {{.State}}:{{.Status}}");
    if let Some(status) = status.strip_prefix("restarting:") {
        assert!(status.starts_with("Restarting (3) "), "{status}");
    }

    host.docker(&format!("stop {}", container.id)).succeeds();
    container.becomes("exited");
}

#[test]
fn a_container_that_is_waiting_can_be_removed() {
    let host = Host::start();
    let container = host.run(&format!("--restart always busybox {COUNTER}"));
    eventually("a few attempts", || {
        (container.at("/RestartCount").as_u64().unwrap() >= 2).then_some(())
    });

    container.remove_by_force();

    host.docker("ps --all --quiet").succeeds().prints("");
}

#[test]
fn killing_it_is_a_wish_to_end_it() {
    let host = Host::start();
    let container = host.run("--restart unless-stopped busybox sleep 1000");

    host.docker(&format!("kill {}", container.id)).succeeds();

    container.becomes("exited");
    assert_eq!(container.at("/RestartCount"), 0);
}

#[test]
fn policies_that_make_no_sense_are_refused() {
    let host = Host::start();

    host.docker("create --restart nope busybox")
        .fails_with(1)
        .stderr_says("invalid restart policy: unknown policy 'nope'");
    host.docker("create --restart always:3 busybox")
        .fails_with(1)
        .stderr_says("maximum retry count can only be used with 'on-failure'");
    host.docker("create --rm --restart always busybox").fails().stderr_says("conflicting options");
}
