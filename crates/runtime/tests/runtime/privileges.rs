//! Who the process is and what it may do.

use serde_json::json;

use crate::host::Bundle;

#[test]
fn ids_and_groups_are_the_configured_ones() {
    require_containers!();
    let mut bundle = Bundle::new("id; umask; echo $HOME");
    bundle.spec["process"]["user"] =
        json!({"uid": 33, "gid": 7, "additionalGids": [8, 9], "umask": 0o77});
    let output = bundle.run().output;
    assert!(output.starts_with("uid=33(www) gid=7 groups=8,9\n"), "{output}");
    assert!(output.ends_with("0077\n/srv\n"), "{output}");
}

#[test]
fn a_user_is_looked_up_inside() {
    require_containers!();
    let mut bundle = Bundle::new("id -u; id -g; id -G; echo $HOME");
    bundle.user = Some("www".to_owned());
    bundle.additional_groups = vec!["77".to_owned()];
    assert_eq!(bundle.run().output, "33\n33\n33 10 77\n/srv\n");
    bundle.user = Some("4711:wheel".to_owned());
    bundle.additional_groups.clear();
    assert_eq!(bundle.run().output, "4711\n10\n10\n/\n");
}

#[test]
fn capabilities_are_the_configured_ones() {
    require_containers!();
    let mut bundle = Bundle::new("grep Cap /proc/self/status");
    bundle.spec["process"]["capabilities"] = json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "effective": ["CAP_CHOWN"],
        "inheritable": ["CAP_KILL"],
    });
    let output = bundle.run().output;
    // Root gets all of its bounding set back at `execve`.
    assert!(output.contains("CapBnd:\t00000000000000a1"), "{output}");
    assert!(output.contains("CapInh:\t0000000000000020"), "{output}");
    assert!(output.contains("CapEff:\t00000000000000a1"), "{output}");
}

#[test]
fn a_user_has_ambient_capabilities_only() {
    require_containers!();
    let mut bundle = Bundle::new("grep Cap /proc/self/status");
    bundle.spec["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    bundle.spec["process"]["capabilities"] = json!({
        "bounding": ["CAP_CHOWN", "CAP_NET_RAW"],
        "permitted": ["CAP_CHOWN", "CAP_NET_RAW"],
        "effective": ["CAP_NET_RAW"],
        "inheritable": ["CAP_NET_RAW"],
        "ambient": ["CAP_NET_RAW"],
    });
    let output = bundle.run().output;
    assert!(output.contains("CapEff:\t0000000000002000"), "{output}");
    assert!(output.contains("CapAmb:\t0000000000002000"), "{output}");
    assert!(output.contains("CapBnd:\t0000000000002001"), "{output}");
}

#[test]
fn without_configured_capabilities_there_are_none() {
    require_containers!();
    let mut bundle = Bundle::new("grep -c 0000000000000000 /proc/self/status");
    bundle.spec["process"].as_object_mut().unwrap().remove("capabilities");
    // The five sets, and the signals' masks, which are 16 digits wide too.
    let output = bundle.run().output;
    assert!(output.trim().parse::<u32>().unwrap() >= 5, "{output}");
}

#[test]
fn no_new_privileges_holds() {
    require_containers!();
    let mut bundle = Bundle::new("grep NoNewPrivs /proc/self/status");
    assert_eq!(bundle.run().output, "NoNewPrivs:\t0\n");
    bundle.spec["process"]["noNewPrivileges"] = true.into();
    assert_eq!(bundle.run().output, "NoNewPrivs:\t1\n");
}

#[test]
fn limits_are_set_and_clamped() {
    require_containers!();
    let mut bundle = Bundle::new("ulimit -n; ulimit -c; ulimit -H -n");
    bundle.spec["process"]["rlimits"] = json!([
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
    ]);
    let outcome = bundle.run();
    assert_eq!(outcome.output, "100\n0\n200\n");
    assert!(outcome.warnings.is_empty(), "{:?}", outcome.warnings);

    // More descriptors than any kernel allows: lowered, and said.
    bundle.spec["process"]["rlimits"] =
        json!([{"type": "RLIMIT_NOFILE", "soft": 1_u64 << 40, "hard": 1_u64 << 41}]);
    let outcome = bundle.run();
    assert_eq!(outcome.code, 0);
    assert!(outcome.warnings[0].contains("RLIMIT_NOFILE is limited to"), "{:?}", outcome.warnings);
}

