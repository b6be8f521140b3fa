//! `update`: other limits and another restart policy for a container, also while it runs.

use serde_json::Value;
use stories::{Container, Host, eventually};

/// A figure of a running container's, by its JSON pointer.
fn figure(host: &Host, name: &str, pointer: &str) -> u64 {
    let path = format!("/containers/{name}/stats?stream=0&one-shot=1");
    let answer = host.api("GET", &path, None);
    let stats: Value = serde_json::from_str(&answer.body).expect("statistics are JSON");
    stats.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// The processors that a new process in the container may run on.
fn processors(container: &Container<'_>) -> String {
    let status = container.exec("cat /proc/self/status").succeeds().stdout;
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.expect("the kernel tells that").trim().to_owned()
}

#[test]
fn limits_change_while_a_container_runs() {
    let host = Host::start();
    let container = host.run("--name web --memory 64m busybox sleep 1000");
    let before = processors(&container);

    host.docker("update --memory 96m --memory-swap 128m --pids-limit 40 --cpuset-cpus 0 web")
        .succeeds()
        .prints("web\n");

    assert_eq!(figure(&host, "web", "/memory_stats/limit"), 96 << 20);
    assert_eq!(figure(&host, "web", "/pids_stats/limit"), 40);
    assert_eq!(processors(&container), "0");
    assert_eq!(container.at("/HostConfig/Memory"), 96 << 20);
    assert_eq!(container.at("/HostConfig/MemorySwap"), 128 << 20);
    assert_eq!(container.at("/HostConfig/PidsLimit"), 40);
    assert_eq!(container.at("/HostConfig/CpusetCpus"), "0");

    host.docker("update --pids-limit -1 web").succeeds();
    assert_ne!(figure(&host, "web", "/pids_stats/limit"), 40);
    assert_eq!(container.at("/HostConfig/PidsLimit"), 0);
    // The others stay.
    assert_eq!(figure(&host, "web", "/memory_stats/limit"), 96 << 20);

    // And they are the next run's.
    host.docker("kill web").succeeds();
    host.docker("start web").succeeds();
    assert_eq!(figure(&host, "web", "/memory_stats/limit"), 96 << 20);
    assert_eq!(processors(&container), "0");
    host.docker(&format!("update --cpuset-cpus {before} web")).succeeds();
    assert_eq!(processors(&container), before);
}

#[test]
fn a_share_of_a_processor_bites_at_once() {
    let host = Host::start();
    host.run("--name busy busybox sh -c 'while :; do :; done'");
    assert_eq!(figure(&host, "busy", "/cpu_stats/throttling_data/throttled_periods"), 0);

    host.docker("update --cpus 0.1 busy").succeeds();

    eventually("the container to be held back", || {
        let throttled = "/cpu_stats/throttling_data/throttled_periods";
        (figure(&host, "busy", throttled) > 0).then_some(())
    });
    assert_eq!(host.container("busy").at("/HostConfig/NanoCpus"), 100_000_000);
}

#[test]
fn a_stopped_container_starts_with_its_new_limits() {
    let host = Host::start();
    let container = host.create("--name web busybox sleep 1000");
    host.docker("update --memory 64m --memory-swap 64m --pids-limit 30 web").succeeds();
    assert_eq!(container.status(), "created");

    host.docker("start web").succeeds();

    assert_eq!(figure(&host, "web", "/memory_stats/limit"), 64 << 20);
    assert_eq!(figure(&host, "web", "/pids_stats/limit"), 30);
}

#[test]
fn new_limits_outlive_the_daemon() {
    if !Host::is_wharf_or_skips("dockerd's containers end with it") {
        return;
    }
    let host = Host::start();
    let container = host.run("--name web --restart always busybox sleep 1000");
    let pid = container.pid();
    host.docker("update --pids-limit 30 --restart no web").succeeds();
    host.kill_daemon();
    host.start_daemon();

    assert_eq!(container.pid(), pid);
    assert_eq!(container.at("/HostConfig/PidsLimit"), 30);
    assert_eq!(figure(&host, "web", "/pids_stats/limit"), 30);
    container.exec("kill -KILL -1");
    host.docker("exec web kill 1");
    host.docker("kill --signal KILL web").succeeds();
    container.becomes("exited");
    host.docker("start web").succeeds();
    assert_eq!(figure(&host, "web", "/pids_stats/limit"), 30);
}

#[test]
fn the_restart_policy_changes_while_a_container_runs() {
    let host = Host::start();
    // Its first process ends when it is told to.
    let program = "trap 'exit 3' USR1; while :; do sleep 0.1; done";
    let container = host.run(&format!("--name web busybox sh -c {program:?}"));
    host.docker("update --restart on-failure:5 web").succeeds();
    assert_eq!(container.at("/HostConfig/RestartPolicy/Name"), "on-failure");
    assert_eq!(container.at("/HostConfig/RestartPolicy/MaximumRetryCount"), 5);

    container.exec("kill -USR1 1").succeeds();
    eventually("the container to run again", || {
        (container.at("/RestartCount") == 1 && container.status() == "running").then_some(())
    });
    host.docker("update --restart no web").succeeds();
    // The signal is heard only once the program listens for it.
    eventually("the container's end", || {
        container.exec("kill -USR1 1");
        (container.status() == "exited").then_some(())
    });
    assert_eq!(container.exit_code(), 3);
}

#[test]
fn several_containers_are_updated_at_once() {
    let host = Host::start();
    host.create("--name one busybox true");
    host.create("--name two busybox true");

    host.docker("update --cpu-shares 512 one nowhere two")
        .fails_with(1)
        .prints("one\ntwo\n")
        .stderr_has("No such container: nowhere");

    assert_eq!(host.container("two").at("/HostConfig/CpuShares"), 512);
}

#[test]
fn what_contradicts_the_container_is_refused() {
    let host = Host::start();
    let id = host.create("--name web --cpus 1 --memory 64m --memory-swap 100m busybox true").id;
    let refused = |flags: &str, words: &str| {
        let prefix = format!("Cannot update container {id}: ");
        let name = flags.rsplit(' ').next().unwrap_or_default();
        let complaint = host.docker(&format!("update {flags}")).fails_with(1);
        complaint.stderr_has(if name == "web" { &prefix } else { "" }).stderr_has(words);
    };

    refused(
        "--cpu-period 50000 web",
        "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set",
    );
    refused(
        "--cpu-quota 50000 web",
        "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set",
    );
    refused(
        "--memory 128m web",
        "Memory limit should be smaller than already set memoryswap limit, update the memoryswap \
         at the same time",
    );
    host.docker("update --memory 128m --memory-swap 256m web").succeeds();
    host.create("--name other --cpu-quota 50000 busybox true");
    refused(
        "--cpus 1 other",
        "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set",
    );
    host.create("--name gone --rm busybox true");
    refused(
        "--restart always gone",
        "Restart policy cannot be updated because AutoRemove is enabled for the container",
    );
    refused("--memory 1m other", "Minimum memory limit allowed is 6MB");
    refused("other", "you must provide one or more flags when using this command");
}
