//! Capabilities: Docker's default set, and what `--cap-add` and `--cap-drop` make of it.

use serde_json::{Value, json};

use crate::containers::spec::SecuritySpec;

/// Every capability that Linux has (see `capabilities(7)`), in the kernel's order.
pub(super) const ALL: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What a container has unless told otherwise.
pub(super) const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// The names, without `CAP_`, that a container ends up with, in the kernel's order.
///
/// A capability that is both added and dropped is not there, unless all are dropped: what is
/// added then stands alone. That is Docker's rule.
pub(super) fn effective(security: &SecuritySpec) -> Vec<&'static str> {
    if security.privileged {
        return ALL.to_vec();
    }
    let names = |list: &[String], name: &str| {
        list.iter().any(|entry| entry.strip_prefix("CAP_").unwrap_or(entry) == name)
    };
    let adds_all = names(&security.capabilities_add, "ALL");
    let drops_all = names(&security.capabilities_drop, "ALL");
    ALL.into_iter()
        .filter(|name| {
            let added = names(&security.capabilities_add, name);
            let dropped = names(&security.capabilities_drop, name);
            match (adds_all, drops_all) {
                (true, _) => !dropped,
                (false, true) => added,
                (false, false) => (added || DEFAULT.contains(name)) && !dropped,
            }
        })
        .collect()
}

/// The OCI `process.capabilities`. Nothing is inheritable or ambient: see CVE-2022-24769.
pub(super) fn sets(security: &SecuritySpec) -> Value {
    let list: Vec<String> =
        effective(security).into_iter().map(|name| format!("CAP_{name}")).collect();
    json!({ "bounding": list, "effective": list, "permitted": list })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::spec::SeccompProfile;

    #[track_caller]
    fn check(add: &[&str], drop: &[&str], has: &[&str], lacks: &[&str]) {
        let owned = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        let effective = effective(&SecuritySpec {
            privileged: false,
            capabilities_add: owned(add),
            capabilities_drop: owned(drop),
            no_new_privileges: false,
            seccomp: SeccompProfile::Default,
            apparmor_profile: None,
            writable_cgroups: false,
            masked_paths: Vec::new(),
            read_only_paths: Vec::new(),
        });
        for name in has {
            assert!(effective.contains(name), "{name} of {effective:?}");
        }
        for name in lacks {
            assert!(!effective.contains(name), "{name} of {effective:?}");
        }
    }

    #[test]
    fn the_default_set_can_be_added_to_and_taken_from() {
        check(&["NET_ADMIN"], &["CHOWN"], &["NET_ADMIN", "KILL"], &["CHOWN", "SYS_ADMIN"]);
        check(&["CAP_NET_ADMIN"], &[], &["NET_ADMIN"], &[]);
    }

    #[test]
    fn all_can_be_added_but_one_or_dropped_but_one() {
        check(&["ALL"], &["CHOWN"], &["SYS_ADMIN"], &["CHOWN"]);
        check(&["CHOWN"], &["ALL"], &["CHOWN"], &["KILL"]);
    }

    #[test]
    fn a_capability_added_and_dropped_is_not_there() {
        check(&["SYS_TIME"], &["SYS_TIME"], &[], &["SYS_TIME"]);
    }
}
