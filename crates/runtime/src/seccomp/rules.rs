//! The configuration's rules, checked and digested, before anything is made.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use linux::seccomp::FilterFlags;
use oci::runtime::{Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag, LinuxSyscall};
use rustix::io::Errno;

use super::conditions::{self, Conditions};
use super::{FilterError, answer};

const ERRNO_MAX: u32 = 4095;

/// What there is to compile.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    pub(super) architectures: &'a [Arch],
    pub(crate) flags: FilterFlags,
    /// What a call gets that no rule is for.
    pub(super) default: u32,
    /// What a call gets that is newer than all that the rules name.
    pub(super) unknown: u32,
    syscalls: &'a [LinuxSyscall],
    rules: Vec<Rule>,
}

/// One rule of the configuration, whatever calls it is for.
#[derive(Debug)]
pub(super) struct Rule {
    /// Each list of conditions is enough by itself.
    pub(super) alternatives: Vec<Conditions>,
    pub(super) has_no_conditions: bool,
    pub(super) answer: u32,
}

/// The rules of one name, by index, in the configuration's order: the first and, rarely, others.
pub(super) type OfName = (usize, Vec<usize>);

/// Rules by the names of their calls.
pub(super) type ByName<'a> = HashMap<&'a str, OfName, BuildHasherDefault<NameHasher>>;

impl<'a> Rules<'a> {
    /// Checks the configuration.
    pub(crate) fn new(seccomp: &'a LinuxSeccomp) -> Result<Self, FilterError> {
        let action = seccomp.default_action();
        if action == LinuxSeccompAction::ScmpActNotify {
            // `write` would ask too, and that the filter is there is said by it: see `rule_of`.
            let reason = "SCMP_ACT_NOTIFY cannot be used as default action";
            return Err(FilterError::new("defaultAction", reason));
        }
        let default = answer_of(action, seccomp.default_errno_ret(), || "defaultAction".into())?;
        let syscalls = seccomp.syscalls().as_deref().unwrap_or_default();
        let rules = syscalls.iter().enumerate().map(|(at, syscall)| rule_of(at, syscall));
        let rules = rules.collect::<Result<Vec<_>, _>>()?;
        let has_questions = rules.iter().any(|rule| rule.answer == answer::NOTIFY);
        if has_questions && !has_listener(seccomp) {
            let reason = "SCMP_ACT_NOTIFY needs it: the socket of who answers";
            return Err(FilterError::new("listenerPath", reason));
        }
        Ok(Self {
            architectures: seccomp.architectures().as_deref().unwrap_or_default(),
            flags: flags_of(seccomp, has_questions),
            default,
            unknown: answer_to_unknown(action, default),
            syscalls,
            rules,
        })
    }

    pub(super) fn by_name(&self) -> ByName<'a> {
        let count = self.syscalls.iter().map(|rule| rule.names().len()).sum();
        let mut by_name = ByName::with_capacity_and_hasher(count, BuildHasherDefault::default());
        for (at, syscall) in self.syscalls.iter().enumerate() {
            for name in syscall.names() {
                let rules = by_name.entry(name.as_str());
                rules.and_modify(|(_, others)| others.push(at)).or_insert((at, Vec::new()));
            }
        }
        by_name
    }

    /// What the rule of this index says.
    #[cfg(test)]
    pub(super) fn answer_at(&self, at: usize) -> u32 {
        self.rules[at].answer
    }

    /// Those rules of one name that change anything.
    pub(super) fn of_name<'b>(&'b self, found: &'b OfName) -> impl Iterator<Item = &'b Rule> {
        let (first, others) = found;
        let rules = std::iter::once(first).chain(others).map(|at| &self.rules[*at]);
        // Not even where another rule stands against it; that is how runc reads it.
        rules.filter(|rule| rule.answer != self.default)
    }
}

fn has_listener(seccomp: &LinuxSeccomp) -> bool {
    seccomp.listener_path().as_ref().is_some_and(|path| !path.as_os_str().is_empty())
}

