//! What an update may not change, given what the container has.

use docker_api::containers::Resources;

/// Why an update contradicts what the container has, in Docker's words.
pub(crate) fn contradiction(old: &Resources, new: &Resources) -> Option<&'static str> {
    // A number of processors is a quota in a period, so only one of the two can be given.
    let has_processors = old.nano_cpus > 0;
    if new.nano_cpus > 0 && old.cpu_period > 0 {
        return Some(
            "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set",
        );
    }
    if new.nano_cpus > 0 && old.cpu_quota > 0 {
        return Some(
            "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set",
        );
    }
    if new.cpu_period > 0 && has_processors {
        return Some(
            "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set",
        );
    }
    if new.cpu_quota > 0 && has_processors {
        return Some(
            "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set",
        );
    }
    // What memory and swap may have together includes the memory.
    (new.memory != 0 && new.memory > old.memory_swap && new.memory_swap == 0).then_some(
        "Memory limit should be smaller than already set memoryswap limit, update the memoryswap \
         at the same time",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_limited_in_one_way() {
        let nano = Resources { nano_cpus: 1, ..Resources::default() };
        let quota = Resources { cpu_quota: 1, ..Resources::default() };
        let period = Resources { cpu_period: 1, ..Resources::default() };
        for (old, new) in [(&nano, &quota), (&nano, &period), (&quota, &nano), (&period, &nano)] {
            assert!(contradiction(old, new).is_some_and(|words| words.starts_with("Conflicting")));
        }
        for (old, new) in [(&nano, &nano), (&quota, &period), (&Resources::default(), &nano)] {
            assert_eq!(contradiction(old, new), None);
        }
    }

    #[test]
    fn memory_stays_below_memory_and_swap() {
        let of = |memory, memory_swap| Resources { memory, memory_swap, ..Resources::default() };
        assert!(contradiction(&of(10, 20), &of(30, 0)).is_some());
        assert_eq!(contradiction(&of(10, 20), &of(20, 0)), None);
        assert_eq!(contradiction(&of(10, 20), &of(30, 40)), None);
        // Neither is this: without a limit on swap Docker asks for one.
        assert!(contradiction(&of(0, 0), &of(30, 0)).is_some());
    }
}
