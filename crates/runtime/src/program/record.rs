//! What is kept of a container between two calls of this program.
//!
//! A folder of the container's name below `--root`:
//!
//! | file | what |
//! |---|---|
//! | `config.json` | the configuration that it was created with |
//! | `state.json` | [`Record`] |
//! | `start.sock` | where its first process waits to be started; gone once it was |

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use oci::runtime::Spec;
use runtime::Container;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

const CONFIGURATION: &str = "config.json";
const STATE: &str = "state.json";
const START_SOCKET: &str = "start.sock";

/// Longer ids make paths that the kernel refuses in places.
const ID_LENGTH_MAX: usize = 1024;

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

impl Folder {
    /// Makes the folder for a new container.
    pub(crate) fn create(root: &Path, id: &str) -> anyhow::Result<Self> {
        let folder = Self::of(root, id)?;
        fs::create_dir_all(root).with_context(|| format!("cannot make `{}`", root.display()))?;
        match fs::create_dir(&folder.path) {
            Ok(()) => Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                bail!("container with given ID already exists")
            }
            Err(error) => Err(error).context(format!("cannot make `{}`", folder.path.display())),
        }
    }

    /// The folder of a container that is there.
    pub(crate) fn open(root: &Path, id: &str) -> anyhow::Result<Self> {
        let folder = Self::of(root, id)?;
        if !folder.path.join(STATE).exists() {
            bail!("container does not exist");
        }
        Ok(folder)
    }

    fn of(root: &Path, id: &str) -> anyhow::Result<Self> {
        let is_fine = |letter: char| letter.is_ascii_alphanumeric() || "_+-.".contains(letter);
        if id.is_empty()
            || id.len() > ID_LENGTH_MAX
            || !id.chars().all(is_fine)
            || id == "."
            || id == ".."
        {
            bail!("invalid container ID format: {id:?}");
        }
        Ok(Self { path: root.join(id) })
    }

    pub(crate) fn save(&self, record: &Record, spec: &Spec) -> anyhow::Result<()> {
        self.write(CONFIGURATION, &serde_json::to_vec(spec)?)?;
        self.write(STATE, &serde_json::to_vec(record)?)
    }

    /// Replaces a file as a whole: a reader sees the old or the new one.
    fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.path.join(name);
        let new = self.path.join(format!("{name}.new"));
        fs::write(&new, bytes)
            .and_then(|()| fs::rename(&new, &path))
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    pub(crate) fn record(&self) -> anyhow::Result<Record> {
        Ok(serde_json::from_slice(&self.read(STATE)?)?)
    }

    pub(crate) fn spec(&self) -> anyhow::Result<Spec> {
        Ok(serde_json::from_slice(&self.read(CONFIGURATION)?)?)
    }

    fn read(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        let path = self.path.join(name);
        fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))
    }

    /// The container, if its first process lives.
    pub(crate) fn container(&self) -> anyhow::Result<Option<Container>> {
        let record = self.record()?;
        if !is_alive(&record) {
            return Ok(None);
        }
        let pid = Pid::from_raw(record.pid).context("the recorded process id makes no sense")?;
        Ok(Some(Container::open(&record.id, &self.spec()?, record.bundle, pid)?))
    }

    pub(crate) fn status(&self) -> anyhow::Result<Status> {
        let Some(container) = self.container()? else { return Ok(Status::Stopped) };
        if container.cgroup().is_frozen().unwrap_or(false) {
            return Ok(Status::Paused);
        }
        let is_waiting = self.path.join(START_SOCKET).exists();
        Ok(if is_waiting { Status::Created } else { Status::Running })
    }

    /// A socket for the container to wait at.
    pub(crate) fn make_start_socket(&self) -> anyhow::Result<OwnedFd> {
        let socket = seqpacket_socket()?;
        let (_folder, address) = self.socket_address()?;
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
    fn socket_address(&self) -> anyhow::Result<(fs::File, SocketAddrUnix)> {
        let folder = fs::File::open(&self.path)?;
        let path = format!("/proc/self/fd/{}/{START_SOCKET}", folder.as_raw_fd());
        Ok((folder, SocketAddrUnix::new(path)?))
    }

    pub(crate) fn remove(&self) -> anyhow::Result<()> {
        fs::remove_dir_all(&self.path)
            .with_context(|| format!("cannot remove `{}`", self.path.display()))
    }
}

fn seqpacket_socket() -> anyhow::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// The ids below `root`, in order.
pub(crate) fn ids(root: &Path) -> anyhow::Result<Vec<String>> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context(format!("cannot read `{}`", root.display())),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.path().join(STATE).exists() {
            ids.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    ids.sort();
    Ok(ids)
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
