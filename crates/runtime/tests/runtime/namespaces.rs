//! New namespaces, joined ones, and those of the host.

use std::fs;

use serde_json::json;

use crate::host::Bundle;

fn without(bundle: &mut Bundle, kind: &str) {
    let namespaces = bundle.spec["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != kind);
}

#[test]
fn what_is_not_asked_for_is_the_hosts() {
    require_containers!();
    let mut bundle = Bundle::new("cd /proc/self/ns; readlink net; readlink ipc; readlink uts");
    without(&mut bundle, "network");
    without(&mut bundle, "ipc");
    let output = bundle.run().output;
    let inside: Vec<&str> = output.lines().collect();
    let outside =
        |kind: &str| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string();
    assert_eq!(inside[0], outside("net"));
    assert_eq!(inside[1], outside("ipc"));
    assert_ne!(inside[2], outside("uts"));
}

#[test]
fn a_container_can_join_another_ones_namespaces() {
    require_containers!();
    let script = "cd /proc/self/ns; readlink net; readlink ipc; readlink pid; echo $$";
    let first = Bundle::new("sleep 100");
    let mut second = Bundle::new(script);
    first.with_container(crate::host::null_streams, |container| {
        let mut container = container.unwrap();
        container.start().unwrap();
        let pid = container.pid().as_raw_nonzero();
        second.spec["linux"]["namespaces"] = json!([
            {"type": "mount"}, {"type": "uts"}, {"type": "cgroup"},
            {"type": "network", "path": format!("/proc/{pid}/ns/net")},
            {"type": "ipc", "path": format!("/proc/{pid}/ns/ipc")},
            {"type": "pid", "path": format!("/proc/{pid}/ns/pid")},
        ]);
        let output = second.run().output;
        let lines: Vec<&str> = output.lines().collect();
        for (line, kind) in lines.iter().zip(["net", "ipc", "pid"]) {
            let joined = fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
            assert_eq!(*line, joined.display().to_string());
        }
        assert_ne!(lines[3], "1");
        container.delete().unwrap();
    });
}

#[test]
fn without_a_pid_namespace_everything_is_killed_all_the_same() {
    require_containers!();
    let mut bundle = Bundle::new("sleep 1000 & sleep 1000 & echo $$; exit 0");
    without(&mut bundle, "pid");
    bundle.with_container(crate::host::null_streams, |container| {
        let mut container = container.unwrap();
        container.start().unwrap();
        crate::host::exit_code(&container);
        let left = container.cgroup().processes().unwrap();
        assert_eq!(left.len(), 2);
        container.delete().unwrap();
        for process in left {
            let status = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
            // Whoever inherits it may not have waited for it yet.
            assert!(status.is_err() || status.is_ok_and(|status| status.contains(") Z ")));
        }
    });
}

#[test]
fn users_are_mapped() {
    require_containers!();
    let code = linux::process::in_forked_process(|| {
        linux::namespaces::unshare(linux::namespaces::Namespaces::USER).map_or(1, |()| 0)
    });
    if code.unwrap() != 0 {
        println!("skipped: this host, or a change of root above it, allows no user namespace");
        return;
    }
    let mut bundle = Bundle::new("id -u; cat /proc/self/uid_map; touch /tmp/mine; ls -l /dev/null");
    bundle.spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    bundle.spec["linux"]["uidMappings"] = mapping.clone();
    bundle.spec["linux"]["gidMappings"] = mapping;
    // The image belongs to the mapped users.
    chown_tree(&bundle.rootfs(), 100_000);
    let parents_are_open = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    fs::set_permissions(bundle.path(), parents_are_open(0o755)).unwrap();
    let outcome = bundle.run();
    let words: Vec<&str> = outcome.output.split_whitespace().collect();
    assert_eq!(words[..4], ["0", "0", "100000", "65536"], "{}", outcome.output);
    let status = fs::metadata(bundle.rootfs().join("tmp/mine")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&status), 100_000);
}

fn chown_tree(path: &std::path::Path, id: u32) {
    std::os::unix::fs::lchown(path, Some(id), Some(id)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).unwrap() {
            chown_tree(&entry.unwrap().path(), id);
        }
    }
}
