//! From an archive to files in a tree that is in use.
//!
//! Neither the archive nor the tree is to be trusted. An entry may want to climb out of its
//! folder, and what was a folder a moment ago may be a symlink to `/etc` now. So the folder of
//! every entry is found by the kernel in one step that does not leave the [`Ground`], and what
//! is made in it is made by its bare name, in place of nothing.
//!
//! A plain file has its name only once it is whole, and takes the place of another in one step,
//! where the file system can do that.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, BufRead};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags, Timespec,
    Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use crate::TarError;
use crate::entry::{Entry, Kind, Time};
use crate::node::{self, Node};
use crate::place;
use crate::reader::{NoTape, Reader};

/// The mode of a folder that no entry describes.
const IMPLIED_MODE: u32 = 0o755;

/// What file systems leave out, or have, as a whole.
const BLOCK_LENGTH: usize = 4096;

/// How deep a tree may be that is removed. Each level costs a descriptor and some stack, and
/// whoever made the tree may want us to run out of both.
const DEPTH_MAX: usize = 1024;

/// Where entries go.
#[derive(Debug, Clone, Copy)]
pub enum Ground<'a> {
    /// A folder of a tree whose symlinks lead as for a process that has `root` as its root.
    /// `path` is from the root.
    InRoot { root: BorrowedFd<'a>, path: &'a [u8] },
    /// A folder that no entry may leave, by whichever symlink.
    Beneath(BorrowedFd<'a>),
}

/// Whose the files become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Whose the archive says.
    Archived,
    /// Whose process this is, whatever the archive says.
    Nobody,
    Fixed {
        uid: u32,
        gid: u32,
    },
}

/// How to extract.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    pub owner: Owner,
    /// Refuse to put a folder in the place of something else, or the other way round.
    pub keeps_kinds: bool,
    /// What the folder is called in messages.
    pub display: &'a str,
    /// Refuses folders in which nothing is to be made.
    pub refuses: fn(BorrowedFd<'_>) -> io::Result<()>,
}

/// Why an archive was not extracted.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    #[error(transparent)]
    Archive(TarError),
    // The next three are Docker's words.
    #[error("\"{path}\" is outside of \"{display}\"")]
    Outside { path: String, display: String },
    #[error("cannot overwrite directory \"{path}\" with non-directory \"{display}\"")]
    OverFolder { path: String, display: String },
    #[error("cannot overwrite non-directory \"{path}\" with directory \"{display}\"")]
    OverFile { path: String, display: String },
    #[error("cannot make {path}")]
    Make { path: String, source: io::Error },
}

/// Folders that are not finished: whatever is made in one changes its times.
type FolderTimes = BTreeMap<Vec<u8>, Timestamps>;

/// An extraction under way.
struct Extraction<'a> {
    ground: Ground<'a>,
    options: Options<'a>,
    times: FolderTimes,
    /// The folder that the last entry was in: the next one is mostly there too.
    recent: Option<(Vec<u8>, OwnedFd)>,
}

/// Makes everything that is in an archive.
pub fn extract(
    archive: impl BufRead,
    ground: Ground<'_>,
    options: Options<'_>,
) -> Result<(), ExtractError> {
    extract_renamed(archive, ground, options, |path| path)
}

/// The same, with other paths than the archive's.
pub fn extract_renamed(
    archive: impl BufRead,
    ground: Ground<'_>,
    options: Options<'_>,
    rename: impl Fn(Vec<u8>) -> Vec<u8>,
) -> Result<(), ExtractError> {
    let mut extraction = Extraction { ground, options, times: BTreeMap::new(), recent: None };
    let mut reader = Reader::new(archive, NoTape);
    while let Some(mut entry) = reader.next_entry().map_err(ExtractError::Archive)? {
        entry.path = rename(entry.path);
        if let Kind::HardLink { target } = &mut entry.kind {
            *target = rename(std::mem::take(target));
        }
        extraction.apply(&entry, &mut reader)?;
    }
    extraction.finish();
    Ok(())
}

