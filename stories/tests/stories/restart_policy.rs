//! `--restart`: coming back by itself.

use rustix::process::{Pid, Signal, kill_process};
use stories::{Container, Host, eventually};

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
    let pid = Pid::from_raw(first.cast_signed()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
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

/// Ends by itself on SIGHUP.
const HANGS_UP: &str = "sh -c 'trap \"exit 3\" HUP; echo ready; while :; do sleep 0.01; done'";

#[test]
fn any_signal_is_a_wish_to_end_it_unless_another_is_named_for_that() {
    let host = Host::start();
    let any = host.run(&format!("--restart always --name any busybox {HANGS_UP}"));
    any.logs_eventually("ready");
    host.docker("kill --signal HUP any").succeeds();
    any.becomes("exited");
    assert_eq!((any.exit_code(), any.at("/RestartCount")), (3, 0.into()));

    let other =
        host.run(&format!("--restart always --stop-signal TERM --name other busybox {HANGS_UP}"));
    other.logs_eventually("ready");
    host.docker("kill --signal HUP other").succeeds();
    other.logs_eventually("ready\nready");
    assert_eq!(other.at("/RestartCount"), 1);
    other.remove_by_force();

    let flags = "--restart unless-stopped --stop-signal TERM";
    let unless = host.run(&format!("{flags} --name unless busybox {HANGS_UP}"));
    unless.logs_eventually("ready");
    host.docker("kill --signal HUP unless").succeeds();
    unless.becomes("exited");
}

#[test]
fn one_that_waits_for_its_next_run_can_be_killed() {
    let host = Host::start();
    let container = host.run(&format!("--restart always --name web busybox {COUNTER}"));
    eventually("a long pause", || {
        let state = container.inspect();
        (state["RestartCount"].as_u64().unwrap() >= 4 && state["State"]["Restarting"] == true)
            .then_some(())
    });

    host.docker("kill web").succeeds();

    container.becomes("exited");
    assert_eq!(container.exit_code(), 3);
}

#[test]
fn the_policy_can_be_changed_while_it_runs() {
    let host = Host::start();
    let script = "echo ready; trap \"exit 3\" USR1; while :; do sleep 0.01; done";
    let flags = "--stop-signal TERM --name web";
    let container = host.run(&format!("{flags} busybox sh -c '{script}'"));
    container.logs_eventually("ready");

    host.docker("update --restart on-failure:1 web").succeeds().prints("web\n");
    host.docker("kill --signal USR1 web").succeeds();
    container.logs_eventually("ready\nready");
    assert_eq!(container.at("/RestartCount"), 1);
    host.docker("kill --signal USR1 web").succeeds();
    container.becomes("exited");
    assert_eq!((container.exit_code(), container.at("/RestartCount")), (3, 1.into()));

    // A start by hand begins to count anew.
    host.docker("start web").succeeds();
    assert_eq!(container.at("/RestartCount"), 0);
    host.docker("update --restart no web").succeeds();
    container.logs_eventually("ready\nready\nready");
    host.docker("kill --signal USR1 web").succeeds();
    container.becomes("exited");
    assert_eq!(container.at("/RestartCount"), 0);
}

#[test]
fn each_run_is_told() {
    let host = Host::start();
    let container = host.run("--restart on-failure:2 --name web busybox sh -c 'exit 3'");
    eventually("the last attempt", || {
        let state = container.inspect();
        (state["RestartCount"] == 2 && state["State"]["Status"] == "exited").then_some(())
    });

    let told = host.events("--filter event=start --filter event=die --format {{.Action}}");
    assert_eq!(told, "start\ndie\nstart\ndie\nstart\ndie");
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

/// The namespace of a process, by which those of others are told from it.
fn namespace(pid: u32, name: &str) -> Option<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/{name}")).ok()
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process has a number");
    kill_process(pid, Signal::KILL).expect("it runs");
}

#[test]
fn a_restart_joins_the_namespaces_that_the_other_container_has_by_then() {
    if !Host::is_wharf_or_skips("dockerd starts nothing while it is away") {
        return;
    }
    let host = Host::start();
    let owner = host.run("--name owner --restart always --ipc shareable busybox sleep 1000");
    let guest = host.run(
        "--name guest --restart always --pid container:owner --ipc container:owner \
         busybox sleep 1000",
    );
    let (first_owner, first_guest) = (owner.pid(), guest.pid());
    assert_eq!(namespace(first_owner, "pid"), namespace(first_guest, "pid"));

    host.kill_daemon();
    // Its processes end with it, the other container's among them.
    kill(first_owner);
    host.start_daemon();

    eventually("both to run again", || {
        let is_again = |container: &Container, first: u32| {
            let told = container.inspect();
            told["State"]["Status"] == "running" && told["State"]["Pid"] != first
        };
        (is_again(&owner, first_owner) && is_again(&guest, first_guest)).then_some(())
    });
    for name in ["pid", "ipc"] {
        let (owners, guests) = (namespace(owner.pid(), name), namespace(guest.pid(), name));
        assert!(owners.is_some());
        assert_eq!(owners, guests, "{name}");
    }
}

#[test]
fn a_restart_that_has_nobody_to_join_says_whom() {
    let host = Host::start();
    let owner = host.run("--name owner --ipc shareable busybox sleep 1000");
    let guest = host.run("--name guest --restart always --ipc container:owner busybox sleep 1000");
    host.docker("kill owner").succeeds();
    owner.becomes("exited");

    kill(guest.pid());

    guest.becomes("exited");
    assert_eq!(guest.exit_code(), 137);
    let error = guest.at("/State/Error");
    let expected = format!("cannot join IPC namespace of a non running container: {}", owner.id);
    assert_eq!(error, expected);
}
