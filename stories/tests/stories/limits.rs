//! Limits: what a container may use of the host.

use stories::Host;

#[test]
fn too_much_memory_ends_the_container() {
    let host = Host::start();
    // The shell itself grows: a variable that doubles until there is no room.
    let greedy = "x=0123456789abcdef; while :; do x=$x$x; done";
    let container =
        host.run(&format!("--name web --memory 16m --memory-swap 16m busybox sh -c '{greedy}'"));

    assert_eq!(container.wait(), 137);

    assert_eq!(container.at("/State/OOMKilled"), true);
    let events = host.events("--filter container=web --filter event=oom --format {{.Action}}");
    assert_eq!(events, "oom");
}

#[test]
fn what_dies_inside_is_not_the_container_s_end() {
    let host = Host::start();
    let greedy = "sh -c \"x=0123456789abcdef; while :; do x=\\$x\\$x; done\"";

    host.docker(&format!(
        "run --rm --memory 16m --memory-swap 16m busybox sh -c '{greedy}; echo alive'"
    ))
    .succeeds()
    .stdout_has("alive\n");
}

#[test]
fn the_container_sees_its_limits_where_it_looks() {
    let host = Host::start();
    let limits = "--memory 64m --cpus 0.5 --pids-limit 100";
    // The names of both versions of control groups; one of them exists.
    let look = "cd /sys/fs/cgroup; for f in memory/memory.limit_in_bytes memory.max \
                cpu/cpu.cfs_quota_us cpu.max pids/pids.max pids.max; do \
                [ -e $f ] && cat $f; done; true";

    let seen = host.answer(&format!("run --rm {limits} busybox sh -c '{look}'"));

    let seen: Vec<_> = seen.lines().collect();
    assert_eq!(seen[0], "67108864");
    assert!(seen[1].starts_with("50000"), "{seen:?}");
    assert_eq!(seen[2], "100");
}

#[test]
fn too_many_processes_are_refused() {
    let host = Host::start();

    host.docker(
        "run --rm --pids-limit 5 busybox sh -c 'for n in 1 2 3 4 5 6 7 8; do sleep 5 & done'",
    )
    .fails()
    .stderr_has("can't fork");
}

#[test]
fn a_processor_is_chosen() {
    let host = Host::start();

    host.docker("run --rm --cpuset-cpus 0 busybox nproc").succeeds().prints("1\n");
    host.docker("run --rm --cpuset-cpus 4096 busybox true")
        .fails_with(125)
        .stderr_says("Requested CPUs are not available");
}

#[test]
fn the_time_of_the_processor_is_shared_out() {
    let host = Host::start();
    let container = host.run("--cpus 0.1 busybox sh -c 'while :; do :; done'");

    // Held back at least once, after the first tenth of a second.
    let look = "sh -c 'cat /sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpu/cpu.stat 2>/dev/null'";
    stories::eventually("the container to be held back", || {
        let text = container.exec(look).stdout;
        let held = text.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        (held? != "0").then_some(())
    });
}

#[test]
fn resource_limits_of_processes_are_set() {
    let host = Host::start();

    host.docker("run --rm --ulimit nofile=100:200 --ulimit core=0 busybox sh -c 'ulimit -n; ulimit -Hn; ulimit -c'")
        .succeeds()
        .prints("100\n200\n0\n");
    host.docker("run --rm --ulimit nofile=200:100 busybox true")
        .fails_with(125)
        .stderr_says("ulimit soft limit must be less than or equal to hard limit");
    host.docker("run --rm --ulimit nope=1 busybox true")
        .fails_with(125)
        .stderr_says("invalid ulimit type: nope");
}

#[test]
fn a_limit_above_the_daemon_s_own_is_lowered_and_said() {
    if !Host::is_wharf_or_skips("dockerd fails instead") {
        return;
    }
    let host = Host::start();
    let highest = std::fs::read_to_string(format!("/proc/{}/limits", host.daemon_pid())).unwrap();
    let highest = highest.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let highest: u64 = highest.split_whitespace().nth(4).unwrap().parse().unwrap();

    let outcome = host.docker("run --rm --ulimit nofile=100000000 busybox sh -c 'ulimit -n'");

    let outcome = outcome.succeeds();
    assert!(outcome.text().parse::<u64>().unwrap() >= highest.min(1024), "{outcome}");
    outcome.stderr_says("nofile");
}

#[test]
fn devices_are_allowed_by_rule() {
    let host = Host::start();
    let make = "mknod /n c 1 3 && echo x > /n";

    host.docker(&format!("run --rm --device-cgroup-rule 'c 1:3 rwm' busybox sh -c '{make}'"))
        .succeeds();
    // Writing only, where the rule is for reading only: 4:64 is the first serial line.
    host.docker("run --rm --device-cgroup-rule 'nonsense' busybox true")
        .fails_with(125)
        .stderr_says("invalid device cgroup format");
    host.docker("run --rm --device /dev/nope busybox true").fails().stderr_has("/dev/nope");
    host.docker("run --rm --device /dev/kmsg:/dev/x:r busybox sh -c 'echo x > /dev/x'")
        .fails_with(1)
        .stderr_says("not permitted");
}

#[test]
fn the_limits_are_told_again() {
    let host = Host::start();
    let container = host.create(
        "--memory 64m --memory-swap 128m --memory-reservation 32m --cpus 0.5 --cpu-shares 512 \
         --cpuset-cpus 0 --pids-limit 50 --ulimit nofile=10:20 busybox",
    );

    let told = container.at("/HostConfig");

    assert_eq!(told["Memory"], 64 << 20);
    assert_eq!(told["MemorySwap"], 128 << 20);
    assert_eq!(told["MemoryReservation"], 32 << 20);
    assert_eq!(told["NanoCpus"], 500_000_000);
    assert_eq!(told["CpuShares"], 512);
    assert_eq!(told["CpusetCpus"], "0");
    assert_eq!(told["PidsLimit"], 50);
    assert_eq!(told["Ulimits"][0], serde_json::json!({"Name": "nofile", "Soft": 10, "Hard": 20}));
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    let host = Host::start();
    let refused = |flags: &str, words: &str| {
        host.docker(&format!("create {flags} busybox")).fails().stderr_says(words);
    };

    refused("--memory 1k", "minimum memory limit allowed is 6MB");
    refused(
        "--memory 32m --memory-swap 16m",
        "minimum memoryswap limit should be larger than memory limit",
    );
    refused("--memory-swap 32m", "you should always set the memory limit when using memoryswap");
    refused("--memory nope", "invalid");
    refused("--cpus 0.00001 --cpu-quota 1000", "cpu");
    refused("--cpuset-cpus nope", "invalid value nope for cpuset cpus");
}
