//! Our program beside libseccomp's, for every call of every architecture.
//!
//! Both are run for each number, with arguments on both sides of whatever a rule compares. A
//! difference is allowed for two reasons only, and then is exactly what it should be: calls
//! newer than the profile, which get ENOSYS from us, and calls that this libseccomp does not
//! know the name of. A plain [model](super::model) says which those are.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use linux::seccomp::Instruction;
use oci::runtime::{Arch, LinuxSeccomp, LinuxSeccompArg, LinuxSeccompOperator};

use super::architectures::{self, Architecture};
use super::compile_for;
use super::interpreter::{Call, run};
use super::model::{ENOSYS, Model, Verdict};
use super::rules::Rules;

/// Machines, with all that each runs under libseccomp's names.
const MACHINES: [(&str, &[&str]); 6] = [
    ("x86_64", &["x86_64", "x32", "x86"]),
    ("aarch64", &["aarch64", "arm"]),
    ("riscv64", &["riscv64"]),
    ("powerpc64", &["ppc64le"]),
    ("s390x", &["s390x"]),
    // Too new for the libseccomp of many a distribution.
    ("loongarch64", &["loongarch64"]),
];

const ALL: [Arch; 9] = [
    Arch::ScmpArchX86_64,
    Arch::ScmpArchX32,
    Arch::ScmpArchX86,
    Arch::ScmpArchAarch64,
    Arch::ScmpArchArm,
    Arch::ScmpArchRiscv64,
    Arch::ScmpArchPpc64le,
    Arch::ScmpArchS390x,
    Arch::ScmpArchLoongarch64,
];

/// `BPF_RET | BPF_K`.
const RETURN: u16 = 6;

/// The status of our helper for an architecture that its libseccomp does not know.
const UNKNOWN_ARCHITECTURE: i32 = 3;

/// libseccomp, as a program that is asked.
struct Reference {
    _folder: tempfile::TempDir,
    program: PathBuf,
}

impl Reference {
    /// Builds the helper. Says why not where that cannot be done.
    fn build() -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("libseccomp");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/seccomp/libseccomp.c");
        let output = Command::new("cc")
            .args(["-o", program.to_str().unwrap(), source, "-lseccomp"])
            .output()
            .map_err(|error| format!("no C compiler: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        Ok(Self { _folder: folder, program })
    }

    fn ask(&self, arguments: &[&str], input: &str) -> Option<Vec<u8>> {
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        if output.status.code() == Some(UNKNOWN_ARCHITECTURE) {
            return None;
        }
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(output.stdout)
    }

    /// The program for a profile, with the machine's order of bytes turned into ours.
    fn compile(
        &self,
        seccomp: &LinuxSeccomp,
        architectures: &[&str],
        is_big_endian: bool,
    ) -> Option<Vec<Instruction>> {
        let bytes = self.ask(&["filter"], &words_of(seccomp, architectures))?;
        let (instructions, []) = bytes.as_chunks::<8>() else { panic!("half an instruction") };
        let decode = |[a, b, jump_true, jump_false, operand @ ..]: [u8; 8]| {
            if !is_big_endian {
                let (code, operand) = (u16::from_le_bytes([a, b]), u32::from_le_bytes(operand));
                return Instruction { code, jump_true, jump_false, operand };
            }
            let (code, operand) = (u16::from_be_bytes([a, b]), u32::from_be_bytes(operand));
            // Some answers, and only they, are left in the order of the machine that compiles.
            let is_left =
                code == RETURN && (operand >> 16 == 0 || operand & 0xff00_0000 == 0x0100_0000);
            let operand = if is_left { operand.swap_bytes() } else { operand };
            Instruction { code, jump_true, jump_false, operand }
        };
        Some(instructions.iter().copied().map(decode).collect())
    }

    /// Which of an architecture's calls it knows by name.
    fn names(&self, architecture: &Architecture, name: &str) -> Option<HashMap<&'static str, i64>> {
        let names: Vec<&'static str> = architecture.calls().map(|(_, name)| name).collect();
        let numbers = self.ask(&["names", name], &names.join("\n"))?;
        let numbers = String::from_utf8(numbers).unwrap();
        Some(names.into_iter().zip(numbers.lines().map(|line| line.parse().unwrap())).collect())
    }
}

