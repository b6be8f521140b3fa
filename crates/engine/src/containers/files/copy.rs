//! Copying in and out: what a path is, an archive of it, and an archive unpacked there.

use std::io::{BufReader, Read, Write};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;

use archive::extract::{Ground, Options, Owner, extract};
use archive::node::Xattrs;
use archive::place;
use archive::tree::{TreeError, TreeWriter};
use rustix::io::Errno;

use super::path::{self, UserPath};
use super::root::{IN_ROOT, PATIENCE, Root, is_kernels};
use super::{FilesError, PathStat};
use crate::containers::handle::Container;
use crate::containers::supervisor::blocking;
use crate::containers::view::{MountKind, Phase, View};
use crate::engine::Parts;
use crate::events::ObjectKind;

/// Bytes read from an archive at a time.
const BUFFER_LENGTH: usize = 128 << 10;

/// Longer is no list of users, but an attempt to fill our memory.
const USERS_LENGTH_MAX: u64 = 4 << 20;

/// How to copy into a container.
#[derive(Debug, Clone, Copy, Default)]
pub struct CopyIn {
    /// The files become those of the container's user, if it has one.
    pub to_container_user: bool,
    /// A folder does not take the place of something else, nor the other way round.
    pub keeps_kinds: bool,
}

/// What is at a path, and a way to have it.
pub struct CopyOut {
    pub stat: PathStat,
    root: Root,
    node: archive::node::Node,
    name: Vec<u8>,
    xattrs: Xattrs,
}

impl std::fmt::Debug for CopyOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyOut").field("stat", &self.stat).finish_non_exhaustive()
    }
}

impl CopyOut {
    /// Tells all portable extended attributes, and not only those that Docker does.
    #[must_use]
    pub fn with_all_xattrs(mut self, all: bool) -> Self {
        self.xattrs = if all { Xattrs::Portable } else { Xattrs::Capabilities };
        self
    }

    /// Writes the archive. Blocks.
    pub fn write(self, output: impl Write) -> Result<(), FilesError> {
        let hides = |node: &archive::node::Node| self.root.hides(node);
        let mut writer = TreeWriter::new(output, self.xattrs, &hides);
        match writer.add(&self.node, &self.name) {
            Ok(()) => writer.finish().map(drop).map_err(TreeError::Write),
            Err(error) => {
                writer.break_off();
                Err(error)
            }
        }
        .map_err(FilesError::Archive)
    }
}

/// What is at a path.
pub(crate) async fn stat(
    parts: &Arc<Parts>,
    container: &Container,
    named: &str,
    path: &str,
) -> Result<PathStat, FilesError> {
    let (path, named) = (path.to_owned(), named.to_owned());
    let opening = opening(parts, container).await?;
    blocking(move || Ok(look(&opening, &named, &path)?.stat)).await
}

/// Finds what is at a path, to be written as an archive.
pub(crate) async fn read(
    parts: &Arc<Parts>,
    container: &Container,
    named: &str,
    path: &str,
) -> Result<CopyOut, FilesError> {
    let (path, named) = (path.to_owned(), named.to_owned());
    let opening = opening(parts, container).await?;
    let found = blocking(move || look(&opening, &named, &path)).await?;
    tell(parts, &container.view(), "archive-path");
    Ok(found)
}

fn look(opening: &Opening, named: &str, path: &str) -> Result<CopyOut, FilesError> {
    let root = opening.open()?;
    let parsed = UserPath::parse(path);
    let node = path::find(&root, &parsed);
    let node = node.map_err(|error| path::explain(error, path, named))?;
    let stat = path::stat(&root, &parsed, &node);
    let xattrs = Xattrs::Capabilities;
    Ok(CopyOut { stat, root, node, name: parsed.name(), xattrs })
}

/// Unpacks an archive into a folder of the container's.
pub(crate) async fn write(
    parts: &Arc<Parts>,
    container: &Container,
    named: &str,
    path: &str,
    options: CopyIn,
    archive: impl Read + Send + 'static,
) -> Result<(), FilesError> {
    let (path, named) = (path.to_owned(), named.to_owned());
    let view = container.view();
    let opening = opening(parts, container).await?;
    blocking(move || {
        let root = opening.open()?;
        write_into(&root, &opening.view, &path, &named, options, archive)
    })
    .await?;
    tell(parts, &view, "extract-to-dir");
    Ok(())
}

fn write_into(
    root: &Root,
    view: &View,
    path: &str,
    named: &str,
    options: CopyIn,
    archive: impl Read + Send,
) -> Result<(), FilesError> {
    let explain = |error| path::explain(error, path, named);
    let parsed = UserPath::parse(path);
    let start = if parsed.clean.is_empty() { b"." } else { parsed.clean.as_slice() };
    let found = place::open_at(root.folder(), start, rustix::fs::OFlags::PATH, IN_ROOT);
    let found = found.map_err(explain)?;
    let folder = match path::open_folder(root.folder(), start) {
        Err(Errno::NOTDIR) => return Err(FilesError::NotFolder),
        other => other.map_err(explain)?,
    };
    drop(found);
    let resolved = place::path_within(root.folder(), rustix::fd::AsFd::as_fd(&folder))
        .map_err(|source| FilesError::Open { id: view.id.to_string(), source })?;
    check_writable(view, &resolved)?;
    let owner = match options.to_container_user {
        true => container_user(root, &view.spec.process.user)?,
        false => Owner::Archived,
    };
    let display = format!("/{}", String::from_utf8_lossy(&resolved));
    let options = Options {
        owner,
        keeps_kinds: options.keeps_kinds,
        display: &display,
        refuses: refuse_kernels,
    };
    let ground = Ground::InRoot { root: root.folder(), path: &resolved };
    let archive = BufReader::with_capacity(BUFFER_LENGTH, archive);
    let archive = images::decompress(archive).map_err(FilesError::Decompress)?;
    extract(archive, ground, options).map_err(FilesError::Extract)
}

