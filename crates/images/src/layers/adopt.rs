//! Giving an unpacked archive its place above other layers.
//!
//! A few things could not be known while it was unpacked. A folder that only appears as the
//! beginning of a path has, in an overlay, its own owner and mode, so it takes those of the
//! folder below that it covers. And a hard link to a file of a lower layer needs that file in
//! this layer: overlayfs would break the link.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use archive::place::{self, Folder};
use fail_points::{Point, reach};
use oci::Digest;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use crate::layers::apply::{LowerLink, OPAQUE_XATTR, OVERLAY_XATTRS, is_whiteout, readable};
use crate::layers::unpack::Unpacked;
use crate::layers::{ArchiveError, chain_id};
use crate::records::LayerRecord;
use crate::settle::this_boot;
use crate::store::Parts;

/// Layers that some work under way counts on. They stay until this goes; then those that
/// nobody else needs go as well.
#[derive(Debug)]
pub(crate) struct Leases<'a> {
    parts: &'a Parts,
    /// From the bottom up.
    held: Vec<Digest>,
}

impl<'a> Leases<'a> {
    pub(crate) fn new(parts: &'a Parts) -> Self {
        Self { parts, held: Vec::new() }
    }

    /// Holds on to a layer, if there is one of this chain id.
    pub(crate) fn take(&mut self, chain_id: &Digest) -> Option<LayerRecord> {
        let record = self.parts.layers.lease(chain_id)?;
        self.held.push(*chain_id);
        Some(record)
    }

    /// Holds on to any layer of this content.
    pub(crate) fn take_by_content(&mut self, diff_id: &Digest) -> Option<Digest> {
        let chain_id = self.parts.layers.lease_by_content(diff_id)?;
        self.held.push(chain_id);
        Some(chain_id)
    }

    /// Puts an unpacked archive above `parent`, and holds on to it.
    pub(crate) fn adopt(
        &mut self,
        unpacked: &Unpacked,
        parent: Option<&Digest>,
    ) -> Result<(Digest, LayerRecord), ArchiveError> {
        settle(self.parts, unpacked, parent)?;
        let chain_id = chain_id(parent, &unpacked.diff_id);
        let record = LayerRecord {
            diff_id: unpacked.diff_id,
            parent: parent.copied(),
            size: unpacked.size,
            archive_size: unpacked.archive_size,
            unsettled: Some(this_boot()),
        };
        let place = self.parts.folders.layer(&chain_id);
        reach(Point::LoadLayer).map_err(ArchiveError::Write)?;
        self.parts
            .layers
            .adopt(chain_id, record, unpacked.draft.path(), &place)
            .map_err(ArchiveError::Write)?;
        self.held.push(chain_id);
        reach(Point::LoadLayerPlaced).map_err(ArchiveError::Write)?;
        Ok((chain_id, record))
    }
}

impl Drop for Leases<'_> {
    fn drop(&mut self) {
        self.parts.layers.end_leases(&self.held);
        let catalog = self.parts.catalog();
        let unused: Vec<Digest> = self
            .held
            .iter()
            .rev()
            .filter(|chain_id| !catalog.uses_layer(chain_id))
            .copied()
            .collect();
        if !unused.is_empty() {
            crate::remove::release(self.parts, &unused);
        }
    }
}

/// Settles what depends on the layers below.
fn settle(parts: &Parts, unpacked: &Unpacked, parent: Option<&Digest>) -> Result<(), ArchiveError> {
    let unsettled = &unpacked.unsettled;
    if unsettled.implied.is_empty() && unsettled.links.is_empty() {
        return Ok(());
    }
    let root = File::open(unpacked.draft.path().join("fs")).map_err(ArchiveError::Write)?;
    let root = OwnedFd::from(root);
    let chain = parent.map(|parent| parts.layers.chain(parent)).unwrap_or_default();
    let mut lowers = Vec::new();
    for chain_id in &chain {
        let lower = File::open(parts.folders.layer(chain_id).join("fs"));
        lowers.push(OwnedFd::from(lower.map_err(ArchiveError::Write)?));
    }
    let tree = Tree { root, lowers };
    let mut times = BTreeMap::new();
    for link in &unsettled.links {
        tree.link(link, &mut times)?;
    }
    for path in &unsettled.implied {
        let cannot = |source| cannot_make(path, source);
        if let Some(covered) = tree.find_below(path).map_err(cannot)? {
            tree.take_attributes(path, &covered, &mut times).map_err(cannot)?;
        }
    }
    for (path, times) in times {
        let path_or_dot = if path.is_empty() { b"." } else { path.as_slice() };
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(&tree.root, path_or_dot, &times, flags)
            .map_err(|error| cannot_make(&path, error.into()))?;
    }
    Ok(())
}

