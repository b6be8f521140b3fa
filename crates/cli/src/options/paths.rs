//! Paths as the client completes them before the daemon sees them.

/// The path without `.`, `..` and doubled slashes, as Go's `path.Clean`.
pub(crate) fn clean(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_absolute => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (is_absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// The path seen from the client's folder, if it is one that starts with a dot.
///
/// The daemon has a folder of its own, so a path relative to the client's must not
/// reach it as it is. Other relative paths are names of volumes.
pub(crate) fn from_here(path: &str) -> String {
    if !path.starts_with('.') {
        return path.to_owned();
    }
    match std::env::current_dir() {
        Ok(folder) => clean(&format!("{}/{path}", folder.display())),
        Err(_) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn dots_are_resolved() {
        for (path, cleaned) in [
            ("/a/./b/../c//d/", "/a/c/d"),
            ("/..", "/"),
            ("../a", "../a"),
            ("./", "."),
            ("a/..", "."),
            ("/", "/"),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
        }
    }
}
