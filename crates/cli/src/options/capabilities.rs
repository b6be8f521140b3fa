//! `--cap-add` and `--cap-drop`: capabilities by the names that an engine keeps.

use std::collections::BTreeSet;

/// Stands for every capability there is.
const ALL: &str = "ALL";

/// The names in full, sorted, each once. What they mean together is the engine's to say.
pub(crate) fn names(list: &[String]) -> Vec<String> {
    let names: BTreeSet<_> = list.iter().map(|name| full_name(name)).collect();
    names.into_iter().collect()
}

/// `net_admin` is `CAP_NET_ADMIN`.
fn full_name(name: &str) -> String {
    let name = name.trim().to_uppercase();
    if name == ALL || name.starts_with("CAP_") { name } else { format!("CAP_{name}") }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn names_are_made_whole_and_sorted() {
        let given = ["sys_time", "CAP_CHOWN", "chown", "all"].map(str::to_owned);
        assert_eq!(names(&given), ["ALL", "CAP_CHOWN", "CAP_SYS_TIME"]);
    }
}
