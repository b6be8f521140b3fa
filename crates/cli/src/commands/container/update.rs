//! `wharf update`: other limits for a container, also while it runs.

use docker_api::client::Request;
use docker_api::containers::{Resources, RestartPolicy, UpdateRequest, UpdateResponse};

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::container_path;
use crate::failure::Failure;
use crate::options::{cpus, restart, sizes};
use crate::output;
use crate::session::Session;

pub(crate) static UPDATE: Command =
    Command::new("update", "Update configuration of one or more containers", run)
        .spellings(&["container update", "update"])
        .takes(Positional::AtLeast(1), "[OPTIONS] CONTAINER [CONTAINER...]")
        .flags(&[&[
            Flag::uint16(
                "blkio-weight",
                "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
            ),
            Flag::int("cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period"),
            Flag::int("cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota"),
            Flag::int("cpu-rt-period", "Limit the CPU real-time period in microseconds"),
            Flag::int("cpu-rt-runtime", "Limit the CPU real-time runtime in microseconds"),
            Flag::text("cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
            Flag::text("cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
            Flag::int("cpu-shares", "CPU shares (relative weight)").short('c'),
            Flag::other("memory", "bytes", "Memory limit", sizes::check).short('m'),
            // No kernel has it any more, and scripts still ask for it.
            Flag::other("kernel-memory", "bytes", "Kernel memory limit", sizes::check)
                .hidden()
                .deprecated("and no longer supported by the kernel"),
            Flag::other("memory-reservation", "bytes", "Memory soft limit", sizes::check),
            Flag::other(
                "memory-swap",
                "bytes",
                "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
                sizes::check_swap,
            ),
            Flag::text("restart", "Restart policy to apply when a container exits"),
            Flag::int("pids-limit", "Tune container pids limit (set -1 for unlimited)"),
            Flag::other("cpus", "decimal", "Number of CPUs", cpus::check),
        ]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    const FLAGS: &[&str] = &[
        "blkio-weight",
        "cpu-period",
        "cpu-quota",
        "cpu-rt-period",
        "cpu-rt-runtime",
        "cpuset-cpus",
        "cpuset-mems",
        "cpu-shares",
        "kernel-memory",
        "memory",
        "memory-reservation",
        "memory-swap",
        "restart",
        "pids-limit",
        "cpus",
    ];
    if !FLAGS.iter().any(|flag| parsed.is_set(flag)) {
        return Err(Failure::new("you must provide one or more flags when using this command"));
    }
    let update = update(parsed).map_err(Failure::new)?;
    let client = session.client()?;
    let (mut failures, mut warnings) = (Vec::new(), Vec::new());
    for name in &parsed.arguments {
        let request = Request::post(container_path(name, "/update")).json(&update);
        match client.json::<UpdateResponse>(request) {
            Ok(answer) => {
                output::print(&format!("{name}\n"))?;
                warnings.extend(answer.warnings.unwrap_or_default());
            }
            Err(error) => failures.push(error.into()),
        }
    }
    if !warnings.is_empty() {
        output::print(&format!("{}\n", warnings.join("\n")))?;
    }
    Failure::join(failures)
}

fn update(parsed: &Parsed) -> Result<UpdateRequest, String> {
    let (name, maximum_retry_count) = restart::parse(parsed.text("restart"))?;
    Ok(UpdateRequest {
        resources: Resources {
            blkio_weight: u16::try_from(parsed.int("blkio-weight")).unwrap_or_default(),
            cpuset_cpus: parsed.text("cpuset-cpus").to_owned(),
            cpuset_mems: parsed.text("cpuset-mems").to_owned(),
            cpu_shares: parsed.int("cpu-shares"),
            memory: parsed.int("memory"),
            memory_reservation: parsed.int("memory-reservation"),
            memory_swap: parsed.int("memory-swap"),
            cpu_period: parsed.int("cpu-period"),
            cpu_quota: parsed.int("cpu-quota"),
            cpu_realtime_period: parsed.int("cpu-rt-period"),
            cpu_realtime_runtime: parsed.int("cpu-rt-runtime"),
            nano_cpus: parsed.int("cpus"),
            // Not given is left as it is; nothing else can say that of this one.
            pids_limit: parsed.is_set("pids-limit").then(|| parsed.int("pids-limit")),
            ..Resources::default()
        },
        restart_policy: RestartPolicy { name, maximum_retry_count },
    })
}
