//! `--cap-add` and `--cap-drop`: capabilities by the names that an engine keeps.

use std::collections::BTreeSet;

/// Stands for every capability there is.
const ALL: &str = "ALL";

/// The capabilities to add and those to drop, sorted, each once.
///
/// What is added is not dropped, and `ALL` says what any other name beside it says.
pub(crate) fn effective(added: &[String], dropped: &[String]) -> (Vec<String>, Vec<String>) {
    let added = names(added);
    let dropped = names(dropped).difference(&added).cloned().collect();
    (added.into_iter().collect(), dropped)
}

fn names(list: &[String]) -> BTreeSet<String> {
    let names: BTreeSet<_> = list.iter().map(|name| full_name(name)).collect();
    if names.contains(ALL) { BTreeSet::from([ALL.to_owned()]) } else { names }
}

/// `net_admin` is `CAP_NET_ADMIN`.
fn full_name(name: &str) -> String {
    let name = name.trim().to_uppercase();
    if name == ALL || name.starts_with("CAP_") { name } else { format!("CAP_{name}") }
}

#[cfg(test)]
mod tests {
    use super::effective;

    #[track_caller]
    fn check(added: &[&str], dropped: &[&str], expected: (&[&str], &[&str])) {
        let owned = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let expected = (owned(expected.0), owned(expected.1));
        assert_eq!(effective(&owned(added), &owned(dropped)), expected);
    }

    #[test]
    fn names_are_made_whole_and_sorted() {
        let (added, dropped) = (&["sys_time", "CAP_CHOWN", "chown"], &["Net_Raw"]);
        check(added, dropped, (&["CAP_CHOWN", "CAP_SYS_TIME"], &["CAP_NET_RAW"]));
    }

    #[test]
    fn all_stands_for_the_rest_and_what_is_added_stays() {
        check(&["all", "CHOWN"], &[], (&["ALL"], &[]));
        check(&["CHOWN"], &["ALL"], (&["CAP_CHOWN"], &["ALL"]));
        check(&["CHOWN"], &["CHOWN", "KILL"], (&["CAP_CHOWN"], &["CAP_KILL"]));
    }
}