impl Extraction<'_> {
    fn apply<R: BufRead>(
        &mut self,
        entry: &Entry,
        archive: &mut Reader<R, NoTape>,
    ) -> Result<(), ExtractError> {
        let path = place::clean(&entry.path).ok_or_else(|| self.outside(entry))?;
        if path.is_empty() {
            // The folder itself, which is there already and stays as it is.
            return Ok(());
        }
        let (parent, name) = place::split(&path);
        let folder = self.folder(parent).map_err(|error| self.explain(entry, error))?;
        let made = self
            .make_room(entry, &folder, name)
            .and_then(|()| self.make(entry, &path, &folder, name, archive));
        self.recent = Some((parent.to_vec(), folder));
        made
    }

    /// The folder that an entry is in. It is made if it is missing.
    fn folder(&mut self, path: &[u8]) -> io::Result<OwnedFd> {
        if let Some((recent, folder)) = self.recent.take()
            && recent == path
        {
            return Ok(folder);
        }
        let folder = match self.ground.open(path) {
            Err(Errno::NOENT) if !path.is_empty() => {
                let (parent, name) = place::split(path);
                let parent = self.folder(parent)?;
                make_folder(parent.as_fd(), name, IMPLIED_MODE)?;
                self.ground.open(path)?
            }
            other => other?,
        };
        (self.options.refuses)(folder.as_fd())?;
        Ok(folder)
    }

    /// Takes away what is in an entry's place, unless both are folders.
    fn make_room(&self, entry: &Entry, folder: &OwnedFd, name: &[u8]) -> Result<(), ExtractError> {
        let cannot = |error: io::Error| self.explain(entry, error);
        let existing = match Node::open(folder.as_fd(), name) {
            Ok(existing) => existing,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(cannot(error.into())),
        };
        let is_folder = entry.kind == Kind::Directory;
        let (path, display) = (self.shown(entry), self.options.display.to_owned());
        match (existing.is_folder(), is_folder) {
            (true, true) => return Ok(()),
            (true, false) if self.options.keeps_kinds => {
                return Err(ExtractError::OverFolder { path, display });
            }
            (false, true) if self.options.keeps_kinds => {
                return Err(ExtractError::OverFile { path, display });
            }
            // A whole file takes the old one's place in one step.
            (false, false) if matches!(entry.kind, Kind::File { .. }) => return Ok(()),
            _ => {}
        }
        remove(folder.as_fd(), name).map_err(cannot)
    }

    fn make<R: BufRead>(
        &mut self,
        entry: &Entry,
        path: &[u8],
        folder: &OwnedFd,
        name: &[u8],
        archive: &mut Reader<R, NoTape>,
    ) -> Result<(), ExtractError> {
        let cannot = |error: io::Error| explain(self.ground, self.options, entry, error);
        let parent = folder.as_fd();
        let node = |kind, device| -> Result<(), ExtractError> {
            let mode = Mode::from_raw_mode(entry.mode & 0o777);
            rustix::fs::mknodat(parent, name, kind, mode, device)
                .map_err(io::Error::from)
                .and_then(|()| self.options.finish_node(parent, name, entry))
                .map_err(cannot)
        };
        match &entry.kind {
            Kind::Directory => {
                let made = self.options.make_folder(parent, name, entry).map_err(cannot)?;
                drop(made);
                self.times.insert(path.to_vec(), times(entry));
                Ok(())
            }
            Kind::File { .. } => self.make_file(entry, folder, name, archive),
            Kind::HardLink { target } => self.make_link(entry, folder, name, target),
            Kind::Symlink { target } => rustix::fs::symlinkat(target.as_slice(), parent, name)
                .map_err(io::Error::from)
                .and_then(|()| self.options.finish_node(parent, name, entry))
                .map_err(cannot),
            Kind::CharacterDevice { major, minor } => {
                node(FileType::CharacterDevice, rustix::fs::makedev(*major, *minor))
            }
            Kind::BlockDevice { major, minor } => {
                node(FileType::BlockDevice, rustix::fs::makedev(*major, *minor))
            }
            Kind::Fifo => node(FileType::Fifo, 0),
        }
    }

    fn make_file<R: BufRead>(
        &self,
        entry: &Entry,
        folder: &OwnedFd,
        name: &[u8],
        archive: &mut Reader<R, NoTape>,
    ) -> Result<(), ExtractError> {
        let cannot = |error: io::Error| explain(self.ground, self.options, entry, error);
        let draft = Draft::create(folder.as_fd(), name).map_err(cannot)?;
        write_content(&draft.file, &entry.kind, archive, cannot)?;
        self.options.finish_file(draft.file.as_fd(), entry).map_err(cannot)?;
        draft.publish(folder.as_fd(), name).map_err(cannot)
    }

    fn make_link(
        &self,
        entry: &Entry,
        folder: &OwnedFd,
        name: &[u8],
        target: &[u8],
    ) -> Result<(), ExtractError> {
        let outside = || self.outside(entry);
        let target =
            place::clean(target).filter(|target| !target.is_empty()).ok_or_else(outside)?;
        let (target_folder, target_name) = place::split(&target);
        let source = self.ground.open(target_folder).map_err(io::Error::from);
        let source = source.map_err(|error| self.explain(entry, error))?;
        rustix::fs::linkat(&source, target_name, folder, name, AtFlags::empty())
            .map_err(|error| self.explain(entry, error.into()))
    }

    /// Gives folders their times, now that nothing more is made in them.
    fn finish(self) {
        for (path, times) in self.times.iter().rev() {
            let (parent, name) = place::split(path);
            // What is no folder any more has lost its claim.
            if let Ok(folder) = self.ground.open(parent) {
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                let _ = rustix::fs::utimensat(&folder, name, times, flags);
            }
        }
    }

    fn outside(&self, entry: &Entry) -> ExtractError {
        outside(self.options, entry)
    }

    fn explain(&self, entry: &Entry, error: io::Error) -> ExtractError {
        explain(self.ground, self.options, entry, error)
    }

    fn shown(&self, entry: &Entry) -> String {
        shown(self.options, entry)
    }
}

