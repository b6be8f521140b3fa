//! Doing what a shim that was killed could not do any more.
//!
//! The container's mounts are in its own mount namespace and its network namespace was held
//! by the shim, so both go with the processes. What is left to do is to end those processes
//! and to remove their cgroups.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use errors::{Explain, Kind};
use rustix::io::Errno;
use rustix::process::Pid;
use serde::Deserialize;

use super::{last_state, lock};
use crate::process;
use crate::protocol::{Phase, State, files};

/// How long killed processes may take to be gone. One that waits for a dead disk or a lost
/// network file system never is.
const DEATH_DEADLINE: Duration = Duration::from_secs(10);

/// Rounds of listing and killing. Each round ends everything it saw, so only a process that
/// forked in between is left for the next.
const ROUNDS_MAX: u32 = 64;

/// What was found and done.
#[derive(Debug, Default)]
pub struct CleanedUp {
    /// What the shim knew last, if it got so far as to have a container.
    pub last_state: Option<State>,
    /// Processes that were still there and were killed.
    pub killed: u32,
    /// What the shim wrote before it died, if it was not killed but panicked.
    pub last_words: String,
}

/// Something of a dead shim's container could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum CleanUpError {
    #[error("cannot read what the shim in {} left", folder.display())]
    Read { folder: PathBuf, source: io::Error },
    /// Only a dead shim can be cleaned up after.
    #[error("the shim in {} still runs", folder.display())]
    ShimLives { folder: PathBuf },
    #[error("cannot kill the processes in {}", cgroup.display())]
    Kill { cgroup: PathBuf, source: io::Error },
    #[error("a process of the container does not end although it was killed")]
    Unkillable,
    #[error("cannot remove {}", path.display())]
    Remove { path: PathBuf, source: io::Error },
}

impl Explain for CleanUpError {
    fn kind(&self) -> Kind {
        match self {
            Self::ShimLives { .. } => Kind::Conflict,
            Self::Read { .. } | Self::Kill { .. } | Self::Unkillable | Self::Remove { .. } => {
                Kind::Internal
            }
        }
    }

    fn hint(&self) -> Option<String> {
        matches!(self, Self::Unkillable).then(|| {
            "it probably waits for a disk or network file system that does not answer".to_owned()
        })
    }
}

/// Ends what a dead shim's container left running, and removes its cgroups and the shim's
/// socket. Does nothing where nothing is left. Goes on after an error and reports the first.
///
/// A shim that lives is left alone: that is [`CleanUpError::ShimLives`].
pub fn clean_up(folder: &Path) -> Result<CleanedUp, CleanUpError> {
    let read = |source| CleanUpError::Read { folder: folder.to_owned(), source };
    if !lock::await_release(folder).map_err(read)? {
        return Err(CleanUpError::ShimLives { folder: folder.to_owned() });
    }
    let last_state = last_state(folder).map_err(read)?;
    let mut cleaned_up = CleanedUp::default();
    let outcome = end_container(folder, last_state.as_ref(), &mut cleaned_up.killed);
    let mut first_error = outcome.err();
    for name in [files::SOCKET, files::STATE_NEW] {
        let path = folder.join(name);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                first_error.get_or_insert(CleanUpError::Remove { path, source });
            }
            _ => {}
        }
    }
    cleaned_up.last_words = lock::last_words(folder);
    cleaned_up.last_state = last_state;
    first_error.map_or(Ok(cleaned_up), Err)
}

fn end_container(
    folder: &Path,
    state: Option<&State>,
    killed: &mut u32,
) -> Result<(), CleanUpError> {
    let deadline = Instant::now() + DEATH_DEADLINE;
    // First of all: with it goes its whole pid namespace.
    let first = state.and_then(open_first_process);
    if let Some(first) = &first {
        process::kill(first);
        *killed += 1;
    }
    let cgroups = cgroups(folder, state);
    for cgroup in &cgroups {
        empty(cgroup, deadline, killed)?;
    }
    if let Some(first) = &first {
        await_end(first, deadline)?;
    }
    // A cgroup in another hierarchy is removed only now, when all are empty.
    cgroups.iter().try_for_each(|cgroup| remove_tree(cgroup, deadline))
}

/// The container's cgroups: those that the shim wrote down or, if it died while it made them,
/// those that the configuration names and that are there.
fn cgroups(folder: &Path, state: Option<&State>) -> Vec<PathBuf> {
    match state {
        Some(State { phase: Phase::Exited, .. }) => Vec::new(),
        Some(state) if !state.cgroup_paths.is_empty() => state.cgroup_paths.clone(),
        _ => configured_cgroups(folder),
    }
}

