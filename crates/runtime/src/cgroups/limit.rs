//! What both versions read the same way out of a configuration's limits, and what is refused
//! whatever the host.

use std::borrow::Cow;

use oci::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxRdma, LinuxResources};

use super::CgroupError;

/// Refuses limits that make no sense on any host. Nothing has been made yet.
pub(super) fn check(resources: &LinuxResources) -> Result<(), CgroupError> {
    check_memory(resources)?;
    check_block(resources)?;
    for (at, page) in resources.hugepage_limits().iter().flatten().enumerate() {
        if !is_page_size(page.page_size()) {
            let reason = format!("`{}` is not of the form `2MB`", page.page_size());
            return Err(refused(format!("hugepageLimits[{at}].pageSize"), reason));
        }
    }
    for device in resources.rdma().iter().flat_map(|rdma| rdma.keys()) {
        if device.is_empty() || device.contains(char::is_whitespace) {
            return Err(refused("rdma", format!("`{device}` is no name of a device")));
        }
    }
    for name in resources.unified().iter().flat_map(|unified| unified.keys()) {
        check_unified_name(name)?;
    }
    Ok(())
}

fn check_memory(resources: &LinuxResources) -> Result<(), CgroupError> {
    let Some(memory) = resources.memory() else { return Ok(()) };
    let limits = [
        ("memory.limit", memory.limit()),
        ("memory.reservation", memory.reservation()),
        ("memory.swap", memory.swap()),
        ("memory.kernelTCP", memory.kernel_tcp()),
    ];
    for (field, limit) in limits {
        if let Some(limit) = limit.filter(|limit| *limit < -1) {
            return Err(refused(field, format!("{limit} is less than -1, which is no limit")));
        }
    }
    if let Some(swappiness) = memory.swappiness().filter(|swappiness| *swappiness > 100) {
        let reason =
            format!("invalid memory swappiness value: {swappiness} (valid range is 0-100)");
        return Err(refused("memory.swappiness", reason));
    }
    Ok(())
}

fn check_block(resources: &LinuxResources) -> Result<(), CgroupError> {
    let Some(block) = resources.block_io() else { return Ok(()) };
    let mut weights = vec![
        ("blockIO.weight".to_owned(), block.weight()),
        ("blockIO.leafWeight".to_owned(), block.leaf_weight()),
    ];
    for (at, device) in block.weight_device().iter().flatten().enumerate() {
        weights.push((format!("blockIO.weightDevice[{at}].weight"), device.weight()));
        weights.push((format!("blockIO.weightDevice[{at}].leafWeight"), device.leaf_weight()));
    }
    for (field, weight) in weights {
        if let Some(weight) = weight.filter(|weight| *weight != 0 && !(10..=1000).contains(weight))
        {
            return Err(refused(field, format!("{weight} is not from 10 to 1000")));
        }
    }
    Ok(())
}

fn check_unified_name(name: &str) -> Result<(), CgroupError> {
    let field = format!("unified.{name}");
    if name.contains('/') {
        return Err(refused(field, "must be a file name (no slashes)"));
    }
    match name.split_once('.') {
        Some((controller, _)) if !controller.is_empty() => Ok(()),
        _ => Err(refused(field, "must be in the form CONTROLLER.PARAMETER")),
    }
}

/// A number and a unit, as in the names of the files.
fn is_page_size(text: &str) -> bool {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && ["KB", "MB", "GB"].contains(&&text[number.len()..])
}

/// What `pids.max` is to say. Zero, which would make a container that can do nothing, stands
/// for one, as with systemd and runc.
pub(super) fn limit_of(pids: LinuxPids) -> String {
    match pids.limit() {
        ..0 => "max".to_owned(),
        limit => limit.max(1).to_string(),
    }
}

/// `device hca_handle=… hca_object=…`.
pub(super) fn rdma_line(device: &str, limit: &LinuxRdma) -> String {
    let number = |number: Option<u32>| number.map_or("max".to_owned(), |number| number.to_string());
    format!(
        "{device} hca_handle={} hca_object={}",
        number(limit.hca_handles()),
        number(limit.hca_objects())
    )
}

/// Whether a number is there and says something: most tools write 0 for a limit not set.
pub(super) fn is_set<T: Default + PartialEq>(number: Option<T>) -> bool {
    number.is_some_and(|number| number != T::default())
}

/// A text that says something.
pub(super) fn text(text: &Option<String>) -> Option<&String> {
    text.as_ref().filter(|text| !text.is_empty())
}

