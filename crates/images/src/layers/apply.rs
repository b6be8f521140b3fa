//! Making the files that an archive describes.
//!
//! What an image's layer takes away from the layers below becomes what overlayfs understands:
//! `.wh.name` a character device 0/0 of that name, `.wh..wh..opq` the extended attribute
//! `trusted.overlay.opaque` of its folder.
//!
//! The order of the steps for one file is the kernel's demand: a change of owner clears the
//! setuid bits and file capabilities, so it comes before both; times come last.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use archive::entry::{Entry, Kind, Time};
use archive::place::{self, Folder};
use archive::reader::Reader;
use archive::sparse::Fragment;
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use crate::layers::ArchiveError;
use crate::layers::recipe::RecipeWriter;

/// Before the name of what a layer takes away.
const WHITEOUT: &[u8] = b".wh.";
/// Before the names of what AUFS kept for itself.
const WHITEOUT_META: &[u8] = b".wh..wh.";
/// Says that a folder hides everything that the layers below have in it.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// How overlayfs says the same.
pub(crate) const OPAQUE_XATTR: &str = "trusted.overlay.opaque";

/// Overlayfs keeps its own notes under this name. An archive cannot mean them: they would make
/// files appear that are not in any layer.
pub(crate) const OVERLAY_XATTRS: &[u8] = b"trusted.overlay.";

/// The mode of a folder that no entry describes.
const IMPLIED_MODE: u32 = 0o755;

/// A hard link to something that this layer does not have.
#[derive(Debug)]
pub(crate) struct LowerLink {
    pub(crate) path: Vec<u8>,
    pub(crate) target: Vec<u8>,
}

/// What is left to do when the layers below are known.
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    /// Folders that were made only because something is in them.
    pub(crate) implied: BTreeSet<Vec<u8>>,
    pub(crate) links: Vec<LowerLink>,
}

/// A tree under construction.
#[derive(Debug)]
pub(crate) struct Applier {
    root: OwnedFd,
    /// The layer's folder for what later entries take the place of.
    replaced: PathBuf,
    replaced_count: u32,
    /// The folder that the last entry was in: the next one is mostly there too.
    recent: Option<(Vec<u8>, Folder)>,
    /// Folders' times. Whatever is made in a folder changes them, so they are set last.
    times: BTreeMap<Vec<u8>, Timestamps>,
    unsettled: Unsettled,
    /// Bytes of files.
    size: u64,
    /// Whether that is still so: what is replaced is not counted back.
    is_size_known: bool,
}

type Archive<R> = Reader<R, RecipeWriter>;

impl Applier {
    /// Begins in an empty folder.
    pub(crate) fn new(root: OwnedFd, replaced: PathBuf) -> Self {
        Self {
            root,
            replaced,
            replaced_count: 0,
            recent: None,
            times: BTreeMap::new(),
            unsettled: Unsettled::default(),
            size: 0,
            is_size_known: true,
        }
    }

    /// Makes one entry. Takes a file's content from the archive.
    pub(crate) fn apply<R: BufRead>(
        &mut self,
        entry: &Entry,
        archive: &mut Archive<R>,
    ) -> Result<(), ArchiveError> {
        let outside = || ArchiveError::Outside { path: entry.display() };
        let path = place::clean(&entry.path).ok_or_else(outside)?;
        if path.is_empty() {
            return self.apply_root(entry);
        }
        let (folder, name) = place::split(&path);
        if is_for_aufs(folder, name) {
            return Ok(());
        }
        let folder = self.folder(folder, entry)?;
        if name == OPAQUE {
            return self.make_opaque(&folder).map_err(|error| cannot_make(entry, error));
        }
        let made = match name.strip_prefix(WHITEOUT) {
            Some(b"" | b"." | b"..") => Err(outside()),
            Some(hidden) => {
                self.apply_whiteout(&folder, hidden).map_err(|error| cannot_make(entry, error))
            }
            None => self.apply_named(entry, &folder, name, archive),
        };
        self.recent = Some((place::split(&path).0.to_vec(), folder));
        made
    }

    /// Sets folders' times, and says what the layers below must settle.
    pub(crate) fn finish(mut self) -> Result<(u64, Unsettled), ArchiveError> {
        for (path, times) in &self.times {
            let path_or_dot = if path.is_empty() { b"." } else { path.as_slice() };
            // What is no folder any more, or below no folder, has lost its claim.
            let _ =
                rustix::fs::utimensat(&self.root, path_or_dot, times, AtFlags::SYMLINK_NOFOLLOW);
        }
        if !self.is_size_known {
            self.size = tree_size(self.root.as_fd()).map_err(ArchiveError::Write)?;
        }
        Ok((self.size, self.unsettled))
    }

