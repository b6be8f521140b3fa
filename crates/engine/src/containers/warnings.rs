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
    if may_raise {
        return Vec::new();
    }
    // A container's own word counts, which comes later.
    let limits: BTreeMap<_, _> = limits.collect();
    limits.into_iter().filter_map(|(name, limit)| about(name, *limit)).collect()
}

fn about(name: &str, wanted: Ulimit) -> Option<String> {
    let highest = getrlimit(resource(name)?).maximum?;
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
        let highest = getrlimit(Resource::Nofile).maximum;
        let Some(highest) = highest.and_then(|highest| i64::try_from(highest).ok()) else {
            // Nothing is above no limit.
            return assert_eq!(about("nofile", Ulimit { soft: 1, hard: i64::MAX }), None);
        };
        let above = Ulimit { soft: 1, hard: highest + 1 };
        assert!(about("nofile", above).unwrap().contains(&highest.to_string()));
        assert_eq!(about("nofile", Ulimit { soft: 1, hard: highest }), None);
        assert_eq!(about("unknown", above), None);
    }
}