fn outside(options: Options<'_>, entry: &Entry) -> ExtractError {
    ExtractError::Outside { path: entry.display(), display: options.display.to_owned() }
}

fn shown(options: Options<'_>, entry: &Entry) -> String {
    let path = entry.display();
    let display = options.display.trim_end_matches("/.").trim_end_matches('/');
    format!("{display}/{}", path.trim_start_matches("./").trim_matches('/'))
}

fn explain(
    ground: Ground<'_>,
    options: Options<'_>,
    entry: &Entry,
    source: io::Error,
) -> ExtractError {
    match (ground, Errno::from_io_error(&source)) {
        (Ground::Beneath(_), Some(Errno::XDEV)) => outside(options, entry),
        _ => ExtractError::Make { path: shown(options, entry), source },
    }
}

impl Ground<'_> {
    /// Opens a folder on it, for finding and making things in it.
    fn open(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match self {
            Self::InRoot { root, path: base } => {
                let path = place::join(base, path);
                let path = if path.is_empty() { b"." } else { path.as_slice() };
                place::open_at(*root, path, flags, ResolveFlags::IN_ROOT)
            }
            Self::Beneath(folder) => {
                let path = if path.is_empty() { b"." } else { path };
                place::open_at(*folder, path, flags, ResolveFlags::BENEATH)
            }
        }
    }
}

fn make_folder(parent: BorrowedFd<'_>, name: &[u8], mode: u32) -> io::Result<()> {
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
        Err(Errno::EXIST) => return Ok(()),
        other => other?,
    }
    // Not by the call above: that is subject to the process's mask.
    let made = open_made(parent, name)?;
    Ok(rustix::fs::fchmod(&made, Mode::from_raw_mode(mode))?)
}

