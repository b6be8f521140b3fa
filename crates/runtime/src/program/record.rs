//! What is kept of a container between two calls of this program.
//!
//! A folder of the container's name below `--root`:
//!
//! | file | what |
//! |---|---|
//! | `config.json` | the configuration that it was created with |
//! | `state.json` | [`Record`]: with it the container is there |
//! | `start.sock` | where its first process waits to be started; gone once it was |
//!
//! A folder without `state.json` is one in the making, whose maker holds a lock on it; or else
//! the maker was killed, and what it has left is cleaned up by whoever comes next.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use oci::runtime::{LinuxSeccomp, Spec};
use runtime::{CgroupLocation, Container};
use rustix::fs::{FlockOperation, Mode};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

const CONFIGURATION: &str = "config.json";
const STATE: &str = "state.json";
const START_SOCKET: &str = "start.sock";

/// Longer names are refused by file systems.
const ID_LENGTH_MAX: usize = 255;

/// A container, as its creator noted it down.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) pid: i32,
    /// Field 22 of `/proc/<pid>/stat`: tells the process from a later one of the same number.
    pub(crate) start_ticks: u64,
    pub(crate) bundle: PathBuf,
    pub(crate) rootfs: PathBuf,
    pub(crate) created: String,
    pub(crate) cgroup: CgroupLocation,
    /// The root folder as its first process had it at first: device and inode.
    #[serde(default)]
    pub(crate) root: Option<(u64, u64)>,
    /// What looking after a container needs of its configuration, which as a whole may be
    /// long: reading that is left to those who make processes.
    pub(crate) spec: Spec,
}

impl Record {
    /// The part of a configuration that is for [`Record::spec`].
    pub(crate) fn essence(spec: &Spec) -> Spec {
        let mut essence = Spec::default();
        essence
            .set_version(spec.version().clone())
            .set_hooks(spec.hooks().clone())
            .set_annotations(spec.annotations().clone())
            .set_process(None)
            .set_root(None)
            .set_mounts(None)
            .set_hostname(None)
            .set_linux(spec.linux().as_ref().map(essence_of_linux));
        essence
    }
}

fn essence_of_linux(linux: &oci::runtime::Linux) -> oci::runtime::Linux {
    let mut essence = oci::runtime::Linux::default();
    essence
        .set_namespaces(linux.namespaces().clone())
        .set_cgroups_path(linux.cgroups_path().clone())
        .set_uid_mappings(linux.uid_mappings().clone())
        .set_gid_mappings(linux.gid_mappings().clone())
        .set_intel_rdt(linux.intel_rdt().clone())
        .set_seccomp(linux.seccomp().as_ref().map(essence_of_seccomp))
        .set_resources(None)
        .set_devices(None)
        .set_masked_paths(None)
        .set_readonly_paths(None);
    essence
}

/// That there is a filter, which the first process may die of when it starts, and who is to be
/// told of it. Not the rules: those are for who makes processes.
fn essence_of_seccomp(seccomp: &LinuxSeccomp) -> LinuxSeccomp {
    let mut essence = LinuxSeccomp::default();
    essence
        .set_default_action(seccomp.default_action())
        .set_listener_path(seccomp.listener_path().clone())
        .set_listener_metadata(seccomp.listener_metadata().clone());
    essence
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Created,
    Running,
    Paused,
    Stopped,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// A container's folder.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

/// A folder for a container in the making.
#[derive(Debug)]
pub(crate) struct NewFolder {
    pub(crate) folder: Folder,
    /// Held until the container is recorded, or this process is gone.
    pub(crate) lock: File,
}

/// A container that is there.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) folder: Folder,
    pub(crate) record: Record,
}

/// There is no container of that name.
#[derive(Debug, thiserror::Error)]
#[error("container does not exist")]
pub(crate) struct DoesNotExist;

