//! What starts with the daemon starts in an order in which it can.

use stories::{Host, eventually};

/// Ends the daemon and what it runs, as a host that goes down does, and starts it again.
fn reboot(host: &Host) {
    host.kill_daemon();
    for pid in host.shims() {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a process's number");
        // It may be gone by now.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    eventually("the supervisors' end", || host.shims().is_empty().then_some(()));
    host.start_daemon();
}

#[test]
fn who_joins_another_s_namespaces_starts_after_it() {
    if !Host::is_wharf_or_skips("a dockerd that is killed leaves its containers running") {
        return;
    }
    let host = Host::start();
    // The newest is the first that a new daemon comes across.
    host.run("--name net --restart always busybox sleep 1000");
    host.run("--name ipc --restart always --ipc shareable busybox sleep 1000");
    host.run(
        "--name joined --restart always --network container:net --pid container:net \
         --ipc container:ipc busybox sleep 1000",
    );
    host.run("--name last --restart always --network container:joined busybox sleep 1000");
    host.run("--name linked --restart always --link net busybox sleep 1000");

    reboot(&host);

    for name in ["net", "ipc", "joined", "last", "linked"] {
        assert_eq!(host.container(name).status(), "running", "{name}");
    }
    let address = host.container("net").address();
    assert!(host.answer("exec last ip -o addr").contains(&address));
    assert!(host.answer("exec linked cat /etc/hosts").contains(&format!("{address}\tnet")));
}

#[test]
fn one_that_cannot_start_holds_up_nobody() {
    if !Host::is_wharf_or_skips("a dockerd that is killed leaves its containers running") {
        return;
    }
    let host = Host::start();
    host.run("--name gone busybox sleep 1000");
    host.run("--name orphan --restart always --network container:gone busybox sleep 1000");
    host.run("--name web --restart always busybox sleep 1000");

    reboot(&host);

    // Nobody asked for `gone` to start again.
    assert_eq!(host.container("gone").status(), "exited");
    assert_eq!(host.container("orphan").status(), "exited");
    assert_eq!(host.container("web").status(), "running");
}

#[test]
fn who_shares_a_network_keeps_it_until_it_is_restarted_itself() {
    let host = Host::start();
    let net = host.run("--name net busybox sleep 1000");
    let joined = host.run("--name joined --network container:net busybox sleep 1000");
    let pid = joined.pid();

    host.docker("restart --time 0 net").succeeds();

    assert_eq!(joined.status(), "running");
    assert_eq!(joined.pid(), pid);
    host.docker("restart --time 0 joined").succeeds();
    assert!(host.answer("exec joined ip -o addr").contains(&net.address()));
}
