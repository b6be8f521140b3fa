//! `--rm`: the container goes with its end, whatever that is.

use stories::{Fault, Host, eventually};

#[track_caller]
fn is_gone(host: &Host) {
    eventually("the container to be gone", || {
        host.answer("ps --all --quiet").is_empty().then_some(())
    });
    host.docker("create --name web busybox").succeeds();
    host.docker("rm web").succeeds();
}

/// Ends by itself on SIGTERM, once it has said so.
const POLITE: &str = "sh -c 'trap \"exit 7\" TERM; echo ready; while :; do sleep 0.01; done'";

#[test]
fn one_in_the_background_goes_with_its_end() {
    let host = Host::start();
    let flags = "--rm --name web -v /anonymous -v named:/named";
    let container = host.run(&format!("{flags} busybox sh -c 'sleep 0.3; exit 4'"));
    assert_eq!(container.wait(), 4);
    is_gone(&host);
    // Its own volumes go as well; those that have a name stay.
    assert_eq!(host.answer("volume ls --quiet"), "named");
}

#[test]
fn one_that_is_ended_goes() {
    let host = Host::start();
    for end in ["kill web", "stop web", "kill --signal TERM web", "exec web kill 1"] {
        let container = host.run(&format!("--rm --name web busybox {POLITE}"));
        container.logs_eventually("ready");
        host.docker(end);
        is_gone(&host);
    }
    host.run("--rm --name web busybox sleep 1000").remove_by_force();
    is_gone(&host);
}

#[test]
fn one_that_cannot_start_goes() {
    let host = Host::start();

    host.docker("run --detach --rm --name web busybox nope").fails_with(127);
    is_gone(&host);
    host.create("--rm --name web busybox nope");
    host.docker("start web").fails();
    is_gone(&host);
}

#[test]
fn one_that_is_restarted_stays() {
    let host = Host::start();
    let container = host.run(&format!("--rm --name web busybox {POLITE}"));
    container.logs_eventually("ready");
    let first = container.pid();

    host.docker("restart web").succeeds();

    assert_eq!(container.status(), "running");
    assert_ne!(container.pid(), first);
    container.logs_eventually("ready\nready");
    host.docker("stop web").succeeds();
    is_gone(&host);
}

#[test]
fn one_that_comes_back_by_itself_cannot_go() {
    let host = Host::start();

    let body = r#"{"Image":"busybox","HostConfig":{"AutoRemove":true,
        "RestartPolicy":{"Name":"always"}}}"#;
    let answer = host.api("POST", "/v1.51/containers/create", Some(body));
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(
        answer.body.contains("can't create 'AutoRemove' container with restart policy"),
        "{}",
        answer.body
    );
    host.run("--rm --name web busybox sleep 1000");
    host.docker("update --restart always web").fails_with(1).stderr_has(
        "Restart policy cannot be updated because AutoRemove is enabled for the container",
    );
    host.docker("rm --force web").succeeds();
}

#[test]
fn one_that_cannot_be_removed_keeps_nobody_waiting() {
    let Some(host) = Host::with_fail_points_or_skips() else { return };
    host.fail_points().arm("remove.folder", Fault::Error);
    host.docker("run --rm --name web busybox true").fails().stderr_has("remove.folder");
    assert_eq!(host.container("web").status(), "dead");
    host.docker("rm web").succeeds();
}
