//! What the container may use: checked, and turned into the engine's words.

use docker_api::containers::{Resources, ThrottleDevice};
use engine::containers::spec::{Limits, Ulimit};

use super::{Circumstances, Refusal, cpu_list};

/// Less than this, and not even the runtime fits.
const MEMORY_MIN: i64 = 6 << 20;

/// The period in which a number of processors becomes a quota: the kernel's default.
const CPU_PERIOD_MICROSECONDS: i64 = 100_000;

const NANOS_PER_CPU: i64 = 1_000_000_000;

/// Checks limits, discards those that the kernel cannot enforce, and answers with warnings
/// about these.
pub(crate) fn check(
    resources: &mut Resources,
    circumstances: &Circumstances,
    is_update: bool,
) -> Result<Vec<String>, Refusal> {
    let mut warnings = Vec::new();
    if resources.io_maximum_bandwidth != 0 {
        return Err(Refusal::new(
            "invalid option: QoS maximum bandwidth configuration is not supported on linux",
        ));
    }
    if resources.io_maximum_iops != 0 {
        return Err(Refusal::new(
            "invalid option: QoS maximum IOPs configuration is not supported on linux",
        ));
    }
    check_memory(resources, circumstances, is_update, &mut warnings)?;
    check_cpu(resources, circumstances, &mut warnings)?;
    check_cpuset(resources, circumstances, &mut warnings)?;
    check_block_io(resources, circumstances, &mut warnings)?;
    check_pids(resources, circumstances, &mut warnings);
    check_ulimits(resources)?;
    Ok(warnings)
}

fn check_memory(
    resources: &mut Resources,
    circumstances: &Circumstances,
    is_update: bool,
    warnings: &mut Vec<String>,
) -> Result<(), Refusal> {
    let cgroups = &circumstances.cgroups;
    // An old client's way of saying nothing.
    if resources.memory_swappiness == Some(-1) {
        resources.memory_swappiness = None;
    }
    if resources.memory != 0 && resources.memory < MEMORY_MIN {
        return Err(Refusal::new("Minimum memory limit allowed is 6MB"));
    }
    if resources.memory > 0 && !cgroups.memory {
        warnings.push("Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.".to_owned());
        resources.memory = 0;
        resources.memory_swap = -1;
    }
    if resources.memory > 0 && resources.memory_swap != -1 && !cgroups.swap {
        warnings.push("Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.".to_owned());
        resources.memory_swap = -1;
    }
    if resources.memory > 0 && resources.memory_swap > 0 && resources.memory_swap < resources.memory
    {
        return Err(Refusal::new(
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ));
    }
    if resources.memory == 0 && resources.memory_swap > 0 && !is_update {
        return Err(Refusal::new(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ));
    }
    check_swappiness(resources, circumstances, warnings)?;
    if resources.memory_reservation > 0 && resources.memory_reservation < MEMORY_MIN {
        return Err(Refusal::new("Minimum memory reservation allowed is 6MB"));
    }
    if resources.memory > 0
        && resources.memory_reservation > 0
        && resources.memory < resources.memory_reservation
    {
        return Err(Refusal::new(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ));
    }
    if resources.kernel_memory > 0 {
        warnings.push("Your kernel does not support kernel memory limit capabilities or the cgroup is not mounted. Limitation discarded.".to_owned());
        resources.kernel_memory = 0;
    }
    check_oom_killer(resources, circumstances, warnings);
    Ok(())
}

fn check_swappiness(
    resources: &mut Resources,
    circumstances: &Circumstances,
    warnings: &mut Vec<String>,
) -> Result<(), Refusal> {
    let Some(swappiness) = resources.memory_swappiness else { return Ok(()) };
    if !circumstances.cgroups.swappiness {
        warnings.push("Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.".to_owned());
        resources.memory_swappiness = None;
        return Ok(());
    }
    if !(0..=100).contains(&swappiness) {
        return Err(Refusal::new(format!(
            "Invalid value: {swappiness}, valid memory swappiness range is 0-100"
        )));
    }
    Ok(())
}

fn check_oom_killer(
    resources: &mut Resources,
    circumstances: &Circumstances,
    warnings: &mut Vec<String>,
) {
    if resources.oom_kill_disable != Some(true) {
        return;
    }
    if !circumstances.cgroups.oom_kill_disable {
        warnings.push(
            "Your kernel does not support OomKillDisable. OomKillDisable discarded.".to_owned(),
        );
        resources.oom_kill_disable = None;
    } else if resources.memory == 0 {
        warnings.push("OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.".to_owned());
    }
}