#[test]
fn the_memory_score_is_set() {
    require_containers!();
    let mut bundle = Bundle::new("cat /proc/self/oom_score_adj");
    bundle.spec["process"]["oomScoreAdj"] = 321.into();
    assert_eq!(bundle.run().output, "321\n");
}

#[test]
fn a_filter_holds_with_and_without_new_privileges() {
    require_containers!();
    for no_new_privileges in [false, true] {
        for user in [0, 1000] {
            let mut bundle = Bundle::new("grep Seccomp: /proc/self/status; mkdir /tmp/x");
            std::fs::set_permissions(
                bundle.rootfs().join("tmp"),
                std::os::unix::fs::PermissionsExt::from_mode(0o1777),
            )
            .unwrap();
            bundle.spec["process"]["noNewPrivileges"] = no_new_privileges.into();
            bundle.spec["process"]["user"] = json!({"uid": user, "gid": user});
            bundle.spec["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO",
                              "errnoRet": 95}],
            });
            let output = bundle.run().output;
            assert!(output.starts_with("Seccomp:\t2\n"), "{output}");
            assert!(output.contains("not supported"), "{no_new_privileges} {user}: {output}");
        }
    }
}

#[test]
fn a_filter_can_be_as_strict_as_a_program_bears() {
    require_containers!();
    let mut bundle = Bundle::new("");
    bundle.spec["process"]["args"] = json!(["echo", "still here"]);
    // None of what only the runtime needs.
    bundle.spec["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [{"names": ["execve", "brk", "arch_prctl", "set_tid_address", "uname",
            "set_robust_list", "rseq", "prlimit64", "readlink", "readlinkat", "getrandom", "mprotect", "mmap", "munmap",
            "write", "writev", "getuid", "getgid", "setuid", "setgid", "geteuid", "getegid", "exit_group", "prctl", "capset",
            "close_range", "newfstatat", "fstat", "ioctl", "rt_sigaction", "fcntl", "getpid", "time"], "action": "SCMP_ACT_ALLOW"}],
    });
    for no_new_privileges in [true, false] {
        bundle.spec["process"]["noNewPrivileges"] = no_new_privileges.into();
        assert_eq!(bundle.run().output, "still here\n");
    }
}

#[test]
fn a_capability_that_cannot_be_ambient_is_told_of() {
    require_containers!();
    let mut bundle = Bundle::new("grep CapAmb /proc/self/status");
    let capabilities = &mut bundle.spec["process"]["capabilities"];
    capabilities["inheritable"] = json!(["CAP_KILL"]);
    capabilities["ambient"] = json!(["CAP_KILL", "CAP_CHOWN"]);
    let outcome = bundle.run();
    assert_eq!(outcome.output, "CapAmb:\t0000000000000020\n");
    let warning = "can't raise ambient capability CAP_CHOWN: operation not permitted";
    assert_eq!(outcome.warnings, [warning]);
}

#[test]
fn a_capability_makes_up_for_a_missing_bit_of_the_programs_mode() {
    require_containers!();
    let mut bundle = Bundle::new("");
    bundle.write("own", "#!/bin/sh\nid -u\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o744);
    std::fs::set_permissions(bundle.rootfs().join("own"), mode).unwrap();
    bundle.spec["process"]["args"] = json!(["/own"]);
    bundle.spec["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    let everything = json!(["CAP_DAC_OVERRIDE"]);
    bundle.spec["process"]["capabilities"] = json!({
        "bounding": everything, "effective": everything, "permitted": everything,
        "inheritable": everything, "ambient": everything,
    });
    assert_eq!(bundle.run().output, "1000\n");
    bundle.spec["process"].as_object_mut().unwrap().remove("capabilities");
    assert!(bundle.try_run().unwrap_err().contains("permission denied"));
}
