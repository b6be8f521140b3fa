//! The flags of `run` and `create` that say what the container is to be.

use crate::command_line::Flag;
use crate::options::{
    cpus, devices, domains, environment, gpus, hosts, labels, links, mounts, network_modes, sizes,
    sysctls, throttles, ulimits,
};

/// What the help says about `--cgroupns`.
const CGROUPNS: &str = "Cgroup namespace to use (host|private)
'host':    Run the container in the Docker host's cgroup namespace
'private': Run the container in its own private cgroup namespace
'':        Use the cgroup namespace as configured by the
           default-cgroupns-mode option on the daemon (default)";

/// The flags, in the order of their topics.
pub(crate) const FLAGS: &[Flag] = &[
    Flag::switch("help", "Print usage"),
    Flag::text("name", "Assign a name to the container"),
    Flag::switch("quiet", "Suppress the pull output").short('q'),
    Flag::switch("use-api-socket", "Bind mount Docker API socket and required auth"),
    Flag::text("platform", "Set platform if server is multi-platform capable"),
    Flag::switch("disable-content-trust", "Skip image verification").default("true"),
    // The process.
    Flag::list("attach", "Attach to STDIN, STDOUT or STDERR").short('a').check(check_attach),
    Flag::list("env", "Set environment variables").short('e').check(environment::check),
    Flag::list("env-file", "Read in a file of environment variables"),
    Flag::text("entrypoint", "Overwrite the default ENTRYPOINT of the image"),
    Flag::list("group-add", "Add additional groups to join"),
    Flag::text("hostname", "Container host name").short('h'),
    Flag::text("domainname", "Container NIS domain name"),
    Flag::switch("interactive", "Keep STDIN open even if not attached").short('i'),
    Flag::list("label", "Set meta data on a container").short('l').check(labels::check),
    Flag::list("label-file", "Read in a line delimited file of labels"),
    Flag::switch("read-only", "Mount the container's root filesystem as read only"),
    Flag::text("restart", "Restart policy to apply when a container exits").default("no"),
    Flag::text("stop-signal", "Signal to stop the container"),
    Flag::int("stop-timeout", "Timeout (in seconds) to stop a container"),
    Flag::switch("tty", "Allocate a pseudo-TTY").short('t'),
    Flag::text("user", "Username or UID (format: <name|uid>[:<group|gid>])").short('u'),
    Flag::text("workdir", "Working directory inside the container").short('w'),
    Flag::switch(
        "rm",
        "Automatically remove the container and its associated anonymous volumes when it exits",
    ),
    Flag::text("cidfile", "Write the container ID to the file"),
    Flag::switch(
        "init",
        "Run an init inside the container that forwards signals and reaps processes",
    ),
    // Security.
    Flag::list("cap-add", "Add Linux capabilities"),
    Flag::list("cap-drop", "Drop Linux capabilities"),
    Flag::switch("privileged", "Give extended privileges to this container"),
    Flag::list("security-opt", "Security Options"),
    Flag::text("userns", "User namespace to use"),
    Flag::text("cgroupns", CGROUPNS),
    // The network.
    Flag::list("add-host", "Add a custom host-to-IP mapping (host:ip)").check(hosts::check_extra),
    Flag::list("dns", "Set custom DNS servers").check(hosts::check_address),
    Flag::list("dns-option", "Set DNS options"),
    Flag::list("dns-opt", "Set DNS options").same_as("dns-option").hidden(),
    Flag::list("dns-search", "Set custom DNS search domains").check(domains::check),
    Flag::list("expose", "Expose a port or a range of ports"),
    Flag::text("ip", "IPv4 address (e.g., 172.30.100.104)"),
    Flag::text("ip6", "IPv6 address (e.g., 2001:db8::33)"),
    Flag::list("link", "Add link to another container").check(links::check),
    Flag::list("link-local-ip", "Container IPv4/IPv6 link-local addresses"),
    Flag::text("mac-address", "Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
    Flag::list("publish", "Publish a container's port(s) to the host").short('p'),
    Flag::switch("publish-all", "Publish all exposed ports to random ports").short('P'),
    Flag::other("network", "network", "Connect a container to a network", network_modes::check),
    Flag::other("net", "network", "Connect a container to a network", network_modes::check)
        .same_as("network")
        .hidden(),
    Flag::list("network-alias", "Add network-scoped alias for the container"),
    Flag::list("net-alias", "Add network-scoped alias for the container")
        .same_as("network-alias")
        .hidden(),
    // Logs and storage.
    Flag::text("log-driver", "Logging driver for the container"),
    Flag::list("log-opt", "Log driver options"),
    Flag::text("volume-driver", "Optional volume driver for the container"),
    Flag::list("storage-opt", "Storage driver options for the container"),
    Flag::list("tmpfs", "Mount a tmpfs directory"),
    Flag::list("volumes-from", "Mount volumes from the specified container(s)"),
    Flag::list("volume", "Bind mount a volume").short('v'),
    Flag::other("mount", "mount", "Attach a filesystem mount to the container", mounts::check),
    // Health.
    Flag::text("health-cmd", "Command to run to check health"),
    Flag::duration("health-interval", "Time between running the check (ms|s|m|h) (default 0s)"),
    Flag::int("health-retries", "Consecutive failures needed to report unhealthy"),
    Flag::duration(
        "health-timeout",
        "Maximum time to allow one check to run (ms|s|m|h) (default 0s)",
    ),
    Flag::duration(
        "health-start-period",
        "Start period for the container to initialize before starting health-retries countdown \
         (ms|s|m|h) (default 0s)",
    ),
    Flag::duration(
        "health-start-interval",
        "Time between running the check during the start period (ms|s|m|h) (default 0s)",
    ),
    Flag::text("health-tcp", "Port that has to be open for the container to be healthy (PORT)"),
    Flag::text(
        "health-http",
        "Page that has to be there for the container to be healthy (PORT/PATH or URL)",
    ),
    Flag::text("health-action", "What to do when it is unhealthy (none|restart|stop|kill)"),
    Flag::switch("no-healthcheck", "Disable any container-specified HEALTHCHECK"),
    // Limits.
    Flag::uint16(
        "blkio-weight",
        "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
    ),
    Flag::list("blkio-weight-device", "Block IO weight (relative device weight)")
        .check(throttles::check_weight)
        .default_shown("[]"),
    Flag::text("cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
    Flag::text("cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
    Flag::int("cpu-count", "CPU count (Windows only)").hidden(),
    Flag::int("cpu-percent", "CPU percent (Windows only)").hidden(),
    Flag::int("cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period"),
    Flag::int("cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota"),
    Flag::int("cpu-rt-period", "Limit CPU real-time period in microseconds"),
    Flag::int("cpu-rt-runtime", "Limit CPU real-time runtime in microseconds"),
    Flag::int("cpu-shares", "CPU shares (relative weight)").short('c'),
    Flag::other("cpus", "decimal", "Number of CPUs", cpus::check),
    Flag::list("device", "Add a host device to the container"),
    Flag::list("device-cgroup-rule", "Add a rule to the cgroup allowed devices list")
        .check(devices::check_rule),
    Flag::list("device-read-bps", "Limit read rate (bytes per second) from a device")
        .check(throttles::check_bytes)
        .default_shown("[]"),
    Flag::list("device-read-iops", "Limit read rate (IO per second) from a device")
        .check(throttles::check_operations)
        .default_shown("[]"),
    Flag::list("device-write-bps", "Limit write rate (bytes per second) to a device")
        .check(throttles::check_bytes)
        .default_shown("[]"),
    Flag::list("device-write-iops", "Limit write rate (IO per second) to a device")
        .check(throttles::check_operations)
        .default_shown("[]"),
    Flag::other(
        "gpus",
        "gpu-request",
        "GPU devices to add to the container ('all' to pass all GPUs)",
        gpus::check,
    ),
    Flag::other(
        "io-maxbandwidth",
        "bytes",
        "Maximum IO bandwidth limit for the system drive (Windows only)",
        sizes::check,
    )
    .hidden(),
    Flag::uint("io-maxiops", "Maximum IOps limit for the system drive (Windows only)").hidden(),
    Flag::other("kernel-memory", "bytes", "Kernel memory limit", sizes::check),
    Flag::other("memory", "bytes", "Memory limit", sizes::check).short('m'),
    Flag::other("memory-reservation", "bytes", "Memory soft limit", sizes::check),
    Flag::other(
        "memory-swap",
        "bytes",
        "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
        sizes::check_swap,
    ),
    Flag::int("memory-swappiness", "Tune container memory swappiness (0 to 100)").default("-1"),
    Flag::switch("oom-kill-disable", "Disable OOM Killer"),
    Flag::int("oom-score-adj", "Tune host's OOM preferences (-1000 to 1000)"),
    Flag::int("pids-limit", "Tune container pids limit (set -1 for unlimited)"),
    Flag::other("shm-size", "bytes", "Size of /dev/shm", sizes::check),
    Flag::other("sysctl", "map", "Sysctl options", sysctls::check).default_shown("map[]"),
    Flag::other("ulimit", "ulimit", "Ulimit options", ulimits::check).default_shown("[]"),
    // Namespaces and the runtime.
    Flag::other(
        "annotation",
        "map",
        "Add an annotation to the container (passed through to the OCI runtime)",
        |value| Ok(value.to_owned()),
    )
    .default_shown("map[]"),
    Flag::text("cgroup-parent", "Optional parent cgroup for the container"),
    Flag::text("ipc", "IPC mode to use"),
    Flag::text("isolation", "Container isolation technology"),
    Flag::text("pid", "PID namespace to use"),
    Flag::text("runtime", "Runtime to use for this container"),
    Flag::text("uts", "UTS namespace to use"),
];

fn check_attach(stream: &str) -> Result<String, String> {
    let stream = stream.to_lowercase();
    if matches!(stream.as_str(), "stdin" | "stdout" | "stderr") {
        Ok(stream)
    } else {
        Err("valid streams are STDIN, STDOUT and STDERR".to_owned())
    }
}