fn check_cpu(
    resources: &mut Resources,
    circumstances: &Circumstances,
    warnings: &mut Vec<String>,
) -> Result<(), Refusal> {
    let cgroups = &circumstances.cgroups;
    let has_realtime = resources.cpu_realtime_period != 0 || resources.cpu_realtime_runtime != 0;
    if has_realtime && !cgroups.cpu_realtime {
        return Err(Refusal::new("kernel does not support CPU real-time scheduler"));
    }
    if has_realtime
        && resources.cpu_realtime_period != 0
        && resources.cpu_realtime_runtime > resources.cpu_realtime_period
    {
        return Err(Refusal::new(
            "cpu real-time runtime cannot be higher than cpu real-time period",
        ));
    }
    if resources.cpu_shares < 0 {
        return Err(Refusal::new(format!(
            "invalid CPU shares ({}): value must be a positive integer",
            resources.cpu_shares
        )));
    }
    check_nano_cpus(resources, circumstances)?;
    if resources.cpu_shares > 0 && !cgroups.cpu_shares {
        warnings.push("Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.".to_owned());
        resources.cpu_shares = 0;
    }
    if (resources.cpu_period != 0 || resources.cpu_quota != 0) && !cgroups.cpu_quota {
        warnings.push(
            "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded."
                .to_owned(),
        );
        resources.cpu_period = 0;
        resources.cpu_quota = 0;
    }
    if resources.cpu_period != 0 && !(1_000..=1_000_000).contains(&resources.cpu_period) {
        return Err(Refusal::new(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ));
    }
    if resources.cpu_quota > 0 && resources.cpu_quota < 1_000 {
        return Err(Refusal::new("CPU cfs quota can not be less than 1ms (i.e. 1000)"));
    }
    if resources.cpu_percent > 0 {
        warnings.push("linux does not support CPU percent. Percent discarded.".to_owned());
        resources.cpu_percent = 0;
    }
    Ok(())
}

fn check_nano_cpus(resources: &Resources, circumstances: &Circumstances) -> Result<(), Refusal> {
    if resources.nano_cpus == 0 {
        return Ok(());
    }
    if resources.nano_cpus > 0 && resources.cpu_period > 0 {
        return Err(Refusal::new(
            "Conflicting options: Nano CPUs and CPU Period cannot both be set",
        ));
    }
    if resources.nano_cpus > 0 && resources.cpu_quota > 0 {
        return Err(Refusal::new(
            "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
        ));
    }
    if !circumstances.cgroups.cpu_quota {
        return Err(Refusal::new(
            "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
        ));
    }
    let count = circumstances.processor_count;
    let highest = i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(NANOS_PER_CPU);
    if !(0..=highest).contains(&resources.nano_cpus) {
        return Err(Refusal::new(format!(
            "range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available"
        )));
    }
    Ok(())
}

fn check_cpuset(
    resources: &mut Resources,
    circumstances: &Circumstances,
    warnings: &mut Vec<String>,
) -> Result<(), Refusal> {
    let is_given = !resources.cpuset_cpus.is_empty() || !resources.cpuset_mems.is_empty();
    if is_given && !circumstances.cgroups.cpuset {
        warnings.push(
            "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded."
                .to_owned(),
        );
        resources.cpuset_cpus.clear();
        resources.cpuset_mems.clear();
    }
    check_set(&resources.cpuset_cpus, &circumstances.processors, "cpus", "CPUs")?;
    check_set(&resources.cpuset_mems, &circumstances.memory_nodes, "mems", "memory nodes")
}

fn check_set(wanted: &str, available: &str, name: &str, what: &str) -> Result<(), Refusal> {
    let Some(numbers) = cpu_list::parse(wanted) else {
        return Err(Refusal::new(format!(
            "Invalid value {wanted} for cpuset {name}: invalid format: {wanted}"
        )));
    };
    let available_numbers = cpu_list::parse(available).unwrap_or_default();
    if !numbers.is_subset(&available_numbers) {
        return Err(Refusal::new(format!(
            "Requested {what} are not available - requested {wanted}, available: {available}"
        )));
    }
    Ok(())
}

