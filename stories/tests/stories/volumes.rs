//! Volumes, bind mounts and tmpfs: what outlives a container, or comes from outside.

use std::fs;

use serde_json::json;
use stories::{Entry, Fault, FileSystem, Host, ImageArchive};

#[test]
fn a_folder_of_the_host_is_seen_and_written() {
    let host = Host::start();
    let folder = host.folder("data", &[("in", "from the host\n")]);

    host.docker(&format!(
        "run --rm -v {folder}:/data busybox sh -c 'cat /data/in; echo out > /data/out'"
    ))
    .succeeds()
    .prints("from the host\n");

    assert_eq!(fs::read_to_string(format!("{folder}/out")).unwrap(), "out\n");
}

#[test]
fn read_only_means_so() {
    let host = Host::start();
    let folder = host.folder("data", &[("in", "text\n")]);

    for mount in [
        format!("-v {folder}:/data:ro"),
        format!("--mount type=bind,source={folder},target=/data,readonly"),
    ] {
        host.docker(&format!("run --rm {mount} busybox touch /data/out"))
            .fails_with(1)
            .stderr_has("Read-only file system");
    }
}

#[test]
fn one_file_can_be_mounted() {
    let host = Host::start();
    let folder = host.folder("data", &[("motd", "hello\n")]);

    host.docker(&format!("run --rm -v {folder}/motd:/etc/motd:ro busybox cat /etc/motd"))
        .succeeds()
        .prints("hello\n");
}

#[test]
fn a_missing_folder_is_made_for_a_volume_flag_but_not_for_a_mount_flag() {
    let host = Host::start();
    let missing = host.path("missing");
    let missing = missing.display();

    host.docker(&format!("run --rm --mount type=bind,src={missing},dst=/data busybox true"))
        .fails_with(125)
        .stderr_has("bind source path does not exist");
    host.docker(&format!("run --rm -v {missing}:/data busybox true")).succeeds();
    assert!(host.path("missing").is_dir());
}

#[test]
fn mounts_spread_as_told() {
    let host = Host::start();
    let folder = host.folder("data", &[]);
    let propagation = |flag: &str| {
        let line =
            format!("run --rm -v {folder}:/data:{flag} busybox grep /data /proc/self/mountinfo");
        host.answer(&line)
    };

    assert!(!propagation("rprivate").contains("shared:"));
    host.docker(&format!("run --rm -v {folder}:/data:nope busybox true"))
        .fails_with(125)
        .stderr_says("invalid");
}

#[test]
fn a_named_volume_is_made_on_first_use_and_stays() {
    let host = Host::start();

    host.docker("run --rm -v data:/data busybox sh -c 'echo kept > /data/file'").succeeds();
    host.docker("run --rm -v data:/elsewhere busybox cat /elsewhere/file")
        .succeeds()
        .prints("kept\n");

    host.docker("volume ls --quiet").succeeds().prints("data\n");
}

#[test]
fn a_new_volume_is_filled_from_the_image() {
    let host = Host::start();

    host.docker("run --rm -v site:/var/www busybox cat /var/www/index.html")
        .succeeds()
        .prints("hello from web\n");
    host.docker("run --rm -v site:/s busybox cat /s/index.html")
        .succeeds()
        .prints("hello from web\n");
    host.docker("run --rm -v bare:/var/www:nocopy busybox ls /var/www").succeeds().prints("");
    // Only a new one: what is in it already is the user's.
    host.docker("run --rm -v site:/etc busybox ls /etc/index.html").succeeds();
}

#[test]
fn a_filled_volume_has_its_folder_s_owner() {
    let host = Host::start();

    host.docker("run --rm -v home:/home/anna busybox stat -c '%u %g' /home/anna")
        .succeeds()
        .prints("1000 1000\n");
}

