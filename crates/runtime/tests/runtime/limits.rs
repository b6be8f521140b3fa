//! Each limit of the configuration, as the kernel has it afterwards; changed by `update`, told
//! by `events`.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::cgroups::{has_controller, value};
use crate::command_line::Host;
use crate::host::{Bundle, null_streams};

const MEGABYTE: u64 = 1 << 20;

/// A container that runs, with a configuration's resources.
struct Limited {
    host: Host,
}

impl Limited {
    fn start(resources: Value) -> Self {
        let mut host = Host::new("sleep 100");
        host.bundle.spec["linux"]["resources"] = resources;
        let config = host.bundle.path().join("config.json");
        fs::write(config, host.bundle.spec.to_string()).unwrap();
        host.create();
        host.succeed(&["start", host.id()]);
        Self { host }
    }

    /// The folders of the container's first process.
    fn paths(&self) -> Vec<std::path::PathBuf> {
        let text = fs::read_to_string(format!("/proc/{}/cgroup", self.host.pid())).unwrap();
        let folder = |line: &str| {
            let (hierarchy, path) = line.split_once(':')?.1.split_once(':')?;
            let mount = if hierarchy.is_empty() && fs::exists("/sys/fs/cgroup/unified").unwrap() {
                "unified"
            } else {
                hierarchy
            };
            Some(std::path::Path::new("/sys/fs/cgroup").join(mount).join(&path[1..]))
        };
        text.lines().filter_map(folder).filter(|path| path.ends_with(self.host.id())).collect()
    }

    #[track_caller]
    fn update(&self, options: &[&str]) {
        self.host.succeed(&[&["update"], options, &[self.host.id()]].concat());
    }

    #[track_caller]
    fn refuse(&self, options: &[&str], words: &str) {
        let error = self.host.fail(&[&["update"], options, &[self.host.id()]].concat());
        assert!(error.contains(words), "{error}");
    }

