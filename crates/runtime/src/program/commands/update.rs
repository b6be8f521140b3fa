//! `update`: other limits for a container that runs.
//!
//! What is not named stays as it is. The kernel is told first, then the record: it holds all
//! limits in force, so that the next update knows what goes together (memory and swap, quota
//! and period).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use oci::runtime::{
    Linux, LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPidsBuilder, LinuxResources,
    LinuxThrottleDevice, LinuxWeightDevice,
};

use super::sizes;
use crate::command_line::{Call, Command, Flag, Values};
use crate::exit_code::ExitCode;
use crate::record::Known;

pub(super) const COMMAND: Command = Command {
    flags: &[
        Flag::text(
            "resources",
            "path to the file containing the resources to update or '-' to read from the \
             standard input; all other options are ignored then",
        )
        .short("r"),
        Flag::number("blkio-weight", "Specifies per cgroup weight, range is from 10 to 1000"),
        Flag::text(
            "cpu-period",
            "CPU CFS period to be used for hardcapping (in usecs). 0 to use system default",
        ),
        Flag::text(
            "cpu-quota",
            "CPU CFS hardcap limit (in usecs). Allowed cpu time in a given period",
        ),
        Flag::text(
            "cpu-burst",
            "CPU CFS hardcap burst limit (in usecs). Allowed accumulated cpu time additionally \
             for burst a given period",
        ),
        Flag::text("cpu-share", "CPU shares (relative weight vs. other containers)"),
        Flag::text(
            "cpu-rt-period",
            "CPU realtime period to be used for hardcapping (in usecs). 0 to use system default",
        ),
        Flag::text(
            "cpu-rt-runtime",
            "CPU realtime hardcap limit (in usecs). Allowed cpu time in a given period",
        ),
        Flag::text("cpuset-cpus", "CPU(s) to use"),
        Flag::text("cpuset-mems", "Memory node(s) to use"),
        Flag::text("kernel-memory", "(obsoleted; do not use)").hidden(),
        Flag::text("kernel-memory-tcp", "(obsoleted; do not use)").hidden(),
        Flag::text("memory", "Memory limit (in bytes)"),
        Flag::text("cpu-idle", "set cgroup SCHED_IDLE or not, 0: default behavior, 1: SCHED_IDLE"),
        Flag::text("memory-reservation", "Memory reservation or soft_limit (in bytes)"),
        Flag::text(
            "memory-swap",
            "Total memory usage (memory + swap); set '-1' to enable unlimited swap",
        ),
        Flag::number("pids-limit", "Maximum number of pids allowed in the container"),
        Flag::text("l3-cache-schema", "The string of Intel RDT/CAT L3 cache schema"),
        Flag::text("mem-bw-schema", "The string of Intel RDT/MBA memory bandwidth schema"),
    ],
    ..Command::new("update", "update container resource constraints", update)
};

fn update(call: &Call) -> anyhow::Result<ExitCode> {
    let known = Known::open(&call.root, call.id())?;
    let mut spec = known.folder.spec()?;
    let container = known.container_by(&spec)?.context("container not running")?;
    check_cache_control(&call.values)?;
    let new = match call.values.given("resources") {
        Some(file) => read_resources(file)?,
        None => resources_of(call)?,
    };
    let mut linux = spec.linux().clone().unwrap_or_default();
    let mut all = linux.resources().clone().unwrap_or_default();
    merge(&mut all, &new);
    container.cgroup().update(&to_apply(new, &all))?;
    Linux::set_resources(&mut linux, Some(all));
    spec.set_linux(Some(linux));
    known.folder.save_spec(&serde_json::to_vec(&spec)?)?;
    Ok(ExitCode::SUCCESS)
}

/// The words are runc's.
fn check_cache_control(values: &Values) -> anyhow::Result<()> {
    if values.given("l3-cache-schema").is_some() {
        bail!("Intel RDT/CAT: l3 cache schema is not enabled");
    }
    if values.given("mem-bw-schema").is_some() {
        bail!("Intel RDT/MBA: memory bandwidth schema is not enabled");
    }
    Ok(())
}

/// The limits in a file, or on standard input.
fn read_resources(file: &str) -> anyhow::Result<LinuxResources> {
    let mut text = Vec::new();
    let read = if file == "-" {
        std::io::stdin().read_to_end(&mut text)
    } else {
        File::open(Path::new(file)).and_then(|mut file| file.read_to_end(&mut text))
    };
    read.with_context(|| format!("open {file}"))?;
    let nonsense = || format!("`{file}` makes no sense");
    let mut json: serde_json::Value = serde_json::from_slice(&text).with_context(nonsense)?;
    // Without a limit in it, it says nothing; the type has no way to tell.
    let is_empty =
        |pids: &serde_json::Value| pids.get("limit").is_none_or(serde_json::Value::is_null);
    if json.get("pids").is_some_and(is_empty) {
        json.as_object_mut().and_then(|fields| fields.remove("pids"));
    }
    let mut resources: LinuxResources = serde_json::from_value(json).with_context(nonsense)?;
    // A running container's device rules stay as they are, as with runc.
    resources.set_devices(None);
    Ok(resources)
}