fn cannot_make(path: &[u8], source: io::Error) -> ArchiveError {
    ArchiveError::Make { path: String::from_utf8_lossy(path).into_owned(), source }
}

/// A new layer's tree, above others.
struct Tree {
    root: OwnedFd,
    /// Topmost first.
    lowers: Vec<OwnedFd>,
}

/// Times that folders are to have when everything is in them.
type FolderTimes = BTreeMap<Vec<u8>, Timestamps>;

impl Tree {
    /// Makes a hard link to a lower layer's file, which is copied to this layer for it.
    fn link(&self, link: &LowerLink, times: &mut FolderTimes) -> Result<(), ArchiveError> {
        let cannot = |source| cannot_make(&link.path, source);
        let missing = || ArchiveError::LinkTarget {
            path: String::from_utf8_lossy(&link.path).into_owned(),
            target: String::from_utf8_lossy(&link.target).into_owned(),
        };
        let (target_folder, target_name) = place::split(&link.target);
        // An earlier link may have brought the file here already, under its own name.
        if self.find_here(&link.target).is_none() {
            let below = self.find_below(&link.target).map_err(cannot)?.ok_or_else(missing)?;
            let folder = self.copy_folders(target_folder, times).map_err(cannot)?;
            self.remember_times(&folder, times).map_err(cannot)?;
            copy_up(&below, &folder, target_name).map_err(cannot)?;
        }
        let source = place::open_folder(self.root.as_fd(), target_folder).map_err(|_| missing())?;
        let (folder, name) = place::split(&link.path);
        let folder = place::open_folder(self.root.as_fd(), folder).map_err(cannot)?;
        self.remember_times(&folder, times).map_err(cannot)?;
        rustix::fs::linkat(
            &source.descriptor,
            target_name,
            &folder.descriptor,
            name,
            AtFlags::empty(),
        )
        .map_err(|error| cannot(error.into()))
    }

    fn find_here(&self, path: &[u8]) -> Option<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        let resolve = rustix::fs::ResolveFlags::BENEATH | rustix::fs::ResolveFlags::NO_SYMLINKS;
        place::open_at(self.root.as_fd(), path, flags, resolve)
            .ok()
            .filter(|node| !is_whiteout(node))
    }

    /// Finds what the layers below have at a path, as an overlay of them and this one would
    /// show it if this one did not have it.
    fn find_below(&self, path: &[u8]) -> io::Result<Option<OwnedFd>> {
        let (folder, _) = place::split(path);
        // A folder of this layer that hides what is below hides this, too.
        if let Sight::Hidden | Sight::Last(_) = look(self.root.as_fd(), folder, false)? {
            return Ok(None);
        }
        for lower in &self.lowers {
            match look(lower.as_fd(), path, true)? {
                Sight::Found(node) | Sight::Last(Some(node)) => return Ok(Some(node)),
                Sight::Hidden | Sight::Last(None) => return Ok(None),
                Sight::Through => {}
            }
        }
        Ok(None)
    }

    /// Makes the folders of a path here, like those below.
    fn copy_folders(&self, path: &[u8], times: &mut FolderTimes) -> io::Result<Folder> {
        match place::open_folder(self.root.as_fd(), path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let (parent, name) = place::split(path);
        let parent = self.copy_folders(parent, times)?;
        self.remember_times(&parent, times)?;
        rustix::fs::mkdirat(&parent.descriptor, name, Mode::from_raw_mode(0o755))?;
        if let Some(covered) = self.find_below(path)? {
            self.take_attributes(path, &covered, times)?;
        }
        place::open_folder(self.root.as_fd(), path)
    }

    /// Gives a folder of this layer the attributes of the one below it.
    fn take_attributes(
        &self,
        path: &[u8],
        covered: &OwnedFd,
        times: &mut FolderTimes,
    ) -> io::Result<()> {
        let stat = rustix::fs::fstat(covered)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Ok(());
        }
        let folder = readable(self.root.as_fd(), path)?;
        copy_owner_and_mode(&stat, folder.as_fd())?;
        copy_xattrs(covered.as_fd(), folder.as_fd())?;
        times.insert(path.to_vec(), times_of(&stat));
        Ok(())
    }

    /// Remembers a folder's times, before something is made in it.
    fn remember_times(&self, folder: &Folder, times: &mut FolderTimes) -> io::Result<()> {
        if !times.contains_key(&folder.path) {
            times.insert(folder.path.clone(), times_of(&rustix::fs::fstat(&folder.descriptor)?));
        }
        Ok(())
    }
}