impl NewFolder {
    /// Makes the folder for a new container, or takes over one whose maker was killed.
    pub(crate) fn create(root: &Path, id: &str) -> anyhow::Result<Self> {
        const ATTEMPTS_MAX: u32 = 8;
        let folder = Folder::of(root, id)?;
        for _ in 0..ATTEMPTS_MAX {
            match make_folder(root, &folder.path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if folder.path.join(STATE).exists() {
                        break;
                    }
                }
                Err(error) => {
                    return Err(error).context(format!("cannot make `{}`", folder.path.display()));
                }
            }
            if let Some(lock) = folder.lock(FlockOperation::NonBlockingLockExclusive)? {
                // Another maker may have been quicker all the same.
                if !folder.path.join(STATE).exists() {
                    folder.clean_up_after_killed_maker()?;
                    return Ok(Self { folder, lock });
                }
            }
        }
        bail!("container with given ID already exists")
    }
}

/// A folder for records is nobody else's business, but a container's own process may have to
/// come through, as an ordinary user.
fn make_folder(root: &Path, folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let make = |path: &Path, mode| fs::DirBuilder::new().mode(mode).create(path);
    match make(folder, 0o711) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(root)?;
            make(folder, 0o711)
        }
        result => result,
    }
}

impl Folder {
    /// The folder of a container, whether it is there or not.
    pub(crate) fn of(root: &Path, id: &str) -> anyhow::Result<Self> {
        if id.is_empty() {
            bail!("container id cannot be empty");
        }
        let is_fine = |letter: char| letter.is_ascii_alphanumeric() || "_+-.".contains(letter);
        if id.len() > ID_LENGTH_MAX || !id.chars().all(is_fine) || id == "." || id == ".." {
            bail!("invalid container ID format: {id:?}");
        }
        Ok(Self { path: root.join(id) })
    }

