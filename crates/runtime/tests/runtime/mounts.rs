//! The finer points of mounts: changed ones, mapped ones, and views of the host's.

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};

use linux::mounts::{Change, Depth, Propagation, change};
use serde_json::{Value, json};

use crate::host::Bundle;

fn add(bundle: &mut Bundle, mount: Value) {
    bundle.spec["mounts"].as_array_mut().unwrap().push(mount);
}

/// Runs the bundle in a new user namespace, with the image as the mapped root's.
fn in_user_namespace(bundle: &mut Bundle) {
    bundle.spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    bundle.spec["linux"]["uidMappings"] = mapping.clone();
    bundle.spec["linux"]["gidMappings"] = mapping;
    fs::set_permissions(bundle.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for entry in fs::read_dir(bundle.rootfs()).unwrap() {
        chown(entry.unwrap().path(), Some(100_000), Some(100_000)).unwrap();
    }
    chown(bundle.rootfs(), Some(100_000), Some(100_000)).unwrap();
}

/// A folder of the host's with a file in it that belongs to user and group 0.
fn shared_folder(bundle: &Bundle) -> std::path::PathBuf {
    let folder = bundle.path().join("shared");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(folder.join("file"), "").unwrap();
    folder
}

#[test]
fn a_mount_that_is_there_can_be_changed() {
    require_containers!();
    let mut bundle =
        Bundle::new("grep ' /a ' /proc/self/mountinfo; grep ' /b ' /proc/self/mountinfo");
    add(
        &mut bundle,
        json!({"destination": "/a", "type": "tmpfs", "source": "a",
                            "options": ["nosuid", "noatime", "size=64k"]}),
    );
    add(&mut bundle, json!({"destination": "/a", "options": ["remount", "bind", "ro", "nodev"]}));
    add(
        &mut bundle,
        json!({"destination": "/b", "type": "tmpfs", "source": "b",
                            "options": ["size=64k"]}),
    );
    add(
        &mut bundle,
        json!({"destination": "/b", "type": "tmpfs", "source": "b",
                            "options": ["remount", "size=128k", "noexec"]}),
    );
    let output = bundle.run().output;
    let lines: Vec<&str> = output.lines().collect();
    assert!(lines[0].contains(" ro,nodev,noatime "), "{output}");
    assert!(lines[1].contains(" rw,noexec,relatime "), "{output}");
    assert!(lines[1].contains("size=128k"), "{output}");
}

#[test]
fn a_mount_can_show_other_owners() {
    require_containers!();
    require_user_namespaces!();
    let mut bundle = Bundle::new("stat -c '%u %g' /mapped/file; touch /mapped/new");
    let folder = shared_folder(&bundle);
    add(
        &mut bundle,
        json!({
            "destination": "/mapped", "type": "bind", "source": folder, "options": ["bind", "idmap"],
            "uidMappings": [{"containerID": 0, "hostID": 5000, "size": 10},
                            {"containerID": 40, "hostID": 0, "size": 1}],
            "gidMappings": [{"containerID": 0, "hostID": 6000, "size": 10},
                            {"containerID": 50, "hostID": 0, "size": 1}],
        }),
    );
    assert_eq!(bundle.run().output, "5000 6000\n");
    let new = fs::metadata(folder.join("new")).unwrap();
    assert_eq!((new.uid(), new.gid()), (40, 50));
}

#[test]
fn a_mount_can_show_the_owners_of_the_containers_mapping() {
    require_containers!();
    require_user_namespaces!();
    for option in ["idmap", "ridmap"] {
        let mut bundle = Bundle::new("stat -c '%u %g' /mapped/file; touch /mapped/new");
        in_user_namespace(&mut bundle);
        let folder = shared_folder(&bundle);
        add(
            &mut bundle,
            json!({"destination": "/mapped", "type": "bind", "source": folder,
                                "options": ["rbind", option]}),
        );
        assert_eq!(bundle.run().output, "0 0\n");
        let new = fs::metadata(folder.join("new")).unwrap();
        assert_eq!((new.uid(), new.gid()), (0, 0));
    }
}

#[test]
fn a_mapping_that_is_not_possible_is_refused_by_name() {
    require_containers!();
    require_user_namespaces!();
    let mut bundle = Bundle::new("true");
    let at = bundle.spec["mounts"].as_array().unwrap().len();
    add(
        &mut bundle,
        json!({"destination": "/a", "type": "bind", "source": "/tmp",
                            "options": ["bind", "idmap"]}),
    );
    let error = bundle.try_run().unwrap_err();
    assert!(error.starts_with(&format!("mounts[{at}].uidMappings: ")), "{error}");

    // The kernel's own files belong to nobody who could be mapped.
    let mapping = json!([{"containerID": 0, "hostID": 5, "size": 1}]);
    bundle.spec["mounts"][at]["source"] = json!("/proc");
    bundle.spec["mounts"][at]["uidMappings"] = mapping.clone();
    bundle.spec["mounts"][at]["gidMappings"] = mapping;
    let error = bundle.try_run().unwrap_err();
    assert!(
        error.starts_with(&format!("mounts[{at}].uidMappings: this kernel or file")),
        "{error}"
    );
}

#[test]
fn a_tmpfs_has_the_mode_of_what_it_covers_or_everybodys() {
    require_containers!();
    let mut bundle = Bundle::new("stat -c %a /there /new /given");
    fs::create_dir(bundle.rootfs().join("there")).unwrap();
    fs::set_permissions(bundle.rootfs().join("there"), fs::Permissions::from_mode(0o710)).unwrap();
    for (path, options) in
        [("/there", json!([])), ("/new", json!([])), ("/given", json!(["mode=700"]))]
    {
        let source = "tmpfs";
        add(
            &mut bundle,
            json!({"destination": path, "type": "tmpfs", "source": source,
                                "options": options}),
        );
    }
    assert_eq!(bundle.run().output, "710\n1777\n700\n");
}

#[test]
fn the_hosts_view_is_shown_where_a_user_namespace_has_none_of_its_own() {
    require_containers!();
    require_user_namespaces!();
    let mut bundle = Bundle::new("ls /sys/class/net; touch /sys/x; ls -d /dev/mqueue");
    in_user_namespace(&mut bundle);
    let namespaces = bundle.spec["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != "network" && namespace["type"] != "ipc");
    if !std::path::Path::new("/dev/mqueue").exists() {
        bundle.spec["mounts"].as_array_mut().unwrap().retain(|mount| mount["type"] != "mqueue");
    }
    let output = bundle.run().output;
    for interface in fs::read_dir("/sys/class/net").unwrap() {
        let name = interface.unwrap().file_name().into_string().unwrap();
        assert!(output.contains(&name), "{output}");
    }
    assert!(output.contains("Read-only file system"), "{output}");
}

#[test]
fn a_root_that_is_a_symlink_is_refused() {
    require_containers!();
    let bundle = Bundle::new("true");
    let real = bundle.path().join("real");
    fs::rename(bundle.rootfs(), &real).unwrap();
    symlink(&real, bundle.rootfs()).unwrap();
    let error = bundle.try_run().unwrap_err();
    assert!(error.contains("root.path") && error.contains("is a symlink"), "{error}");
}

#[test]
fn the_roots_propagation_is_as_asked_for() {
    require_containers!();
    for (word, mark) in [
        ("private", None),
        ("rprivate", None),
        ("shared", Some("shared:")),
        ("rshared", Some("shared:")),
        ("slave", None),
        ("rslave", None),
        ("unbindable", Some("unbindable")),
        ("runbindable", Some("unbindable")),
    ] {
        let mut bundle = Bundle::new(
            "grep ' / / ' /proc/self/mountinfo || grep -m 1 ' / ' /proc/self/mountinfo",
        );
        bundle.spec["linux"]["rootfsPropagation"] = word.into();
        let output = bundle.run().output;
        match mark {
            Some(mark) => assert!(output.contains(mark), "{word}: {output}"),
            None => assert!(!output.contains("shared:"), "{word}: {output}"),
        }
    }
}

#[test]
fn what_others_may_not_reach_is_shown_in_a_user_namespace_too() {
    require_containers!();
    require_user_namespaces!();
    let mut bundle = Bundle::new("cat /shown/file");
    in_user_namespace(&mut bundle);
    let closed = bundle.path().join("closed");
    fs::create_dir_all(closed.join("source")).unwrap();
    fs::write(closed.join("source/file"), "reached\n").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let mounts = bundle.spec["mounts"].as_array_mut().unwrap();
    mounts.push(json!({"destination": "/shown", "source": closed.join("source"),
                       "options": ["bind"]}));
    assert_eq!(bundle.run().output, "reached\n");
}

/// The maker opens such a source among the host's mounts, which may be shared with others.
#[test]
fn what_is_mounted_on_a_source_opened_by_the_maker_is_not_seen_on_the_host() {
    require_containers!();
    require_user_namespaces!();
    // As on a host with systemd, in mounts of the test's own.
    linux::namespaces::unshare(linux::namespaces::Namespaces::MOUNT).unwrap();
    let root = fs::File::open("/").unwrap();
    let spreading = |propagation| Change { propagation: Some(propagation), ..Change::default() };
    change(root.as_fd(), Depth::Recursive, spreading(Propagation::Private)).unwrap();
    let mut bundle = Bundle::new(
        "mount -t tmpfs inside /shown/below && grep -c ' /shown/below ' /proc/self/mountinfo; \
         sleep 1",
    );
    let all = bundle.spec["process"]["capabilities"]["bounding"].as_array_mut().unwrap();
    all.push(json!("CAP_SYS_ADMIN"));
    let all = json!(all);
    bundle.spec["process"]["capabilities"] =
        json!({"bounding": all, "effective": all, "permitted": all});
    in_user_namespace(&mut bundle);
    let closed = bundle.path().join("closed");
    fs::create_dir(&closed).unwrap();
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount(c"tmpfs", &closed, c"tmpfs", flags, None).unwrap();
    let there = fs::File::open(&closed).unwrap();
    change(there.as_fd(), Depth::One, spreading(Propagation::Shared)).unwrap();
    fs::create_dir_all(closed.join("source/below")).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    add(
        &mut bundle,
        json!({"destination": "/shown", "source": closed.join("source"), "options": ["rbind"]}),
    );
    let seen = std::thread::scope(|scope| {
        let host = scope.spawn(|| {
            let below = closed.join("source/below").display().to_string();
            let mounts = || fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
            (0..50).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(20));
                mounts().contains(&below)
            })
        });
        assert_eq!(bundle.run().output, "1\n");
        host.join().unwrap()
    });
    assert!(!seen, "the host sees what the container has mounted");
    rustix::mount::unmount(&closed, rustix::mount::UnmountFlags::DETACH).unwrap();
}
