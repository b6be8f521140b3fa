//! What a compiled filter answers, asked of an interpreter of its own.

use linux::seccomp::FilterFlags;
use oci::runtime::LinuxSeccomp;

use super::interpreter::{Call, run};
use super::{Filter, Rules, answer, compile};

const X86_64: u32 = 0xc000_003e;
const X86: u32 = 0x4000_0003;
const EPERM: u32 = answer::ERRNO | 1;
const ENOSYS: u32 = answer::ERRNO | 38;

const READ: u32 = 0;
const SOCKET: u32 = 41;
const PERSONALITY: u32 = 135;
const CLONE3: u32 = 435;

fn filter(json: &str) -> Filter {
    let rules: LinuxSeccomp = serde_json::from_str(json).unwrap();
    compile(&Rules::new(&rules).unwrap()).unwrap()
}

#[track_caller]
fn check(filter: &Filter, architecture: u32, number: u32, first: u64, expected: u32) {
    let call = Call { architecture, number, arguments: [first, 0, 0, 0, 0, 0] };
    let (answer, _) = run(&filter.instructions, call);
    assert_eq!(answer, expected, "{call:?}: {answer:#x}, not {expected:#x}");
}

fn docker_like() -> Filter {
    filter(
        r#"{
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [
            {"names": ["read", "ioctl", "socketcall", "faccessat2"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}]},
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]},
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": 4294967295, "op": "SCMP_CMP_EQ"}]},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
        ]}"#,
    )
}

#[test]
fn what_is_named_is_allowed_and_the_rest_is_not() {
    let filter = docker_like();
    check(&filter, X86_64, READ, 0, answer::ALLOW);
    check(&filter, X86_64, 165, 0, EPERM); // mount
    check(&filter, X86_64, CLONE3, 0, ENOSYS);
}

#[test]
fn newer_calls_than_the_rules_know_do_not_exist() {
    let filter = docker_like();
    // faccessat2 (439) is the newest of the rules.
    check(&filter, X86_64, 439, 0, answer::ALLOW);
    check(&filter, X86_64, 440, 0, ENOSYS);
    check(&filter, X86_64, 0x3fff_ffff, 0, ENOSYS);
    check(&filter, X86_64, 438, 0, EPERM);
    check(&filter, X86_64, u32::MAX, 0, EPERM);
}

#[test]
fn rules_without_names_know_no_newer_calls() {
    let filter = filter(r#"{"defaultAction": "SCMP_ACT_KILL_PROCESS"}"#);
    check(&filter, X86_64, READ, 0, answer::KILL_PROCESS);
    check(&filter, X86_64, 999, 0, answer::KILL_PROCESS);
}

#[test]
fn architectures_with_the_same_single_answer_all_get_it() {
    let filter = filter(
        r#"{"defaultAction": "SCMP_ACT_TRAP",
            "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": [{"names": ["waitpid"], "action": "SCMP_ACT_TRAP"}]}"#,
    );
    check(&filter, X86_64, READ, 0, answer::TRAP);
    check(&filter, X86_64, 0x4000_0000, 0, answer::TRAP);
    check(&filter, X86, 3, 0, answer::TRAP);
    check(&filter, 0xc000_00b7, 0, 0, answer::KILL_THREAD);
}

#[test]
fn a_permissive_filter_leaves_newer_calls_alone() {
    let filter = filter(
        r#"{"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["reboot"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#,
    );
    check(&filter, X86_64, 169, 0, answer::KILL_PROCESS);
    check(&filter, X86_64, 999, 0, answer::ALLOW);
    check(&filter, X86_64, READ, 0, answer::ALLOW);
}

#[test]
fn arguments_are_compared_in_full_width() {
    let filter = docker_like();
    check(&filter, X86_64, SOCKET, 2, answer::ALLOW);
    check(&filter, X86_64, SOCKET, 40, EPERM);
    check(&filter, X86_64, SOCKET, 40 | 1 << 32, answer::ALLOW);
    check(&filter, X86_64, PERSONALITY, 0, answer::ALLOW);
    check(&filter, X86_64, PERSONALITY, 0xffff_ffff, answer::ALLOW);
    check(&filter, X86_64, PERSONALITY, 8, EPERM);
    check(&filter, X86_64, 56, 0x0001_1200, answer::ALLOW); // clone of a thread
    check(&filter, X86_64, 56, 0x1000_0000, EPERM); // CLONE_NEWUSER
}

#[test]
fn each_architecture_has_its_own_numbers() {
    let filter = docker_like();
    check(&filter, X86, 3, 0, answer::ALLOW); // read
    check(&filter, X86, 102, 0, answer::ALLOW); // socketcall, which x86-64 does not have
    check(&filter, X86, 0, 0, EPERM); // restart_syscall
    check(&filter, 0xc000_00b7, 63, 0, answer::KILL_THREAD); // read of aarch64
}

