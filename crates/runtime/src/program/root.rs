//! Where containers are recorded.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// Root's; not on a disk, so that records do not outlive the host's run.
pub(crate) const DEFAULT: &str = "/run/wharf-runtime";

/// The folder of that name below `$XDG_RUNTIME_DIR`, for whom that is meant.
const NAME: &str = "wharf-runtime";

/// The folder that `--root` names, as an absolute path; or else the user's own.
pub(crate) fn choose(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    match given {
        Some(root) => {
            let root = std::path::absolute(root).context("--root")?;
            let root: PathBuf = clean(&root);
            if root == Path::new("/") {
                bail!("Option --root argument should not be set to /");
            }
            Ok(root)
        }
        None => match personal_folder() {
            Some(folder) => make_personal(folder.join(NAME)),
            None => Ok(PathBuf::from(DEFAULT)),
        },
    }
}

/// Without `.` and `..`, which the caller means by name alone.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::ParentDir => drop(clean.pop()),
            std::path::Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean
}

fn personal_folder() -> Option<PathBuf> {
    if is_real_root() {
        return None;
    }
    let folder = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty())?;
    // In a user namespace, `USER` tells who is at home there: root of it, or an ordinary user.
    let is_root_there = rustix::process::geteuid().is_root()
        && std::env::var_os("USER").is_some_and(|user| user == "root");
    (!is_root_there).then(|| PathBuf::from(folder))
}

/// Root, and of the host rather than of a user namespace.
pub(crate) fn is_real_root() -> bool {
    rustix::process::geteuid().is_root() && !linux::namespaces::is_in_user_namespace()
}

/// The sticky bit keeps what cleans up below `$XDG_RUNTIME_DIR` from doing so here.
fn make_personal(folder: PathBuf) -> anyhow::Result<PathBuf> {
    const MODE: u32 = 0o1700;
    let is_made =
        fs::metadata(&folder).is_ok_and(|folder| folder.permissions().mode() & 0o7777 == MODE);
    if !is_made {
        fs::create_dir_all(&folder)
            .and_then(|()| fs::set_permissions(&folder, fs::Permissions::from_mode(MODE)))
            .with_context(|| {
                format!("$XDG_RUNTIME_DIR must be writable by the user: {}", folder.display())
            })?;
    }
    Ok(folder)
}
