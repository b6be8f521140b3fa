//! The OCI `linux.resources`, without the device rules.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::Reason;
use crate::containers::spec::{ContainerSpec, Limits};

/// The OCI `linux.resources` of a spec's limits.
pub(crate) fn resources(spec: &ContainerSpec) -> Result<Value, Reason> {
    let limits = &spec.limits;
    let mut resources = Map::new();
    let memory = object([
        ("limit", limits.memory.filter(|bytes| *bytes != 0).map(Value::from)),
        ("swap", swap(limits).map(Value::from)),
        ("reservation", limits.memory_reservation.filter(|bytes| *bytes != 0).map(Value::from)),
        ("swappiness", limits.memory_swappiness.map(Value::from)),
        ("disableOOMKiller", limits.oom_kill_disable.then_some(Value::Bool(true))),
    ]);
    let cpu = object([
        ("shares", limits.cpu_shares.filter(|shares| *shares != 0).map(Value::from)),
        ("quota", limits.cpu_quota.filter(|quota| *quota != 0).map(Value::from)),
        ("period", limits.cpu_period.filter(|period| *period != 0).map(Value::from)),
        ("realtimeRuntime", limits.cpu_realtime_runtime.filter(|t| *t != 0).map(Value::from)),
        ("realtimePeriod", limits.cpu_realtime_period.filter(|t| *t != 0).map(Value::from)),
        ("cpus", limits.cpuset_cpus.clone().filter(|set| !set.is_empty()).map(Value::from)),
        ("mems", limits.cpuset_mems.clone().filter(|set| !set.is_empty()).map(Value::from)),
    ]);
    let block_io = block_io(limits)?;
    for (name, value) in [("memory", memory), ("cpu", cpu), ("blockIO", block_io)] {
        if !value.is_empty() {
            resources.insert(name.to_owned(), Value::Object(value));
        }
    }
    if let Some(pids) = limits.pids.filter(|pids| *pids != 0) {
        resources.insert("pids".to_owned(), json!({ "limit": pids }));
    }
    Ok(Value::Object(resources))
}

fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// A limit on memory alone allows as much swap again, as Docker has it.
fn swap(limits: &Limits) -> Option<i64> {
    match (limits.memory_swap, limits.memory) {
        (Some(swap), _) if swap != 0 => Some(swap),
        (_, Some(memory)) if memory > 0 => Some(memory.saturating_mul(2)),
        _ => None,
    }
}

fn block_io(limits: &Limits) -> Result<Map<String, Value>, Reason> {
    let weights = throttles("weight", &limits.block_weight_devices)?;
    Ok(object([
        ("weight", limits.block_weight.filter(|weight| *weight != 0).map(Value::from)),
        ("weightDevice", weights),
        ("throttleReadBpsDevice", throttles("rate", &limits.block_read_bps)?),
        ("throttleWriteBpsDevice", throttles("rate", &limits.block_write_bps)?),
        ("throttleReadIOPSDevice", throttles("rate", &limits.block_read_iops)?),
        ("throttleWriteIOPSDevice", throttles("rate", &limits.block_write_iops)?),
    ]))
}

fn throttles<T: Copy + Into<u64>>(
    field: &str,
    devices: &[(PathBuf, T)],
) -> Result<Option<Value>, Reason> {
    let list: Vec<Value> = devices
        .iter()
        .map(|(path, value)| {
            let number = std::fs::metadata(path)
                .ok()
                .filter(|metadata| metadata.file_type().is_block_device())
                .map(|metadata| metadata.rdev())
                .ok_or_else(|| format!("{} is not a block device", path.display()))?;
            let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
            let mut entry = json!({ "major": major, "minor": minor });
            entry[field] = json!(Into::<u64>::into(*value));
            Ok(entry)
        })
        .collect::<Result<_, Reason>>()?;
    Ok((!list.is_empty()).then_some(Value::Array(list)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_alone_allows_as_much_swap() {
        let limits = Limits { memory: Some(64 << 20), ..Limits::default() };
        assert_eq!(swap(&limits), Some(128 << 20));
        let limits = Limits { memory_swap: Some(-1), ..limits };
        assert_eq!(swap(&limits), Some(-1));
        assert_eq!(swap(&Limits::default()), None);
    }
}
