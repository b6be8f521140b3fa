//! Being the only one: the data root's lock, and the file with the process id.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

/// The file in the data root that a live daemon holds.
const LOCK_FILE: &str = "wharfd.lock";

/// How long a lock may outlive the daemon that took it: until a child that was forked from it just
/// before its death has executed its program, and so has let go of the lock.
const RELEASE_TIME: Duration = Duration::from_secs(5);

/// Between two looks at a lock, of whose release nobody tells.
const RELEASE_PAUSE: Duration = Duration::from_millis(5);

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
        let deadline = Instant::now() + RELEASE_TIME;
        while let Err(error) = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(failed(error.into()));
            }
            let holder = read_holder(&mut file).map_err(failed)?;
            if Instant::now() > deadline || holder.parse().is_ok_and(is_daemon) {
                return Err(OwnershipError::InUse { path: root.to_owned(), pid: holder });
            }
            std::thread::sleep(RELEASE_PAUSE);
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

/// The process that has written itself into the lock file.
fn read_holder(file: &mut File) -> io::Result<String> {
    let mut pid = String::new();
    file.rewind()?;
    file.read_to_string(&mut pid)?;
    Ok(pid.trim().to_owned())
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
        if let Some(pid) = earlier_process(path).filter(|pid| is_daemon(*pid)) {
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

/// The process that an earlier file names, if it is not this one.
fn earlier_process(path: &Path) -> Option<u32> {
    let pid: u32 = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    (pid != std::process::id()).then_some(pid)
}

/// Whether a process lives and is called as we are.
fn is_daemon(pid: u32) -> bool {
    let own_name = std::fs::read_to_string("/proc/self/comm").unwrap_or_default();
    lives_as(pid, own_name.trim())
}

/// Whether a process lives and is called that. A killed daemon may be a zombie for a while,
/// and its number may be another program's by now.
fn lives_as(pid: u32, name: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let Some((start, rest)) = stat.rsplit_once(')') else { return false };
    let own_name = start.split_once('(').map_or("", |(_, name)| name);
    own_name == name && !rest.trim_start().starts_with(['Z', 'X'])
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
    fn a_lock_that_outlives_its_daemon_for_a_moment_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let lock = DataRootLock::take(folder.path()).unwrap();
        // No process can have this number.
        std::fs::write(folder.path().join(LOCK_FILE), "4194305").unwrap();
        // As a child that was forked has it.
        let inherited = lock._file.try_clone().unwrap();
        drop(lock);
        let letting_go = std::thread::spawn(move || {
            std::thread::sleep(RELEASE_PAUSE * 4);
            drop(inherited);
        });
        DataRootLock::take(folder.path()).unwrap();
        letting_go.join().unwrap();
    }

    #[test]
    fn a_pidfile_of_a_dead_process_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wharfd.pid");
        // No process can have this number.
        std::fs::write(&path, "4194305").unwrap();
        drop(Pidfile::write(&path).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn a_zombie_is_dead_and_another_program_is_no_daemon() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let pid = child.id();
        // Until it has executed its program, it has ours.
        while !lives_as(pid, "sleep") {
            std::thread::yield_now();
        }
        assert!(!lives_as(pid, "wharfd"));
        child.kill().unwrap();
        while lives_as(pid, "sleep") {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }
}
