//! Finding one's way in a tree that an archive is being unpacked to.
//!
//! Archives are made by strangers. A path in one may climb (`../../etc`), and a folder in one
//! may turn out to be a symlink to somewhere else. So nothing here joins paths: every step is
//! taken by the kernel, from a descriptor of the layer's root, with the promise not to leave
//! it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// As many symlinks on one way as the kernel follows.
const SYMLINKS_MAX: usize = 40;

/// Attempts before a tree that is being renamed under us is given up.
const ATTEMPTS_MAX: usize = 32;

/// A name for a folder's descriptor: good for finding things in it, and nothing else.
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A path without `.`, `..` and needless slashes. Empty, it is the root. Nothing, if it climbs
/// out of the root.
///
/// A leading slash is the archive's own root, as for everybody who unpacks archives.
pub fn clean(path: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join(&b'/'))
}

/// The folder of a cleaned path, and the name in it.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// A folder's path and a name in it, as one.
pub fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

/// An open folder, and where it really is.
#[derive(Debug)]
pub struct Folder {
    pub descriptor: OwnedFd,
    /// Cleaned, from the root, with no symlink in it.
    pub path: Vec<u8>,
}

/// Opens a folder in the tree. A symlink on the way is followed as a process would whose root
/// is the tree's; but one that climbs above it with `..` is refused with `EXDEV`, for there is
/// no honest reason to have it.
pub fn open_folder(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<Folder> {
    let path_or_dot = if path.is_empty() { b"." } else { path };
    let plain = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match open_at(root, path_or_dot, FOLDER, plain) {
        Ok(descriptor) => return Ok(Folder { descriptor, path: path.to_vec() }),
        Err(Errno::LOOP) => {}
        Err(error) => return Err(error.into()),
    }
    let descriptor = walk(root, path)?;
    let path = path_within(root, descriptor.as_fd())?;
    Ok(Folder { descriptor, path })
}

/// `openat2`, until the kernel has seen the tree hold still.
pub fn open_at(
    folder: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    for _ in 0..ATTEMPTS_MAX {
        let opened = rustix::fs::openat2(
            folder,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve | ResolveFlags::NO_MAGICLINKS,
        );
        match opened {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// The names of a path that is gone along by hand, and those of the symlinks on it.
#[derive(Debug)]
pub struct Way {
    ahead: VecDeque<Vec<u8>>,
    symlinks_left: usize,
}

/// A step on a [`Way`].
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    Up,
    Down(Vec<u8>),
}

impl Way {
    pub fn new(path: &[u8], symlinks_max: usize) -> Self {
        let mut way = Self { ahead: VecDeque::new(), symlinks_left: symlinks_max };
        way.prepend(path);
        way
    }

    /// Goes on along the target of a symlink, which was the last step. Says whether that is from
    /// the root, or fails if there were too many.
    pub fn follow(&mut self, target: &[u8]) -> Result<bool, Errno> {
        self.symlinks_left = self.symlinks_left.checked_sub(1).ok_or(Errno::LOOP)?;
        self.prepend(target);
        Ok(target.starts_with(b"/"))
    }

    fn prepend(&mut self, path: &[u8]) {
        for name in path.rsplit(|byte| *byte == b'/') {
            self.ahead.push_front(name.to_vec());
        }
    }
}

impl Iterator for Way {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        loop {
            match self.ahead.pop_front()? {
                name if name.is_empty() || name == b"." => {}
                name if name == b".." => return Some(Step::Up),
                name => return Some(Step::Down(name)),
            }
        }
    }
}

/// Goes to a folder step by step, following symlinks by hand.
fn walk(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let mut folders: Vec<OwnedFd> = Vec::new();
    let mut way = Way::new(path, SYMLINKS_MAX);
    while let Some(step) = way.next() {
        let Step::Down(name) = step else {
            folders.pop().ok_or(Errno::XDEV)?;
            continue;
        };
        let here = folders.last().map_or(root, AsFd::as_fd);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let next = rustix::fs::openat(here, name.as_slice(), flags, Mode::empty())?;
        match file_type(next.as_fd())? {
            FileType::Directory => folders.push(next),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&next, "", Vec::new())?;
                if way.follow(target.as_bytes())? {
                    folders.clear();
                }
            }
            _ => return Err(Errno::NOTDIR.into()),
        }
    }
    match folders.pop() {
        Some(descriptor) => Ok(descriptor),
        None => Ok(open_at(root, b".", FOLDER, ResolveFlags::BENEATH)?),
    }
}

/// Where an open file is, seen from an open folder above it. Cleaned.
pub fn path_within(root: BorrowedFd<'_>, file: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let root = std::fs::read_link(descriptor_path(root))?;
    let file = std::fs::read_link(descriptor_path(file))?;
    let path = file.strip_prefix(&root).map_err(|_| io::Error::from(Errno::XDEV))?;
    Ok(path.as_os_str().as_bytes().to_vec())
}

/// A path that means an open file itself, for calls that take no descriptor.
pub fn descriptor_path(descriptor: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd())
}

pub fn file_type(descriptor: BorrowedFd<'_>) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(descriptor)?.st_mode))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<&str>) {
        let cleaned = clean(path.as_bytes()).map(|path| String::from_utf8(path).unwrap());
        assert_eq!(cleaned.as_deref(), expected, "{path}");
    }

    #[test]
    fn paths_are_cleaned_and_may_not_climb_out() {
        check("a/b", Some("a/b"));
        check("./a//b/./", Some("a/b"));
        check("/a", Some("a"));
        check("./", Some(""));
        check("a/../b", Some("b"));
        check("..", None);
        check("a/../../b", None);
        check("/../a", None);
    }

    #[test]
    fn a_way_goes_on_along_symlinks_but_not_for_ever() {
        let down = |name: &str| Some(Step::Down(name.into()));
        let mut way = Way::new(b"/a/./../link//b", 2);
        assert_eq!([way.next(), way.next(), way.next()], [down("a"), Some(Step::Up), down("link")]);
        assert_eq!(way.follow(b"c/d"), Ok(false));
        assert_eq!([way.next(), way.next()], [down("c"), down("d")]);
        assert_eq!(way.follow(b"/"), Ok(true));
        assert_eq!([way.next(), way.next()], [down("b"), None]);
        assert_eq!(way.follow(b"e"), Err(Errno::LOOP));
    }

    #[test]
    fn a_symlink_is_followed_within_the_root_only() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("usr/lib")).unwrap();
        fs::create_dir(root.join("etc")).unwrap();
        symlink("usr/lib", root.join("lib")).unwrap();
        symlink("/etc", root.join("absolute")).unwrap();
        symlink("../usr/lib", root.join("etc/up")).unwrap();
        symlink("../../etc", root.join("climbing")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        let root = File::open(&root).unwrap();

        let check = |path: &str, expected: Result<&str, Errno>| {
            let found = open_folder(root.as_fd(), path.as_bytes());
            let found = found.map(|folder| String::from_utf8(folder.path).unwrap());
            let found = found.map_err(|error| Errno::from_io_error(&error).unwrap());
            assert_eq!(found, expected.map(str::to_owned), "{path}");
        };
        check("", Ok(""));
        check("usr/lib", Ok("usr/lib"));
        check("lib", Ok("usr/lib"));
        check("absolute", Ok("etc"));
        check("absolute/up", Ok("usr/lib"));
        check("climbing", Err(Errno::XDEV));
        check("loop", Err(Errno::LOOP));
        check("file", Err(Errno::NOTDIR));
        check("missing", Err(Errno::NOENT));
    }
}
