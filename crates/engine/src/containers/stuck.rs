//! Why a container does not end although it was killed.
//!
//! A process that sleeps in the kernel for a disk or a network file system which does not
//! answer (state D) does not notice any signal; nor does one that was frozen. The container's
//! first process stays until all the others in its pid namespace are gone, so the one that is
//! stuck may be any of its descendants.

use std::fs;

/// How many processes are looked at.
const PROCESSES_MAX: usize = 1024;

/// What somebody waits in vain for who waits for the end of this process.
pub(super) fn what_holds(first: i32) -> String {
    let mut pending = vec![first];
    let mut seen = 0;
    while let Some(pid) = pending.pop().filter(|_| seen < PROCESSES_MAX) {
        seen += 1;
        if let Some((name, 'D')) = name_and_state(pid) {
            return format!(
                "process {pid} ({name}), which is in the kernel (state D, {})",
                place_in_kernel(pid)
            );
        }
        pending.extend(children(pid));
    }
    match name_and_state(first) {
        Some((name, state)) => format!("process {first} ({name}, state {state})"),
        None => "its supervisor (wharf-shim)".to_owned(),
    }
}

fn name_and_state(pid: i32) -> Option<(String, char)> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name is in brackets, and may contain some.
fn parse_stat(text: &str) -> Option<(String, char)> {
    let (before, after) = text.rsplit_once(") ")?;
    Some((before.split_once('(')?.1.to_owned(), after.chars().next()?))
}

/// Where it sleeps, if the kernel tells.
fn place_in_kernel(pid: i32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
    if text.is_empty() || text == "0" {
        "nobody knows where".to_owned()
    } else {
        format!("in {text}")
    }
}

fn children(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processs_name_may_contain_brackets() {
        assert_eq!(parse_stat("7 (a) (b) D 1 7 7"), Some(("a) (b".to_owned(), 'D')));
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn a_process_that_is_not_there_is_not_named() {
        assert_eq!(what_holds(0), "its supervisor (wharf-shim)");
    }
}