fn open_made(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

/// Removes a name and, if it is a folder's, everything below. No symlink is followed.
pub fn remove(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    remove_within(parent, name, 0)
}

/// The kernel refuses to remove or replace what something is mounted on only to those who see
/// the mount. From outside of a container it would tear the container's mount down.
fn refuse_mounted(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    match rustix::fs::statx(parent, name, flags, StatxFlags::TYPE) {
        Ok(stat) if stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) => {
            Err(Errno::BUSY.into())
        }
        Ok(_) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn remove_within(parent: BorrowedFd<'_>, name: &[u8], depth: usize) -> io::Result<()> {
    refuse_mounted(parent, name)?;
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    if depth == DEPTH_MAX {
        return Err(io::Error::other("the tree is too deep"));
    }
    let folder = open_made(parent, name)?;
    for inner in node::names(&folder)? {
        remove_within(folder.as_fd(), &inner, depth + 1)?;
    }
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A file that has no name yet, or, where a file system knows no such thing, one that has.
struct Draft {
    file: File,
    is_named: bool,
}

impl Draft {
    fn create(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<Self> {
        let mode = Mode::from_raw_mode(0o600);
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        match rustix::fs::openat(parent, ".", flags, mode) {
            Ok(file) => return Ok(Self { file: file.into(), is_named: false }),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
        remove(parent, name)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(parent, name, flags, mode)?;
        Ok(Self { file: file.into(), is_named: true })
    }

    fn publish(self, parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        if self.is_named {
            return Ok(());
        }
        match self.link(parent, name) {
            Err(Errno::EXIST) => self.replace(parent, name),
            other => Ok(other?),
        }
    }

    fn link(&self, parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
        let path = place::descriptor_path(self.file.as_fd());
        rustix::fs::linkat(CWD, path.as_str(), parent, name, AtFlags::SYMLINK_FOLLOW)
    }

    /// Takes the place of another file, so that there is one of the two at any time. The kernel
    /// refuses if that has become a folder meanwhile.
    fn replace(&self, parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        let passing = self.link_in_passing(parent)?;
        let renamed = refuse_mounted(parent, name)
            .and_then(|()| Ok(rustix::fs::renameat(parent, passing.as_str(), parent, name)?));
        if renamed.is_err() {
            // The first error is the one to tell.
            let _ = rustix::fs::unlinkat(parent, passing.as_str(), AtFlags::empty());
        }
        renamed
    }

    /// Gives it a name that nobody can guess, and so nobody has taken before.
    fn link_in_passing(&self, parent: BorrowedFd<'_>) -> io::Result<String> {
        // Each is made with keys of its own, from the kernel's random numbers.
        let random = || RandomState::new().build_hasher().finish();
        let name = format!(".copied-{:016x}{:016x}", random(), random());
        self.link(parent, name.as_bytes())?;
        Ok(name)
    }
}

/// Fills a file. Long rows of zeros are left out: they are holes where it came from, or might
/// as well be.
fn write_content<R: BufRead>(
    file: &File,
    kind: &Kind,
    archive: &mut Reader<R, NoTape>,
    cannot: impl Fn(io::Error) -> ExtractError,
) -> Result<(), ExtractError> {
    let Kind::File { size, fragments } = kind else { return Ok(()) };
    file.set_len(*size).map_err(&cannot)?;
    let whole = [crate::sparse::Fragment { offset: 0, length: *size }];
    for fragment in fragments.as_deref().unwrap_or(&whole) {
        let mut at = fragment.offset;
        let mut left = fragment.length;
        while left > 0 {
            let piece = archive.content().map_err(ExtractError::Archive)?;
            let length = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            write_piece(file, &piece[..length], at).map_err(&cannot)?;
            archive.consume(length);
            at += length as u64;
            left -= length as u64;
        }
    }
    Ok(())
}

/// Writes a piece but for its blocks of zeros, which the file has already: it was made as long
/// as it is to be.
fn write_piece(file: &File, mut piece: &[u8], mut at: u64) -> io::Result<()> {
    while !piece.is_empty() {
        let zeros = take_blocks(piece, at, true);
        piece = &piece[zeros..];
        at += zeros as u64;
        let data = take_blocks(piece, at, false);
        file.write_all_at(&piece[..data], at)?;
        piece = &piece[data..];
        at += data as u64;
    }
    Ok(())
}

/// How many bytes at the beginning are blocks of zeros, or of anything else. A piece that ends
/// within a block has a part of it.
fn take_blocks(piece: &[u8], at: u64, of_zeros: bool) -> usize {
    let mut taken = 0;
    while taken < piece.len() {
        let from = at + taken as u64;
        let to_boundary = BLOCK_LENGTH - usize::try_from(from % BLOCK_LENGTH as u64).unwrap_or(0);
        let block = &piece[taken..piece.len().min(taken + to_boundary)];
        if block.iter().all(|byte| *byte == 0) != of_zeros {
            break;
        }
        taken += block.len();
    }
    taken
}

/// Attributes. A change of owner clears the setuid bits and capabilities, so it comes before
/// both; times come last.
impl Options<'_> {
    fn owner(&self, entry: &Entry) -> (Option<Uid>, Option<Gid>) {
        match self.owner {
            Owner::Archived => (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid))),
            Owner::Fixed { uid, gid } => (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))),
            Owner::Nobody => (None, None),
        }
    }

    fn finish_file(&self, file: BorrowedFd<'_>, entry: &Entry) -> io::Result<()> {
        let (uid, gid) = self.owner(entry);
        rustix::fs::fchown(file, uid, gid)?;
        rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode))?;
        for (name, value) in &entry.xattrs {
            tolerate(rustix::fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty()))?;
        }
        Ok(rustix::fs::futimens(file, &times(entry))?)
    }

    fn make_folder(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
    ) -> io::Result<OwnedFd> {
        make_folder(parent, name, 0o700)?;
        let made = open_made(parent, name)?;
        self.finish_file(made.as_fd(), entry)?;
        Ok(made)
    }

    /// Gives attributes to what cannot be opened without consequences: links and devices.
    fn finish_node(&self, parent: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> io::Result<()> {
        let node = Node::open(parent, name)?;
        let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
        let (uid, gid) = self.owner(entry);
        rustix::fs::chownat(&node.handle, "", uid, gid, flags)?;
        if node.file_type() == FileType::Symlink {
            return Ok(rustix::fs::utimensat(
                parent,
                name,
                &times(entry),
                AtFlags::SYMLINK_NOFOLLOW,
            )?);
        }
        // By the handle: what has the name by now may be a symlink to something else.
        let path = place::descriptor_path(node.handle.as_fd());
        rustix::fs::chmod(path.as_str(), Mode::from_raw_mode(entry.mode))?;
        for (name, value) in &entry.xattrs {
            let set =
                rustix::fs::setxattr(path.as_str(), name.as_slice(), value, XattrFlags::empty());
            tolerate(set)?;
        }
        Ok(rustix::fs::utimensat(CWD, path.as_str(), &times(entry), AtFlags::empty())?)
    }
}

