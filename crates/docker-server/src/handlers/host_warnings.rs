//! What this host lacks, as `info` warns of it.

use crate::host::Cgroups;

/// What containers cannot be limited in, in Docker's words and order.
pub(super) fn warnings(cgroups: &Cgroups, forwards_ipv4: bool) -> Vec<String> {
    let is_old = cgroups.version == 1;
    // What newer kernels have for nobody is not complained of.
    let lacks = [
        (!cgroups.memory, "No memory limit support"),
        (!cgroups.swap, "No swap limit support"),
        (is_old && !cgroups.memory_tcp, "No kernel memory TCP limit support"),
        (is_old && !cgroups.oom_kill_disable, "No oom kill disable support"),
        (!cgroups.cpu_quota, "No cpu cfs quota support"),
        (!cgroups.cpu_quota, "No cpu cfs period support"),
        (!cgroups.cpu_shares, "No cpu shares support"),
        (!cgroups.cpuset, "No cpuset support"),
        (!is_old && !cgroups.block_weight, "No io.weight support"),
        (!is_old && !cgroups.block_weight, "No io.weight (per device) support"),
        (is_old && !cgroups.block_throttle, "No blkio throttle.read_bps_device support"),
        (!is_old && !cgroups.block_throttle, "No io.max (rbps) support"),
        (is_old && !cgroups.block_throttle, "No blkio throttle.write_bps_device support"),
        (!is_old && !cgroups.block_throttle, "No io.max (wbps) support"),
        (is_old && !cgroups.block_throttle, "No blkio throttle.read_iops_device support"),
        (!is_old && !cgroups.block_throttle, "No io.max (riops) support"),
        (is_old && !cgroups.block_throttle, "No blkio throttle.write_iops_device support"),
        (!is_old && !cgroups.block_throttle, "No io.max (wiops) support"),
        (!forwards_ipv4, "IPv4 forwarding is disabled"),
    ];
    let lacking = lacks.into_iter().filter(|(is_lacking, _)| *is_lacking);
    lacking.map(|(_, what)| format!("WARNING: {what}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_has_everything_is_not_warned_of() {
        let all = Cgroups {
            version: 1,
            memory: true,
            swap: true,
            swappiness: true,
            oom_kill_disable: true,
            memory_tcp: true,
            cpu_shares: true,
            cpu_quota: true,
            cpu_realtime: true,
            cpuset: true,
            pids: true,
            block_weight: false,
            block_throttle: true,
        };
        assert!(warnings(&all, true).is_empty());
        let less = Cgroups { memory: false, oom_kill_disable: false, version: 2, ..all };
        let expected = ["No memory limit support", "No io.weight support"];
        let told = warnings(&less, true);
        assert!(expected.iter().all(|what| told.contains(&format!("WARNING: {what}"))), "{told:?}");
        assert_eq!(warnings(&all, false), ["WARNING: IPv4 forwarding is disabled"]);
    }
}