    fn apply_root(&mut self, entry: &Entry) -> Result<(), ArchiveError> {
        if entry.kind != Kind::Directory {
            return Err(ArchiveError::Outside { path: entry.display() });
        }
        let root = readable(self.root.as_fd(), b".").map_err(|error| cannot_make(entry, error))?;
        set_owner_and_mode(root.as_fd(), entry)
            .and_then(|()| set_xattrs(root.as_fd(), entry))
            .map_err(|error| cannot_make(entry, error))?;
        self.times.insert(Vec::new(), times(entry));
        Ok(())
    }

    /// The folder that an entry is in. It is made if it is missing.
    fn folder(&mut self, path: &[u8], entry: &Entry) -> Result<Folder, ArchiveError> {
        if let Some((recent, folder)) = self.recent.take()
            && recent == path
        {
            return Ok(folder);
        }
        self.open_or_make(path).map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::XDEV) => ArchiveError::Outside { path: entry.display() },
            _ => cannot_make(entry, error),
        })
    }

    fn open_or_make(&mut self, path: &[u8]) -> io::Result<Folder> {
        match place::open_folder(self.root.as_fd(), path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_empty() => {}
            other => return other,
        }
        let (parent, name) = place::split(path);
        let parent = self.open_or_make(parent)?;
        rustix::fs::mkdirat(&parent.descriptor, name, Mode::from_raw_mode(IMPLIED_MODE))?;
        // The mode above was subject to the process's mask.
        rustix::fs::chmodat(
            &parent.descriptor,
            name,
            Mode::from_raw_mode(IMPLIED_MODE),
            AtFlags::empty(),
        )?;
        let path = place::join(&parent.path, name);
        self.unsettled.implied.insert(path.clone());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let descriptor = rustix::fs::openat(&parent.descriptor, name, flags, Mode::empty())?;
        Ok(Folder { descriptor, path })
    }

    fn make_opaque(&self, folder: &Folder) -> io::Result<()> {
        let folder = readable(folder.descriptor.as_fd(), b".")?;
        Ok(rustix::fs::fsetxattr(folder, OPAQUE_XATTR, b"y", XattrFlags::empty())?)
    }

    /// Hides what the layers below have under a name. What this layer has there stays,
    /// whichever entry came first.
    fn apply_whiteout(&self, folder: &Folder, name: &[u8]) -> io::Result<()> {
        let made = rustix::fs::mknodat(
            &folder.descriptor,
            name,
            FileType::CharacterDevice,
            Mode::empty(),
            0,
        );
        match made {
            Err(Errno::EXIST) => {}
            other => return Ok(other?),
        }
        match open_node(folder, name) {
            Ok(existing) if place::file_type(existing.as_fd())? == FileType::Directory => {
                let existing = readable(existing.as_fd(), b".")?;
                Ok(rustix::fs::fsetxattr(existing, OPAQUE_XATTR, b"y", XattrFlags::empty())?)
            }
            _ => Ok(()),
        }
    }

    /// Makes anything that has a name.
    fn apply_named<R: BufRead>(
        &mut self,
        entry: &Entry,
        folder: &Folder,
        name: &[u8],
        archive: &mut Archive<R>,
    ) -> Result<(), ArchiveError> {
        let path = place::join(&folder.path, name);
        let cannot = |error| cannot_make(entry, error);
        let parent = folder.descriptor.as_fd();
        match &entry.kind {
            Kind::Directory => {
                self.apply_folder(entry, folder, name, path, archive).map_err(cannot)
            }
            Kind::File { size, fragments } => {
                let file = self
                    .create(folder, name, archive, || create_file(parent, name))
                    .map_err(cannot)?;
                write_content(&file, entry, &path, *size, fragments.as_deref(), archive)?;
                self.size += size;
                Ok(())
            }
            Kind::HardLink { target } => self.apply_link(entry, folder, name, target, archive),
            Kind::Symlink { target } => {
                self.create(folder, name, archive, || {
                    Ok(rustix::fs::symlinkat(target.as_slice(), parent, name)?)
                })
                .map_err(cannot)?;
                self.size += target.len() as u64;
                finish_node(folder, name, entry).map_err(cannot)
            }
            Kind::CharacterDevice { major, minor } => {
                let device = rustix::fs::makedev(*major, *minor);
                self.apply_node(entry, folder, name, (FileType::CharacterDevice, device), archive)
                    .map_err(cannot)
            }
            Kind::BlockDevice { major, minor } => {
                let device = rustix::fs::makedev(*major, *minor);
                self.apply_node(entry, folder, name, (FileType::BlockDevice, device), archive)
                    .map_err(cannot)
            }
            Kind::Fifo => {
                self.apply_node(entry, folder, name, (FileType::Fifo, 0), archive).map_err(cannot)
            }
        }
    }

    fn apply_node<R: BufRead>(
        &mut self,
        entry: &Entry,
        folder: &Folder,
        name: &[u8],
        (kind, device): (FileType, u64),
        archive: &mut Archive<R>,
    ) -> io::Result<()> {
        let parent = folder.descriptor.as_fd();
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        self.create(folder, name, archive, || {
            Ok(rustix::fs::mknodat(parent, name, kind, mode, device)?)
        })?;
        finish_node(folder, name, entry)
    }

    fn apply_folder<R: BufRead>(
        &mut self,
        entry: &Entry,
        folder: &Folder,
        name: &[u8],
        path: Vec<u8>,
        archive: &mut Archive<R>,
    ) -> io::Result<()> {
        let parent = folder.descriptor.as_fd();
        let private = Mode::from_raw_mode(0o700);
        match rustix::fs::mkdirat(parent, name, private) {
            Err(Errno::EXIST) => match existing_kind(folder, name)? {
                Existing::Folder => {}
                Existing::Whiteout => {
                    rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
                    rustix::fs::mkdirat(parent, name, private)?;
                    // It still hides what the whiteout hid.
                    let made = readable(parent, name)?;
                    rustix::fs::fsetxattr(made, OPAQUE_XATTR, b"y", XattrFlags::empty())?;
                }
                Existing::Other => {
                    self.make_room(folder, name, archive)?;
                    rustix::fs::mkdirat(parent, name, private)?;
                }
            },
            other => other?,
        }
        let made = readable(parent, name)?;
        set_owner_and_mode(made.as_fd(), entry)?;
        set_xattrs(made.as_fd(), entry)?;
        self.unsettled.implied.remove(&path);
        self.times.insert(path, times(entry));
        Ok(())
    }

    fn apply_link<R: BufRead>(
        &mut self,
        entry: &Entry,
        folder: &Folder,
        name: &[u8],
        target: &[u8],
        archive: &mut Archive<R>,
    ) -> Result<(), ArchiveError> {
        let outside = || ArchiveError::Outside {
            path: format!("{} -> {}", entry.display(), String::from_utf8_lossy(target)),
        };
        let target =
            place::clean(target).filter(|target| !target.is_empty()).ok_or_else(outside)?;
        let path = place::join(&folder.path, name);
        if target == path {
            // A link to itself says nothing.
            return Ok(());
        }
        let (target_folder, target_name) = place::split(&target);
        let source = match place::open_folder(self.root.as_fd(), target_folder) {
            Ok(source) => Some(source),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) if Errno::from_io_error(&error) == Some(Errno::XDEV) => {
                return Err(outside());
            }
            Err(error) => return Err(cannot_make(entry, error)),
        };
        let linked = match &source {
            // Room is made only for what is known to be there.
            Some(source)
                if open_node(source, target_name).is_ok_and(|node| !is_whiteout(&node)) =>
            {
                self.create(folder, name, archive, || {
                    Ok(rustix::fs::linkat(
                        &source.descriptor,
                        target_name,
                        &folder.descriptor,
                        name,
                        AtFlags::empty(),
                    )?)
                })
            }
            _ => {
                self.make_room(folder, name, archive).map_err(|error| cannot_make(entry, error))?;
                self.unsettled.links.push(LowerLink { path, target });
                return Ok(());
            }
        };
        linked
            .and_then(|()| finish_link(folder, name, entry))
            .map_err(|error| cannot_make(entry, error))
    }

    /// Makes something under a name. Whatever has the name already goes out of its way.
    fn create<T, R: BufRead>(
        &mut self,
        folder: &Folder,
        name: &[u8],
        archive: &mut Archive<R>,
        make: impl Fn() -> io::Result<T>,
    ) -> io::Result<T> {
        match make() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.make_room(folder, name, archive)?;
                make()
            }
            other => other,
        }
    }

    /// Takes away what an earlier entry made under a name. The recipe may need it still.
    fn make_room<R: BufRead>(
        &mut self,
        folder: &Folder,
        name: &[u8],
        archive: &mut Archive<R>,
    ) -> io::Result<()> {
        let existing = match open_node(folder, name) {
            Ok(existing) => existing,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let path = place::join(&folder.path, name);
        match place::file_type(existing.as_fd())? {
            FileType::RegularFile | FileType::Directory => {
                if self.replaced_count == 0 {
                    std::fs::create_dir(&self.replaced)?;
                }
                let number = self.replaced_count;
                let refuge = self.replaced.join(number.to_string());
                rustix::fs::renameat(&folder.descriptor, name, CWD, &refuge)?;
                archive.tape().replaced(&path, number)?;
                self.replaced_count += 1;
            }
            _ => {
                rustix::fs::unlinkat(&folder.descriptor, name, AtFlags::empty())?;
            }
        }
        self.is_size_known = false;
        self.forget_below(&path);
        Ok(())
    }

    /// Forgets what was to be done about a folder and everything in it.
    fn forget_below(&mut self, path: &[u8]) {
        let is_below = |other: &[u8]| {
            other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        self.times.retain(|other, _| !is_below(other));
        self.unsettled.implied.retain(|other| !is_below(other));
        self.unsettled.links.retain(|link| !is_below(&link.path));
    }
}

/// Whether an entry is a note that AUFS made for itself.
fn is_for_aufs(folder: &[u8], name: &[u8]) -> bool {
    let is_note = |part: &[u8]| part.starts_with(WHITEOUT_META);
    folder.split(|byte| *byte == b'/').any(is_note) || is_note(name) && name != OPAQUE
}

fn cannot_make(entry: &Entry, source: io::Error) -> ArchiveError {
    ArchiveError::Make { path: entry.display(), source }
}

/// What already has a name, as far as a folder of that name cares.
enum Existing {
    Folder,
    Whiteout,
    Other,
}

fn existing_kind(folder: &Folder, name: &[u8]) -> io::Result<Existing> {
    let node = open_node(folder, name)?;
    if is_whiteout(&node) {
        return Ok(Existing::Whiteout);
    }
    Ok(match place::file_type(node.as_fd())? {
        FileType::Directory => Existing::Folder,
        _ => Existing::Other,
    })
}

/// A handle on whatever has the name.
fn open_node(folder: &Folder, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&folder.descriptor, name, flags, Mode::empty())
}