#[test]
fn an_image_s_volumes_are_made_and_go_with_the_container() {
    let host = Host::builder().bare().start();
    let config = json!({"Cmd": ["sh"], "Volumes": {"/data": {}}});
    let image = ImageArchive::new("db:1", config)
        .layer(&FileSystem::with_shell().with(Entry::folder("data")));
    host.load(&image.docker_archive()).succeeds();

    let kept = host.run("db:1 true");
    kept.wait();
    let name = kept.at("/Mounts/0/Name");
    assert_eq!(kept.at("/Mounts/0/Destination"), "/data");
    assert_eq!(host.answer("volume ls --quiet"), name.as_str().unwrap());
    host.docker(&format!("rm {}", kept.id)).succeeds();
    assert_eq!(host.answer("volume ls --quiet"), name.as_str().unwrap());

    let gone = host.create("db:1");
    host.docker(&format!("rm --volumes {}", gone.id)).succeeds();
    host.docker("run --rm db:1 true").succeeds();
    assert_eq!(host.answer("volume ls --quiet"), name.as_str().unwrap());
    host.docker("volume prune --force").succeeds().stdout_has(name.as_str().unwrap());
    host.docker("volume ls --quiet").prints("");
}

#[test]
fn volumes_can_be_taken_over_from_a_container() {
    let host = Host::start();
    let folder = host.folder("bound", &[("file", "bound\n")]);
    host.create(&format!("--name first -v data:/data -v {folder}:/bound busybox"));

    host.docker("run --rm --volumes-from first busybox sh -c 'cat /bound/file; echo x > /data/y'")
        .succeeds()
        .prints("bound\n");
    host.docker("run --rm --volumes-from first:ro busybox touch /data/z").fails_with(1);
    host.docker("run --rm --volumes-from nope busybox true")
        .fails_with(125)
        .stderr_has("No such container: nope");
}

#[test]
fn volumes_have_commands_of_their_own() {
    let host = Host::start();

    host.docker("volume create --label tier=db data").succeeds().prints("data\n");
    host.docker("volume create data").succeeds().prints("data\n");
    let volume = host.inspect("volume inspect data");
    assert_eq!(volume["Name"], "data");
    assert_eq!(volume["Driver"], "local");
    assert_eq!(volume["Scope"], "local");
    assert_eq!(volume["Labels"]["tier"], "db");
    assert!(fs::metadata(volume["Mountpoint"].as_str().unwrap()).unwrap().is_dir());

    let unnamed = host.answer("volume create");
    assert_eq!(unnamed.len(), 64);
    assert_eq!(host.answer("volume ls --quiet --filter label=tier=db"), "data");
    assert_eq!(host.answer("volume ls --quiet --filter name=dat"), "data");
    host.docker(&format!("volume rm data {unnamed}"))
        .succeeds()
        .prints(&format!("data\n{unnamed}\n"));
    host.docker("volume inspect data").fails_with(1).prints("[]\n").stderr_says("no such volume");
    host.docker("volume rm data").fails_with(1).stderr_says("no such volume");
    host.docker("volume create .bad").fails_with(1).stderr_says("invalid");
}

#[test]
fn a_volume_in_use_is_kept() {
    let host = Host::start();
    let user = host.create("-v data:/data busybox");

    host.docker("volume rm data").fails_with(1).stderr_has("volume is in use").stderr_has(&user.id);
    host.docker("volume prune --all --force").succeeds().stdout_lacks("data");

    host.docker(&format!("rm {}", user.id)).succeeds();
    host.docker("volume prune --force").succeeds().stdout_lacks("data");
    host.docker("volume prune --all --force").succeeds().stdout_has("Deleted Volumes:\ndata\n");
}

#[test]
fn the_mount_flag_says_it_in_words() {
    let host = Host::start();

    host.docker("run --rm --mount type=volume,source=data,target=/data busybox touch /data/x")
        .succeeds();
    host.docker("run --rm --mount type=volume,src=data,dst=/d,volume-nocopy busybox ls /d")
        .succeeds()
        .prints("x\n");
    host.docker("run --rm --mount type=tmpfs,target=/t,tmpfs-size=1m busybox df -k /t")
        .succeeds()
        .stdout_has(" 1024 ");
    host.docker("run --rm --mount type=nope,target=/t busybox true").fails_with(125);
    host.docker("run --rm --mount type=volume busybox true").fails_with(125).stderr_says("target");
}