/// A profile in the words of the helper.
fn words_of(seccomp: &LinuxSeccomp, architectures: &[&str]) -> String {
    let rules = Rules::new(seccomp).unwrap();
    let mut text = format!("default {}\n", rules.default);
    for architecture in architectures {
        text.push_str(&format!("architecture {architecture}\n"));
    }
    for (at, syscall) in seccomp.syscalls().iter().flatten().enumerate() {
        let answer = rules.answer_at(at);
        // As runc does.
        if answer == rules.default {
            continue;
        }
        let conditions: Vec<String> = syscall
            .args()
            .iter()
            .flatten()
            .map(|condition| {
                let (operator, second) = (operator(condition.op()), condition.value_two());
                let second = second.unwrap_or(0);
                format!("{} {operator} {} {second}", condition.index(), condition.value())
            })
            .collect();
        let indexes: Vec<usize> =
            syscall.args().iter().flatten().map(LinuxSeccompArg::index).collect();
        let is_repeated =
            indexes.iter().enumerate().any(|(at, index)| indexes[..at].contains(index));
        // As runc does for the conditions that libseccomp refuses together.
        let groups: Vec<&[String]> =
            if is_repeated { conditions.chunks(1).collect() } else { vec![&conditions] };
        for name in syscall.names() {
            for group in &groups {
                let (count, conditions) = (group.len(), group.join(" "));
                text.push_str(&format!("rule {name} {answer} {count} {conditions}\n"));
            }
        }
    }
    text
}

/// `enum scmp_compare`.
fn operator(operator: LinuxSeccompOperator) -> u32 {
    match operator {
        LinuxSeccompOperator::ScmpCmpNe => 1,
        LinuxSeccompOperator::ScmpCmpLt => 2,
        LinuxSeccompOperator::ScmpCmpLe => 3,
        LinuxSeccompOperator::ScmpCmpEq => 4,
        LinuxSeccompOperator::ScmpCmpGe => 5,
        LinuxSeccompOperator::ScmpCmpGt => 6,
        LinuxSeccompOperator::ScmpCmpMaskedEq => 7,
    }
}

/// The numbers to compare for.
type Numbers = fn(&Architecture, &LinuxSeccomp) -> Vec<u32>;

/// Those that the rules name.
fn named_numbers(architecture: &Architecture, seccomp: &LinuxSeccomp) -> Vec<u32> {
    let rules = || seccomp.syscalls().iter().flatten();
    let is_named = |name: &str| rules().any(|rule| rule.names().iter().any(|one| one == name));
    let calls = architecture.calls().filter(|(_, name)| {
        let stands_for = architecture.multiplexed_by(name);
        stands_for.is_some_and(|calls| calls.calls.iter().any(|(name, _)| is_named(name)))
            || is_named(name)
    });
    calls.flat_map(|(number, _)| [number.saturating_sub(1), number, number + 1]).collect()
}

/// Every number that there is or could soon be, and some at the far ends.
fn all_numbers(architecture: &Architecture, _: &LinuxSeccomp) -> Vec<u32> {
    let first = architecture.first_number;
    let private = 0xf_0000..0xf_0010;
    let ends =
        [0x3fff_ffff, 0x4000_0000, 0x4000_0226, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX];
    (first..first + 700).chain(private).chain(ends).collect()
}