/// Whether it is what overlayfs takes for "nothing here".
pub(crate) fn is_whiteout(node: &OwnedFd) -> bool {
    rustix::fs::fstat(node).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
    })
}

/// A folder that was opened for more than finding things in it.
pub(crate) fn readable(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    Ok(place::open_at(folder, name, flags, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)?)
}

fn create_file(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o600))?.into())
}

/// Fills a new file, and gives it its attributes.
fn write_content<R: BufRead>(
    file: &File,
    entry: &Entry,
    path: &[u8],
    size: u64,
    fragments: Option<&[Fragment]>,
    archive: &mut Archive<R>,
) -> Result<(), ArchiveError> {
    let cannot = |error| cannot_make(entry, error);
    let whole = [Fragment { offset: 0, length: size }];
    let parts = fragments.unwrap_or(&whole);
    if archive.left() > 0 {
        archive.tape().file(path, parts).map_err(ArchiveError::Write)?;
    }
    match fragments {
        None => write_whole(file, archive, cannot)?,
        Some(fragments) => {
            file.set_len(size).map_err(cannot)?;
            write_fragments(file, fragments, archive, cannot)?;
        }
    }
    set_owner_and_mode(file.as_fd(), entry)
        .and_then(|()| set_xattrs(file.as_fd(), entry))
        .and_then(|()| Ok(rustix::fs::futimens(file, &times(entry))?))
        .map_err(cannot)
}