/// What one layer shows at a path.
enum Sight {
    /// Something.
    Found(OwnedFd),
    /// That there is nothing, whatever is below.
    Hidden,
    /// Maybe something; and nothing of what is below.
    Last(Option<OwnedFd>),
    /// Nothing, so that what is below is seen.
    Through,
}

/// Looks at a path in one layer. With `wants_node` the last part is what is looked for; without,
/// it is a folder like those before it, whose only point is what it hides.
fn look(root: BorrowedFd<'_>, path: &[u8], wants_node: bool) -> io::Result<Sight> {
    let parts: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut hides_below = is_opaque(root)?;
    let mut here: Option<OwnedFd> = None;
    for (index, name) in parts.iter().enumerate() {
        let folder = here.as_ref().map_or(root, AsFd::as_fd);
        let node = match rustix::fs::openat(folder, *name, flags, Mode::empty()) {
            Ok(node) => node,
            Err(Errno::NOENT) if hides_below => return Ok(Sight::Last(None)),
            Err(Errno::NOENT) => return Ok(Sight::Through),
            Err(error) => return Err(error.into()),
        };
        if is_whiteout(&node) {
            return Ok(Sight::Hidden);
        }
        if wants_node && index + 1 == parts.len() {
            return Ok(if hides_below { Sight::Last(Some(node)) } else { Sight::Found(node) });
        }
        if place::file_type(node.as_fd())? != FileType::Directory {
            return Ok(Sight::Hidden);
        }
        hides_below |= is_opaque(node.as_fd())?;
        here = Some(node);
    }
    Ok(if hides_below { Sight::Last(None) } else { Sight::Through })
}

fn is_opaque(folder: BorrowedFd<'_>) -> io::Result<bool> {
    let mut value = [0; 1];
    let path = place::descriptor_path(folder);
    match rustix::fs::getxattr(path, OPAQUE_XATTR, &mut value) {
        Ok(length) => Ok(&value[..length] == b"y"),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
        // Longer than a letter: not overlayfs' own.
        Err(Errno::RANGE) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Copies a file of a lower layer with its attributes.
fn copy_up(below: &OwnedFd, folder: &Folder, name: &[u8]) -> io::Result<()> {
    let stat = rustix::fs::fstat(below)?;
    let parent = folder.descriptor.as_fd();
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(below, "", Vec::new())?;
            rustix::fs::symlinkat(target.as_c_str(), parent, name)?;
            let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(parent, name, Some(uid), Some(gid), flags)?;
            return Ok(rustix::fs::utimensat(parent, name, &times_of(&stat), flags)?);
        }
        // A folder cannot have two names, and nobody links devices.
        _ => return Err(Errno::PERM.into()),
    }
    let mut source = File::open(place::descriptor_path(below.as_fd()))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut copy = File::from(rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))?);
    io::copy(&mut source, &mut copy)?;
    copy_owner_and_mode(&stat, copy.as_fd())?;
    copy_xattrs(below.as_fd(), copy.as_fd())?;
    Ok(rustix::fs::futimens(&copy, &times_of(&stat))?)
}

fn copy_owner_and_mode(stat: &Stat, target: BorrowedFd<'_>) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::fchown(target, Some(uid), Some(gid))?;
    Ok(rustix::fs::fchmod(target, Mode::from_raw_mode(stat.st_mode))?)
}

fn copy_xattrs(source: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let path = place::descriptor_path(source);
    let mut names = vec![0; rustix::fs::listxattr_query(path.as_str())?];
    if names.is_empty() {
        return Ok(());
    }
    let length = rustix::fs::listxattr(path.as_str(), &mut names[..])?;
    for name in names[..length].split(|byte| *byte == 0) {
        if name.is_empty() || name.starts_with(OVERLAY_XATTRS) {
            continue;
        }
        let mut value = vec![0; rustix::fs::getxattr_query(path.as_str(), name)?];
        let length = rustix::fs::getxattr(path.as_str(), name, &mut value[..])?;
        rustix::fs::fsetxattr(target, name, &value[..length], XattrFlags::empty())?;
    }
    Ok(())
}

fn times_of(stat: &Stat) -> Timestamps {
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}
