//! The rules of a system call filter: whatever they say, the program is one that the kernel
//! takes. Made of choices rather than of text, so that most profiles make sense.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

#[derive(Debug, Arbitrary)]
struct Profile {
    default: u8,
    default_errno: Option<u16>,
    architectures: Vec<u8>,
    flags: Option<Vec<u8>>,
    has_listener: bool,
    rules: Vec<Rule>,
}

#[derive(Debug, Arbitrary)]
struct Rule {
    names: Vec<Name>,
    action: u8,
    errno: Option<u16>,
    conditions: Vec<Condition>,
}

#[derive(Debug, Arbitrary)]
enum Name {
    /// A call of one of the tables, by its place.
    Known(u16),
    Unknown(u8),
}

#[derive(Debug, Arbitrary)]
struct Condition {
    index: u8,
    operator: u8,
    value: u64,
    second: Option<u64>,
}

const ACTIONS: [&str; 9] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

const OPERATORS: [&str; 7] = [
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
];

const ARCHITECTURES: [&str; 10] = [
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_MIPS",
];

const FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

fn choose<T: Copy>(all: &[T], choice: usize) -> T {
    all[choice % all.len()]
}

impl Name {
    fn text(&self, known: &[&'static str]) -> String {
        match self {
            Self::Known(at) => choose(known, usize::from(*at)).to_owned(),
            Self::Unknown(number) => format!("call_{number}"),
        }
    }
}

fuzz_target!(|profile: Profile| {
    let known = runtime::fuzzing::call_names();
    let action = |choice: u8| choose(&ACTIONS, usize::from(choice));
    let rules: Vec<_> = profile
        .rules
        .iter()
        .map(|rule| {
            let conditions: Vec<_> = rule
                .conditions
                .iter()
                .map(|condition| {
                    json!({
                        "index": condition.index % 7,
                        "op": choose(&OPERATORS, usize::from(condition.operator)),
                        "value": condition.value,
                        "valueTwo": condition.second,
                    })
                })
                .collect();
            json!({
                "names": rule.names.iter().map(|name| name.text(known)).collect::<Vec<_>>(),
                "action": action(rule.action),
                "errnoRet": rule.errno,
                "args": conditions,
            })
        })
        .collect();
    let choose_all = |all: &[&'static str], choices: &[u8]| -> Vec<&'static str> {
        choices.iter().map(|choice| choose(all, usize::from(*choice))).collect()
    };
    let flags = profile.flags.as_ref().map(|flags| choose_all(&FLAGS, flags));
    let document = json!({
        "defaultAction": action(profile.default),
        "defaultErrnoRet": profile.default_errno,
        "architectures": choose_all(&ARCHITECTURES, &profile.architectures),
        "flags": flags,
        "listenerPath": profile.has_listener.then_some("/agent"),
        "syscalls": rules,
    });
    runtime::fuzzing::filter(document.to_string().as_bytes());
});