fn write_whole<R: BufRead>(
    mut file: &File,
    archive: &mut Archive<R>,
    cannot: impl Fn(io::Error) -> ArchiveError,
) -> Result<(), ArchiveError> {
    loop {
        let piece = archive.content()?;
        if piece.is_empty() {
            return Ok(());
        }
        let length = piece.len();
        file.write_all(piece).map_err(&cannot)?;
        archive.consume(length);
    }
}

/// Writes each part to its place. The map was checked against the length of the content.
fn write_fragments<R: BufRead>(
    file: &File,
    fragments: &[Fragment],
    archive: &mut Archive<R>,
    cannot: impl Fn(io::Error) -> ArchiveError,
) -> Result<(), ArchiveError> {
    for fragment in fragments {
        let mut at = fragment.offset;
        let mut left = fragment.length;
        while left > 0 {
            let piece = archive.content()?;
            let length = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            file.write_all_at(&piece[..length], at).map_err(&cannot)?;
            archive.consume(length);
            at += length as u64;
            left -= length as u64;
        }
    }
    Ok(())
}

fn set_owner_and_mode(file: BorrowedFd<'_>, entry: &Entry) -> io::Result<()> {
    rustix::fs::fchown(file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))?;
    Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode))?)
}

fn set_xattrs(file: BorrowedFd<'_>, entry: &Entry) -> io::Result<()> {
    for (name, value) in meant_xattrs(entry) {
        let set = rustix::fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty());
        tolerate(set, entry, name)?;
    }
    Ok(())
}

