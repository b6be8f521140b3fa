//! Limits and devices.

use docker_api::containers::{
    DeviceMapping, DeviceRequest, Resources, ThrottleDevice, Ulimit, WeightDevice,
};

use crate::command_line::Parsed;
use crate::options::throttles::{self, DeviceValue};
use crate::options::{devices, gpus, ulimits};

/// What the container may use.
pub(super) fn resources(parsed: &Parsed) -> Result<Resources, String> {
    let (device_mappings, device_requests) = devices(parsed)?;
    let bytes = |flag| throttle(parsed, flag, throttles::parse_bytes);
    let operations = |flag| throttle(parsed, flag, throttles::parse_operations);
    Ok(Resources {
        cpu_shares: parsed.int("cpu-shares"),
        memory: parsed.int("memory"),
        nano_cpus: parsed.int("cpus"),
        cgroup_parent: parsed.text("cgroup-parent").to_owned(),
        blkio_weight: u16::try_from(parsed.int("blkio-weight")).unwrap_or_default(),
        blkio_weight_device: Some(weights(parsed)?),
        blkio_device_read_bps: Some(bytes("device-read-bps")?),
        blkio_device_write_bps: Some(bytes("device-write-bps")?),
        blkio_device_read_iops: Some(operations("device-read-iops")?),
        blkio_device_write_iops: Some(operations("device-write-iops")?),
        cpu_period: parsed.int("cpu-period"),
        cpu_quota: parsed.int("cpu-quota"),
        cpu_realtime_period: parsed.int("cpu-rt-period"),
        cpu_realtime_runtime: parsed.int("cpu-rt-runtime"),
        cpuset_cpus: parsed.text("cpuset-cpus").to_owned(),
        cpuset_mems: parsed.text("cpuset-mems").to_owned(),
        devices: Some(device_mappings),
        device_cgroup_rules: super::some(parsed.list("device-cgroup-rule")),
        device_requests,
        kernel_memory: parsed.int("kernel-memory"),
        kernel_memory_tcp: 0,
        memory_reservation: parsed.int("memory-reservation"),
        memory_swap: parsed.int("memory-swap"),
        memory_swappiness: Some(parsed.int("memory-swappiness")),
        oom_kill_disable: Some(parsed.switch("oom-kill-disable")),
        pids_limit: Some(parsed.int("pids-limit")),
        ulimits: Some(limits(parsed)?),
        cpu_count: parsed.int("cpu-count"),
        cpu_percent: parsed.int("cpu-percent"),
        io_maximum_iops: parsed.int("io-maxiops").unsigned_abs(),
        io_maximum_bandwidth: parsed.int("io-maxbandwidth").unsigned_abs(),
    })
}

type Devices = (Vec<DeviceMapping>, Option<Vec<DeviceRequest>>);

fn devices(parsed: &Parsed) -> Result<Devices, String> {
    let mut mappings = Vec::new();
    let mut names = Vec::new();
    for value in parsed.list("device") {
        if devices::is_interface_name(&value) {
            names.push(value);
            continue;
        }
        let device = devices::parse(&value)?;
        mappings.push(DeviceMapping {
            path_on_host: device.path_on_host,
            path_in_container: device.path_in_container,
            cgroup_permissions: device.permissions,
        });
    }
    let gpus = parsed.list("gpus");
    let mut requests =
        gpus.iter().map(|value| gpus::parse(value)).collect::<Result<Vec<_>, _>>()?;
    if !names.is_empty() {
        requests.push(DeviceRequest {
            driver: "cdi".to_owned(),
            device_ids: Some(names),
            ..DeviceRequest::default()
        });
    }
    Ok((mappings, super::some(requests)))
}

fn throttle(
    parsed: &Parsed,
    flag: &str,
    parse: fn(&str) -> Result<DeviceValue, String>,
) -> Result<Vec<ThrottleDevice>, String> {
    let device = |value: &String| {
        let DeviceValue { path, value } = parse(value)?;
        Ok(ThrottleDevice { path, rate: value })
    };
    parsed.list(flag).iter().map(device).collect()
}

fn weights(parsed: &Parsed) -> Result<Vec<WeightDevice>, String> {
    let device = |value: &String| {
        let DeviceValue { path, value } = throttles::parse_weight(value)?;
        Ok(WeightDevice { path, weight: u16::try_from(value).unwrap_or(u16::MAX) })
    };
    parsed.list("blkio-weight-device").iter().map(device).collect()
}

/// The last limit of each resource, sorted.
fn limits(parsed: &Parsed) -> Result<Vec<Ulimit>, String> {
    let mut limits: Vec<Ulimit> = Vec::new();
    for value in parsed.list("ulimit") {
        let limit = ulimits::parse(&value)?;
        limits.retain(|other| other.name != limit.name);
        limits.push(Ulimit { name: limit.name, hard: limit.hard, soft: limit.soft });
    }
    limits.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(limits)
}