    /// Locks the folder. `None` if somebody else has, or it is another one by now.
    fn lock(&self, how: FlockOperation) -> anyhow::Result<Option<File>> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result.with_context(|| format!("cannot open `{}`", self.path.display()))?,
        };
        match rustix::fs::flock(&file, how) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            result => result.context("cannot lock the container's folder")?,
        }
        let identity = |data: fs::Metadata| (data.dev(), data.ino());
        let is_same = fs::metadata(&self.path)
            .is_ok_and(|there| file.metadata().is_ok_and(|here| identity(here) == identity(there)));
        Ok(is_same.then_some(file))
    }

    /// Removes what there is without a record: what a maker has left that was killed. One that
    /// is still at work is waited for: `false` if there is a container then.
    pub(crate) fn remove_unfinished(&self) -> anyhow::Result<bool> {
        let Some(_lock) = self.lock(FlockOperation::LockExclusive)? else { return Ok(true) };
        if self.path.join(STATE).exists() {
            return Ok(false);
        }
        self.clean_up_after_killed_maker()?;
        self.remove().map(|()| true)
    }

    /// Its first process has ended with it, before its program could run; but its cgroup may
    /// be left, of which the configuration tells.
    fn clean_up_after_killed_maker(&self) -> anyhow::Result<()> {
        let Ok(spec) = self.spec() else { return Ok(()) };
        let id = self.path.file_name().unwrap_or_default().to_string_lossy();
        let mut spec = Record::essence(&spec);
        // Nothing that they could be told has ever been there.
        spec.set_hooks(None);
        // A unit of systemd's goes with its last process.
        let cgroup = CgroupLocation::by_file(&id, &spec);
        runtime::clean_up(&id, &spec, Path::new("/"), &cgroup)?;
        for name in [CONFIGURATION, START_SOCKET] {
            match fs::remove_file(self.path.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).context(format!("cannot remove `{name}`"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Notes the configuration down, before anything is made after it.
    pub(crate) fn save_spec(&self, text: &[u8]) -> anyhow::Result<()> {
        self.write(CONFIGURATION, text)
    }

    /// Notes the container down: from here on it is there.
    pub(crate) fn save(&self, record: &Record) -> anyhow::Result<()> {
        self.write(STATE, &serde_json::to_vec(record)?)
    }

    /// Replaces a file as a whole: a reader sees the old or the new one.
    fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.path.join(name);
        let new = self.path.join(format!("{name}.new"));
        // An environment may have secrets in it.
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options
            .open(&new)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&new, &path))
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// The whole configuration.
    pub(crate) fn spec(&self) -> anyhow::Result<Spec> {
        let path = self.path.join(CONFIGURATION);
        let text = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// A socket for the container to wait at.
    pub(crate) fn make_start_socket(&self) -> anyhow::Result<OwnedFd> {
        let socket = seqpacket_socket()?;
        let (_folder, address) = self.socket_address()?;
        // Its file's mode, then: whoever may write to it may start the container.
        rustix::fs::fchmod(&socket, Mode::from_raw_mode(0o600))?;
        bind(&socket, &address)?;
        listen(&socket, 1)?;
        Ok(socket)
    }

    /// Connects to the container that waits, which can be done once.
    pub(crate) fn take_start_socket(&self) -> anyhow::Result<OwnedFd> {
        let socket = seqpacket_socket()?;
        let (_folder, address) = self.socket_address()?;
        connect(&socket, &address).context("the container has been started before")?;
        fs::remove_file(self.path.join(START_SOCKET))?;
        Ok(socket)
    }

    /// Through a descriptor of the folder: the address of a socket has room for 107 bytes only.
    fn socket_address(&self) -> anyhow::Result<(File, SocketAddrUnix)> {
        let folder = File::open(&self.path)?;
        let path = format!("/proc/self/fd/{}/{START_SOCKET}", folder.as_raw_fd());
        Ok((folder, SocketAddrUnix::new(path)?))
    }

    /// Removes the record first: without it, what is left is cleaned up by whoever comes next.
    pub(crate) fn remove(&self) -> anyhow::Result<()> {
        let _ = fs::remove_file(self.path.join(STATE));
        match fs::remove_dir_all(&self.path) {
            // Somebody else may be at it too.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).context(format!("cannot remove `{}`", self.path.display()))
            }
            _ => Ok(()),
        }
    }

    /// The number of the folder's owner.
    pub(crate) fn owner(&self) -> anyhow::Result<u32> {
        Ok(fs::metadata(&self.path)?.uid())
    }
}

impl Known {
    pub(crate) fn open(root: &Path, id: &str) -> anyhow::Result<Self> {
        let folder = Folder::of(root, id)?;
        let path = folder.path.join(STATE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(DoesNotExist),
            result => result.with_context(|| format!("cannot read `{}`", path.display()))?,
        };
        let record = serde_json::from_slice(&text)
            .with_context(|| format!("`{}` makes no sense", path.display()))?;
        Ok(Self { folder, record })
    }

    /// The container, if its first process lives, to be looked after.
    pub(crate) fn container(&self) -> anyhow::Result<Option<Container>> {
        self.container_by(&self.record.spec)
    }

    /// The same, to run a process in it.
    pub(crate) fn container_by(&self, spec: &Spec) -> anyhow::Result<Option<Container>> {
        let record = &self.record;
        if !is_alive(record) {
            return Ok(None);
        }
        let pid = Pid::from_raw(record.pid).context("the recorded process id makes no sense")?;
        let container = Container::open(&record.id, spec, &record.bundle, pid, &record.cgroup)?;
        Ok(Some(container.with_root(record.root)))
    }

    pub(crate) fn status(&self) -> anyhow::Result<Status> {
        Ok(self.status_of(self.container()?.as_ref()))
    }

    /// `container` is what [`Known::container`] says.
    pub(crate) fn status_of(&self, container: Option<&Container>) -> Status {
        let Some(container) = container else { return Status::Stopped };
        if container.cgroup().is_frozen().unwrap_or(false) {
            return Status::Paused;
        }
        let is_waiting = self.folder.path.join(START_SOCKET).exists();
        if is_waiting { Status::Created } else { Status::Running }
    }

    /// The first process's id, as it is shown: none once it has ended.
    pub(crate) fn shown_pid(&self, status: Status) -> i32 {
        if status == Status::Stopped { 0 } else { self.record.pid }
    }
}

fn seqpacket_socket() -> anyhow::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// The names of the folders below `root`, in order. `None` if there is no `root`.
pub(crate) fn ids(root: &Path) -> anyhow::Result<Option<Vec<String>>> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context(format!("open {}", root.display())),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.path().join(STATE).exists() {
            ids.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    ids.sort();
    Ok(Some(ids))
}

fn is_alive(record: &Record) -> bool {
    start_ticks(record.pid)
        .is_some_and(|(state, ticks)| ticks == record.start_ticks && state != 'Z' && state != 'X')
}

/// A process's state and the time of its start, from `/proc/<pid>/stat`.
pub(crate) fn start_ticks(pid: i32) -> Option<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, a name, is in brackets and may contain anything.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}