/// Nothing is made among the kernel's own files: there, writing is not copying.
fn refuse_kernels(folder: BorrowedFd<'_>) -> std::io::Result<()> {
    if is_kernels(folder) { Err(Errno::ACCESS.into()) } else { Ok(()) }
}

/// Refuses a folder that the container may not change either.
fn check_writable(view: &View, path: &[u8]) -> Result<(), FilesError> {
    let depth = |target: &str| target.split('/').filter(|part| !part.is_empty()).count();
    let above = view.mounts.iter().filter(|mount| {
        let target: Vec<_> = mount.target.split('/').filter(|part| !part.is_empty()).collect();
        let target = target.join("/").into_bytes();
        let rest = path.strip_prefix(target.as_slice());
        rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    });
    match above.max_by_key(|mount| depth(&mount.target)) {
        Some(mount) if mount.writable => Ok(()),
        Some(mount) if mount.kind == MountKind::Tmpfs => Err(FilesError::ReadOnlyRoot),
        Some(_) => Err(FilesError::ReadOnlyVolume),
        None if view.spec.read_only_root => Err(FilesError::ReadOnlyRoot),
        None => Ok(()),
    }
}

/// The numbers of `user[:group]`, by the container's own lists.
fn container_user(root: &Root, user: &str) -> Result<Owner, FilesError> {
    if user.is_empty() {
        return Ok(Owner::Archived);
    }
    let (user, group) = user.split_once(':').unwrap_or((user, ""));
    let (mut uid, mut gid) = (0, 0);
    if !user.is_empty() {
        let users = read_list(root, b"etc/passwd");
        let number = user.parse::<u32>().ok();
        let mut lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let found = lines.find(|fields| {
            fields.len() >= 4
                && (fields[0] == user || number.is_some() && fields[2].parse().ok() == number)
        });
        let numbers =
            found.and_then(|fields| Some((fields[2].parse().ok()?, fields[3].parse().ok()?)));
        (uid, gid) = match (numbers, number) {
            (Some(numbers), _) => numbers,
            (None, Some(number)) => (number, 0),
            (None, None) => return Err(FilesError::NoSuchUser { user: user.to_owned() }),
        };
    }
    if !group.is_empty() {
        gid = match group.parse() {
            Ok(number) => number,
            Err(_) => read_list(root, b"etc/group")
                .lines()
                .map(|line| line.split(':').collect::<Vec<_>>())
                .find(|fields| fields.len() >= 3 && fields[0] == group)
                .and_then(|fields| fields[2].parse().ok())
                .ok_or_else(|| FilesError::NoSuchGroup { group: group.to_owned() })?,
        };
    }
    Ok(Owner::Fixed { uid, gid })
}

/// A list of users or groups; empty if there is none.
fn read_list(root: &Root, path: &[u8]) -> String {
    let mut text = Vec::new();
    let handle = place::open_at(root.folder(), path, rustix::fs::OFlags::PATH, IN_ROOT);
    let file = handle.ok().and_then(|handle| {
        let stat = rustix::fs::fstat(&handle).ok()?;
        let node = archive::node::Node { handle, stat };
        let is_plain = node.file_type() == rustix::fs::FileType::RegularFile;
        is_plain.then(|| node.read().ok()).flatten()
    });
    if let Some(file) = file {
        // What cannot be read names nobody.
        let _ = file.take(USERS_LENGTH_MAX).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// A root that is about to be opened.
struct Opening {
    parts: Arc<Parts>,
    view: Arc<View>,
    lowers: Vec<PathBuf>,
    lock: std::sync::Mutex<Option<tokio::sync::OwnedMutexGuard<()>>>,
}

impl Opening {
    fn open(&self) -> Result<Root, FilesError> {
        let lock = self.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        Root::open(&self.parts, &self.view, &self.lowers, lock)
    }
}

/// Waits until a container's files are free, if it has to be waited for.
async fn opening(parts: &Arc<Parts>, container: &Container) -> Result<Opening, FilesError> {
    let is_live = |view: &View| matches!(view.state.phase, Phase::Running | Phase::Paused);
    let mut view = container.view();
    let mut lock = None;
    if !is_live(&view) {
        let taken = tokio::time::timeout(PATIENCE, container.lock_files()).await;
        lock = Some(taken.map_err(|_| FilesError::InUse {
            id: view.id.to_string(),
            seconds: PATIENCE.as_secs(),
        })?);
        view = container.view();
    }
    let id = view.id.to_string();
    match view.state.phase {
        // It was started while we waited: its own mount is the one to use.
        Phase::Running | Phase::Paused => lock = None,
        Phase::Restarting => return Err(FilesError::IsRestarting { id }),
        Phase::Removing | Phase::Dead => return Err(FilesError::IsRemoving { id }),
        Phase::Created | Phase::Exited => {}
    }
    let snapshot = parts.images.snapshot(view.id.as_str());
    let lowers = snapshot.map(|snapshot| snapshot.lowers).unwrap_or_default();
    Ok(Opening { parts: Arc::clone(parts), view, lowers, lock: std::sync::Mutex::new(lock) })
}

fn tell(parts: &Parts, view: &View, action: &str) {
    let mut attributes = view.spec.labels.clone();
    attributes.insert("image".to_owned(), view.image_name.clone());
    attributes.insert("name".to_owned(), view.name.clone());
    parts.events.publish(ObjectKind::Container, action, view.id.as_str(), attributes);
}
