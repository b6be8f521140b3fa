//! What a container will not get although its user asked for it.

use std::collections::BTreeMap;

use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, capabilities};

use super::spec::Ulimit;

/// One warning for each limit that is above what this daemon may give: a container gets the
/// highest that there is then.
pub(crate) fn about_ulimits<'a>(
    limits: impl Iterator<Item = (&'a String, &'a Ulimit)>,
) -> Vec<String> {
    let may_raise =
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_RESOURCE));
    // A container's own word counts, which comes later.
    let limits: BTreeMap<_, _> = limits.collect();
    let above = |(name, limit): (&String, &Ulimit)| about(name, *limit, highest(name, may_raise)?);
    limits.into_iter().filter_map(above).collect()
}

/// The most that this daemon may give, if it may not give everything.
fn highest(name: &str, may_raise: bool) -> Option<u64> {
    let resource = resource(name)?;
    match (may_raise, resource) {
        // Nobody may have more than the whole system.
        (true, Resource::Nofile) => {
            let text = std::fs::read_to_string("/proc/sys/fs/nr_open").ok()?;
            text.trim().parse().ok()
        }
        (true, _) => None,
        (false, _) => getrlimit(resource).maximum,
    }
}

fn about(name: &str, wanted: Ulimit, highest: u64) -> Option<String> {
    let exceeds = |value: i64| u64::try_from(value).is_ok_and(|value| value > highest) || value < 0;
    (exceeds(wanted.soft) || exceeds(wanted.hard)).then(|| {
        format!(
            "The limit {name}={}:{} is above what this daemon may give. Limited to {highest}.",
            wanted.soft, wanted.hard
        )
    })
}

/// The kernel's name of a limit, in Docker's spelling.
fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_above_the_daemons_own_is_said() {
        let above = Ulimit { soft: 1, hard: 11 };
        assert!(about("nofile", above, 10).unwrap().contains("Limited to 10"));
        assert!(about("nofile", Ulimit { soft: -1, hard: -1 }, 10).is_some());
        assert_eq!(about("nofile", Ulimit { soft: 1, hard: 10 }, 10), None);
    }

    #[test]
    fn who_may_raise_limits_may_not_raise_that_of_the_system() {
        assert_eq!(highest("nofile", false), getrlimit(Resource::Nofile).maximum);
        assert!(highest("nofile", true) >= highest("nofile", false));
        assert_eq!(highest("nproc", true), None);
        assert_eq!(highest("unknown", false), None);
    }
}