/// The extended attributes of an entry, less those that only overlayfs may write.
fn meant_xattrs(entry: &Entry) -> impl Iterator<Item = &(Vec<u8>, Vec<u8>)> {
    entry.xattrs.iter().filter(|(name, _)| !name.starts_with(OVERLAY_XATTRS))
}

/// An attribute that this host's file system cannot keep (another system's label, say) is no
/// reason not to have the image.
fn tolerate(set: Result<(), Errno>, entry: &Entry, name: &[u8]) -> io::Result<()> {
    match set {
        Err(Errno::OPNOTSUPP) => {
            tracing::debug!(
                path = entry.display(),
                attribute = %String::from_utf8_lossy(name),
                "the file system does not keep this extended attribute",
            );
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Gives attributes to what cannot be opened without consequences: links and devices.
fn finish_node(folder: &Folder, name: &[u8], entry: &Entry) -> io::Result<()> {
    rustix::fs::chownat(
        &folder.descriptor,
        name,
        Some(Uid::from_raw(entry.uid)),
        Some(Gid::from_raw(entry.gid)),
        AtFlags::SYMLINK_NOFOLLOW,
    )?;
    if !matches!(entry.kind, Kind::Symlink { .. }) {
        let mode = Mode::from_raw_mode(entry.mode);
        rustix::fs::chmodat(&folder.descriptor, name, mode, AtFlags::empty())?;
    }
    if meant_xattrs(entry).next().is_some() {
        let node = open_node(folder, name)?;
        let path = place::descriptor_path(node.as_fd());
        for (name, value) in meant_xattrs(entry) {
            let set =
                rustix::fs::setxattr(path.as_str(), name.as_slice(), value, XattrFlags::empty());
            tolerate(set, entry, name)?;
        }
    }
    Ok(rustix::fs::utimensat(&folder.descriptor, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// A hard link's entry repeats the attributes of the file. Only where it does not are they
/// set, since setting the owner would take the file's capabilities away.
fn finish_link(folder: &Folder, name: &[u8], entry: &Entry) -> io::Result<()> {
    let stat = rustix::fs::statat(&folder.descriptor, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let is_symlink = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
    if (stat.st_uid, stat.st_gid) != (entry.uid, entry.gid) {
        let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(&folder.descriptor, name, Some(uid), Some(gid), flags)?;
    }
    if !is_symlink && stat.st_mode & 0o7777 != entry.mode {
        let mode = Mode::from_raw_mode(entry.mode);
        rustix::fs::chmodat(&folder.descriptor, name, mode, AtFlags::empty())?;
    }
    if meant_xattrs(entry).next().is_some() {
        let node = open_node(folder, name)?;
        let path = place::descriptor_path(node.as_fd());
        for (name, value) in meant_xattrs(entry) {
            let set =
                rustix::fs::setxattr(path.as_str(), name.as_slice(), value, XattrFlags::empty());
            tolerate(set, entry, name)?;
        }
    }
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    Ok(rustix::fs::utimensat(&folder.descriptor, name, &times(entry), flags)?)
}

fn times(entry: &Entry) -> Timestamps {
    let accessed = entry.accessed.map_or(entry.modified, |accessed| accessed.max(entry.modified));
    Timestamps { last_access: timespec(accessed), last_modification: timespec(entry.modified) }
}

fn timespec(time: Time) -> Timespec {
    Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() }
}

/// Bytes of everything in a tree but folders; what has several names counts once.
pub(crate) fn tree_size(root: BorrowedFd<'_>) -> io::Result<u64> {
    let mut seen = std::collections::HashSet::new();
    let mut size = 0;
    // Paths, not descriptors: a tree can be wider than the limit on those.
    let mut folders = vec![Vec::new()];
    while let Some(path) = folders.pop() {
        let folder = readable(root, if path.is_empty() { b"." } else { &path })?;
        for entry in rustix::fs::Dir::read_from(&folder)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let stat = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                folders.push(place::join(&path, name));
            } else if stat.st_nlink == 1 || seen.insert(stat.st_ino) {
                size += u64::try_from(stat.st_size).unwrap_or_default();
            }
        }
    }
    Ok(size)
}
