//! What comes from outside, for fuzzers and tests like them: each function has to come back,
//! whatever it is given. Not for anybody else.

use std::path::Path;
use std::sync::LazyLock;

use linux::seccomp::{INSTRUCTIONS_MAX, Instruction};
use oci::runtime::{LinuxSeccomp, Spec};

use crate::plan::Plan;
use crate::seccomp::{self, Rules};

/// The machines that filters are compiled for.
const MACHINES: [&str; 6] = ["x86_64", "aarch64", "riscv64", "loongarch64", "powerpc64", "s390x"];

/// A container's configuration, up to where something would be made of it. Whether it would.
pub fn configuration(text: &[u8]) -> bool {
    let Ok(spec) = serde_json::from_slice::<Spec>(text) else { return false };
    Plan::new(&spec, Path::new("/nowhere"), false).is_ok()
}

/// The rules of a system call filter, for every machine. Whether they make sense.
///
/// # Panics
///
/// Panics on a filter that the kernel would not take.
pub fn filter(text: &[u8]) -> bool {
    let Ok(seccomp) = serde_json::from_slice::<LinuxSeccomp>(text) else { return false };
    let Ok(rules) = Rules::new(&seccomp) else { return false };
    for machine in MACHINES {
        if let Ok(filter) = seccomp::compile_for_machine(&rules, machine) {
            check_program(&filter.instructions);
        }
    }
    true
}

/// The name of every call of every machine's.
pub fn call_names() -> &'static [&'static str] {
    static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        MACHINES.iter().flat_map(|machine| seccomp::call_names(machine)).collect()
    });
    &NAMES
}

/// Checks what the kernel does (`bpf_check_classic`, `seccomp_check_filter`): every instruction
/// is known, every jump leads forward to another one, and at the end is an answer.
fn check_program(program: &[Instruction]) {
    const SHOWN_BYTES: u32 = 64;
    assert!((1..=INSTRUCTIONS_MAX).contains(&program.len()), "{} instructions", program.len());
    for (at, instruction) in program.iter().enumerate() {
        let left = program.len() - at - 1;
        let Instruction { code, jump_true, jump_false, operand } = *instruction;
        let is_fine = match code {
            0x20 => operand < SHOWN_BYTES && operand.is_multiple_of(4) && left > 0,
            0x05 => (operand as usize) < left,
            0x15 | 0x25 | 0x35 => usize::from(jump_true.max(jump_false)) < left,
            0x54 => left > 0,
            0x06 => true,
            _ => false,
        };
        assert!(is_fine, "{instruction:?} at {at} of {}", program.len());
    }
    assert!(program.last().is_some_and(|last| last.code == 0x06), "no answer at the end");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// A configuration that can be run, as it comes to most runtimes.
    fn sample() -> Value {
        json!({
            "ociVersion": "1.2.0",
            "process": {
                "terminal": true, "consoleSize": {"height": 25, "width": 80},
                "user": {"uid": 1, "gid": 2, "umask": 18, "additionalGids": [3]},
                "args": ["sh"], "env": ["PATH=/bin"], "cwd": "/",
                "capabilities": {"bounding": ["CAP_KILL"], "ambient": []},
                "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}],
                "noNewPrivileges": true, "apparmorProfile": "", "oomScoreAdj": 100,
                "selinuxLabel": "", "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
                "scheduler": {"policy": "SCHED_OTHER", "nice": 1},
                "execCPUAffinity": {"initial": "0-1", "final": "0"},
            },
            "root": {"path": "rootfs", "readonly": true},
            "hostname": "here", "domainname": "there",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]},
                {"destination": "/data", "type": "bind", "source": "data",
                 "options": ["rbind", "rro", "idmap"],
                 "uidMappings": [{"containerID": 0, "hostID": 1, "size": 2}],
                 "gidMappings": [{"containerID": 0, "hostID": 1, "size": 2}]},
            ],
            "hooks": {"prestart": [{"path": "/bin/true", "args": ["true"], "timeout": 1}]},
            "annotations": {"a": "b"},
            "linux": {
                "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
                "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
                "sysctl": {"net.ipv4.ip_forward": "1", "kernel.msgmax": "2"},
                "cgroupsPath": "/a/b",
                "resources": {
                    "devices": [{"allow": false, "access": "rwm"},
                                {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "r"}],
                    "memory": {"limit": 1, "swap": -1}, "pids": {"limit": 1},
                    "cpu": {"shares": 2, "quota": 3, "period": 4, "cpus": "0", "burst": 1},
                    "blockIO": {"weight": 10}, "network": {"classID": 1},
                    "hugepageLimits": [{"pageSize": "2MB", "limit": 1}],
                    "unified": {"memory.high": "1"}, "rdma": {"m": {"hcaHandles": 1}},
                },
                "namespaces": [
                    {"type": "pid"}, {"type": "network", "path": "/proc/self/ns/net"},
                    {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "user"},
                    {"type": "cgroup"}, {"type": "time"},
                ],
                "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229,
                             "fileMode": 438, "uid": 0, "gid": 0}],
                "timeOffsets": {"monotonic": {"secs": 1, "nanosecs": 2}},
                "personality": {"domain": "LINUX32"},
                "rootfsPropagation": "slave",
                "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"],
                "intelRdt": {"closID": "a"}, "mountLabel": "",
                "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
                    {"names": ["read"], "action": "SCMP_ACT_ALLOW"}]},
            },
        })
    }

    /// Any small document.
    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "[-/.a-z0-9:\u{e9}\u{0}]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop::collection::vec(inner, 0..3).prop_map(Value::from)
        })
    }

    /// Puts `value` in the place that `choices` lead to.
    fn change(document: &mut Value, choices: &[usize], value: Value) {
        let Some((choice, rest)) = choices.split_first() else {
            *document = value;
            return;
        };
        match document {
            Value::Object(fields) if !fields.is_empty() => {
                let at = choice % fields.len();
                let field = fields.values_mut().nth(at).expect("it is below the length");
                change(field, rest, value);
            }
            Value::Array(entries) if !entries.is_empty() => {
                let at = choice % entries.len();
                change(&mut entries[at], rest, value);
            }
            other => *other = value,
        }
    }

    fn changes() -> impl Strategy<Value = Vec<(Vec<usize>, Value)>> {
        let place = prop::collection::vec(any::<usize>(), 1..6);
        prop::collection::vec((place, any_value()), 1..4)
    }

    #[test]
    fn the_sample_has_no_unknown_field() {
        assert!(serde_json::from_value::<Spec>(sample()).is_ok());
    }

    proptest! {
        #[test]
        fn a_configuration_is_accepted_or_refused(changes in changes()) {
            let mut document = sample();
            for (place, value) in changes {
                change(&mut document, &place, value);
            }
            configuration(document.to_string().as_bytes());
        }

        #[test]
        fn a_filter_is_refused_or_one_that_the_kernel_takes(changes in changes()) {
            let text = include_str!("../../oci/samples/docker-seccomp.json");
            let mut document: Value = serde_json::from_str(text).unwrap();
            for (place, value) in changes {
                change(&mut document, &place, value);
            }
            filter(document.to_string().as_bytes());
        }
    }
}
