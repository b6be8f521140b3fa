//! Limits that bite, and lists of processes.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::host::{Bundle, exit_code, null_streams};

/// The value of a limit's file in whichever hierarchy has it.
pub(crate) fn value(paths: &[PathBuf], names: &[&str]) -> String {
    let found = paths
        .iter()
        .flat_map(|path| names.iter().map(|name| path.join(name)))
        .find_map(|file| fs::read_to_string(file).ok());
    found.unwrap_or_else(|| panic!("none of {names:?} in {paths:?}")).trim().to_owned()
}

/// Whether this host counts and limits anything: the unified hierarchy of a host with
/// version 1 has no controllers.
pub(crate) fn has_controller(name: &str) -> bool {
    let unified = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    let has = unified.split_whitespace().any(|known| known == name)
        || fs::exists(format!("/sys/fs/cgroup/{name}/cgroup.procs")).unwrap();
    if !has {
        println!("skipped: this host has no `{name}` controller");
    }
    has
}

#[test]
fn devices_are_refused_unless_allowed() {
    require_containers!();
    let script = "mknod /tmp/fuse c 10 229 && cat /tmp/fuse >/dev/null; echo x >/dev/null; \
                  mknod /tmp/z c 1 5 && head -c 1 /tmp/z | wc -c";
    let mut bundle = Bundle::new(script);
    let output = bundle.run().output;
    assert!(output.contains("Operation not permitted"), "{output}");
    assert!(output.ends_with("1\n"), "{output}");

    bundle.spec["linux"]["resources"]["devices"] = json!([
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
    ]);
    let output = bundle.run().output;
    assert!(!output.contains("cat: can't open"), "{output}");
}

#[test]
fn limits_are_written() {
    require_containers!();
    for controller in ["memory", "cpu", "cpuset", "pids"] {
        if !has_controller(controller) {
            return;
        }
    }
    let mut bundle = Bundle::new("sleep 100");
    bundle.spec["linux"]["resources"] = json!({
        "memory": {"limit": 67_108_864, "reservation": 33_554_432},
        "cpu": {"shares": 512, "quota": 50000, "period": 100_000, "cpus": "0", "mems": "0"},
        "pids": {"limit": 20},
    });
    bundle.with_container(null_streams, |container| {
        let mut container = container.unwrap_or_else(|error| panic!("{error}"));
        container.start().unwrap();
        let paths = container.cgroup().paths();
        assert_eq!(value(&paths, &["memory.limit_in_bytes", "memory.max"]), "67108864");
        assert_eq!(value(&paths, &["memory.soft_limit_in_bytes", "memory.low"]), "33554432");
        assert!(["512", "59"].contains(&&*value(&paths, &["cpu.shares", "cpu.weight"])));
        assert!(
            ["50000", "50000 100000"].contains(&&*value(&paths, &["cpu.cfs_quota_us", "cpu.max"]))
        );
        assert_eq!(value(&paths, &["cpuset.cpus"]), "0");
        assert_eq!(value(&paths, &["pids.max"]), "20");
        let statistics = container.cgroup().statistics().unwrap();
        assert_eq!(statistics.tasks_max, Some(20));
        assert_eq!(statistics.tasks, 1);
        assert_eq!(statistics.memory.limit, Some(67_108_864));
        for path in &paths {
            let processes = fs::read_to_string(path.join("cgroup.procs")).unwrap();
            assert_eq!(processes.trim(), container.pid().as_raw_nonzero().to_string(), "{path:?}");
        }
        container.delete().unwrap();
        assert!(paths.iter().all(|path| !path.exists()), "{paths:?}");
    });
}

#[test]
fn limits_can_change() {
    require_containers!();
    if !has_controller("memory") || !has_controller("pids") {
        return;
    }
    let bundle = Bundle::new("sleep 100");
    bundle.with_container(null_streams, |container| {
        let mut container = container.unwrap();
        container.start().unwrap();
        for (limit, pids) in [(64_u64 << 20, 20), (32 << 20, 30)] {
            let resources =
                json!({"memory": {"limit": limit, "swap": limit}, "pids": {"limit": pids}});
            container.cgroup().update(&serde_json::from_value(resources).unwrap()).unwrap();
            let paths = container.cgroup().paths();
            let written = value(&paths, &["memory.limit_in_bytes", "memory.max"]);
            assert_eq!(written, limit.to_string());
            assert_eq!(value(&paths, &["pids.max"]), pids.to_string());
            assert_eq!(container.cgroup().statistics().unwrap().tasks, 1);
        }
        container.delete().unwrap();
    });
}

