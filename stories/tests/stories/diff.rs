//! `diff`: what a container has changed of its image's files.

use serde_json::{Value, json};
use stories::Host;

#[test]
fn added_changed_and_deleted_files_are_listed() {
    let host = Host::start();
    let container = host.run(
        "--name box busybox sh -c 'mkdir -p /new/deep; echo x >/new/deep/file; echo more >>/etc/passwd; \
         rm /etc/group; rm -r /var/www; chmod 711 /root; echo done; sleep 1000'",
    );
    container.logs_eventually("done");
    let outcome = host.docker("diff box").succeeds();
    let mut lines = outcome.lines();
    lines.sort_unstable();
    let expected = [
        "A /new",
        "A /new/deep",
        "A /new/deep/file",
        "C /etc",
        "C /etc/passwd",
        "C /root",
        "C /var",
        "D /etc/group",
        "D /var/www",
    ];
    assert_eq!(lines, expected);
    // A folder comes before what is in it.
    let place = |line: &str| outcome.lines().iter().position(|other| *other == line);
    assert!(place("A /new") < place("A /new/deep/file"));
}

#[test]
fn a_container_that_changed_nothing_has_no_changes() {
    let host = Host::start();
    host.create("--name new busybox true");
    let container = host.run("--name ran busybox true");
    container.wait();
    for name in ["new", "ran"] {
        host.docker(&format!("diff {name}")).succeeds().prints("");
        let answer = host.api("GET", &format!("/v1.51/containers/{name}/changes"), None);
        assert_eq!((answer.status, answer.body.trim()), (200, "null"));
    }
    host.docker("diff nobody").fails_with(1).stderr_has("No such container: nobody");
}

#[test]
fn what_is_in_a_mount_is_no_change() {
    let host = Host::start();
    let folder = host.folder("bound", &[]);
    let container = host.run(&format!(
        "--name box --volume data:/home --volume {folder}:/tmp --tmpfs /scratch busybox sh -c \
         'touch /home/a /tmp/b /scratch/c /etc/hosts /dev/shm/d; touch /own; echo done; sleep 1000'"
    ));
    container.logs_eventually("done");
    let outcome = host.docker("diff box").succeeds();
    let lines: Vec<_> = outcome.lines().into_iter().filter(|line| *line != "A /scratch").collect();
    assert_eq!(lines, ["A /own"]);
}

#[test]
fn the_engine_tells_kinds_as_numbers() {
    let host = Host::start();
    let container =
        host.run("--name box busybox sh -c 'touch /new; rm /etc/group; echo done; sleep 1000'");
    container.logs_eventually("done");
    let answer = host.api("GET", "/v1.51/containers/box/changes", None);
    let mut changes: Vec<Value> = serde_json::from_str(&answer.body).unwrap();
    changes.sort_by_key(|change| change["Path"].as_str().unwrap().to_owned());
    let expected = json!([
        {"Path": "/etc", "Kind": 0}, {"Path": "/etc/group", "Kind": 2}, {"Path": "/new", "Kind": 1},
    ]);
    assert_eq!(Value::from(changes), expected);
}

#[test]
fn a_folder_that_was_replaced_hides_what_was_in_it() {
    let host = Host::start();
    let container = host.run(
        "--name box busybox sh -c 'rm -r /var/www; mkdir /var/www; touch /var/www/new; echo done; \
         sleep 1000'",
    );
    container.logs_eventually("done");
    let outcome = host.docker("diff box").succeeds();
    let lines = outcome.lines();
    for line in ["D /var/www/index.html", "A /var/www/new"] {
        assert!(lines.contains(&line), "no {line} in {lines:?}");
    }
}