/// The limits that the flags name.
fn resources_of(call: &Call) -> anyhow::Result<LinuxResources> {
    let values = &call.values;
    if values.given("kernel-memory").or(values.given("kernel-memory-tcp")).is_some() {
        call.log.warning("Kernel memory settings are ignored and will be removed");
    }
    let mut resources = LinuxResources::default();
    let size = |name| read_with(values, name, sizes::parse);
    let mut memory = LinuxMemory::default();
    memory.set_limit(size("memory")?);
    memory.set_reservation(size("memory-reservation")?);
    memory.set_swap(size("memory-swap")?);
    resources.set_memory((memory != LinuxMemory::default()).then_some(memory));
    let cpu = cpu_of(values)?;
    resources.set_cpu((cpu != LinuxCpu::default()).then_some(cpu));
    if values.given("pids-limit").is_some() {
        let limit = values.number("pids-limit");
        resources.set_pids(Some(LinuxPidsBuilder::default().limit(limit).build()?));
    }
    let weight = values.number("blkio-weight");
    if weight != 0 {
        let mut block = LinuxBlockIo::default();
        let weight = u16::try_from(weight).context("invalid value for blkio-weight")?;
        block.set_weight(Some(weight));
        resources.set_block_io(Some(block));
    }
    Ok(resources)
}

fn cpu_of(values: &Values) -> anyhow::Result<LinuxCpu> {
    let signed = |name| read_with(values, name, str::parse::<i64>);
    let unsigned = |name| read_with(values, name, str::parse::<u64>);
    let mut cpu = LinuxCpu::default();
    cpu.set_period(unsigned("cpu-period")?);
    cpu.set_quota(signed("cpu-quota")?);
    cpu.set_burst(unsigned("cpu-burst")?);
    cpu.set_shares(unsigned("cpu-share")?);
    cpu.set_realtime_period(unsigned("cpu-rt-period")?);
    cpu.set_realtime_runtime(signed("cpu-rt-runtime")?);
    cpu.set_cpus(values.given("cpuset-cpus").map(str::to_owned));
    cpu.set_mems(values.given("cpuset-mems").map(str::to_owned));
    cpu.set_idle(signed("cpu-idle")?);
    Ok(cpu)
}

