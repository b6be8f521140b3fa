//! `system df`, the sizes of containers, and `system prune`.

use serde_json::Value;
use stories::{Entry, FileSystem, Host, ImageArchive};

const KIB: i64 = 1024;

/// Makes files of known sizes: 100 KiB with two names, and a symlink.
const FILES: &str = "dd if=/dev/zero of=F/large bs=1024 count=100 2>/dev/null; ln F/large F/second; ln -s large F/link";

fn usage(host: &Host, query: &str) -> Value {
    let answer = host.api("GET", &format!("/v1.51/system/df{query}"), None);
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).expect("it is JSON")
}

#[test]
fn sizes_are_those_that_du_tells() {
    let host = Host::start();
    let script = format!(
        "mkdir /own; {}; {}; echo done; sleep 1000",
        FILES.replace('F', "/own"),
        FILES.replace('F', "/data")
    );
    let container = host.run(&format!("--name box --volume data:/data busybox sh -c '{script}'"));
    container.logs_eventually("done");

    let usage = usage(&host, "");
    let size = 100 * KIB + 5;
    assert_eq!(usage["Containers"][0]["SizeRw"], size);
    assert_eq!(usage["Volumes"][0]["UsageData"], serde_json::json!({"Size": size, "RefCount": 1}));
    let image = usage["LayersSize"].as_i64().unwrap();
    assert!(image > 500_000, "{image}");
    let inspected = host.inspect("inspect --size box");
    assert_eq!(inspected["SizeRw"], size);
    assert_eq!(inspected["SizeRootFs"], size + image);
    let listed = host.answer("ps --size --format '{{.Size}}'");
    assert!(listed.starts_with("102kB (virtual "), "{listed}");
}

#[test]
fn layers_that_images_share_are_counted_once() {
    let host = Host::start();
    let layer = |name: &str| FileSystem::empty().with(Entry::file(name, vec![1; 50_000]));
    let below = FileSystem::with_shell();
    for name in ["a", "b"] {
        let image = ImageArchive::new(&format!("{name}:1"), serde_json::json!({}));
        host.load(&image.layer(&below).layer(&layer(name)).docker_archive()).succeeds();
    }
    let usage = usage(&host, "?type=image");
    assert_eq!((&usage["Containers"], &usage["Volumes"]), (&Value::Null, &Value::Null));
    let images = usage["Images"].as_array().unwrap();
    let of = |name: &str| images.iter().find(|image| image["RepoTags"][0] == name).unwrap();
    let (a, b) = (of("a:1"), of("b:1"));
    assert_eq!(a["SharedSize"], b["SharedSize"]);
    let unique =
        |image: &Value| image["Size"].as_i64().unwrap() - image["SharedSize"].as_i64().unwrap();
    assert_eq!((unique(a), unique(b)), (50_000, 50_000));
}

#[test]
fn only_what_is_asked_for_is_counted() {
    let host = Host::start();
    host.create("--name box --volume data:/data busybox true");
    let found = usage(&host, "?type=container&type=volume");
    assert_eq!(found["Images"], Value::Null);
    assert_eq!(found["Containers"][0]["Names"][0], "/box");
    assert_eq!(found["Volumes"][0]["Name"], "data");
    assert_eq!(host.api("GET", "/v1.51/system/df?type=nonsense", None).status, 400);
}

#[test]
fn the_table_adds_up() {
    let host = Host::start();
    host.run("--name live busybox sleep 1000");
    host.create("--name idle busybox true");
    host.docker("volume create spare").succeeds();
    let table = host.answer("system df --format '{{.Type}}|{{.TotalCount}}|{{.Active}}'");
    let expected = ["Images|1|1", "Containers|2|1", "Local Volumes|1|0", "Build Cache|0|0"];
    assert_eq!(table.lines().collect::<Vec<_>>(), expected);
    let details = host.docker("system df --verbose").succeeds();
    for part in
        ["Images space usage:", "Containers space usage:", "Local Volumes space usage:", "spare"]
    {
        assert!(details.stdout.contains(part), "no {part} in {}", details.stdout);
    }
}

#[test]
fn details_can_be_formatted() {
    let host = Host::start();
    host.create("--name idle --label a=b busybox true");
    host.docker("volume create spare").succeeds();
    let details = |format: &str| host.docker(&format!("system df -v --format '{format}'"));

    let document = details("{{json .}}").succeeds().stdout;
    let document: Value = serde_json::from_str(&document).unwrap();
    let kinds: Vec<_> = document.as_object().unwrap().keys().collect();
    assert_eq!(kinds.len(), 4, "{kinds:?}");
    assert_eq!(document["Images"][0]["Repository"], "busybox");
    assert_eq!(document["Containers"][0]["Names"], "idle");
    assert_eq!(document["BuildCache"], serde_json::json!([]));
    details("{{range .Volumes}}{{.Name}} {{.Links}};{{end}}{{len .Images}}").prints("spare 0;1");
    details("{{.ID}}").fails_with(1).stderr_has("can't evaluate field ID in type");
    let lines = details("raw").succeeds().stdout;
    for part in
        ["type: Image\nrepository: busybox\n", "names: idle\nlabels: a=b\nports:\nsize: 0B\n"]
    {
        assert!(lines.contains(part), "no {part} in {lines}");
    }
    assert!(lines.ends_with("type: Volume\nname: spare\ndriver: local\n\n"), "{lines}");
}

#[test]
fn a_prune_frees_what_it_says() {
    let host = Host::start();
    let script = FILES.replace('F', "/tmp");
    host.run(&format!("--name ended --label keep=no busybox sh -c '{script}'")).wait();
    host.run("--name kept --label keep=yes busybox true").wait();
    host.run("--name live busybox sleep 1000");

    let pruned = host.docker("system prune --force --filter label!=keep=yes").succeeds();
    assert!(pruned.stdout.contains("Deleted Containers:"), "{}", pruned.stdout);
    assert!(pruned.stdout.ends_with("Total reclaimed space: 102.4kB\n"), "{}", pruned.stdout);
    let names = host.answer("ps --all --format '{{.Names}}'");
    assert_eq!(names.lines().collect::<Vec<_>>(), ["live", "kept"]);

    host.docker("container prune --force --filter until=24h")
        .succeeds()
        .prints("Total reclaimed space: 0B\n");
    host.docker("container prune --force").succeeds();
    assert_eq!(host.answer("ps --all --format '{{.Names}}'"), "live");
}

#[test]
fn a_prune_asks_before_it_removes_everything() {
    let host = Host::start();
    host.run("--name ended busybox true").wait();
    host.docker_with_input("system prune --all --volumes", b"n\n")
        .stdout_has("WARNING! This will remove:")
        .stdout_has("  - all stopped containers\n")
        .stdout_has("  - all networks not used by at least one container\n")
        .stdout_has("  - all anonymous volumes not used by at least one container\n")
        .stdout_has("  - all images without at least one container associated to them\n")
        .stdout_has("Are you sure you want to continue? [y/N]");
    assert_eq!(host.answer("ps --all --quiet").lines().count(), 1);
    host.docker_with_input("system prune --all --volumes", b"y\n")
        .succeeds()
        .stdout_has("Deleted Images:");
    assert_eq!(host.answer("ps --all --quiet"), "");
    assert_eq!(host.answer("images --quiet"), "");
}