#[test]
fn a_volume_can_be_a_part_of_a_file_system_of_its_own() {
    let host = Host::start();
    let create = "volume create -o type=tmpfs -o device=tmpfs -o o=size=2m scratch";
    host.docker(create).succeeds();

    host.docker("run --rm -v scratch:/s busybox sh -c 'grep \" /s \" /proc/mounts'")
        .succeeds()
        .stdout_has("tmpfs /s tmpfs rw")
        .stdout_has("size=2048k");
}

#[test]
fn inspect_tells_the_mounts() {
    let host = Host::start();
    let folder = host.folder("bound", &[]);
    let container = host.create(&format!("-v {folder}:/bound:ro -v data:/data busybox"));

    let mounts = container.at("/Mounts");
    let mut mounts = mounts.as_array().unwrap().clone();
    mounts.sort_by_key(|mount| mount["Destination"].as_str().unwrap().to_owned());

    assert_eq!(mounts[0]["Type"], "bind");
    assert_eq!(mounts[0]["Source"], folder.as_str());
    assert_eq!(mounts[0]["RW"], false);
    assert_eq!(mounts[1]["Type"], "volume");
    assert_eq!(mounts[1]["Name"], "data");
    assert_eq!(mounts[1]["RW"], true);
}

#[test]
fn a_relative_target_is_refused() {
    let host = Host::start();

    host.docker("run -v data:relative busybox true")
        .fails_with(125)
        .stderr_says("mount path must be absolute");
    host.docker("run -v data:/ busybox true").fails_with(125);
    host.docker("run -v /tmp:/a -v /var:/a busybox true")
        .fails_with(125)
        .stderr_says("duplicate mount point: /a");
}

#[test]
fn a_mount_cannot_be_led_outside_by_a_link_in_the_image() {
    let host = Host::builder().bare().start();
    let target = host.folder("victim", &[]);
    let system = FileSystem::with_shell().with(Entry::symlink("trap", &target));
    host.load(&ImageArchive::new("trap:1", json!({})).layer(&system).docker_archive()).succeeds();

    host.docker("run --rm -v data:/trap/inner trap:1 touch /trap/inner/file").succeeds();

    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
}

#[test]
fn a_name_may_be_as_long_as_a_file_s() {
    let host = Host::start();
    let name = "v".repeat(255);
    host.docker(&format!("volume create {name}")).succeeds();
    host.docker(&format!("run --rm --volume {name}:/data busybox touch /data/file")).succeeds();
    host.docker(&format!("volume rm {name}")).succeeds();
    assert_eq!(host.answer("volume ls --quiet"), "");
}

#[test]
fn a_volume_that_is_being_removed_is_not_handed_out() {
    let Some(host) = Host::with_fail_points_or_skips() else { return };
    host.docker("volume create data").succeeds();
    host.fail_points().arm("remove.volume-record", Fault::Delay(1000));
    let removing = host.spawn("volume rm data");
    host.fail_points().await_fired("remove.volume-record");
    host.docker("run --name web --volume data:/data busybox touch /data/file").succeeds();
    removing.finish().succeeds();
    host.docker("run --rm --volume data:/data busybox ls /data").succeeds().prints("file\n");
}

#[test]
fn a_volume_of_a_container_that_is_being_made_is_in_use() {
    let Some(host) = Host::with_fail_points_or_skips() else { return };
    host.docker("volume create data").succeeds();
    host.fail_points().arm("create.resolved", Fault::Delay(1000));
    let creating = host.spawn("create --name web --volume data:/data --volume /own busybox true");
    host.fail_points().await_fired("create.resolved");
    host.docker("volume rm data").fails_with(1).stderr_has("in use");
    host.docker("volume prune --force --all").succeeds();
    creating.finish().succeeds();
    assert_eq!(host.answer("volume ls --quiet").lines().count(), 2);
    host.docker("rm --volumes web").succeeds();
    assert_eq!(host.answer("volume ls --quiet"), "data");
}
