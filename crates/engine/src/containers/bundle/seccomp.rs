//! Which system calls a container may make.
//!
//! The default is Docker's: what ordinary programs need, a few more with the capability that
//! they ask for anyway, and the rest refused with EPERM. The tables below name calls by what
//! they are for. Calls that an architecture does not have are ignored by the compiler.
//!
//! A profile of the user's own is in Docker's format: an OCI `linux.seccomp` in which an
//! entry can be bound to capabilities, architectures and kernel versions.

use serde_json::{Value, json};

use super::Reason;
use super::capabilities::effective;
use crate::containers::spec::{SeccompProfile, SecuritySpec};

const FILES: &str = "access chdir chmod chown chown32 close close_range copy_file_range creat dup \
    dup2 dup3 faccessat faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat \
    fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync flock fstat fstat64 fstatat64 \
    fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 ioctl \
    lchown lchown32 link linkat _llseek lseek lstat lstat64 mkdir mkdirat mknod mknodat \
    name_to_handle_at newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev \
    pwritev2 read readahead readlink readlinkat readv rename renameat renameat2 rmdir sendfile \
    sendfile64 splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range \
    syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes \
    vmsplice write writev cachestat listmount statmount";
const ATTRIBUTES: &str = "fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat \
    lgetxattr listxattr listxattrat llistxattr lremovexattr lsetxattr removexattr removexattrat \
    setxattr setxattrat";
const WAITING: &str = "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 \
    epoll_wait epoll_wait_old eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init \
    inotify_init1 inotify_rm_watch _newselect poll ppoll ppoll_time64 pselect6 pselect6_time64 \
    select signalfd signalfd4 io_cancel io_destroy io_getevents io_pgetevents \
    io_pgetevents_time64 io_setup io_submit";
const SOCKETS: &str = "accept accept4 bind connect getpeername getsockname getsockopt listen recv \
    recvfrom recvmmsg recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown \
    socketcall socketpair";
const MESSAGES: &str = "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 \
    mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd pipe pipe2 semctl \
    semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget";
const MEMORY: &str = "brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore \
    mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap \
    pkey_alloc pkey_free pkey_mprotect remap_file_pages";
const LOCKS: &str = "futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake \
    get_robust_list set_robust_list rseq";
const PROCESSES: &str = "execve execveat exit exit_group fork vfork getpgid getpgrp getpid getppid \
    getpriority getsid gettid get_thread_area set_thread_area set_tid_address kill pause \
    pidfd_open pidfd_send_signal prctl process_mrelease restart_syscall setpgid setpriority \
    setsid tgkill tkill wait4 waitid waitpid uretprobe";
const SIGNALS: &str = "rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn \
    rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack \
    sigprocmask sigreturn";
const IDENTITY: &str = "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 \
    getgroups getgroups32 getresgid getresgid32 getresuid getresuid32 getuid getuid32 setfsgid \
    setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setregid setregid32 \
    setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32";
const SCHEDULING: &str = "getcpu ioprio_get ioprio_set sched_getaffinity sched_getattr \
    sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler \
    sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr \
    sched_setparam sched_setscheduler sched_yield";
const TIME: &str = "adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 \
    clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday \
    nanosleep setitimer time timer_create timer_delete timer_getoverrun timer_gettime \
    timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime \
    timerfd_gettime64 timerfd_settime timerfd_settime64 times";
const LIMITS: &str = "getrlimit getrusage prlimit64 setrlimit ugetrlimit sysinfo uname getrandom";
const CONFINEMENT: &str =
    "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp";
/// Since Linux 4.8 the kernel itself keeps these from reaching further than their caller may.
const TRACING: &str = "process_vm_readv process_vm_writev ptrace";
/// Calls with the names of one architecture each.
const ARCHITECTURES: &str = "arch_prctl modify_ldt riscv_hwprobe";

