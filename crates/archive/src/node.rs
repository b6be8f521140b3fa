//! One file of a tree, as an entry of an archive tells it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::entry::{Entry, Kind, Time};
use crate::place;

/// File capabilities.
const CAPABILITY: &[u8] = b"security.capability";

/// The place of the version in a capability's value, and the versions.
const CAPABILITY_VERSION_AT: usize = 3;
const CAPABILITY_VERSION_2: u8 = 2;
const CAPABILITY_VERSION_3: u8 = 3;

/// Bytes of a capability of version 2: version 3 is the same with the owner of a user namespace
/// behind it.
const CAPABILITY_LENGTH: usize = 20;

/// Which extended attributes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Xattrs {
    /// File capabilities only, as Docker.
    Capabilities,
    /// Those that mean the same elsewhere: the users' own, capabilities and access lists.
    Portable,
}

impl Xattrs {
    fn has(self, name: &[u8]) -> bool {
        name == CAPABILITY
            || self == Self::Portable
                && (name.starts_with(b"user.") && !name.starts_with(b"user.overlay.")
                    || name.starts_with(b"system.posix_acl_"))
    }
}

/// A file, whatever it is, held so that nobody can put another in its place. It is not opened:
/// a device or a pipe does not notice.
#[derive(Debug)]
pub struct Node {
    pub handle: OwnedFd,
    pub stat: Stat,
}

impl Node {
    /// Takes hold of what has a name in a folder, be it a symlink.
    pub fn open(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(folder, name, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&handle)?;
        Ok(Self { handle, stat })
    }

    pub fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    pub fn is_folder(&self) -> bool {
        self.file_type() == FileType::Directory
    }

    /// Tells it from every other file. Several names of one file have the same.
    pub fn identity(&self) -> (u64, u64) {
        (self.stat.st_dev, self.stat.st_ino)
    }

    /// Bytes of its content.
    pub fn size(&self) -> u64 {
        u64::try_from(self.stat.st_size).unwrap_or_default()
    }

    /// When it was changed, to the second: what archives told before there were finer times,
    /// and what Docker's tell to this day.
    pub fn modified(&self) -> Time {
        Time { seconds: self.stat.st_mtime, nanoseconds: 0 }
    }

    /// Opens a folder to be listed.
    pub fn list(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.handle, ".", flags, Mode::empty())?)
    }

    /// Opens a plain file to be read.
    pub fn read(&self) -> io::Result<File> {
        // What is opened is what was looked at, so that this neither waits for a pipe nor
        // touches a device.
        File::open(place::descriptor_path(self.handle.as_fd()))
    }

    /// What an archive says of it; nothing for a socket, which is of no use without its server.
    pub fn entry(&self, path: Vec<u8>, xattrs: Xattrs) -> io::Result<Option<Entry>> {
        let Some(kind) = self.kind()? else { return Ok(None) };
        // The attributes of a symlink are not the users' to set.
        let xattrs = match &kind {
            Kind::Symlink { .. } => Vec::new(),
            _ => read_xattrs(self.handle.as_fd(), |name| xattrs.has(name))?,
        };
        Ok(Some(Entry {
            path,
            kind,
            mode: self.stat.st_mode & 0o7777,
            uid: self.stat.st_uid,
            gid: self.stat.st_gid,
            modified: self.modified(),
            accessed: None,
            xattrs,
        }))
    }

    fn kind(&self) -> io::Result<Option<Kind>> {
        let (major, minor) =
            (rustix::fs::major(self.stat.st_rdev), rustix::fs::minor(self.stat.st_rdev));
        Ok(Some(match self.file_type() {
            FileType::RegularFile => Kind::File { size: self.size(), fragments: None },
            FileType::Directory => Kind::Directory,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&self.handle, "", Vec::new())?;
                Kind::Symlink { target: target.into_bytes() }
            }
            FileType::CharacterDevice => Kind::CharacterDevice { major, minor },
            FileType::BlockDevice => Kind::BlockDevice { major, minor },
            FileType::Fifo => Kind::Fifo,
            _ => return Ok(None),
        }))
    }
}

/// The extended attributes of a file that are wanted, by name.
pub fn read_xattrs(
    file: BorrowedFd<'_>,
    is_wanted: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    // Attributes cannot be asked of a handle, but of its path.
    let path = place::descriptor_path(file);
    let mut names = Vec::new();
    loop {
        let length = match rustix::fs::listxattr_query(path.as_str()) {
            Ok(length) => length,
            Err(Errno::OPNOTSUPP) => 0,
            Err(error) => return Err(error.into()),
        };
        names.resize(length, 0_u8);
        if length == 0 {
            return Ok(Vec::new());
        }
        match rustix::fs::listxattr(path.as_str(), &mut names[..]) {
            Ok(length) => {
                names.truncate(length);
                break;
            }
            // Somebody added one in between.
            Err(Errno::RANGE) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut xattrs = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty() && is_wanted(name)) {
        if let Some(value) = read_xattr(&path, name)? {
            xattrs.push((name.to_vec(), portable(name, value)));
        }
    }
    xattrs.sort_unstable();
    Ok(xattrs)
}

/// One attribute; nothing if it has gone meanwhile.
fn read_xattr(path: &str, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    // As long as an attribute can be (XATTR_SIZE_MAX), and then it cannot be too short.
    let mut value = vec![0_u8; 64 << 10];
    match rustix::fs::getxattr(path, name, &mut value[..]) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A capability that was given in a user namespace names its owner, who is nobody elsewhere.
fn portable(name: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    let is_version_3 = value.get(CAPABILITY_VERSION_AT) == Some(&CAPABILITY_VERSION_3);
    if name == CAPABILITY && is_version_3 && value.len() > CAPABILITY_LENGTH {
        value[CAPABILITY_VERSION_AT] = CAPABILITY_VERSION_2;
        value.truncate(CAPABILITY_LENGTH);
    }
    value
}

/// The names in a folder, in order.
pub fn names(folder: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}