fn rule_of(at: usize, syscall: &LinuxSyscall) -> Result<Rule, FilterError> {
    let field = || format!("syscalls[{at}]");
    let is_question = syscall.action() == LinuxSeccompAction::ScmpActNotify;
    if is_question && syscall.names().iter().any(|name| name == "write") {
        // The new process says by `write` that there is somebody to be asked. If that waited for
        // an answer itself, it would wait for ever.
        let reason = "SCMP_ACT_NOTIFY cannot be used for the write syscall";
        return Err(FilterError::new(format!("{}.names", field()), reason));
    }
    let answer = answer_of(syscall.action(), syscall.errno_ret(), field)?;
    let alternatives = conditions::alternatives(syscall.args().as_deref())
        .map_err(|reason| FilterError::new(format!("{}.args", field()), reason))?;
    let has_no_conditions = alternatives.iter().any(Vec::is_empty);
    Ok(Rule { alternatives, has_no_conditions, answer })
}

fn answer_of(
    action: LinuxSeccompAction,
    errno: Option<u32>,
    field: impl FnOnce() -> String,
) -> Result<u32, FilterError> {
    let errno = errno.unwrap_or(Errno::PERM.raw_os_error().cast_unsigned());
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => {
            answer::KILL_THREAD
        }
        LinuxSeccompAction::ScmpActKillProcess => answer::KILL_PROCESS,
        LinuxSeccompAction::ScmpActTrap => answer::TRAP,
        LinuxSeccompAction::ScmpActErrno if errno > ERRNO_MAX => {
            return Err(FilterError::new(field(), "errnoRet is larger than any error number"));
        }
        LinuxSeccompAction::ScmpActErrno => answer::ERRNO | errno,
        LinuxSeccompAction::ScmpActNotify => answer::NOTIFY,
        LinuxSeccompAction::ScmpActTrace => answer::TRACE | (errno & 0xffff),
        LinuxSeccompAction::ScmpActLog => answer::LOG,
        LinuxSeccompAction::ScmpActAllow => answer::ALLOW,
    })
}

fn answer_to_unknown(action: LinuxSeccompAction, default: u32) -> u32 {
    match action {
        // A tracer decides about newer calls by itself.
        LinuxSeccompAction::ScmpActAllow
        | LinuxSeccompAction::ScmpActLog
        | LinuxSeccompAction::ScmpActTrace => default,
        _ => answer::ERRNO | Errno::NOSYS.raw_os_error().cast_unsigned(),
    }
}

/// The flags to install a filter with.
fn flags_of(seccomp: &LinuxSeccomp, has_questions: bool) -> FilterFlags {
    // What runc does where nothing is said: the mitigation costs much and is not about
    // containers.
    let mut flags = match seccomp.flags() {
        None => FilterFlags::SPEC_ALLOW,
        Some(flags) => flags.iter().map(|flag| flag_of(*flag)).collect(),
    };
    if has_questions {
        flags |= FilterFlags::NEW_LISTENER;
    } else {
        // The kernel refuses it where nobody is asked.
        flags.remove(FilterFlags::WAIT_KILLABLE_RECV);
    }
    flags
}

fn flag_of(flag: LinuxSeccompFilterFlag) -> FilterFlags {
    match flag {
        LinuxSeccompFilterFlag::SeccompFilterFlagLog => FilterFlags::LOG,
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => FilterFlags::SPEC_ALLOW,
        LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
            FilterFlags::WAIT_KILLABLE_RECV
        }
        // The process that gets the filter has no other thread to get it too.
        LinuxSeccompFilterFlag::SeccompFilterFlagTsync => FilterFlags::empty(),
    }
}

/// Hashes names of calls, of which each start looks up more than a thousand: eight letters at a
/// time. That somebody may choose names that collide only makes the start of their own
/// container slow.
#[derive(Default)]
pub(super) struct NameHasher(u64);

impl NameHasher {
    fn mix(&mut self, word: u64) {
        /// Odd and without pattern: the golden ratio.
        const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(MULTIPLIER);
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, _) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
        // What is left, together with some letters seen before: no copy into a whole word.
        if let Some(end) = bytes.last_chunk::<8>() {
            self.mix(u64::from_le_bytes(*end));
        } else if let (Some(start), Some(end)) = (bytes.first_chunk(), bytes.last_chunk()) {
            let [start, end] = [start, end].map(|half| u64::from(u32::from_le_bytes(*half)));
            self.mix(start << 32 | end);
        } else {
            bytes.iter().for_each(|byte| self.mix(u64::from(*byte)));
        }
    }

    /// The end of a string: nothing here is more than one string.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
