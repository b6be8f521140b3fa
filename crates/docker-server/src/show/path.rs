//! Paths without detours.

/// The same path without `.`, `..`, doubled and trailing slashes, decided by its text alone.
/// Only for absolute paths.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn detours_go() {
        assert_eq!(super::clean("/a/../b//./c/"), "/b/c");
        assert_eq!(super::clean("/.."), "/");
    }
}