fn check_block_io(
    resources: &mut Resources,
    circumstances: &Circumstances,
    warnings: &mut Vec<String>,
) -> Result<(), Refusal> {
    if resources.blkio_weight > 0 && !circumstances.cgroups.block_weight {
        warnings.push("Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.".to_owned());
        resources.blkio_weight = 0;
    }
    if resources.blkio_weight > 0 && !(10..=1000).contains(&resources.blkio_weight) {
        return Err(Refusal::new("Range of blkio weight is from 10 to 1000"));
    }
    let has_weights = resources.blkio_weight_device.as_ref().is_some_and(|list| !list.is_empty());
    if has_weights && !circumstances.cgroups.block_weight {
        warnings.push("Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.".to_owned());
        resources.blkio_weight_device = Some(Vec::new());
    }
    let throttles = [
        ("BPS Block I/O read", &mut resources.blkio_device_read_bps),
        ("BPS Block I/O write", &mut resources.blkio_device_write_bps),
        ("IOPS Block read", &mut resources.blkio_device_read_iops),
        ("IOPS Block write", &mut resources.blkio_device_write_iops),
    ];
    for (what, list) in throttles {
        let is_given = list.as_ref().is_some_and(|list| !list.is_empty());
        if is_given && !circumstances.cgroups.block_throttle {
            let discarded =
                if what.starts_with("BPS") { "Block I/O BPS" } else { "Block I/O IOPS" };
            let direction = if what.ends_with("read") { "read" } else { "write" };
            warnings.push(format!("Your kernel does not support {what} limit or the cgroup is not mounted. {discarded} {direction} limit discarded."));
            *list = Some(Vec::new());
        }
    }
    Ok(())
}

fn check_pids(
    resources: &mut Resources,
    circumstances: &Circumstances,
    warnings: &mut Vec<String>,
) {
    if resources.pids_limit.is_some() && !circumstances.cgroups.pids {
        if resources.pids_limit.is_some_and(|limit| limit > 0) {
            warnings.push("Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.".to_owned());
        }
        resources.pids_limit = None;
    }
}

fn check_ulimits(resources: &Resources) -> Result<(), Refusal> {
    for limit in resources.ulimits.iter().flatten() {
        if !ULIMITS.contains(&limit.name.as_str()) {
            return Err(Refusal::new(format!("invalid ulimit type: {}", limit.name)));
        }
        if limit.hard != -1 && (limit.soft > limit.hard || limit.soft == -1) {
            return Err(Refusal::new(format!(
                "ulimit soft limit must be less than or equal to hard limit: {} > {}",
                limit.soft, limit.hard
            )));
        }
    }
    Ok(())
}

/// What `--ulimit` can name.
const ULIMITS: &[&str] = &[
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Turns checked limits into the engine's.
pub(crate) fn convert(resources: &Resources) -> Limits {
    fn positive(number: i64) -> Option<u64> {
        u64::try_from(number).ok().filter(|number| *number > 0)
    }
    let some = |number: i64| Some(number).filter(|number| *number != 0);
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let (cpu_quota, cpu_period) = match resources.nano_cpus {
        0 => (some(resources.cpu_quota), positive(resources.cpu_period)),
        nanos => (
            Some(nanos / (NANOS_PER_CPU / CPU_PERIOD_MICROSECONDS)),
            positive(CPU_PERIOD_MICROSECONDS),
        ),
    };
    Limits {
        memory: some(resources.memory),
        memory_swap: some(resources.memory_swap),
        memory_reservation: some(resources.memory_reservation),
        memory_swappiness: resources.memory_swappiness.and_then(|value| u64::try_from(value).ok()),
        oom_kill_disable: resources.oom_kill_disable == Some(true),
        cpu_shares: positive(resources.cpu_shares),
        cpu_quota,
        cpu_period,
        cpu_realtime_runtime: some(resources.cpu_realtime_runtime),
        cpu_realtime_period: positive(resources.cpu_realtime_period),
        cpuset_cpus: text(&resources.cpuset_cpus),
        cpuset_mems: text(&resources.cpuset_mems),
        pids: resources.pids_limit,
        block_weight: Some(resources.blkio_weight).filter(|weight| *weight > 0),
        block_weight_devices: resources
            .blkio_weight_device
            .iter()
            .flatten()
            .map(|device| (device.path.clone().into(), device.weight))
            .collect(),
        block_read_bps: throttles(resources.blkio_device_read_bps.as_deref()),
        block_write_bps: throttles(resources.blkio_device_write_bps.as_deref()),
        block_read_iops: throttles(resources.blkio_device_read_iops.as_deref()),
        block_write_iops: throttles(resources.blkio_device_write_iops.as_deref()),
        ulimits: resources
            .ulimits
            .iter()
            .flatten()
            .map(|limit| (limit.name.clone(), Ulimit { soft: limit.soft, hard: limit.hard }))
            .collect(),
    }
}

fn throttles(devices: Option<&[ThrottleDevice]>) -> Vec<(std::path::PathBuf, u64)> {
    let devices = devices.unwrap_or_default().iter();
    devices.map(|device| (device.path.clone().into(), device.rate)).collect()
}
