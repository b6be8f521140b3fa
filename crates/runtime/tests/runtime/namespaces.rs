//! New namespaces, joined ones, and those of the host.

use std::fs;
use std::io::Read as _;

use serde_json::json;

use crate::host::{self, Bundle};

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
    first.with_container(host::null_streams, |container| {
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
    bundle.with_container(host::null_streams, |container| {
        let mut container = container.unwrap();
        container.start().unwrap();
        host::exit_code(&container);
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
    require_user_namespaces!();
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

/// A process that stays in namespaces of its own until it is killed.
struct Holder(std::process::Child);

impl Holder {
    fn new(flags: &[&str]) -> Self {
        let mut holder = Self(
            std::process::Command::new("unshare")
                .args(flags)
                .args(["sh", "-c", "echo there; exec sleep 1000"])
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let mut word = [0; 6];
        holder.0.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
        holder
    }

    fn path(&self, kind: &str) -> String {
        format!("/proc/{}/ns/{kind}", self.0.id())
    }

    fn link(&self, kind: &str) -> String {
        fs::read_link(self.path(kind)).unwrap().display().to_string()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_time_namespace_has_clocks_of_its_own() {
    require_containers!();
    let script = "cat /proc/self/timens_offsets; cut -d . -f 1 /proc/uptime; \
                  readlink /proc/self/ns/time";
    let mut bundle = Bundle::new(script);
    bundle.spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "time"}));
    bundle.spec["linux"]["timeOffsets"] =
        json!({"boottime": {"secs": 1_000_000, "nanosecs": 5}, "monotonic": {"secs": 7}});
    let output = bundle.run().output;
    let words: Vec<&str> = output.split_whitespace().collect();
    assert_eq!(words[..6], ["monotonic", "7", "0", "boottime", "1000000", "5"], "{output}");
    assert!(words[6].parse::<u64>().unwrap() > 1_000_000, "{output}");
    let own = fs::read_link("/proc/self/ns/time").unwrap();
    assert_ne!(words[7], own.display().to_string());
}

#[test]
fn a_time_namespace_can_be_joined() {
    require_containers!();
    let holder = Holder::new(&["--time", "--monotonic", "77", "--kill-child"]);
    // `unshare` itself has it for its children only.
    let path = holder.path("time_for_children");
    let mut bundle = Bundle::new("cat /proc/self/timens_offsets");
    let namespaces = bundle.spec["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.push(json!({"type": "time", "path": path}));
    let output = bundle.run().output;
    assert_eq!(output.split_whitespace().nth(1), Some("77"), "{output}");
}

#[test]
fn a_user_namespace_can_be_joined() {
    require_containers!();
    require_user_namespaces!();
    let script = "readlink /proc/self/ns/user; id -u; cat /proc/self/uid_map; \
                  readlink /proc/self/ns/ipc; hostname; cat /proc/self/timens_offsets";
    let mut bundle = Bundle::new(script);
    let holder = Holder::new(&["--user", "--ipc"]);
    for file in ["gid_map", "uid_map"] {
        fs::write(format!("/proc/{}/{file}", holder.0.id()), "0 100000 65536").unwrap();
    }
    let namespaces = bundle.spec["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != "ipc");
    namespaces.push(json!({"type": "user", "path": holder.path("user")}));
    // One that belongs to the user namespace, and cannot be joined before it.
    namespaces.push(json!({"type": "ipc", "path": holder.path("ipc")}));
    namespaces.push(json!({"type": "time"}));
    bundle.spec["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 9}});
    chown_tree(&bundle.rootfs(), 100_000);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(bundle.path(), open).unwrap();
    let output = bundle.run().output;
    let words: Vec<&str> = output.split_whitespace().collect();
    assert_eq!(words[0], holder.link("user"), "{output}");
    assert_eq!(words[1..5], ["0", "0", "100000", "65536"], "{output}");
    assert_eq!(words[5], holder.link("ipc"), "{output}");
    assert_eq!(words[6..9], ["inside", "monotonic", "9"], "{output}");

    bundle.spec["process"]["args"] = json!(["sleep", "100"]);
    bundle.with_container(host::null_streams, |container| {
        let mut container = container.unwrap();
        container.start().unwrap();
        let process = json!({"user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"],
                             "args": ["readlink", "/proc/self/ns/user"]});
        let (output, _) = host::execute(&container, &process).unwrap();
        assert_eq!(output.trim(), holder.link("user"));
        container.delete().unwrap();
    });
}

#[test]
fn a_mount_namespace_can_be_joined() {
    require_containers!();
    if !host::is_root_lowest() {
        println!(
            "skipped: this host's root is not the one that joining a mount namespace leads to"
        );
        return;
    }
    let holder = Holder::new(&["--mount"]);
    let mut bundle = Bundle::new("readlink /proc/self/ns/mnt; ls /");
    without(&mut bundle, "mount");
    bundle.spec["linux"]["namespaces"]
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "mount", "path": holder.path("mnt")}));
    let outcome = bundle.run();
    let lines: Vec<&str> = outcome.output.lines().collect();
    assert_eq!(lines[0], holder.link("mnt"));
    assert_eq!(lines[1..], ["bin", "dev", "etc", "proc", "root", "sys", "tmp"]);
}

#[test]
fn without_any_namespace_the_container_has_its_root_all_the_same() {
    require_containers!();
    // In a mount namespace of the test's own, which is the host's for the runtime.
    let code = linux::process::in_forked_process(|| {
        linux::namespaces::unshare(linux::namespaces::Namespaces::MOUNT).unwrap();
        let mounts_before = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let own = fs::read_link("/proc/self/ns/mnt").unwrap().display().to_string();
        let mut bundle = Bundle::new("readlink /proc/self/ns/mnt; ls /; cat /dev/null");
        let configuration = bundle.spec.as_object_mut().unwrap();
        configuration.remove("linux");
        configuration.remove("hostname");
        let outcome = bundle.run();
        let lines: Vec<&str> = outcome.output.lines().collect();
        assert_eq!(lines[0], own);
        assert_eq!(lines[1..], ["bin", "dev", "etc", "proc", "root", "sys", "tmp"]);
        assert_eq!(outcome.code, 0);
        // The mounts that were there have stayed as they were.
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(mounts.starts_with(&mounts_before), "{mounts}");
        rustix::mount::unmount(bundle.rootfs(), rustix::mount::UnmountFlags::DETACH).unwrap();
        0
    });
    assert_eq!(code.unwrap(), 0);
}

#[test]
fn a_device_of_the_host_can_be_given_away() {
    require_containers!();
    // The test's own network namespace stands for the host's.
    let code = linux::process::in_forked_process(|| {
        linux::namespaces::unshare(linux::namespaces::Namespaces::NETWORK).unwrap();
        for command in [
            "link add dev0 type veth peer name dev1",
            "addr add 10.9.8.7/24 dev dev0",
            "link set dev0 up",
        ] {
            let status = std::process::Command::new("/bin/busybox")
                .arg("ip")
                .args(command.split(' '))
                .status();
            assert!(status.unwrap().success(), "{command}");
        }
        let mut bundle = Bundle::new("ip addr show eth7");
        bundle.spec["linux"]["netDevices"] = json!({"dev0": {"name": "eth7"}});
        let output = bundle.run().output;
        assert!(output.contains("inet 10.9.8.7/24 brd 10.9.8.255"), "{output}");
        assert!(output.contains(",UP"), "{output}");

        bundle.spec["linux"]["netDevices"] = json!({"missing0": {}});
        let error = bundle.try_run().unwrap_err();
        assert!(error.starts_with("linux.netDevices.missing0: "), "{error}");
        without(&mut bundle, "network");
        let error = bundle.try_run().unwrap_err();
        assert!(error.contains("without a NET namespace"), "{error}");
        0
    });
    assert_eq!(code.unwrap(), 0);
}

fn chown_tree(path: &std::path::Path, id: u32) {
    std::os::unix::fs::lchown(path, Some(id), Some(id)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).unwrap() {
            chown_tree(&entry.unwrap().path(), id);
        }
    }
}

#[test]
fn the_hosts_processes_can_be_shown_as_the_host_has_them() {
    require_containers!();
    let mut bundle = Bundle::new("readlink /proc/self; echo $$");
    let namespaces = bundle.spec["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != "pid");
    let mounts = bundle.spec["mounts"].as_array_mut().unwrap();
    mounts.retain(|mount| mount["destination"] != "/proc");
    mounts.insert(0, json!({"destination": "/proc", "source": "/proc", "options": ["rbind"]}));
    let output = bundle.run().output;
    let numbers: Vec<u32> = output.lines().map(|line| line.parse().unwrap()).collect();
    assert!(numbers[0] > numbers[1] && numbers[1] > 1, "{output}");
    bundle.spec["mounts"][0]["source"] = json!("/tmp");
    assert!(bundle.try_run().unwrap_err().contains("because it is inside /proc"));
}