#[test]
fn x32_calls_are_told_apart() {
    let filter = docker_like();
    check(&filter, X86_64, 0x4000_0000, 0, answer::ALLOW); // read
    check(&filter, X86_64, 0x4000_0000 + 514, 0, answer::ALLOW); // ioctl has a number of its own
    check(&filter, X86_64, 0x4000_0000 + 16, 0, EPERM);
    check(&filter, X86_64, 0x4000_0000 + 165, 0, EPERM);
    // Its arguments have 32 bits, whatever is in the other half of a register.
    check(&filter, X86_64, 0x4000_0000 | SOCKET, 40 | 1 << 32, EPERM);
}

#[test]
fn without_x32_its_calls_are_foreign() {
    let filter = filter(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}"#,
    );
    check(&filter, X86_64, READ, 0, answer::ALLOW);
    check(&filter, X86_64, 0x4000_0000, 0, answer::KILL_THREAD);
    check(&filter, X86_64, u32::MAX, 0, EPERM);
}

#[test]
fn every_comparison_holds_where_it_should() {
    let around = [
        0,
        1,
        0x1_0000_0000,
        0x5_0000_0006,
        0x5_0000_0007,
        0x5_0000_0008,
        0x4_ffff_ffff,
        0x6_0000_0000,
        7,
        u64::MAX,
    ];
    const VALUE: u64 = 0x5_0000_0007;
    type Holds = fn(u64) -> bool;
    let operators: [(&str, Holds); 7] = [
        ("SCMP_CMP_NE", |argument| argument != VALUE),
        ("SCMP_CMP_LT", |argument| argument < VALUE),
        ("SCMP_CMP_LE", |argument| argument <= VALUE),
        ("SCMP_CMP_EQ", |argument| argument == VALUE),
        ("SCMP_CMP_GE", |argument| argument >= VALUE),
        ("SCMP_CMP_GT", |argument| argument > VALUE),
        ("SCMP_CMP_MASKED_EQ", |argument| argument & VALUE == 6),
    ];
    for (operator, holds) in operators {
        let filter = filter(&format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{{"names": ["socket"],
                "action": "SCMP_ACT_ALLOW", "args": [{{"index": 0, "value": {VALUE},
                "valueTwo": 6, "op": "{operator}"}}]}}]}}"#
        ));
        for argument in around {
            let expected = if holds(argument) { answer::ALLOW } else { EPERM };
            check(&filter, X86_64, SOCKET, argument, expected);
        }
    }
}

#[test]
fn conditions_on_several_arguments_all_have_to_hold() {
    let filter = filter(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["socket"],
            "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
                {"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]}]}"#,
    );
    let call = |first, second| Call {
        architecture: X86_64,
        number: SOCKET,
        arguments: [first, second, 0, 0, 0, 0],
    };
    assert_eq!(run(&filter.instructions, call(1, 2)).0, answer::ALLOW);
    assert_eq!(run(&filter.instructions, call(1, 3)).0, EPERM);
    assert_eq!(run(&filter.instructions, call(0, 2)).0, EPERM);
}

#[test]
fn one_argument_named_twice_means_either() {
    let filter = filter(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["socket"],
            "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
                {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]}]}"#,
    );
    check(&filter, X86_64, SOCKET, 1, answer::ALLOW);
    check(&filter, X86_64, SOCKET, 2, answer::ALLOW);
    check(&filter, X86_64, SOCKET, 3, EPERM);
}

#[test]
fn the_search_finds_what_a_look_in_the_list_finds() {
    // Half of all calls, chosen by a simple generator, with three different answers: many
    // ranges, and a program in which jumps do not reach everything.
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    let actions = [("SCMP_ACT_ALLOW", answer::ALLOW), ("SCMP_ACT_LOG", answer::LOG)];
    let mut expected = std::collections::BTreeMap::new();
    let mut names = [Vec::new(), Vec::new()];
    for call in syscalls::x86_64::Sysno::iter() {
        let choice = next() as usize % 4;
        if let Some((_, answer)) = actions.get(choice) {
            names[choice].push(call.name());
            expected.insert(call.id().cast_unsigned(), *answer);
        }
    }
    let rules = serde_json::json!({
        "defaultAction": "SCMP_ACT_TRAP",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [{"names": names[0], "action": actions[0].0},
                     {"names": names[1], "action": actions[1].0}],
    });
    let filter = filter(&rules.to_string());
    let newest = *expected.keys().last().unwrap();
    for number in 0..newest + 100 {
        let default = if number > newest { ENOSYS } else { answer::TRAP };
        check(&filter, X86_64, number, 0, expected.get(&number).copied().unwrap_or(default));
    }
    // A search, not a walk.
    let call = Call { architecture: X86_64, number: 200, ..Call::default() };
    let (_, steps) = run(&filter.instructions, call);
    assert!(steps < 20, "{steps} instructions for one call");
}

