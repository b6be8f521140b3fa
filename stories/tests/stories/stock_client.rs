//! The stock docker client against the daemon: what its users rely on most.
//!
//! The other stories are told with `wharf`; `CLIENT=docker` tells them all with this one.

use serde_json::Value;
use stories::{FileSystem, Host};

#[test]
fn the_stock_client_runs_and_removes() {
    if !Host::has_stock_client_or_skips() {
        return;
    }
    let host = Host::start();

    host.stock_docker("run --rm busybox sh -c 'echo out; echo err >&2; exit 3'")
        .fails_with(3)
        .prints("out\n")
        .complains("err\n");
    host.stock_docker("run --rm busybox nope").fails_with(127);
    host.stock_docker("ps --all --quiet").succeeds().prints("");
}

#[test]
fn the_stock_client_goes_through_a_life() {
    if !Host::has_stock_client_or_skips() {
        return;
    }
    let host = Host::start();
    let ok = |line: &str| host.stock_docker(line).succeeds().text().to_owned();

    let id = ok("run -d --name web -p 8080:80 busybox httpd -f -h /var/www");
    assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
    assert_eq!(ok("ps -q --no-trunc"), id);
    assert_eq!(ok("exec web echo inside"), "inside");
    assert!(ok("port web").starts_with("80/tcp -> 0.0.0.0:8080"));
    ok("pause web");
    assert_eq!(ok("inspect -f {{.State.Status}} web"), "paused");
    ok("unpause web");
    ok("rename web www");
    ok("restart -t 0 www");
    ok("stop -t 0 www");
    assert_eq!(ok("wait www"), "137");
    ok("logs www");
    ok("start www");
    ok("kill www");
    ok("rm www");
    assert_eq!(ok("ps -aq"), "");
}

#[test]
fn the_stock_client_follows_and_attaches() {
    if !Host::has_stock_client_or_skips() {
        return;
    }
    let host = Host::start();
    host.stock_docker("run -d -i --name web busybox cat").succeeds();

    let mut attached = host.spawn_stock("attach web");
    attached.types("hello\n").shows("hello\n");
    let following = host.spawn_stock("logs -f web");
    following.shows("hello\n");
    attached.types("again\n");
    following.shows("again\n");
    host.stock_docker("kill web").succeeds();

    attached.finish().fails_with(137);
    following.finish().succeeds().prints("hello\nagain\n");
}

#[test]
fn the_stock_client_sees_images_volumes_and_the_system() {
    if !Host::has_stock_client_or_skips() {
        return;
    }
    let host = Host::builder().bare().start();
    let ok = |line: &str| host.stock_docker(line).succeeds().text().to_owned();
    let file = host.path("root.tar");
    std::fs::write(&file, FileSystem::with_shell().tar()).unwrap();

    ok(&format!("import {} busybox", file.display()));
    ok("tag busybox other:1");
    assert_eq!(ok("images --format {{.Repository}}:{{.Tag}} other"), "other:1");
    let saved = host.path("saved.tar");
    ok(&format!("save -o {} other:1", saved.display()));
    ok("rmi other:1 busybox");
    assert_eq!(ok(&format!("load -i {}", saved.display())), "Loaded image: other:1");
    ok("history other:1");
    assert_eq!(ok("volume create data"), "data");
    ok("run --rm -v data:/data other:1 touch /data/x");
    assert_eq!(ok("volume ls -q"), "data");
    ok("volume rm data");
    assert_eq!(ok("network ls --format {{.Name}}"), "bridge\nhost\nnone");
    assert_eq!(ok("version --format {{.Server.APIVersion}}"), "1.51");
    ok("info");
    ok("container prune -f");
    ok("image prune -af");
    assert_eq!(ok("images -q"), "");
}

#[test]
fn the_stock_client_gets_an_inspect_of_every_kind() {
    if !Host::has_stock_client_or_skips() {
        return;
    }
    let host = Host::start();
    host.stock_docker("create --name web -v data:/data busybox").succeeds();

    for name in ["web", "busybox", "data", "bridge"] {
        let text = host.stock_docker(&format!("inspect {name}")).succeeds().stdout;
        let list: Value = serde_json::from_str(&text).unwrap();
        assert!(list[0].is_object(), "{text}");
    }
}