/// What a capability allows in addition.
const WITH_CAPABILITY: [(&str, &str); 14] = [
    ("DAC_READ_SEARCH", "open_by_handle_at"),
    (
        "SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie \
         lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount \
         open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog \
         umount umount2 unshare",
    ),
    ("SYS_BOOT", "reboot"),
    ("SYS_CHROOT", "chroot"),
    ("SYS_MODULE", "delete_module init_module finit_module"),
    ("SYS_PACCT", "acct"),
    ("SYS_PTRACE", "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
    ("SYS_RAWIO", "iopl ioperm"),
    ("SYS_TIME", "settimeofday stime clock_settime clock_settime64"),
    ("SYS_TTY_CONFIG", "vhangup"),
    ("SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("SYSLOG", "syslog"),
    ("BPF", "bpf"),
    ("PERFMON", "perf_event_open"),
];

/// The personalities that a program may choose: Linux, its 32-bit `uname`, both with 2.6
/// version numbers, and a question (`personality(2)`).
const PERSONALITIES: [u64; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// `AF_VSOCK` reaches the hypervisor past every network namespace.
const AF_VSOCK: u64 = 40;

/// The `clone(2)` flags that make namespaces, less time's, which `clone` cannot make.
const CLONE_NAMESPACES: u64 = 0x7e02_0000;

/// `ENOSYS`. The flags of `clone3` are in memory, where a filter cannot look: programs are
/// told that it does not exist, and fall back on `clone`.
const ENOSYS: u32 = 38;

/// `EPERM`.
const EPERM: u32 = 1;

/// The OCI `linux.seccomp`; `None`: no filter.
pub(super) fn profile(security: &SecuritySpec) -> Result<Option<Value>, Reason> {
    if security.privileged {
        return Ok(None);
    }
    let capabilities = effective(security);
    match &security.seccomp {
        SeccompProfile::Unconfined => Ok(None),
        SeccompProfile::Default => Ok(Some(default_profile(&capabilities))),
        SeccompProfile::Custom(text) => custom(text, &capabilities).map(Some),
    }
}

/// Whether a profile of the user's own makes sense.
pub(crate) fn check(security: &SecuritySpec) -> Result<(), Reason> {
    profile(security).map(drop)
}

/// The architectures that a kernel of this one runs.
fn architectures() -> &'static [&'static str] {
    match std::env::consts::ARCH {
        "x86_64" => &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "aarch64" => &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        "riscv64" => &["SCMP_ARCH_RISCV64"],
        _ => &[],
    }
}

fn default_profile(capabilities: &[&str]) -> Value {
    let always = [
        FILES,
        ATTRIBUTES,
        WAITING,
        SOCKETS,
        MESSAGES,
        MEMORY,
        LOCKS,
        PROCESSES,
        SIGNALS,
        IDENTITY,
        SCHEDULING,
        TIME,
        LIMITS,
        CONFINEMENT,
        TRACING,
        ARCHITECTURES,
    ];
    let mut names: Vec<&str> =
        always.iter().flat_map(|group| group.split_ascii_whitespace()).collect();
    for (capability, group) in WITH_CAPABILITY {
        if capabilities.contains(&capability) {
            names.extend(group.split_ascii_whitespace());
        }
    }
    let mut rules = vec![json!({ "names": names, "action": "SCMP_ACT_ALLOW" })];
    rules.push(json!({
        "names": ["socket"],
        "action": "SCMP_ACT_ALLOW",
        "args": [{ "index": 0, "value": AF_VSOCK, "op": "SCMP_CMP_NE" }],
    }));
    for personality in PERSONALITIES {
        rules.push(json!({
            "names": ["personality"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{ "index": 0, "value": personality, "op": "SCMP_CMP_EQ" }],
        }));
    }
    if !capabilities.contains(&"SYS_ADMIN") {
        rules.push(json!({
            "names": ["clone"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{
                "index": 0,
                "value": CLONE_NAMESPACES,
                "valueTwo": 0,
                "op": "SCMP_CMP_MASKED_EQ",
            }],
        }));
        rules.push(json!({
            "names": ["clone3"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": ENOSYS,
        }));
    }
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "architectures": architectures(),
        "syscalls": rules,
    })
}

/// A profile in Docker's format, with its conditions decided for this host and container.
fn custom(text: &str, capabilities: &[&str]) -> Result<Value, Reason> {
    let mut profile: Value = serde_json::from_str(text)
        .map_err(|error| format!("Decoding seccomp profile failed: {error}"))?;
    let fields = profile
        .as_object_mut()
        .ok_or("Decoding seccomp profile failed: it is not a JSON object")?;
    if !fields.get("defaultAction").is_some_and(Value::is_string) {
        return Err("Decoding seccomp profile failed: defaultAction is missing".to_owned());
    }
    if let Some(map) = fields.remove("archMap") {
        if fields.get("architectures").is_some_and(|list| !is_empty(list)) {
            return Err(
                "both 'architectures' and 'archMap' are specified in the seccomp profile, use \
                 either 'architectures' or 'archMap'"
                    .to_owned(),
            );
        }
        fields.insert("architectures".to_owned(), architectures_of(&map));
    }
    let rules = match fields.remove("syscalls") {
        Some(Value::Array(rules)) => rules,
        Some(Value::Null) | None => Vec::new(),
        Some(_) => return Err("Decoding seccomp profile failed: syscalls is no list".to_owned()),
    };
    let rules: Vec<Value> =
        rules.into_iter().filter(|rule| applies(rule, capabilities)).map(bare).collect();
    fields.insert("syscalls".to_owned(), Value::Array(rules));
    Ok(profile)
}

fn is_empty(list: &Value) -> bool {
    list.as_array().is_none_or(Vec::is_empty)
}

/// The entry of `archMap` that is ours, with its sub-architectures.
fn architectures_of(map: &Value) -> Value {
    let own = architectures().first().copied().unwrap_or_default();
    let entry = map
        .as_array()
        .and_then(|entries| entries.iter().find(|entry| entry["architecture"] == own));
    let sub = entry.and_then(|entry| entry["subArchitectures"].as_array()).cloned();
    let mut all = vec![json!(own)];
    all.extend(sub.unwrap_or_default());
    Value::Array(all)
}

/// Whether an entry's `includes` and `excludes` let it count here.
fn applies(rule: &Value, capabilities: &[&str]) -> bool {
    let strings = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(|entry| entry.as_str().map(str::to_owned)).collect()
    };
    let has = |name: &String| capabilities.contains(&name.trim_start_matches("CAP_"));
    let is_ours = |name: &String| name == docker_architecture();
    let (includes, excludes) = (&rule["includes"], &rule["excludes"]);

    let wanted = strings(&includes["arches"]);
    (wanted.is_empty() || wanted.iter().any(is_ours))
        && strings(&includes["caps"]).iter().all(has)
        && includes["minKernel"].as_str().is_none_or(is_kernel_at_least)
        && !strings(&excludes["arches"]).iter().any(is_ours)
        && !strings(&excludes["caps"]).iter().any(has)
        && !excludes["minKernel"].as_str().is_some_and(is_kernel_at_least)
}