fn read_with<T, E: std::fmt::Display>(
    values: &Values,
    name: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> anyhow::Result<Option<T>> {
    let parse = |text| parse(text).map_err(|error| anyhow!("invalid value for {name}: {error}"));
    values.given(name).map(parse).transpose()
}

/// What the kernel is to be told: the new limits, and of the old ones those that it needs to
/// see together with a new one.
fn to_apply(mut new: LinuxResources, all: &LinuxResources) -> LinuxResources {
    if let (Some(memory), Some(all)) = (new.memory_mut(), all.memory())
        && (memory.limit().is_some() || memory.swap().is_some())
    {
        memory.set_limit(all.limit());
        memory.set_swap(all.swap());
    }
    if let (Some(cpu), Some(all)) = (new.cpu_mut(), all.cpu())
        && (is_set(cpu.quota()) || is_set(cpu.period()))
    {
        cpu.set_quota(all.quota());
        cpu.set_period(all.period());
    }
    new
}

fn is_set<T: Default + PartialEq>(number: Option<T>) -> bool {
    number.is_some_and(|number| number != T::default())
}

/// Takes over into `all` what `new` sets.
fn merge(all: &mut LinuxResources, new: &LinuxResources) {
    if let Some(new) = new.memory() {
        let mut memory = all.memory().unwrap_or_default();
        merge_memory(&mut memory, new);
        all.set_memory(Some(memory));
    }
    if let Some(new) = new.cpu() {
        let mut cpu = all.cpu().clone().unwrap_or_default();
        merge_cpu(&mut cpu, new);
        all.set_cpu(Some(cpu));
    }
    if let Some(new) = new.block_io() {
        let mut block = all.block_io().clone().unwrap_or_default();
        merge_block(&mut block, new);
        all.set_block_io(Some(block));
    }
    if new.pids().is_some() {
        all.set_pids(*new.pids());
    }
    if let Some(new) = new.hugepage_limits() {
        let mut limits = all.hugepage_limits().clone().unwrap_or_default();
        limits.retain(|old| new.iter().all(|new| new.page_size() != old.page_size()));
        limits.extend(new.iter().cloned());
        all.set_hugepage_limits(Some(limits));
    }
    if new.network().is_some() {
        all.set_network(new.network().clone());
    }
    if let Some(new) = new.rdma() {
        let mut limits = all.rdma().clone().unwrap_or_default();
        limits.extend(new.clone());
        all.set_rdma(Some(limits));
    }
    if let Some(new) = new.unified() {
        let mut files = all.unified().clone().unwrap_or_default();
        files.extend(new.clone());
        all.set_unified(Some(files));
    }
}

fn merge_memory(all: &mut LinuxMemory, new: &LinuxMemory) {
    all.set_limit(new.limit().or(all.limit()));
    all.set_reservation(new.reservation().or(all.reservation()));
    all.set_kernel_tcp(new.kernel_tcp().or(all.kernel_tcp()));
    all.set_swappiness(new.swappiness().or(all.swappiness()));
    all.set_disable_oom_killer(new.disable_oom_killer().or(all.disable_oom_killer()));
    all.set_use_hierarchy(new.use_hierarchy().or(all.use_hierarchy()));
    // Without a limit of memory there is none of both, unless it is asked for.
    let old_swap = all.swap().filter(|_| new.limit() != Some(-1));
    all.set_swap(new.swap().or(old_swap));
}

fn merge_cpu(all: &mut LinuxCpu, new: &LinuxCpu) {
    all.set_shares(new.shares().or(all.shares()));
    all.set_quota(new.quota().or(all.quota()));
    all.set_period(new.period().or(all.period()));
    all.set_burst(new.burst().or(all.burst()));
    all.set_idle(new.idle().or(all.idle()));
    all.set_realtime_runtime(new.realtime_runtime().or(all.realtime_runtime()));
    all.set_realtime_period(new.realtime_period().or(all.realtime_period()));
    let is_given = |text: &&String| !text.is_empty();
    let or = |new: &Option<String>, old: &Option<String>| {
        new.as_ref().filter(is_given).or(old.as_ref()).cloned()
    };
    let (cpus, mems) = (or(new.cpus(), all.cpus()), or(new.mems(), all.mems()));
    all.set_cpus(cpus);
    all.set_mems(mems);
}

fn merge_block(all: &mut LinuxBlockIo, new: &LinuxBlockIo) {
    all.set_weight(new.weight().or(all.weight()));
    all.set_leaf_weight(new.leaf_weight().or(all.leaf_weight()));
    let weights = merged(all.weight_device(), new.weight_device(), |device: &LinuxWeightDevice| {
        (device.major(), device.minor())
    });
    all.set_weight_device(weights);
    let throttles = |all: &_, new: &_| {
        merged(all, new, |device: &LinuxThrottleDevice| (device.major(), device.minor()))
    };
    let read_bps = throttles(all.throttle_read_bps_device(), new.throttle_read_bps_device());
    all.set_throttle_read_bps_device(read_bps);
    let write_bps = throttles(all.throttle_write_bps_device(), new.throttle_write_bps_device());
    all.set_throttle_write_bps_device(write_bps);
    let read_iops = throttles(all.throttle_read_iops_device(), new.throttle_read_iops_device());
    all.set_throttle_read_iops_device(read_iops);
    let write_iops = throttles(all.throttle_write_iops_device(), new.throttle_write_iops_device());
    all.set_throttle_write_iops_device(write_iops);
}

/// The old list, with the entries of the same devices replaced by the new ones.
fn merged<T: Clone>(
    all: &Option<Vec<T>>,
    new: &Option<Vec<T>>,
    numbers: impl Fn(&T) -> (i64, i64),
) -> Option<Vec<T>> {
    let Some(new) = new else { return all.clone() };
    let is_replaced = |old: &T| new.iter().any(|new| numbers(new) == numbers(old));
    let kept = all.iter().flatten().filter(|old| !is_replaced(old)).cloned();
    Some(kept.chain(new.iter().cloned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(old: serde_json::Value, new: serde_json::Value, applied: serde_json::Value) {
        let mut all = serde_json::from_value(old).unwrap();
        let new: LinuxResources = serde_json::from_value(new).unwrap();
        merge(&mut all, &new);
        let applied: LinuxResources = serde_json::from_value(applied).unwrap();
        assert_eq!(to_apply(new, &all), applied);
    }

    #[test]
    fn what_goes_together_is_told_together() {
        check(
            json!({"memory": {"limit": 100, "swap": 300, "reservation": 50}, "pids": {"limit": 7}}),
            json!({"memory": {"limit": 200}}),
            json!({"memory": {"limit": 200, "swap": 300}}),
        );
        check(
            json!({"cpu": {"quota": 500, "period": 1000, "shares": 100}}),
            json!({"cpu": {"period": 900}}),
            json!({"cpu": {"quota": 500, "period": 900}}),
        );
        check(
            json!({"memory": {"limit": 100, "swap": 300}}),
            json!({"memory": {"limit": -1}}),
            json!({"memory": {"limit": -1}}),
        );
        check(
            json!({"memory": {"limit": 100, "swap": 300}}),
            json!({"memory": {"reservation": 50}}),
            json!({"memory": {"reservation": 50}}),
        );
    }

    #[test]
    fn a_device_has_one_rate() {
        let mut all: LinuxResources = serde_json::from_value(json!({"blockIO":
            {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1},
                                       {"major": 8, "minor": 16, "rate": 2}]}}))
        .unwrap();
        let new = serde_json::from_value(json!({"blockIO":
            {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 3}]}}))
        .unwrap();
        merge(&mut all, &new);
        let block = all.block_io().as_ref().unwrap();
        let rates: Vec<_> = block
            .throttle_read_bps_device()
            .iter()
            .flatten()
            .map(LinuxThrottleDevice::rate)
            .collect();
        assert_eq!(rates, [2, 3]);
    }
}
