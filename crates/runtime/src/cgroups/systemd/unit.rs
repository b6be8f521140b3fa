//! A container's unit: its name, and where its cgroup is.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A scope of systemd's, and the folder that follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cgroups) struct Unit {
    pub(super) name: String,
    /// What the unit is put into.
    pub(super) slice: String,
    /// Below the hierarchy's root.
    pub(in crate::cgroups) path: PathBuf,
    /// Of the user's own systemd, not of the system's.
    pub(super) is_users: bool,
}

impl Unit {
    /// The unit of the container `id`, whose `cgroupsPath` may say `slice:prefix:name`. `above`
    /// is where the manager's own cgroup is. The error's words are runc's.
    pub(super) fn new(
        id: &str,
        path: Option<&Path>,
        above: &Path,
        is_users: bool,
    ) -> Result<Self, String> {
        let text = path.map(|path| path.to_string_lossy()).unwrap_or_default();
        let parts: Vec<&str> = text.split(':').collect();
        let (slice, prefix, name) = match parts[..] {
            [""] => ("", "wharf", id),
            [slice, prefix, name] => (slice, prefix, name),
            _ => {
                return Err(format!(
                    "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd \
                     cgroups, got {text:?} instead"
                ));
            }
        };
        let slice = match (slice, is_users) {
            ("", false) => "system.slice",
            ("", true) => "user.slice",
            _ => slice,
        };
        if name.is_empty() || name.contains('/') || prefix.contains('/') {
            return Err(format!("{name:?} is no name of a unit"));
        }
        if name.ends_with(".slice") {
            return Err(format!("{name:?} is a slice, which cannot hold a process"));
        }
        let name = if prefix.is_empty() {
            format!("{name}.scope")
        } else {
            format!("{prefix}-{name}.scope")
        };
        let path = above.join(expand_slice(slice)?).join(&name);
        Ok(Self { name, slice: slice.to_owned(), path, is_users })
    }
}

/// `a-b.slice` is in `a.slice`: the folder of a slice.
fn expand_slice(slice: &str) -> Result<PathBuf, String> {
    let invalid = || format!("invalid slice name: {slice}");
    let name = slice.strip_suffix(".slice").filter(|name| !name.is_empty() && !name.contains('/'));
    let name = name.ok_or_else(invalid)?;
    if name == "-" {
        return Ok(PathBuf::new());
    }
    let (mut path, mut prefix) = (PathBuf::new(), String::new());
    for part in name.split('-') {
        if part.is_empty() {
            return Err(invalid());
        }
        path.push(format!("{prefix}{part}.slice"));
        prefix.push_str(part);
        prefix.push('-');
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, is_users: bool, expected: Result<(&str, &str), &str>) {
        let above = Path::new(if is_users { "user.slice/user@7.service" } else { "" });
        let unit = Unit::new("id", Some(Path::new(path)), above, is_users);
        let unit = unit.as_ref().map(|unit| (unit.name.as_str(), unit.path.to_str().unwrap()));
        match (unit, expected) {
            (Err(error), Err(words)) => assert!(error.contains(words), "{error}"),
            (unit, expected) => assert_eq!(unit.ok(), expected.ok(), "{path}"),
        }
    }

    #[test]
    fn a_path_names_slice_prefix_and_name() {
        check(
            "a-b.slice:docker:1",
            false,
            Ok(("docker-1.scope", "a.slice/a-b.slice/docker-1.scope")),
        );
        check("", false, Ok(("wharf-id.scope", "system.slice/wharf-id.scope")));
        check("::x", false, Ok(("x.scope", "system.slice/x.scope")));
        check("-.slice:p:x", false, Ok(("p-x.scope", "p-x.scope")));
        let users = "user.slice/user@7.service/user.slice/p-x.scope";
        check(":p:x", true, Ok(("p-x.scope", users)));
    }

    #[test]
    fn what_is_no_unit_is_refused() {
        check("/a/b", false, Err("expected cgroupsPath to be of format \"slice:prefix:name\""));
        check("a--b.slice:p:x", false, Err("invalid slice name: a--b.slice"));
        check("a:p:x", false, Err("invalid slice name: a"));
        check("a.slice:p:../x", false, Err("is no name of a unit"));
        check("a.slice:p:x.slice", false, Err("is a slice"));
    }
}