/// An entry as the OCI specification has it: one list of names, no conditions.
fn bare(mut rule: Value) -> Value {
    if let Some(fields) = rule.as_object_mut() {
        for condition in ["includes", "excludes", "comment"] {
            fields.remove(condition);
        }
        if let Some(name) = fields.remove("name")
            && name.as_str().is_some_and(|name| !name.is_empty())
        {
            fields.insert("names".to_owned(), json!([name]));
        }
        if fields.get("args").is_some_and(Value::is_null) {
            fields.remove("args");
        }
    }
    rule
}

/// This architecture under the name that profiles use.
fn docker_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn is_kernel_at_least(version: &str) -> bool {
    let numbers = |text: &str| -> Option<(u32, u32)> {
        let mut parts = text.split(|c: char| !c.is_ascii_digit());
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    let uname = rustix::system::uname();
    let kernel = numbers(&uname.release().to_string_lossy());
    kernel.zip(numbers(version)).is_some_and(|(kernel, wanted)| kernel >= wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(profile: &Value) -> Vec<&str> {
        let rules = profile["syscalls"].as_array().unwrap().iter();
        rules
            .filter(|rule| rule["action"] == "SCMP_ACT_ALLOW")
            .flat_map(|rule| rule["names"].as_array().unwrap())
            .filter_map(Value::as_str)
            .collect()
    }

    #[test]
    fn mounting_takes_the_capability() {
        assert!(!names(&default_profile(&[])).contains(&"mount"));
        assert!(names(&default_profile(&["SYS_ADMIN"])).contains(&"mount"));
    }

    /// The runtime's own tests and measurements use it too.
    #[test]
    fn the_sample_is_what_an_ordinary_container_gets() {
        if std::env::consts::ARCH != "x86_64" {
            println!("skipped: the sample names the architectures of x86-64");
            return;
        }
        let profile = default_profile(&super::super::capabilities::DEFAULT);
        let text = format!("{profile:#}\n");
        expect_test::expect_file!["../../../../oci/samples/docker-seccomp.json"].assert_eq(&text);
    }

    #[test]
    fn no_call_is_named_twice() {
        let profile = default_profile(&[]);
        let mut all = names(&profile);
        all.retain(|name| *name != "personality");
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn a_custom_profiles_conditions_are_decided() {
        let text = r#"{
            "defaultAction": "SCMP_ACT_ERRNO",
            "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
            "syscalls": [
                {"name": "mkdir", "action": "SCMP_ACT_ALLOW", "args": null},
                {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
                {"names": ["old"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}},
                {"names": ["new"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "2.6"}}
            ]}"#;
        let profile = custom(text, &[]).unwrap();
        assert_eq!(names(&profile), ["mkdir"]);
        assert_eq!(profile["syscalls"][0].get("args"), None);
        let profile = custom(text, &["SYS_ADMIN"]).unwrap();
        assert_eq!(names(&profile), ["mkdir", "mount"]);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "[]", "{}", r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":1}"#] {
            assert!(custom(text, &[]).is_err(), "{text}");
        }
    }
}
