//! Small files of the kernel's: a number, or a table of names and numbers.
//!
//! A file that is not there, or is gone by now, has nothing in it: what a kernel does not
//! count is shown as nothing.

use std::path::Path;

/// A file's text; empty if it cannot be read.
pub(super) fn text(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_default()
}

/// A file with one number. `max`, and what is no number, is `None`.
pub(super) fn number(folder: &Path, name: &str) -> Option<u64> {
    text(folder, name).trim().parse().ok()
}

/// A table of `name number` lines.
pub(super) fn table(text: &str) -> Vec<(String, u64)> {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.filter_map(|(key, value)| Some((key.to_owned(), value.trim().parse().ok()?))).collect()
}

/// One value of such a table; 0 if it is not in it.
pub(super) fn value(text: &str, key: &str) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let found = lines.find(|(name, _)| *name == key);
    found.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{table, value};

    #[test]
    fn a_table_is_read_line_by_line() {
        let text = "usage_usec 22842\nuser_usec 11421\nodd\n";
        assert_eq!(value(text, "user_usec"), 11421);
        assert_eq!(value(text, "system_usec"), 0);
        assert_eq!(table(text).len(), 2);
    }
}
