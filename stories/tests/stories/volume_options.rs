//! Volumes that are mounts of their own: `volume create --opt type=…`.

use std::fs;

use stories::{Host, eventually};

const TMPFS: &str = "--opt type=tmpfs --opt device=tmpfs --opt o=size=1m,uid=1000";

/// How often something is mounted on a volume's folder on the host.
fn mounts(host: &Host, volume: &str) -> usize {
    let folder = host.data_root().join("volumes").join(volume).join("_data");
    let folder = folder.to_str().expect("temporary folders have plain names");
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", host.daemon_pid()));
    let table = table.expect("the kernel lists mounts");
    table.lines().filter(|line| line.split(' ').nth(4) == Some(folder)).count()
}

#[test]
fn a_volume_is_mounted_for_its_first_user_and_taken_down_after_its_last() {
    let host = Host::start();
    host.docker(&format!("volume create {TMPFS} fast")).succeeds();
    assert_eq!(mounts(&host, "fast"), 0);
    let first = host.run("--name first --volume fast:/v busybox sleep 1000");
    let second = host.run("--name second --volume fast:/v busybox sleep 1000");
    assert_eq!(mounts(&host, "fast"), 1);
    first.exec("sh -c 'echo shared >/v/file'").succeeds();
    second.exec("cat /v/file").succeeds().prints("shared\n");
    second.exec("grep ' /v ' /proc/mounts").succeeds().stdout_has("size=1024k,uid=1000");

    host.docker("rm --force first").succeeds();
    assert_eq!(mounts(&host, "fast"), 1);
    host.docker("stop --time 0 second").succeeds();
    eventually("the unmount", || (mounts(&host, "fast") == 0).then_some(()));
    host.docker("start second").succeeds();
    // It was in memory, and is a new one.
    second.exec("ls /v").succeeds().prints("");
    host.docker("rm --force second").succeeds();
    host.docker("volume rm fast").succeeds();
}

#[test]
fn a_folder_of_the_host_can_be_a_volume() {
    let host = Host::start();
    let folder = host.folder("own", &[("file", "host's\n")]);
    let options = format!("--opt type=none --opt o=bind --opt device={folder}");
    host.docker(&format!("volume create {options} own")).succeeds();
    host.docker("run --rm --volume own:/v busybox sh -c 'cat /v/file; echo new >/v/new'")
        .succeeds()
        .prints("host's\n");
    assert_eq!(fs::read_to_string(format!("{folder}/new")).unwrap(), "new\n");
    let options = host.inspect("volume inspect own")["Options"].clone();
    assert_eq!(options["device"], folder.as_str());

    // Of a container that does not run it is mounted for the copy.
    host.create("--name still --volume own:/v busybox true");
    host.docker(&format!("cp still:/v/file {folder}/copy")).succeeds();
    assert_eq!(fs::read_to_string(format!("{folder}/copy")).unwrap(), "host's\n");
    host.docker("rm still").succeeds();

    eventually("the unmount", || (mounts(&host, "own") == 0).then_some(()));
    host.docker("volume prune --all --force").succeeds();
    host.docker("volume rm own").succeeds();
    assert!(fs::exists(format!("{folder}/file")).unwrap(), "the folder is the host's");
}

#[test]
fn many_copies_into_a_container_that_does_not_run_all_arrive_in_its_volume() {
    let host = Host::start();
    let folder = host.folder("own", &[("file", "")]);
    let options = format!("--opt type=none --opt o=bind --opt device={folder}");
    host.docker(&format!("volume create {options} own")).succeeds();
    host.create("--name still --volume own:/v busybox true");
    for round in 0..8 {
        let names: Vec<_> = (0..4).map(|copy| format!("{round}-{copy}")).collect();
        let copies: Vec<_> = names
            .iter()
            .map(|name| {
                let file = host.path(name);
                fs::write(&file, name).unwrap();
                host.spawn(&format!("cp {} still:/v/{name}", file.display()))
            })
            .collect();
        copies.into_iter().for_each(|copy| drop(copy.finish().succeeds()));
        for name in names {
            assert_eq!(fs::read_to_string(format!("{folder}/{name}")).unwrap(), name);
        }
    }
    eventually("the unmount", || (mounts(&host, "own") == 0).then_some(()));
    host.docker("rm still").succeeds();
    host.docker("volume rm own").succeeds();
}

#[test]
fn options_that_make_no_sense_are_refused_in_dockers_words() {
    let host = Host::start();
    let refused = |options: &str, words: &str| {
        host.docker(&format!("volume create {options} v1")).fails_with(1).stderr_has(words);
    };
    refused("--opt type=tmpfs", "missing required option: \"device\"");
    refused("--opt device=tmpfs", "missing required option: \"type\"");
    refused("--opt o=size=1m", "missing required option: \"device\"");
    refused("--opt foo=bar", "invalid option: \"foo\"");
    host.docker("volume create --opt type=none --opt o=bind --opt device=/nope gone").succeeds();
    host.docker("run --rm --volume gone:/v busybox true")
        .fails()
        .stderr_has("failed to mount local volume: mount /nope:")
        .stderr_has("flags: 0x1000: no such file or directory");
    host.docker("volume create --opt type=tmpfs --opt device=tmpfs --opt o=nonsense bad")
        .succeeds();
    host.docker("run --rm --volume bad:/v busybox true")
        .fails()
        .stderr_has("data: nonsense: invalid argument");
    assert_eq!(mounts(&host, "bad"), 0);
    host.docker("volume rm gone bad").succeeds();
}

#[test]
fn a_container_can_bring_its_options_along() {
    let host = Host::start();
    let mount = "type=volume,source=fast,target=/v,volume-opt=type=tmpfs,volume-opt=device=tmpfs,\
                 \"volume-opt=o=size=1m,mode=700\"";
    let script = "grep ' /v ' /proc/mounts; stat -c %a /v";
    let arguments = ["run", "--rm", "--mount", mount, "busybox", "sh", "-c", script];
    host.docker_words(&arguments).succeeds().stdout_has("size=1024k").stdout_has("\n700\n");
    host.docker("volume rm fast").succeeds();
}

#[test]
fn mounts_of_volumes_survive_the_daemon_and_go_with_their_last_user() {
    if !Host::is_wharf_or_skips("dockerd takes its containers down, or needs live-restore") {
        return;
    }
    let host = Host::start();
    host.docker(&format!("volume create {TMPFS} used")).succeeds();
    host.docker(&format!("volume create {TMPFS} unused")).succeeds();
    let container =
        host.run("--name stays --volume used:/v busybox sh -c 'echo x >/v/file; sleep 1000'");
    let ends = host.run(
        "--name ends --volume unused:/v busybox sh -c 'while test ! -e /end; do sleep 0.1; done'",
    );
    host.docker("exec --detach ends sh -c 'sleep 1; touch /end'").succeeds();
    host.kill_daemon();
    host.start_daemon();
    ends.wait();
    eventually("the unmount", || (mounts(&host, "unused") == 0).then_some(()));
    assert_eq!(mounts(&host, "used"), 1);
    host.run("--name other --volume used:/v busybox cat /v/file").logs_eventually("x\n");
    container.exec("cat /v/file").succeeds().prints("x\n");
    for name in ["stays", "ends", "other"] {
        host.docker(&format!("rm --force {name}")).succeeds();
    }
    eventually("the unmount", || (mounts(&host, "used") == 0).then_some(()));
    host.docker("volume rm used unused").succeeds();
}
