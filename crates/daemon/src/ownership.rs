//! Being the only one: the data root's lock, and the file with the process id.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// The file in the data root that a live daemon holds.
const LOCK_FILE: &str = "wharfd.lock";

/// This daemon may not have what it was told to use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnershipError {
    #[error("data root {path} is in use by another daemon (process {pid})")]
    InUse { path: PathBuf, pid: String },
    #[error("cannot lock data root {path}")]
    Lock { path: PathBuf, source: io::Error },
    #[error("process with PID {pid} is still running (pidfile {path})")]
    Running { path: PathBuf, pid: u32 },
    #[error("cannot write pidfile {path}")]
    Pidfile { path: PathBuf, source: io::Error },
}

/// A data root that is ours for as long as this lives.
#[derive(Debug)]
pub(crate) struct DataRootLock {
    _file: File,
}

impl DataRootLock {
    /// Makes the data root if it is not there, and takes it.
    pub(crate) fn take(root: &Path) -> Result<Self, OwnershipError> {
        let failed = |source| OwnershipError::Lock { path: root.to_owned(), source };
        make_private(root).map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(root.join(LOCK_FILE))
            .map_err(failed)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).map_err(failed)?;
                let pid = pid.trim().to_owned();
                return Err(OwnershipError::InUse { path: root.to_owned(), pid });
            }
            Err(error) => return Err(failed(error.into())),
        }
        let write = || {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        let mut write = write;
        write().map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// Containers' files are nobody's business but root's; others may pass through.
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if folder.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o711).create(folder)
}

/// A file with our process id, removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Pidfile(PathBuf);

impl Pidfile {
    pub(crate) fn write(path: &Path) -> Result<Self, OwnershipError> {
        if let Some(pid) = live_process(path) {
            return Err(OwnershipError::Running { path: path.to_owned(), pid });
        }
        let write = || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(path, std::process::id().to_string())
        };
        write().map_err(|source| OwnershipError::Pidfile { path: path.to_owned(), source })?;
        Ok(Self(path.to_owned()))
    }
}

/// The process that an earlier file names, if it lives and is another one.
fn live_process(path: &Path) -> Option<u32> {
    let pid: u32 = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    (pid != std::process::id() && is_alive(pid)).then_some(pid)
}

/// A process that was killed keeps its number until its parent takes note, which the parent of
/// a daemon may never do.
fn is_alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The name before it is in brackets, and may hold some itself. See `proc_pid_stat(5)`.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    !matches!(state, Some('Z' | 'X'))
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(%error, path = %self.0.display(), "the pidfile is gone");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_root_has_one_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let lock = DataRootLock::take(&root).unwrap();
        let error = DataRootLock::take(&root).unwrap_err();
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        drop(lock);
        DataRootLock::take(&root).unwrap();
    }

    #[test]
    fn a_pidfile_of_a_live_process_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wharfd.pid");
        std::fs::write(&path, "1").unwrap();
        assert!(matches!(Pidfile::write(&path), Err(OwnershipError::Running { pid: 1, .. })));
        // No process can have this number.
        std::fs::write(&path, "4194305").unwrap();
        drop(Pidfile::write(&path).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn a_pidfile_of_a_process_that_nobody_buried_is_taken_over() {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wharfd.pid");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = Pid::from_child(&child);
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        std::fs::write(&path, child.id().to_string()).unwrap();
        Pidfile::write(&path).unwrap();
        child.wait().unwrap();
    }
}
