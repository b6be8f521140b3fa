//! `wharfd`'s own command line.

use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use stories::{Host, eventually};

const REASON: &str = "about wharfd's own command line";

fn fails_with_one(command: &mut Command, words: &[&str]) {
    let output = command.output().expect("the daemon's program can be run");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    for word in words {
        assert!(complaint.contains(word), "{word:?} in {complaint:?}");
    }
}

#[test]
fn an_unknown_flag_is_named() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::builder().bare().start();

    fails_with_one(host.bare_daemon_command().arg("--nope"), &["--nope"]);
}

#[test]
fn a_data_root_in_use_is_refused() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::builder().bare().start();
    let data_root = host.data_root();
    let mut second = host.bare_daemon_command();
    second.arg("--data-root").arg(&data_root);
    second.arg("--exec-root").arg(host.path("other-exec"));
    second.arg("--host").arg(format!("unix://{}", host.path("other.sock").display()));

    fails_with_one(&mut second, &[data_root.to_str().unwrap()]);

    host.docker("info").succeeds();
}

#[test]
fn a_taken_socket_is_refused() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::builder().bare().start();
    let socket = host.socket();
    let mut second = host.bare_daemon_command();
    second.arg("--data-root").arg(host.path("other-data"));
    second.arg("--exec-root").arg(host.path("other-exec"));
    second.arg("--host").arg(format!("unix://{}", socket.display()));

    fails_with_one(&mut second, &[socket.to_str().unwrap()]);

    host.docker("info").succeeds();
}

#[test]
fn settings_are_read_from_a_file_and_checked() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::builder().bare().start();
    let folder = host.folder(
        "settings",
        &[
            ("good.json", r#"{"log-level": "debug", "bip": "10.55.0.1/24"}"#),
            ("unknown.json", "{\n  \"nope\": 1\n}"),
            ("broken.json", "{\n  \"debug\": \n}"),
        ],
    );
    let validate = |name: &str| {
        let mut command = host.bare_daemon_command();
        command.arg("--validate").arg("--config-file").arg(format!("{folder}/{name}"));
        command
    };

    let output = validate("good.json").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("configuration OK"), "{output:?}");
    fails_with_one(&mut validate("unknown.json"), &["nope"]);
    fails_with_one(&mut validate("broken.json"), &["broken.json"]);
    fails_with_one(&mut validate("missing.json"), &["missing.json"]);
}

#[test]
fn the_bridge_s_address_can_be_chosen() {
    let host = Host::builder().flags("--bip 10.77.3.1/24").start();

    let container = host.run("busybox sleep 1000");

    assert!(container.address().starts_with("10.77.3."), "{}", container.address());
    assert_eq!(container.at("/NetworkSettings/Networks/bridge/Gateway"), "10.77.3.1");
}

#[test]
fn it_listens_where_it_is_told_to() {
    let host = Host::builder().bare().flags("--host tcp://127.0.0.1:2375").start();

    assert_eq!(host.get_page("127.0.0.1:2375", "/_ping"), "OK");
    host.docker("info").succeeds();
}

#[test]
fn the_pid_file_comes_and_goes() {
    let host = Host::builder().bare().start();
    let file = host.path("pid");

    let pid = std::fs::read_to_string(&file).unwrap();
    assert_eq!(pid.trim(), host.daemon_pid().to_string());
    host.stop_daemon();
    assert!(!file.exists());
}

#[test]
fn two_daemons_live_side_by_side() {
    if !Host::is_wharf_or_skips("two dockerds on one network need a bridge each by hand") {
        return;
    }
    let host = Host::start();
    let first = host.run("--name web --publish 8080:80 busybox httpd -f -h /var/www");
    let second = Host::builder().beside(&host).start();

    let other = second.run("--name web --publish 8081:80 busybox httpd -f -h /var/www");

    assert_ne!(first.address(), other.address());
    assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
    assert_eq!(host.get("127.0.0.1:8081"), "hello from web\n");
    assert_eq!(host.answer("ps --quiet").lines().count(), 1);
    other.remove_by_force();
    drop(second);
    assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
}

#[test]
fn a_debug_level_says_more() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::builder().flags("--debug").start();
    host.docker("run --rm busybox true").succeeds();

    let log = std::fs::read_to_string(host.path("log")).unwrap();

    assert!(log.contains("DEBUG") || log.contains("debug"), "{log}");
    assert_eq!(host.answer("info --format {{.Debug}}"), "true");
}

#[test]
fn what_is_told_anew_holds_from_then_on() {
    if !Host::is_wharf_or_skips("a story's dockerd has a file of its own") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("daemon.json");
    std::fs::write(&file, r#"{"labels": ["tier=front"]}"#).unwrap();
    let host = Host::builder().flags(&format!("--config-file {}", file.display())).start();
    let pid = Pid::from_raw(host.daemon_pid().cast_signed()).unwrap();
    let reloads = || host.events("--filter event=reload --format '{{json .Actor.Attributes}}'");
    let reload = |text: &str, count: usize| {
        std::fs::write(&file, text).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
        eventually("the news of the settings", || {
            let told = reloads();
            (told.lines().count() == count).then(|| told.lines().last().map(str::to_owned))?
        })
    };
    let described = || {
        let format = "{{.Labels}} {{.DefaultRuntime}} {{.Debug}} {{json .Runtimes.other}}";
        host.answer(&format!("info --format '{format}'"))
    };

    let told = reload(
        r#"{"labels": ["tier=back"], "debug": true, "default-shm-size": "32m",
            "runtimes": {"other": {"path": "/bin/other"}}, "default-runtime": "other"}"#,
        1,
    );
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    for (name, value) in [
        ("labels", r#"["tier=back"]"#),
        ("debug", "true"),
        ("default-runtime", "other"),
        ("default-shm-size", "33554432"),
        ("runtimes", "other:/bin/other"),
    ] {
        assert_eq!(told[name], value, "{told}");
    }
    let shown = described();
    assert!(
        shown.starts_with("[tier=back] other true {") && shown.contains("/bin/other"),
        "{shown}"
    );
    let container = host.create("--name web busybox true");
    assert_eq!(container.at("/HostConfig/Runtime"), "other");
    assert_eq!(container.at("/HostConfig/ShmSize"), 32 << 20);
    host.docker("start web").fails_with(1).stderr_has("/bin/other");

    // What it is not told any more is as if it had never been told.
    reload(r#"{"runtimes": {"other": {"path": "/bin/third"}}}"#, 2);
    let shown = described();
    assert!(shown.starts_with("[] runc false {") && shown.contains("/bin/third"), "{shown}");
    host.docker("start web").fails_with(1).stderr_has("/bin/third");
}