    /// Hands new limits over on standard input.
    #[track_caller]
    fn update_by(&self, resources: &Value) {
        let mut child = self
            .host
            .command(&["update", "-r", "-", self.host.id()])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(resources.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// What a file says that has one name on version 1 and another on version 2.
    #[track_caller]
    fn check(&self, names: [&str; 2], values: [&str; 2]) {
        let is_version2 = fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap();
        let at = usize::from(is_version2);
        assert_eq!(value(&self.paths(), &[names[at]]), values[at], "{}", names[at]);
    }

    #[track_caller]
    fn check_same(&self, names: [&str; 2], expected: &str) {
        self.check(names, [expected, expected]);
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        self.host.run(&["delete", "--force", self.host.id()]);
    }
}

const MEMORY: [&str; 2] = ["memory.limit_in_bytes", "memory.max"];
const RESERVATION: [&str; 2] = ["memory.soft_limit_in_bytes", "memory.low"];
const SWAP: [&str; 2] = ["memory.memsw.limit_in_bytes", "memory.swap.max"];
const SHARES: [&str; 2] = ["cpu.shares", "cpu.weight"];
const TASKS: [&str; 2] = ["pids.max"; 2];
const UNLIMITED: [&str; 2] = ["9223372036854771712", "max"];

fn has_controllers(names: &[&str]) -> bool {
    names.iter().all(|name| has_controller(name))
}

#[test]
fn memory_is_changed_by_flags_and_by_file() {
    require_containers!();
    if !has_controllers(&["memory", "pids"]) {
        return;
    }
    let container = Limited::start(json!({
        "memory": {"limit": 32 * MEGABYTE, "reservation": 24 * MEGABYTE},
        "pids": {"limit": 20},
    }));
    container.check_same(MEMORY, "33554432");
    container.check_same(RESERVATION, "25165824");
    container.check_same(TASKS, "20");

    container.update(&["--memory", "50M"]);
    container.check_same(MEMORY, "52428800");
    container.update(&["--memory-reservation", "33554432"]);
    container.check_same(RESERVATION, "33554432");
    container.update(&["--memory-swap", "-1"]);
    container.check(SWAP, UNLIMITED);
    container.update(&["--memory", "50M", "--memory-swap", "90M"]);
    container.check(SWAP, ["94371840", "41943040"]);
    // Both grow beyond what both together were.
    container.update(&["--memory", "100M", "--memory-swap", "120M"]);
    container.check_same(MEMORY, "104857600");
    container.check(SWAP, ["125829120", "20971520"]);
    container.update(&["--memory", "30M", "--memory-swap", "50M"]);
    container.check(SWAP, ["52428800", "20971520"]);
    // Memory alone: what swap adds to it shrinks.
    container.update(&["--memory", "40M"]);
    container.check(SWAP, ["52428800", "10485760"]);
    container.update(&["--memory", "-1"]);
    container.check(MEMORY, UNLIMITED);
    container.check(SWAP, UNLIMITED);

    container.update(&["--pids-limit", "10"]);
    container.check_same(TASKS, "10");
    container.update(&["--pids-limit", "-1"]);
    container.check_same(TASKS, "max");
    container.update(&["--pids-limit", "0"]);
    container.check_same(TASKS, "1");

    container.update_by(&json!({"memory": {"limit": 32 * MEGABYTE}, "pids": {"limit": 20}}));
    container.check_same(MEMORY, "33554432");
    container.check_same(TASKS, "20");
    // What is not named stays.
    container.check_same(RESERVATION, "33554432");
}

#[test]
fn processor_time_is_changed() {
    require_containers!();
    if !has_controllers(&["cpu"]) {
        return;
    }
    let container = Limited::start(json!({
        "cpu": {"shares": 100, "quota": 500_000, "period": 1_000_000},
    }));
    let check_quota = |quota: &str, period: &str| {
        let both = format!("{} {period}", if quota == "-1" { "max" } else { quota });
        container.check(["cpu.cfs_quota_us", "cpu.max"], [quota, &both]);
        container.check(["cpu.cfs_period_us", "cpu.max"], [period, &both]);
    };
    container.check(SHARES, ["100", "17"]);
    check_quota("500000", "1000000");
    container.update(&["--cpu-period", "900000"]);
    check_quota("500000", "900000");
    container.update(&["--cpu-quota", "600000"]);
    check_quota("600000", "900000");
    container.update(&["--cpu-burst", "500000"]);
    container.check_same(["cpu.cfs_burst_us", "cpu.max.burst"], "500000");
    container.update(&["--cpu-burst", "0", "--cpu-quota", "-1"]);
    container.check_same(["cpu.cfs_burst_us", "cpu.max.burst"], "0");
    check_quota("-1", "900000");
    container.update(&["--cpu-share", "200"]);
    container.check(SHARES, ["200", "29"]);
    container.update(&["--cpu-idle", "1"]);
    container.check_same(["cpu.idle"; 2], "1");
    container.update(&["--cpu-period", "100000"]);
    container.check_same(["cpu.idle"; 2], "1");
    container.refuse(&["--cpu-idle", "2"], "linux.resources.cpu.idle: cannot write `2`");
    container.update(&["--cpu-idle", "0"]);
    container.check_same(["cpu.idle"; 2], "0");
    container.refuse(&["--cpu-period", "100"], "linux.resources.cpu.period: cannot write");
}

#[test]
fn a_shorter_period_than_the_folder_above_allows_with_the_old_quota() {
    require_containers!();
    if !has_controllers(&["cpu"]) || !fs::exists("/sys/fs/cgroup/cpu").unwrap() {
        println!("skipped: only version 1 has the quota and the period in two files");
        return;
    }
    let container = Limited::start(json!({"cpu": {"quota": 40_000}}));
    container.update(&["--cpu-period", "10000", "--cpu-quota", "3000", "--cpu-burst", "3000"]);
    container.check_same(["cpu.cfs_quota_us"; 2], "3000");
    container.check_same(["cpu.cfs_period_us"; 2], "10000");
    container.check_same(["cpu.cfs_burst_us"; 2], "3000");
}

#[test]
fn a_limit_can_come_later() {
    require_containers!();
    if !has_controllers(&["cpu", "cpuset", "memory"]) {
        return;
    }
    let container = Limited::start(json!({}));
    container.update(&["--cpu-period", "50000"]);
    container.check(["cpu.cfs_quota_us", "cpu.max"], ["-1", "max 50000"]);
    container.update(&["--cpuset-cpus", "0", "--cpuset-mems", "0"]);
    container.check_same(["cpuset.cpus"; 2], "0");
    container.update(&["--memory", "32M"]);
    container.check_same(MEMORY, "33554432");
    // A container of version 2 has every controller of the host.
    if let Ok(all) = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers") {
        assert_eq!(value(&container.paths(), &["cgroup.controllers"]), all.trim());
    }
}

#[test]
fn a_limit_below_what_is_in_use_is_refused_if_asked_to() {
    require_containers!();
    if !has_controllers(&["memory"]) {
        return;
    }
    let container = Limited::start(json!({"memory": {"limit": 32 * MEGABYTE}}));
    let file = container.host.bundle.path().join("new.json");
    let file = file.to_str().unwrap();
    fs::write(file, r#"{"memory": {"limit": 1024, "checkBeforeUpdate": true}}"#).unwrap();
    container.refuse(&["--resources", file], "rejecting memory limit 1024 <= usage ");
    fs::write(file, r#"{"memory": {"limit": 512, "swap": 2048, "checkBeforeUpdate": true}}"#)
        .unwrap();
    container.refuse(&["--resources", file], "rejecting memory+swap limit 2048 <= usage ");
    assert_eq!(container.host.status(), "running");
}

#[test]
fn block_devices_are_throttled_one_by_one() {
    require_containers!();
    let is_version2 = fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap();
    if !has_controllers(&[if is_version2 { "io" } else { "blkio" }]) {
        return;
    }
    let Some(device) = fs::read_dir("/sys/block")
        .into_iter()
        .flatten()
        .flatten()
        .find_map(|disk| fs::read_to_string(disk.path().join("dev")).ok())
    else {
        println!("skipped: this host has no block device");
        return;
    };
    let device = device.trim();
    let (major, minor) = device.split_once(':').unwrap();
    let number = |text: &str| text.parse::<i64>().unwrap();
    let rate = |rate: u64| json!([{"major": number(major), "minor": number(minor), "rate": rate}]);
    let container = Limited::start(json!({
        "blockIO": {"throttleReadBpsDevice": rate(485_760), "throttleWriteIOPSDevice": rate(77)},
    }));
    container.check(
        ["blkio.throttle.read_bps_device", "io.max"],
        [&format!("{device} 485760"), &format!("{device} rbps=485760 wbps=max riops=max wiops=77")],
    );
    container.update_by(&json!({
        "blockIO": {"throttleReadBpsDevice": rate(10_485_760), "throttleWriteBpsDevice": rate(99)},
    }));
    container.check(
        ["blkio.throttle.read_bps_device", "io.max"],
        [
            &format!("{device} 10485760"),
            &format!("{device} rbps=10485760 wbps=99 riops=max wiops=77"),
        ],
    );
}

#[test]
fn files_of_version_2_are_written_as_they_are_named() {
    require_containers!();
    if !fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap() {
        let mut bundle = Bundle::new("true");
        bundle.spec["linux"]["resources"]["unified"] = json!({"memory.min": "131072"});
        let error = bundle.try_run().unwrap_err();
        assert!(error.contains("linux.resources.unified: invalid configuration"), "{error}");
        return;
    }
    let container = Limited::start(json!({
        "memory": {"limit": 32 * MEGABYTE},
        "cpu": {"shares": 3333, "quota": 40_000, "period": 100_000},
        "unified": {"memory.min": "131072", "memory.max": "41943040", "cpu.max": "5000 50000",
                    "cpu.weight": "42", "pids.max": "99"},
    }));
    let read = |name: &str| value(&container.paths(), &[name]);
    assert_eq!(read("memory.min"), "131072");
    assert_eq!(read("memory.max"), "41943040");
    assert_eq!(read("cpu.max"), "5000 50000");
    assert_eq!(read("cpu.weight"), "42");
    assert_eq!(read("pids.max"), "99");

    let mut bundle = Bundle::new("true");
    bundle.spec["linux"]["resources"]["unified"] = json!({"hurlygurly.max": "1"});
    let error = bundle.try_run().unwrap_err();
    let words = "linux.resources.unified.hurlygurly.max: can't be set: controller \"hurlygurly\" \
                 not available";
    assert!(error.contains(words), "{error}");
}

#[test]
fn what_a_version_does_not_have_is_refused_by_name() {
    require_containers!();
    let is_version2 = fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap();
    let cases = if is_version2 {
        vec![
            (json!({"memory": {"swappiness": 10}}), "memory.swappiness"),
            (json!({"memory": {"disableOOMKiller": true}}), "memory.disableOOMKiller"),
            (json!({"memory": {"kernelTCP": 10}}), "memory.kernelTCP"),
            (json!({"cpu": {"realtimeRuntime": 10}}), "cpu.realtimeRuntime"),
            (json!({"blockIO": {"leafWeight": 10}}), "blockIO.leafWeight"),
            (json!({"network": {"classID": 7}}), "network"),
        ]
    } else {
        vec![
            (json!({"unified": {"memory.max": "1"}}), "unified"),
            (json!({"network": {"classID": 7}}), "network.classID"),
            (json!({"blockIO": {"leafWeight": 10}}), "blockIO.leafWeight"),
        ]
    };
    for (resources, field) in cases {
        let mut bundle = Bundle::new("true");
        bundle.spec["linux"]["resources"] = resources;
        let error = bundle.try_run().unwrap_err();
        assert!(error.starts_with(&format!("linux.resources.{field}: ")), "{error}");
    }
}

#[test]
fn memory_of_version_1_has_more_to_set() {
    require_containers!();
    if !has_controllers(&["memory"]) || !fs::exists("/sys/fs/cgroup/memory").unwrap() {
        println!("skipped: needs version 1");
        return;
    }
    let container = Limited::start(json!({"memory": {
        "limit": 32 * MEGABYTE, "kernelTCP": 8 * MEGABYTE, "swappiness": 17,
        "disableOOMKiller": true, "useHierarchy": true,
    }}));
    let read = |name: &str| value(&container.paths(), &[name]);
    assert_eq!(read("memory.kmem.tcp.limit_in_bytes"), "8388608");
    assert_eq!(read("memory.swappiness"), "17");
    assert!(read("memory.oom_control").starts_with("oom_kill_disable 1"));
}

#[test]
fn shares_that_the_kernel_would_change_are_refused() {
    require_containers!();
    if !has_controllers(&["cpu"]) || !fs::exists("/sys/fs/cgroup/cpu").unwrap() {
        println!("skipped: needs version 1");
        return;
    }
    let mut bundle = Bundle::new("true");
    bundle.spec["linux"]["resources"]["cpu"] = json!({"shares": 1});
    let error = bundle.try_run().unwrap_err();
    assert!(error.contains("the minimum allowed cpu-shares is 2"), "{error}");
}

#[test]
fn statistics_are_told_in_runcs_shape() {
    require_containers!();
    if !has_controllers(&["memory", "pids"]) {
        return;
    }
    let container = Limited::start(json!({
        "memory": {"limit": 32 * MEGABYTE, "swap": 64 * MEGABYTE},
        "pids": {"limit": 20},
        "cpu": {"quota": 5000},
    }));
    let line = container.host.succeed(&["events", "--stats", container.host.id()]);
    let start = format!(r#"{{"type":"stats","id":"{}","data":{{"cpu":"#, container.host.id());
    assert!(line.starts_with(&start), "{line}");
    let event: Value = serde_json::from_str(&line).unwrap();
    let data = &event["data"];
    assert_eq!(data["pids"], json!({"current": 1, "limit": 20}));
    assert_eq!(data["memory"]["usage"]["limit"], 32 * MEGABYTE);
    assert!(data["memory"]["usage"]["usage"].as_u64().unwrap() > 0, "{line}");
    assert_eq!(data["memory"]["swap"]["limit"], 64 * MEGABYTE);
    assert!(data["memory"]["raw"].as_object().unwrap().len() > 10, "{line}");
    assert!(data["cpu"]["usage"]["total"].as_u64().unwrap() > 0, "{line}");
    assert_eq!(data["cpuset"]["mem_hardwall"], 0);
    assert!(data["hugetlb"].is_object() && data["intel_rdt"].is_object(), "{line}");
    // Only version 2 measures it.
    let has_pressure = container.paths().iter().any(|path| path.join("cpu.pressure").exists());
    for at in ["/cpu/psi", "/memory/psi", "/blkio/psi"] {
        if has_pressure {
            assert!(data.pointer(at).unwrap()["some"]["total"].is_u64(), "{at}: {line}");
        }
    }
}

#[test]
fn events_come_until_the_container_ends() {
    require_containers!();
    if !has_controllers(&["memory"]) {
        return;
    }
    let container =
        Limited::start(json!({"memory": {"limit": 32 * MEGABYTE, "swap": 32 * MEGABYTE}}));
    let id = container.host.id();
    let mut child = container
        .host
        .command(&["events", "--interval", "50ms", id])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().starts_with(&format!(r#"{{"type":"stats","id":"{id}","#)));
    // `tail` keeps the whole line in memory.
    container.host.run(&["exec", id, "tail", "/dev/zero"]);
    let told = format!(r#"{{"type":"oom","id":"{id}"}}"#);
    assert!(lines.by_ref().any(|line| line == told));
    container.host.succeed(&["delete", "--force", id]);
    assert_eq!(lines.filter(|line| *line == told).count(), 0);
    assert!(child.wait().unwrap().success());
    assert!(container.host.fail(&["events", id]).contains("container does not exist"));
}

#[test]
fn later_commands_see_what_was_updated() {
    require_containers!();
    if !has_controllers(&["memory"]) {
        return;
    }
    let container = Limited::start(json!({"memory": {"limit": 32 * MEGABYTE}}));
    container.update(&["--memory", "64M", "--memory-swap", "80M"]);
    let saved = container.host.root().join(container.host.id()).join("config.json");
    let saved: Value = serde_json::from_slice(&fs::read(saved).unwrap()).unwrap();
    assert_eq!(
        saved["linux"]["resources"]["memory"],
        json!({"limit": 64 * MEGABYTE, "swap": 80 * MEGABYTE})
    );
}

#[test]
fn the_librarys_users_may_change_one_limit_alone() {
    require_containers!();
    if !has_controllers(&["memory"]) {
        return;
    }
    let mut bundle = Bundle::new("sleep 100");
    bundle.spec["linux"]["resources"]["memory"] = json!({"limit": 32 * MEGABYTE});
    bundle.with_container(null_streams, |container| {
        let container = container.unwrap();
        let resources = json!({"memory": {"swap": 48 * MEGABYTE}});
        container.cgroup().update(&serde_json::from_value(resources).unwrap()).unwrap();
        let paths = container.cgroup().paths();
        assert!(["50331648", "16777216"].contains(&&*value(&paths, &SWAP)));
        container.delete().unwrap();
    });
}

/// A host with systemd is for the guest's tests: here is what is said without.
#[test]
fn without_systemd_it_cannot_be_asked_for_cgroups() {
    require_containers!();
    if fs::exists("/run/systemd/private").unwrap()
        || fs::exists("/run/dbus/system_bus_socket").unwrap()
    {
        println!("skipped: this host has systemd, or a bus");
        return;
    }
    let host = Host::new("true");
    let bundle = host.bundle.path().to_str().unwrap();
    let output = host
        .command(&["--systemd-cgroup", "run", "--bundle", bundle, host.id()])
        .env_remove("DBUS_SYSTEM_BUS_ADDRESS")
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("systemd not running on this host"), "{error}");
    assert_eq!(host.succeed(&["list", "--quiet"]), "");
}
