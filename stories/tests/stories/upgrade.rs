//! The programs are replaced under running containers, and the next daemon uses these.
//!
//! By itself the story replaces the programs by themselves. `OLD_PROGRAMS` names a folder with
//! those of another build to begin with; `cargo xtask upgrade` makes one.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fs;
use std::path::{Path, PathBuf};

use stories::{Host, eventually};

const PROGRAMS: [&str; 4] = ["wharf", "wharfd", "wharf-shim", "wharf-runtime"];

/// Writes a growing number every 10 ms, and ends when it is asked to.
const COUNTER: &str =
    "sh -c 'trap \"exit 6\" TERM; n=0; while :; do n=$((n + 1)); echo $n; sleep 0.01; done'";

/// Puts the programs of `from` in the place of those in `to`, as an installation does.
fn install(from: &Path, to: &Path) {
    for name in PROGRAMS {
        let draft = to.join(format!(".{name}"));
        fs::copy(from.join(name), &draft).expect("the programs are built");
        fs::rename(draft, to.join(name)).expect("a program that runs can be replaced");
    }
}

fn new_programs() -> PathBuf {
    Host::wharf().parent().expect("a program is in a folder").to_owned()
}

fn old_programs() -> PathBuf {
    std::env::var_os("OLD_PROGRAMS").map_or_else(new_programs, PathBuf::from)
}

/// Replaces the programs of `from` by those of `to` under running containers.
fn replace(from: &Path, to: &Path) {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    install(from, folder.path());
    let host = Host::builder().programs(folder.path()).start();
    let web = host.run("--name web --publish 8080:80 busybox httpd -f -h /var/www");
    let talker = host.run(&format!("--name talker --memory 100m busybox {COUNTER}"));
    let shared = host.folder("shared", &[]);
    let script = "echo start >> /shared/starts; while ! [ -e /shared/go ]; do sleep 0.01; done; rm /shared/go; exit 1";
    let restarting = host.run(&format!(
        "--name again --restart on-failure:5 -v {shared}:/shared busybox sh -c '{script}'"
    ));
    let kept = host.create("--name kept --label a=b -v data:/data busybox cat /data/file");
    let mut typing = host.spawn("run --interactive --name typing busybox cat");
    typing.types("before\n").shows("before\n");
    talker.logs_eventually("\n3\n");
    let (pid, image) = (talker.pid(), talker.at("/Image"));

    host.stop_daemon();
    install(to, folder.path());
    host.start_daemon();

    // What was there is there, and is the same.
    assert_eq!(talker.pid(), pid);
    assert_eq!(talker.at("/Image"), image);
    assert_eq!(kept.status(), "created");
    assert_eq!(kept.at("/Config/Labels/a"), "b");
    assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
    assert_eq!(web.published(80), "0.0.0.0:8080");
    // And it can be used.
    web.exec("echo inside").succeeds().prints("inside\n");
    host.docker("top web").succeeds().stdout_has("httpd");
    let following = host.spawn("logs --follow --tail 1 talker");
    following.shows("\n");
    let attached = host.spawn("attach --no-stdin talker");
    attached.shows("\n");
    host.docker("pause talker").succeeds();
    host.docker("unpause talker").succeeds();
    host.docker("update --memory 200m --memory-swap 200m talker").succeeds();
    assert_eq!(talker.at("/HostConfig/Memory"), 200 << 20);
    typing.types("after\n").shows("after\n");
    typing.ends_input();
    host.container("typing").becomes("exited");
    assert_eq!(host.container("typing").exit_code(), 0);
    // Its old supervisor starts it again.
    fs::write(format!("{shared}/go"), "").unwrap();
    eventually("another run", || (restarting.at("/RestartCount") == 1).then_some(()));
    eventually("it to run", || (restarting.status() == "running").then_some(()));
    host.docker("stop --timeout 5 talker").succeeds();
    following.finish().succeeds();
    attached.finish().fails_with(6);
    assert_eq!(talker.exit_code(), 6);
    let lines: Vec<u64> = talker.log().lines().map(|line| line.parse().unwrap()).collect();
    assert!(lines.iter().zip(1..).all(|(line, number)| *line == number), "a gap in the log");
    // From now on they are the new build's.
    host.docker("restart --timeout 0 web").succeeds();
    assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
    host.docker("start talker").succeeds();
    host.docker("run --rm -v data:/data busybox sh -c 'echo kept > /data/file'").succeeds();
    host.docker("start --attach kept").succeeds().prints("kept\n");
}

#[test]
fn the_programs_can_be_replaced_under_running_containers() {
    if !Host::is_wharf_or_skips("dockerd takes its containers down, or needs live-restore") {
        return;
    }
    replace(&old_programs(), &new_programs());
}

#[test]
fn the_older_programs_can_be_put_back() {
    if !Host::is_wharf_or_skips("dockerd takes its containers down, or needs live-restore") {
        return;
    }
    replace(&new_programs(), &old_programs());
}