/// An attribute that this file system cannot keep, or this user may not set, is no reason not
/// to have the file.
fn tolerate(set: Result<(), Errno>) -> io::Result<()> {
    match set {
        Err(Errno::OPNOTSUPP | Errno::PERM) => Ok(()),
        other => Ok(other?),
    }
}

fn times(entry: &Entry) -> Timestamps {
    let accessed = entry.accessed.map_or(entry.modified, |accessed| accessed.max(entry.modified));
    let time = |time: Time| Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() };
    Timestamps { last_access: time(accessed), last_modification: time(entry.modified) }
}

/// Refuses no folder.
pub fn any(_: BorrowedFd<'_>) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::path::Path;

    use super::*;
    use crate::builder::{Builder, Fields};
    use crate::node::Xattrs;
    use crate::tree::{self, TreeWriter};

    const OPTIONS: Options<'static> =
        Options { owner: Owner::Nobody, keeps_kinds: true, display: "/to", refuses: any };

    fn extract_beneath(folder: &Path, archive: &[u8]) -> Result<(), ExtractError> {
        let folder = File::open(folder).unwrap();
        extract(archive, Ground::Beneath(folder.as_fd()), OPTIONS)
    }

    fn archive_of(folder: &Path) -> Vec<u8> {
        let opened = File::open(folder).unwrap();
        let top = tree::top(opened.as_fd()).unwrap();
        let mut writer = TreeWriter::new(Vec::new(), Xattrs::Portable, &tree::nothing);
        writer.add(&top, b"top").unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn a_tree_comes_back_as_it_was() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(from.path().join("a/b")).unwrap();
        fs::write(from.path().join("a/file"), "text").unwrap();
        fs::set_permissions(from.path().join("a/file"), fs::Permissions::from_mode(0o4751))
            .unwrap();
        fs::hard_link(from.path().join("a/file"), from.path().join("a/second")).unwrap();
        symlink("/nowhere", from.path().join("a/link")).unwrap();
        let hole = File::create(from.path().join("hole")).unwrap();
        hole.set_len(4 << 20).unwrap();
        hole.write_all_at(b"end", (4 << 20) - 3).unwrap();
        let odd = std::ffi::OsStr::new("\u{1}odd");
        fs::write(from.path().join(odd), "").unwrap();

        let archive = archive_of(from.path());
        extract_beneath(to.path(), &archive).unwrap();

        let made = to.path().join("top");
        let (file, second) = (made.join("a/file"), made.join("a/second"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "text");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o4751);
        assert_eq!(fs::metadata(&file).unwrap().ino(), fs::metadata(second).unwrap().ino());
        assert_eq!(fs::read_link(made.join("a/link")).unwrap(), Path::new("/nowhere"));
        let hole = fs::metadata(made.join("hole")).unwrap();
        assert_eq!(hole.len(), 4 << 20);
        assert!(hole.blocks() * 512 < 1 << 20, "it is sparse");
        assert_eq!(archive_of(&made), archive, "the same tree makes the same archive");
    }

    #[test]
    fn a_file_that_is_replaced_is_there_at_any_time() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let to = tempfile::tempdir().unwrap();
        let file = to.path().join("file");
        fs::write(&file, "text").unwrap();
        let archive = Builder::default().file("file", b"text").finish();
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    assert_eq!(fs::read_to_string(&file).unwrap(), "text");
                }
            });
            (0..1000).for_each(|_| extract_beneath(to.path(), &archive).unwrap());
            is_done.store(true, Ordering::Relaxed);
            reader.join().unwrap();
        });
        assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1, "nothing is left");
    }

    #[test]
    fn a_draft_does_not_take_the_place_of_a_folder() {
        let to = tempfile::tempdir().unwrap();
        fs::create_dir_all(to.path().join("name/inner")).unwrap();
        let folder = File::open(to.path()).unwrap();
        let draft = Draft::create(folder.as_fd(), b"other").unwrap();
        if !draft.is_named {
            let refused = draft.publish(folder.as_fd(), b"name").unwrap_err();
            assert_eq!(Errno::from_io_error(&refused), Some(Errno::ISDIR));
            assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1, "nothing is left");
        }
        assert!(to.path().join("name/inner").exists());
    }

    #[test]
    fn an_archive_cannot_leave_its_folder() {
        let outer = tempfile::tempdir().unwrap();
        let to = outer.path().join("to");
        fs::create_dir(&to).unwrap();
        fs::write(outer.path().join("secret"), "secret").unwrap();
        let link = |path: &str, link: &str| Builder::default().symlink(path, link);
        let archives = [
            Builder::default().file("../escaped", b"x").finish(),
            link("up", "..").file("up/escaped", b"x").finish(),
            link("absolute", outer.path().to_str().unwrap())
                .file("absolute/escaped", b"x")
                .finish(),
            link("up2", "..").hard_link("stolen", "up2/secret").finish(),
            Builder::default().hard_link("stolen", "../secret").finish(),
        ];
        for (number, archive) in archives.iter().enumerate() {
            assert!(extract_beneath(&to, archive).is_err(), "{number}");
        }
        assert!(!outer.path().join("escaped").exists());
        assert!(!to.join("stolen").exists());
        // One that stays is followed.
        let stays = Builder::default().folder("real").symlink("l", "real").file("l/f", b"x");
        extract_beneath(&to, &stays.finish()).unwrap();
        assert!(to.join("real/f").exists());
    }

    #[test]
    fn symlinks_in_a_root_lead_as_for_its_processes() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("data")).unwrap();
        fs::create_dir(root.path().join("tmp")).unwrap();
        symlink("/data", root.path().join("link")).unwrap();
        symlink("../../../../../data", root.path().join("tmp/up")).unwrap();
        let opened = File::open(root.path()).unwrap();
        let ground = |path| Ground::InRoot { root: opened.as_fd(), path };
        let archive = |name: &str| Builder::default().file(name, b"x").finish();

        extract(&archive("one")[..], ground(b"link"), OPTIONS).unwrap();
        extract(&archive("up/two")[..], ground(b"tmp"), OPTIONS).unwrap();

        assert!(root.path().join("data/one").exists());
        assert!(root.path().join("data/two").exists());
    }

    #[test]
    fn kinds_are_kept_on_demand() {
        let to = tempfile::tempdir().unwrap();
        fs::create_dir_all(to.path().join("folder/inner")).unwrap();
        fs::write(to.path().join("file"), "old").unwrap();
        let check = |archive: Builder, expected: &str| {
            let error = extract_beneath(to.path(), &archive.finish()).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check(
            Builder::default().file("folder", b"x"),
            "cannot overwrite directory \"/to/folder\" with non-directory \"/to\"",
        );
        check(
            Builder::default().folder("file"),
            "cannot overwrite non-directory \"/to/file\" with directory \"/to\"",
        );
        let folder = File::open(to.path()).unwrap();
        let options = Options { keeps_kinds: false, ..OPTIONS };
        let archive = Builder::default().file("folder", b"new").file("file", b"new").finish();
        extract(&archive[..], Ground::Beneath(folder.as_fd()), options).unwrap();
        assert_eq!(fs::read_to_string(to.path().join("folder")).unwrap(), "new");
        assert_eq!(fs::read_to_string(to.path().join("file")).unwrap(), "new");
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_replaced_and_not_written_to() {
        let to = tempfile::tempdir().unwrap();
        let pipe = to.path().join("file");
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let fields = Fields { path: "file", mode: 0o2750, ..Fields::default() };
        let archive = Builder::default().entry(&fields, b"text").finish();
        extract_beneath(to.path(), &archive).unwrap();
        assert_eq!(fs::read_to_string(&pipe).unwrap(), "text");
        assert_eq!(fs::metadata(&pipe).unwrap().mode() & 0o7777, 0o2750);
    }
}