/// Values on both sides of what any rule compares the arguments of `name` with; in halves too,
/// since that is how a filter compares.
fn boundaries(seccomp: &LinuxSeccomp, name: Option<&str>) -> Vec<[u64; 6]> {
    let mut values = vec![Vec::new(); 6];
    if matches!(name, Some("socketcall" | "ipc")) {
        values[0].extend(1..=26);
    }
    let rules = seccomp.syscalls().iter().flatten();
    let rules =
        rules.filter(|rule| name.is_some_and(|name| rule.names().iter().any(|n| n == name)));
    for condition in rules.flat_map(|rule| rule.args().iter().flatten()) {
        let around = &mut values[condition.index()];
        for value in [condition.value(), condition.value_two().unwrap_or(0)] {
            let other_half = value ^ 1 << 32;
            around.extend([value.wrapping_sub(1), value, value.wrapping_add(1), other_half]);
        }
        if condition.op() == LinuxSeccompOperator::ScmpCmpMaskedEq {
            around.extend((0..64).map(|bit| 1 << bit));
        }
        around.push(u64::from(u32::MAX));
    }
    let mut calls = vec![[0; 6], [u64::MAX; 6]];
    for (index, values) in values.iter_mut().enumerate() {
        values.sort_unstable();
        values.dedup();
        for mut arguments in calls.clone() {
            calls.extend(values.iter().map(|value| {
                arguments[index] = *value;
                arguments
            }));
        }
    }
    calls
}

/// Whether a number that libseccomp gives for a name means a call. Those below -100 are behind
/// a multiplexer as well as by themselves; those far below it are of other architectures.
fn is_known(number: i64) -> bool {
    number >= 0 || (-300..=-100).contains(&number)
}

/// Whether a program looks at the number of a call after its architecture. libseccomp 2.5.4
/// forgets to, for some rules of calls that have two entrances.
fn loads_numbers(program: &[Instruction], architectures: &[Architecture]) -> bool {
    const LOAD: u16 = 0x20;
    const JUMP: u16 = 0x05;
    let follow = |mut at: usize| {
        while program[at].code == JUMP {
            at += 1 + program[at].operand as usize;
        }
        at
    };
    // One comparison after the other, behind the load of the architecture.
    let mut at = 1;
    architectures::by_kernel_number(architectures).all(|_| {
        let check = program[at];
        let numbers = program[follow(at + 1 + usize::from(check.jump_true))];
        at = follow(at + 1 + usize::from(check.jump_false));
        numbers.code == LOAD && numbers.operand == 0
    })
}

/// What came of a comparison.
#[derive(Debug, Default)]
struct Compared {
    same: usize,
    newer: usize,
    unknown: usize,
}

fn compare(
    reference: &Reference,
    seccomp: &LinuxSeccomp,
    machine: &str,
    architectures: &[Architecture],
    names: &[&str],
    numbers: Numbers,
) -> Compared {
    let ours = compile_for(&Rules::new(seccomp).unwrap(), architectures).unwrap();
    let is_big_endian = machine == "s390x";
    let theirs = reference.compile(seccomp, names, is_big_endian);
    let theirs = theirs.filter(|theirs| loads_numbers(theirs, architectures));
    let known: Option<Vec<_>> =
        architectures.iter().zip(names).map(|(one, name)| reference.names(one, name)).collect();
    let model = Model::new(seccomp, architectures);
    let mut compared = Compared::default();
    let all: Vec<Architecture> =
        MACHINES.iter().flat_map(|(machine, _)| architectures::run_by(machine)).copied().collect();
    for architecture in &all {
        for number in numbers(architecture, seccomp) {
            let base = Call { architecture: architecture.kernel_number, number, arguments: [0; 6] };
            let name = match model.verdict(base) {
                Verdict::ByName { name, .. } => name,
                Verdict::Foreign | Verdict::Newer => None,
            };
            for arguments in boundaries(seccomp, name) {
                let call = Call { arguments, ..base };
                let verdict = model.verdict(call);
                let expected = model.answer(verdict);
                let (our_answer, _) = run(&ours.instructions, call);
                assert_eq!(our_answer, expected, "{machine} {name:?} {call:x?}: {our_answer:#x}");
                let (Some(theirs), Some(known)) = (&theirs, &known) else { continue };
                let (their_answer, _) = run(theirs, call);
                let is_named = name.is_none_or(|name| {
                    known
                        .iter()
                        .any(|known| known.get(name).is_some_and(|number| is_known(*number)))
                });
                let allowed = match verdict {
                    Verdict::Newer => {
                        compared.newer += 1;
                        Rules::new(seccomp).unwrap().default
                    }
                    _ if !is_named => {
                        compared.unknown += 1;
                        Rules::new(seccomp).unwrap().default
                    }
                    _ => {
                        compared.same += 1;
                        our_answer
                    }
                };
                assert_eq!(
                    their_answer, allowed,
                    "{machine} {name:?} {call:x?}: libseccomp says {their_answer:#x}, we {our_answer:#x}"
                );
            }
        }
    }
    compared
}