#[track_caller]
fn check_refusal(json: &str, field: &str, reason: &str) {
    let rules: LinuxSeccomp = serde_json::from_str(json).unwrap();
    let error = Rules::new(&rules).unwrap_err();
    assert_eq!((error.field.as_str(), error.reason.as_str()), (field, reason));
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    check_refusal(
        r#"{"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}]}"#,
        "listenerPath",
        "SCMP_ACT_NOTIFY needs it: the socket of who answers",
    );
    check_refusal(
        r#"{"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/agent"}"#,
        "defaultAction",
        "SCMP_ACT_NOTIFY cannot be used as default action",
    );
    check_refusal(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/agent", "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_LOG"},
            {"names": ["chown", "write"], "action": "SCMP_ACT_NOTIFY"}]}"#,
        "syscalls[1].names",
        "SCMP_ACT_NOTIFY cannot be used for the write syscall",
    );
    check_refusal(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}"#,
        "defaultAction",
        "errnoRet is larger than any error number",
    );
    check_refusal(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"],
            "action": "SCMP_ACT_LOG", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]}"#,
        "syscalls[0].args",
        "a call has no argument 6",
    );
}

#[test]
fn every_action_has_its_answer() {
    for (action, expected) in [
        ("SCMP_ACT_KILL", answer::KILL_THREAD),
        ("SCMP_ACT_KILL_THREAD", answer::KILL_THREAD),
        ("SCMP_ACT_KILL_PROCESS", answer::KILL_PROCESS),
        ("SCMP_ACT_TRAP", answer::TRAP),
        ("SCMP_ACT_ERRNO", answer::ERRNO | 7),
        ("SCMP_ACT_TRACE", answer::TRACE | 7),
        ("SCMP_ACT_LOG", answer::LOG),
        ("SCMP_ACT_NOTIFY", answer::NOTIFY),
        ("SCMP_ACT_ALLOW", answer::ALLOW),
    ] {
        let filter = filter(&format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 9, "listenerPath": "/agent",
                "syscalls": [{{"names": ["socket"], "action": "{action}", "errnoRet": 7}}]}}"#
        ));
        check(&filter, X86_64, SOCKET, 0, expected);
        check(&filter, X86_64, READ, 0, answer::ERRNO | 9);
    }
}

#[test]
fn flags_are_those_that_the_kernel_takes() {
    let flags = |json: &str, action: &str| {
        filter(&format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW", {json} "listenerPath": "/agent",
                "syscalls": [{{"names": ["chown"], "action": "{action}"}}]}}"#
        ))
        .flags
    };
    let all = r#""flags": ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],"#;
    // To wait for an answer is only for filters that ask.
    let both = FilterFlags::LOG | FilterFlags::SPEC_ALLOW;
    assert_eq!(flags(all, "SCMP_ACT_LOG"), both);
    let asking = FilterFlags::NEW_LISTENER | FilterFlags::WAIT_KILLABLE_RECV;
    assert_eq!(flags(all, "SCMP_ACT_NOTIFY"), both | asking);
    // Nothing said, and nothing wanted.
    assert_eq!(flags("", "SCMP_ACT_LOG"), FilterFlags::SPEC_ALLOW);
    assert_eq!(flags(r#""flags": [],"#, "SCMP_ACT_LOG"), FilterFlags::empty());
}

#[test]
fn a_rule_without_conditions_is_the_only_one_that_counts() {
    let filter = filter(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["socket"], "action": "SCMP_ACT_TRAP",
             "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
            {"names": ["socket"], "action": "SCMP_ACT_ERRNO"},
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW"}]}"#,
    );
    check(&filter, X86_64, SOCKET, 1, answer::ALLOW);
    check(&filter, X86_64, SOCKET, 2, answer::ALLOW);
}

#[test]
fn a_call_has_no_way_around_its_rule() {
    let filter = filter(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "syscalls": [
            {"names": ["connect", "shmat"], "action": "SCMP_ACT_ERRNO"}]}"#,
    );
    check(&filter, X86, 362, 0, EPERM); // connect itself
    check(&filter, X86, 102, 3, EPERM); // socketcall(SYS_CONNECT)
    check(&filter, X86, 102, 1, answer::ALLOW);
    check(&filter, X86, 117, 21, EPERM); // ipc(SHMAT)
    check(&filter, X86, 117, 21 | 1 << 16, EPERM); // in its other version
    check(&filter, X86, 117, 22, answer::ALLOW);
}

#[test]
fn the_kernel_accepts_and_obeys_a_filter() {
    let code = linux::process::in_forked_process(|| {
        let filter = filter(
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77},
                {"names": ["umask"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5,
                 "args": [{"index": 0, "value": 7, "op": "SCMP_CMP_EQ"}]},
                {"names": ["chdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 78}]}"#,
        );
        rustix::thread::set_no_new_privs(true).unwrap();
        linux::seccomp::install(&filter.instructions, filter.flags).unwrap();
        let refused = rustix::process::chdir("/").unwrap_err();
        refused.raw_os_error()
    });
    assert_eq!(code.unwrap(), 78);
}