fn configured_cgroups(folder: &Path) -> Vec<PathBuf> {
    // Without a readable configuration nothing was made.
    let Ok(text) = std::fs::read(folder.join(files::CONFIG)) else { return Vec::new() };
    let Ok(config) = serde_json::from_slice::<Configuration>(&text) else { return Vec::new() };
    let path = config.linux.and_then(|linux| linux.cgroups_path).unwrap_or_default();
    let path: PathBuf =
        path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    if path.as_os_str().is_empty() {
        return Vec::new();
    }
    // Version 2 alone has its hierarchy here, version 1 has one in each folder.
    let hierarchies = children(Path::new(CGROUP_MOUNT_POINT)).unwrap_or_default();
    std::iter::once(PathBuf::from(CGROUP_MOUNT_POINT))
        .chain(hierarchies)
        .map(|hierarchy| hierarchy.join(&path))
        .filter(|cgroup| cgroup.join("cgroup.procs").exists())
        .collect()
}

/// Where every host mounts its cgroups.
const CGROUP_MOUNT_POINT: &str = "/sys/fs/cgroup";

/// What matters here of `config.json`.
#[derive(Deserialize)]
struct Configuration {
    linux: Option<LinuxConfiguration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LinuxConfiguration {
    cgroups_path: Option<PathBuf>,
}

/// The container's first process, if it still lives and is the same.
fn open_first_process(state: &State) -> Option<OwnedFd> {
    let pid = Pid::from_raw(state.pid)?;
    let found = process::open(pid).ok()?;
    // Looked at after the descriptor was opened, so it is of the process that we hold.
    let is_same = process::start_ticks(state.pid) == Some(state.pid_start_ticks);
    // A zombie that nobody has waited for yet is no process any more.
    let has_ended = process::await_end(&found, Instant::now());
    (is_same && !has_ended).then_some(found)
}

/// Kills what is in a cgroup and those below it, and waits until it is empty.
fn empty(cgroup: &Path, deadline: Instant, killed: &mut u32) -> Result<(), CleanUpError> {
    thaw(cgroup);
    // Version 2 has one switch for all of it; where there is none, the rounds do the work.
    let _ = write_existing(&cgroup.join("cgroup.kill"), "1");
    for _ in 0..ROUNDS_MAX {
        let processes = processes_below(cgroup)
            .map_err(|source| CleanUpError::Kill { cgroup: cgroup.to_owned(), source })?;
        if processes.is_empty() {
            return Ok(());
        }
        *killed += u32::try_from(processes.len()).unwrap_or(u32::MAX);
        processes.iter().for_each(process::kill);
        for process in &processes {
            await_end(process, deadline)?;
        }
    }
    Err(CleanUpError::Unkillable)
}

/// A frozen process of version 1 does not notice that it was killed.
fn thaw(cgroup: &Path) {
    let _ = write_existing(&cgroup.join("freezer.state"), "THAWED");
}

fn write_existing(path: &Path, content: &str) -> io::Result<()> {
    use std::io::Write as _;
    std::fs::OpenOptions::new().write(true).open(path)?.write_all(content.as_bytes())
}

fn processes_below(cgroup: &Path) -> io::Result<Vec<OwnedFd>> {
    let mut found = Vec::new();
    let mut pending = vec![cgroup.to_owned()];
    while let Some(folder) = pending.pop() {
        let text = match std::fs::read_to_string(folder.join("cgroup.procs")) {
            Ok(text) => text,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error),
        };
        found.extend(
            text.lines()
                .filter_map(|line| Pid::from_raw(line.parse().ok()?))
                .filter_map(|pid| process::open(pid).ok()),
        );
        pending.extend(children(&folder)?);
    }
    Ok(found)
}

/// Whether a cgroup's file says that the cgroup is not there (any more).
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(Errno::NODEV.raw_os_error())
}

fn children(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect())
}

fn await_end(process: &OwnedFd, deadline: Instant) -> Result<(), CleanUpError> {
    process::await_end(process, deadline).then_some(()).ok_or(CleanUpError::Unkillable)
}

/// Removes a cgroup with all below it. A cgroup stays busy for a moment after its last
/// process has ended, until that is reaped.
fn remove_tree(cgroup: &Path, deadline: Instant) -> Result<(), CleanUpError> {
    let removal = |source| CleanUpError::Remove { path: cgroup.to_owned(), source };
    for child in children(cgroup).map_err(removal)? {
        remove_tree(&child, deadline)?;
    }
    loop {
        match std::fs::remove_dir(cgroup) {
            Ok(()) => return Ok(()),
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error)
                if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline =>
            {
                std::thread::sleep(BUSY_PAUSE);
            }
            Err(source) => return Err(removal(source)),
        }
    }
}

/// Between two tries to remove a cgroup whose last process is being reaped by somebody else,
/// of which the kernel does not tell.
const BUSY_PAUSE: Duration = Duration::from_millis(2);