fn docker_profile() -> LinuxSeccomp {
    serde_json::from_str(include_str!("../../../oci/samples/docker-seccomp.json")).unwrap()
}

#[test]
fn dockers_profile_means_what_libseccomp_makes_of_it() {
    let reference = match Reference::build() {
        Ok(reference) => reference,
        Err(reason) => {
            println!("skipped: no libseccomp to compare with: {reason}");
            return;
        }
    };
    let profile = docker_profile();
    for (machine, names) in MACHINES {
        let all = architectures::listed_of(architectures::run_by(machine), &ALL);
        for count in 1..=all.len() {
            let compared =
                compare(&reference, &profile, machine, &all[..count], &names[..count], all_numbers);
            println!("{machine}, {}: {compared:?}", names[..count].join(" "));
            let is_compared = compared.same > 0;
            assert!(is_compared || machine == "loongarch64", "{machine}");
        }
    }
    assert_eq!(Model::new(&profile, &[]).answer(Verdict::Newer), ENOSYS);
}

/// Some rules, chosen by a simple generator.
fn random_profile(mut state: u32) -> LinuxSeccomp {
    const NAMES: [&str; 8] =
        ["socket", "socketcall", "personality", "ipc", "semop", "read", "connect", "nonsense"];
    const OPERATORS: [&str; 7] = [
        "SCMP_CMP_NE",
        "SCMP_CMP_LT",
        "SCMP_CMP_LE",
        "SCMP_CMP_EQ",
        "SCMP_CMP_GE",
        "SCMP_CMP_GT",
        "SCMP_CMP_MASKED_EQ",
    ];
    const ACTIONS: [&str; 3] = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_ERRNO"];
    const VALUES: [u64; 6] = [0, 1, 3, 40, 0xffff_ffff, 0x5_0000_0003];
    let mut next = |limit: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize % limit
    };
    // One rule for a name, and one condition for an argument: of several that overlap, libseccomp
    // 2.5.4 tries no other when one has failed. And one action: it has an order of its own.
    let action = ACTIONS[next(2)];
    let rules: Vec<_> = NAMES
        .iter()
        .filter_map(|name| {
            let conditions: Vec<_> = (0..next(3))
                .map(|index| {
                    serde_json::json!({
                        "index": index, "op": OPERATORS[next(7)],
                        "value": VALUES[next(6)], "valueTwo": VALUES[next(6)],
                    })
                })
                .collect();
            // Now and then a rule that says nothing new.
            let action = if next(8) == 0 { ACTIONS[2] } else { action };
            let rule = serde_json::json!({"names": [name], "action": action, "args": conditions});
            (next(2) == 0).then_some(rule)
        })
        .collect();
    let profile = serde_json::json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules});
    serde_json::from_value(profile).unwrap()
}

#[test]
fn rules_mean_together_what_libseccomp_makes_of_them() {
    let reference = match Reference::build() {
        Ok(reference) => reference,
        Err(reason) => {
            println!("skipped: no libseccomp to compare with: {reason}");
            return;
        }
    };
    let (machine, names) = MACHINES[0];
    let all = architectures::listed_of(architectures::run_by(machine), &ALL);
    let mut compared = 0;
    for seed in 0..30 {
        let profile = random_profile(seed);
        println!("{}", serde_json::to_string(&profile).unwrap());
        compared += usize::from(
            compare(&reference, &profile, machine, &all, names, named_numbers).same > 0,
        );
    }
    assert!(compared > 15, "only {compared} programs could be compared");
}