/// The controllers that the limits ask for which both versions have, each with the field that
/// does. That of block devices has a name of its own in each.
pub(super) fn controllers_needed(
    resources: &LinuxResources,
    block: &'static str,
) -> Vec<(&'static str, &'static str)> {
    let mut needed = Vec::new();
    if resources.memory().is_some_and(|memory| memory_is_set(&memory)) {
        needed.push(("memory", "memory"));
    }
    if let Some(cpu) = resources.cpu() {
        if cpu_is_set(cpu) {
            needed.push(("cpu", "cpu"));
        }
        if cpuset_is_set(cpu) {
            needed.push(("cpu.cpus", "cpuset"));
        }
    }
    if resources.pids().is_some() {
        needed.push(("pids", "pids"));
    }
    if resources.block_io().as_ref().is_some_and(block_is_set) {
        needed.push(("blockIO", block));
    }
    if resources.hugepage_limits().as_ref().is_some_and(|limits| !limits.is_empty()) {
        needed.push(("hugepageLimits", "hugetlb"));
    }
    needed
}

pub(super) fn memory_is_set(memory: &LinuxMemory) -> bool {
    is_set(memory.limit())
        || is_set(memory.swap())
        || is_set(memory.reservation())
        || is_set(memory.kernel_tcp())
        || memory.swappiness().is_some()
        || memory.disable_oom_killer() == Some(true)
}

/// Whether there is a limit for the controller `cpu`; `cpuset` is another.
pub(super) fn cpu_is_set(cpu: &LinuxCpu) -> bool {
    is_set(cpu.shares())
        || is_set(cpu.quota())
        || is_set(cpu.period())
        || cpu.burst().is_some()
        || cpu.idle().is_some()
        || is_set(cpu.realtime_runtime())
        || is_set(cpu.realtime_period())
}

pub(super) fn cpuset_is_set(cpu: &LinuxCpu) -> bool {
    text(cpu.cpus()).is_some() || text(cpu.mems()).is_some()
}

pub(super) fn block_is_set(block: &LinuxBlockIo) -> bool {
    let throttles = [
        block.throttle_read_bps_device(),
        block.throttle_write_bps_device(),
        block.throttle_read_iops_device(),
        block.throttle_write_iops_device(),
    ];
    is_set(block.weight())
        || is_set(block.leaf_weight())
        || block.weight_device().as_ref().is_some_and(|devices| !devices.is_empty())
        || throttles.into_iter().flatten().any(|devices| !devices.is_empty())
}

pub(super) fn network_is_set(resources: &LinuxResources) -> bool {
    resources.network().as_ref().is_some_and(|network| {
        is_set(network.class_id())
            || network.priorities().as_ref().is_some_and(|list| !list.is_empty())
    })
}

pub(super) fn refused(
    field: impl Into<String>,
    reason: impl Into<Cow<'static, str>>,
) -> CgroupError {
    CgroupError::NotPossible { field: field.into(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refusal(resources: serde_json::Value, expected: &str) {
        let error = check(&serde_json::from_value(resources).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn nonsense_is_refused_by_the_fields_name() {
        check_refusal(
            serde_json::json!({"memory": {"limit": -7}}),
            "linux.resources.memory.limit: -7 is less than -1, which is no limit",
        );
        check_refusal(
            serde_json::json!({"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 5}]}}),
            "linux.resources.blockIO.weightDevice[0].weight: 5 is not from 10 to 1000",
        );
        check_refusal(
            serde_json::json!({"hugepageLimits": [{"pageSize": "../../x", "limit": 1}]}),
            "linux.resources.hugepageLimits[0].pageSize: `../../x` is not of the form `2MB`",
        );
        check_refusal(
            serde_json::json!({"unified": {"../x.y": "1"}}),
            "linux.resources.unified.../x.y: must be a file name (no slashes)",
        );
        check_refusal(
            serde_json::json!({"unified": {"memory": "1"}}),
            "linux.resources.unified.memory: must be in the form CONTROLLER.PARAMETER",
        );
    }

    #[test]
    fn page_sizes_are_a_number_and_a_unit() {
        assert!(["64KB", "2MB", "1GB"].into_iter().all(is_page_size));
        assert!(!["", "MB", "2mb", "2M", "2 MB", "/2MB", "2MB.x"].into_iter().any(is_page_size));
    }

    #[test]
    fn no_process_at_all_is_one() {
        let limit = |limit| {
            limit_of(oci::runtime::LinuxPidsBuilder::default().limit(limit).build().unwrap())
        };
        assert_eq!([-1, 0, 20].map(limit), ["max", "1", "20"]);
    }
}
