//! Nothing is left behind: each host looks when it is removed, see `stories::Host`.

use std::fs;

use stories::Host;

#[test]
fn a_container_that_cannot_start_leaves_nothing() {
    let host = Host::start();

    for line in [
        "run --rm busybox nope",
        "run --rm --workdir /etc/passwd/x busybox true",
        "run --rm --user nobody-there busybox true",
        "run --rm --publish 127.0.0.1:1:1 --device /dev/nope busybox true",
        "run --rm --sysctl kernel.panic=1 busybox true",
        "run --rm --network container:nope busybox true",
        "run --rm -v data:/etc/passwd/x busybox true",
        "run --rm --cpuset-cpus 4096 busybox true",
    ] {
        host.docker(line).fails();
    }

    host.docker("ps --all --quiet").succeeds().prints("");
    assert!(host.shims().is_empty());
}

#[test]
fn a_client_that_is_killed_in_the_middle_leaves_nothing_behind() {
    let host = Host::start();

    for _ in 0..5 {
        let client = host.spawn("run --rm busybox sh -c 'echo up; sleep 1000'");
        client.kill();
    }

    // What the daemon was told, it did: a container runs, was created, or was never
    // heard of. Each can be removed by its id, and nothing but that.
    stories::eventually("the daemon to be at rest", || {
        let before = host.answer("ps --all --quiet");
        let after = host.answer("ps --all --quiet");
        (before == after).then_some(())
    });
    let left = host.answer("ps --all --quiet");
    for id in left.lines() {
        host.docker(&format!("rm --force {id}")).succeeds();
    }
}

#[test]
fn two_who_remove_the_same_get_along() {
    let host = Host::start();
    host.run("--name web busybox sleep 1000");

    let clients: Vec<_> = (0..8).map(|_| host.spawn("rm --force web")).collect();

    // A late one may be told that the removal is under way, or that there is nothing.
    for client in clients {
        client.finish();
    }
    host.docker("ps --all --quiet").succeeds().prints("");
    host.docker("create --name web busybox").succeeds();
}

#[test]
fn one_name_is_given_once_however_many_ask() {
    let host = Host::start();

    let clients: Vec<_> = (0..8).map(|_| host.spawn("create --name web busybox")).collect();

    let outcomes: Vec<_> = clients.into_iter().map(stories::Client::finish).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.status == 0).count(), 1);
    for outcome in outcomes.into_iter().filter(|outcome| outcome.status != 0) {
        outcome.stderr_has("is already in use by container");
    }
    assert_eq!(host.answer("ps --all --quiet").lines().count(), 1);
}

#[test]
fn many_at_once_all_come_and_all_go() {
    let host = Host::start();

    let clients: Vec<_> = (0..20)
        .map(|n| host.spawn(&format!("run -d --name c{n} -p 80 busybox sleep 1000")))
        .collect();
    for client in clients {
        client.finish().succeeds();
    }
    assert_eq!(host.answer("ps --quiet").lines().count(), 20);

    let names: Vec<_> = (0..20).map(|n| format!("c{n}")).collect();
    host.docker(&format!("rm --force {}", names.join(" "))).succeeds();
    host.docker("ps --all --quiet").succeeds().prints("");
}

#[test]
fn the_root_of_a_container_is_not_mounted_on_the_host() {
    if !Host::is_wharf_or_skips("Docker mounts it on the host") {
        return;
    }
    let host = Host::start();
    host.run("busybox sleep 1000");

    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();

    let folder = host.path("");
    assert!(!mounts.contains(folder.to_str().unwrap().trim_end_matches('/')), "{mounts}");
}
