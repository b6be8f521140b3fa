//! Children that nobody here has made: processes whose parents in the container, or in the
//! program, have ended.
//!
//! Whoever is the nearest subreaper gets them, and has to wait for them once they have ended. A
//! pid namespace cannot end before that: its first process stays, though it was killed, until
//! the last zombie in it is gone.

use rustix::process::{Pid, WaitId, WaitIdOptions};

/// Waits for ended children of which there is no descriptor here. What this program itself runs
/// (a compressor of logs) has its name, and somebody else waits for it.
pub(crate) fn reap() {
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    for pid in children.split_ascii_whitespace().filter_map(|word| word.parse::<i32>().ok()) {
        if !is_ended_stranger(pid) || is_watched(pid) {
            continue;
        }
        if let Some(pid) = Pid::from_raw(pid) {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            // It cannot have gone: nobody else waits for it.
            let _ = rustix::process::waitid(WaitId::Pid(pid), options);
        }
    }
}

fn is_ended_stranger(pid: i32) -> bool {
    let stat = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat"));
    match (stat(&pid.to_string()), stat("self")) {
        (Ok(its), Ok(ours)) => has_ended(&its) && name(&its) != name(&ours),
        _ => false,
    }
}

/// Whether one of our descriptors is of this process: `Pid` of its `fdinfo` (see
/// `pidfd_open(2)`).
fn is_watched(pid: i32) -> bool {
    let line = format!("Pid:\t{pid}");
    let descriptors = std::fs::read_dir("/proc/self/fdinfo").into_iter().flatten().flatten();
    let mut texts = descriptors.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    texts.any(|text| text.lines().any(|own| own == line))
}

/// Field 3 of `/proc/PID/stat` (see `proc_pid_stat(5)`), behind the name.
fn has_ended(stat: &str) -> bool {
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}

fn name(stat: &str) -> Option<&str> {
    Some(stat.split_once('(')?.1.rsplit_once(')')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zombie_is_told_from_others_whatever_its_name() {
        assert!(has_ended("7 (a) R) Z 1 2"));
        assert!(!has_ended("7 (a) Z) R 1 2"));
        assert_eq!(name("7 (a) Z) R 1 2"), Some("a) Z"));
    }
}