#[test]
fn too_many_processes_are_refused() {
    require_containers!();
    if !has_controller("pids") {
        return;
    }
    let mut bundle =
        Bundle::new("sleep 1 & sleep 1 & sleep 1 & sleep 1 & sleep 1 & sleep 1 & true");
    bundle.spec["linux"]["resources"]["pids"] = json!({"limit": 4});
    let output = bundle.run().output;
    assert!(output.contains("can't fork"), "{output}");
}

#[test]
fn too_much_memory_kills_and_is_told() {
    require_containers!();
    if !has_controller("memory") {
        return;
    }
    // `tail` keeps the whole line in memory.
    let mut bundle = Bundle::new("tail /dev/zero; echo $?");
    bundle.spec["linux"]["resources"]["memory"] = json!({"limit": 16 << 20, "swap": 16 << 20});
    bundle.with_container(null_streams, |container| {
        let mut container = container.unwrap();
        let mut events = container.cgroup().out_of_memory_events().unwrap().unwrap();
        container.start().unwrap();
        let flags = events.poll_flags();
        rustix::event::poll(&mut [rustix::event::PollFd::new(&events, flags)], None).unwrap();
        exit_code(&container);
        assert_eq!(events.take().unwrap(), 1);
        assert_eq!(events.take().unwrap(), 0);
        container.delete().unwrap();
    });
}

#[test]
fn a_small_memory_limit_does_not_prevent_the_start() {
    require_containers!();
    if !has_controller("memory") {
        return;
    }
    let mut bundle = Bundle::new("echo fine");
    bundle.spec["linux"]["resources"]["memory"] = json!({"limit": 4 << 20});
    assert_eq!(bundle.run().output, "fine\n");
}

#[test]
fn a_frozen_container_stands_still() {
    require_containers!();
    let bundle = Bundle::new("while true; do true; done");
    bundle.with_container(null_streams, |container| {
        let mut container = container.unwrap();
        container.start().unwrap();
        let used = |container: &runtime::Container| {
            let text =
                fs::read_to_string(format!("/proc/{}/stat", container.pid().as_raw_nonzero()));
            text.unwrap().split(' ').nth(13).unwrap().parse::<u64>().unwrap()
        };
        container.cgroup().freeze().unwrap();
        let before = used(&container);
        let busy = std::time::Instant::now();
        while busy.elapsed() < std::time::Duration::from_millis(60) {}
        assert_eq!(used(&container), before);
        container.cgroup().thaw().unwrap();
        while used(&container) == before {}
        container.cgroup().freeze().unwrap();
        // A frozen container can be removed.
        container.delete().unwrap();
    });
}

#[test]
fn the_container_sees_its_own_cgroup() {
    require_containers!();
    let mut bundle =
        Bundle::new("cat /proc/self/cgroup; ls /sys/fs/cgroup; touch /sys/fs/cgroup/x");
    bundle.spec["mounts"].as_array_mut().unwrap().push(json!(
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
         "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}
    ));
    let output = bundle.run().output;
    assert!(output.contains("0::/\n"), "{output}");
    let shown = ["unified", "freezer", "cgroup.procs"];
    assert!(shown.iter().any(|name| output.contains(name)), "{output}");
    assert!(output.contains("Read-only file system"), "{output}");
}

#[test]
fn a_frozen_cgroup_is_not_taken() {
    require_containers!();
    let mut bundle = Bundle::new("true");
    let path = format!("wharf-tests/frozen-{}", std::process::id());
    bundle.spec["linux"]["cgroupsPath"] = format!("/{path}").into();
    let hierarchies = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    let is_unified = |mount: &&&str| Path::new(mount).join("cgroup.controllers").exists();
    let Some(mount) = hierarchies.iter().find(is_unified) else {
        println!("skipped: needs a hierarchy of cgroup v2");
        return;
    };
    let folder = Path::new(mount).join(path);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("cgroup.freeze"), "1").unwrap();
    let error = bundle.try_run().unwrap_err();
    assert!(error.starts_with("container's cgroup unexpectedly frozen"), "{error}");
    fs::remove_dir(folder).unwrap();
}

#[test]
fn a_cgroup_with_somebody_in_it_is_not_taken() {
    require_containers!();
    let first = Bundle::new("sleep 100");
    let mut second = Bundle::new("true");
    second.spec["linux"]["cgroupsPath"] = format!("/wharf/{}", first.id).into();
    first.with_container(null_streams, |container| {
        let container = container.unwrap();
        let error = second.try_run().unwrap_err();
        assert!(error.contains("has a process in it already"), "{error}");
        container.delete().unwrap();
    });
}
