//! Reading and writing the small files of a cgroup.

use std::fs;
use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::Pid;

use super::CgroupError;
use super::error::is_errno;

/// Writes `value` to the file `name` of the cgroup `folder`.
// Numbers, and strings made for the purpose: a reference would only be noise.
#[allow(clippy::needless_pass_by_value)]
pub(super) fn write(folder: &Path, name: &str, value: impl ToString) -> Result<(), CgroupError> {
    let file = folder.join(name);
    let value = value.to_string();
    // Not `fs::write`: that would create a file of a misspelt name where the folder is not
    // really a cgroup.
    fs::OpenOptions::new()
        .write(true)
        .open(&file)
        .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()))
        .map_err(|source| CgroupError::Write { file, value, source })
}

/// Writes a limit, which the configuration calls `field`.
// As above.
#[allow(clippy::needless_pass_by_value)]
pub(super) fn set(
    folder: &Path,
    field: &str,
    name: &str,
    value: impl ToString,
) -> Result<(), CgroupError> {
    write(folder, name, value).map_err(|error| match error {
        CgroupError::Write { file, value, source } => {
            CgroupError::Limit { field: field.to_owned(), file, value, source }
        }
        error => error,
    })
}

/// The text of the file `name` of the cgroup `folder`.
pub(super) fn read(folder: &Path, name: &str) -> Result<String, CgroupError> {
    let file = folder.join(name);
    fs::read_to_string(&file).map_err(|source| CgroupError::Read { file, source })
}

/// The number in a file, `None` if the file is not there or says `max`.
pub(super) fn read_number(folder: &Path, name: &str) -> Option<u64> {
    fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok()
}

/// The number after `key` in a file of `key value` lines.
pub(super) fn read_keyed(folder: &Path, name: &str, key: &str) -> Option<u64> {
    value_of(&fs::read_to_string(folder.join(name)).ok()?, key)
}

/// The number after `key` in a text of `key value` lines.
pub(super) fn value_of(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

/// The processes listed in a cgroup.
pub(super) fn processes(folder: &Path) -> Result<Vec<Pid>, CgroupError> {
    let text = read(folder, "cgroup.procs")?;
    // A process of a foreign pid namespace is listed as 0.
    Ok(text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect())
}

/// The processes listed in a cgroup and in those below, which the container itself has made.
pub(super) fn processes_below(folder: &Path) -> Result<Vec<Pid>, CgroupError> {
    let mut all = match processes(folder) {
        // The branches of a tree with threads for leaves list nobody.
        Err(error) if is_errno(&error, Errno::OPNOTSUPP) => Vec::new(),
        result => result?,
    };
    let entries = fs::read_dir(folder)
        .map_err(|source| CgroupError::Read { file: folder.to_owned(), source })?;
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // It may be gone by now.
            all.extend(processes_below(&entry.path()).unwrap_or_default());
        }
    }
    Ok(all)
}

/// Moves a process into a cgroup.
pub(super) fn admit(folder: &Path, process: Pid) -> Result<(), CgroupError> {
    match write(folder, "cgroup.procs", process.as_raw_nonzero()) {
        // It has ended by itself meanwhile.
        Err(error) if is_errno(&error, Errno::SRCH) => Ok(()),
        Err(CgroupError::Write { source, .. }) => {
            Err(CgroupError::Enter { path: folder.to_owned(), source })
        }
        result => result,
    }
}

/// Makes a cgroup and what is missing above it. One that is there is as good, as long as
/// nobody lives in it.
pub(super) fn create(path: &Path) -> Result<(), CgroupError> {
    match create_folders(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_empty(path),
        result => result.map_err(|source| CgroupError::Create { path: path.into(), source }),
    }
}

/// A process would stop for good at the moment it gets there.
fn check_thawed(path: &Path) -> Result<(), CgroupError> {
    let says = |name: &str, words: &[&str]| {
        let text = fs::read_to_string(path.join(name)).unwrap_or_default();
        words.contains(&text.trim())
    };
    if says("cgroup.freeze", &["1"]) || says("freezer.state", &["FROZEN", "FREEZING"]) {
        return Err(CgroupError::AlreadyFrozen { path: path.into() });
    }
    Ok(())
}

/// Makes a folder above a container's, if it is missing.
pub(super) fn create_shared(path: &Path) -> Result<(), CgroupError> {
    fs::create_dir_all(path).map_err(|source| CgroupError::Create { path: path.into(), source })
}

fn create_folders(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::create_dir(path)
        }
        result => result,
    }
}

/// The rest of another container must not be mistaken for this one's.
fn check_empty(path: &Path) -> Result<(), CgroupError> {
    match processes(path)?.first() {
        Some(process) => {
            let process = process.as_raw_nonzero().get();
            Err(CgroupError::Occupied { path: path.into(), process })
        }
        None => check_thawed(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_matched_whole() {
        let text = "oom 1\noom_kill 2\n";
        assert_eq!(value_of(text, "oom"), Some(1));
        assert_eq!(value_of(text, "oom_kill"), Some(2));
        assert_eq!(value_of(text, "oom_k"), None);
    }
}
