//! From a tree of files to an archive.
//!
//! The tree may change meanwhile, at the hands of somebody who wants us to read what is not
//! his. Each file is held by a descriptor from the moment it is looked at, found from its
//! folder's descriptor by its bare name, and never through a symlink.

use std::collections::HashMap;
use std::io::{self, Read as _, Write};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::author::Author;
use crate::descent::{Descent, Next};
use crate::entry::Kind;
use crate::node::{self, Node, Xattrs};
use crate::place;

/// The kernel's `PATH_MAX`, less the NUL: nobody can name what has a longer path, but somebody
/// can make it, folder by folder. Each folder on the way costs its whole path, so that this also
/// bounds how much memory a tree takes.
pub const PATH_LENGTH_MAX: usize = 4095;

/// Bytes read from a file at a time.
const BUFFER_LENGTH: usize = 128 << 10;

/// Why a tree could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error("cannot read {path}")]
    Read { path: String, source: io::Error },
    #[error("{path} is too deep")]
    TooDeep { path: String },
    /// Whoever takes the archive does not take it any more.
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
}

/// Which folders are shown as empty.
pub type Hides<'a> = &'a dyn Fn(&Node) -> bool;

/// A tree that is being written.
pub struct TreeWriter<'a, W> {
    author: Author<W>,
    xattrs: Xattrs,
    hides: Hides<'a>,
    /// The first name of every file that has several.
    seen: HashMap<(u64, u64), Vec<u8>>,
    buffer: Vec<u8>,
}

impl<W> std::fmt::Debug for TreeWriter<'_, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TreeWriter").finish_non_exhaustive()
    }
}

impl<'a, W: Write> TreeWriter<'a, W> {
    pub fn new(output: W, xattrs: Xattrs, hides: Hides<'a>) -> Self {
        Self {
            author: Author::new(output),
            xattrs,
            hides,
            seen: HashMap::new(),
            buffer: vec![0; BUFFER_LENGTH],
        }
    }

    /// Writes a file or a folder with everything in it, under a path of the archive's.
    pub fn add(&mut self, top: &Node, path: &[u8]) -> Result<(), TreeError> {
        self.add_node(top, path)?;
        if top.is_folder() && !(self.hides)(top) { self.add_content(top, path) } else { Ok(()) }
    }

    /// Writes everything in a folder, under its path in the archive.
    pub fn add_content(&mut self, top: &Node, path: &[u8]) -> Result<(), TreeError> {
        let (folder, names) = list(top, path)?;
        let mut descent = Descent::new([Some(folder)], names);
        loop {
            let next = descent.advance();
            let next = next.map_err(|error| cannot_read(&below(path, descent.path()), error))?;
            let (name, from_top) = match next {
                Some(Next::Name { name, path }) => (name, path),
                Some(Next::Left) => continue,
                None => return Ok(()),
            };
            let path = below(path, &from_top);
            if path.len() > PATH_LENGTH_MAX {
                return Err(TreeError::TooDeep { path: text(&path) });
            }
            let folder = descent.folder(0).expect("it is where the name is from");
            let node = match Node::open(folder, &name) {
                Ok(node) => node,
                // It was there when the folder was listed, and is no more.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(cannot_read(&path, error.into())),
            };
            self.add_node(&node, &path)?;
            if node.is_folder() && !(self.hides)(&node) {
                let (folder, names) = list(&node, &path)?;
                descent.enter(from_top, [Some(folder)], names);
            }
        }
    }

    /// Writes one file, link or folder, without what is in the latter.
    pub fn add_node(&mut self, node: &Node, path: &[u8]) -> Result<(), TreeError> {
        let entry = node.entry(path.to_vec(), self.xattrs);
        let entry = entry.map_err(|error| cannot_read(path, error))?;
        let Some(mut entry) = entry else { return Ok(()) };
        let has_other_names = !node.is_folder() && node.stat.st_nlink > 1;
        if has_other_names {
            if let Some(first) = self.seen.get(&node.identity()) {
                entry.kind = Kind::HardLink { target: first.clone() };
                entry.xattrs.clear();
                return self.author.entry(&entry).map_err(TreeError::Write);
            }
            self.seen.insert(node.identity(), path.to_vec());
        }
        self.author.entry(&entry).map_err(TreeError::Write)?;
        // The kernel's own files say that they are empty, and some never end.
        if node.file_type() == FileType::RegularFile && node.size() > 0 {
            self.add_bytes(node, path)?;
        }
        Ok(())
    }

    fn add_bytes(&mut self, node: &Node, path: &[u8]) -> Result<(), TreeError> {
        let mut file = node.read().map_err(|error| cannot_read(path, error))?;
        while self.author.left() > 0 {
            let read = match file.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(cannot_read(path, error)),
            };
            self.author.content(&self.buffer[..read]).map_err(TreeError::Write)?;
        }
        Ok(())
    }

    /// For what is no file: whiteouts.
    pub fn author(&mut self) -> &mut Author<W> {
        &mut self.author
    }

    pub fn finish(self) -> io::Result<W> {
        self.author.finish()
    }

    /// Ends the archive in the middle of a block: whoever reads it knows that it is not whole.
    pub fn break_off(self) {
        // There may be nobody left to tell.
        let _ = self.author.break_off();
    }
}

/// The path of a name in a folder. That of the root is a slash, as Docker writes it.
fn below(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder == b"/" { [b"/", name].concat() } else { place::join(folder, name) }
}

/// Opens a folder, and lists it.
fn list(node: &Node, path: &[u8]) -> Result<(OwnedFd, Vec<Vec<u8>>), TreeError> {
    let cannot = |error| cannot_read(path, error);
    let folder = node.list().map_err(cannot)?;
    let names = node::names(&folder).map_err(cannot)?;
    Ok((folder, names))
}

fn cannot_read(path: &[u8], source: io::Error) -> TreeError {
    TreeError::Read { path: text(path), source }
}

fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// A top of a tree.
pub fn top(folder: BorrowedFd<'_>) -> io::Result<Node> {
    Ok(Node::open(folder, b".")?)
}

/// Hides nothing.
pub fn nothing(_: &Node) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use rustix::fs::{Mode, OFlags};

    use super::*;
    use crate::descent::OPEN_FOLDERS_MAX;

    /// Folders within folders, made as only descriptors can.
    fn nest(top: BorrowedFd<'_>, name: &str, depth: usize) {
        let mut folder = top.try_clone_to_owned().unwrap();
        for _ in 0..depth {
            rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o755)).unwrap();
            let flags = OFlags::DIRECTORY | OFlags::RDONLY;
            folder = rustix::fs::openat(&folder, name, flags, Mode::empty()).unwrap();
        }
    }

    fn write(name: &str, depth: usize) -> Result<Vec<u8>, TreeError> {
        let folder = tempfile::tempdir().unwrap();
        let handle = std::fs::File::open(folder.path()).unwrap();
        nest(handle.as_fd(), name, depth);
        let mut writer = TreeWriter::new(Vec::new(), Xattrs::Portable, &nothing);
        writer.add_content(&top(handle.as_fd()).unwrap(), b"top")?;
        Ok(writer.finish().unwrap())
    }

    fn open_descriptors() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }

    #[test]
    fn a_deep_tree_takes_few_descriptors_and_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let handle = std::fs::File::open(folder.path()).unwrap();
        nest(handle.as_fd(), "x", 1500);
        // Found on the way back, long after the folder was closed.
        let path = |depth: usize| folder.path().join(["x"].repeat(depth).join("/"));
        for depth in [1, 40, 700, 1500] {
            std::fs::write(path(depth).join("z"), "").unwrap();
        }
        let before = open_descriptors();
        let most = std::cell::Cell::new(0);
        let hides = |_: &Node| {
            most.set(most.get().max(open_descriptors()));
            false
        };
        let mut writer = TreeWriter::new(Vec::new(), Xattrs::Portable, &hides);
        writer.add_content(&top(handle.as_fd()).unwrap(), b"top").unwrap();
        let archive = writer.finish().unwrap();

        let mut reader = crate::reader::Reader::new(&archive[..], crate::reader::NoTape);
        let mut depths = Vec::new();
        let mut folders = 0;
        while let Some(entry) = reader.next_entry().unwrap() {
            match entry.kind {
                Kind::Directory => folders += 1,
                _ => depths.push(entry.path.iter().filter(|byte| **byte == b'/').count() - 1),
            }
        }
        assert_eq!((folders, depths), (1500, vec![1500, 700, 40, 1]));
        assert!(most.get() < before + OPEN_FOLDERS_MAX + 10, "{} after {before}", most.get());
    }

    #[test]
    fn a_folder_that_was_moved_meanwhile_has_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let handle = std::fs::File::open(folder.path()).unwrap();
        nest(handle.as_fd(), "x", 100);
        let path = |depth: usize| folder.path().join(["x"].repeat(depth).join("/"));
        std::fs::write(path(5).join("z"), "").unwrap();
        std::fs::write(path(1).join("z"), "").unwrap();
        let seen = std::cell::Cell::new(0);
        let hides = |_: &Node| {
            seen.set(seen.get() + 1);
            if seen.get() == 100 {
                std::fs::rename(path(3), folder.path().join("moved")).unwrap();
            }
            false
        };
        let mut writer = TreeWriter::new(Vec::new(), Xattrs::Portable, &hides);
        writer.add_content(&top(handle.as_fd()).unwrap(), b"top").unwrap();
        let archive = writer.finish().unwrap();
        let names = archive.windows(8).filter(|window| window == b"top/x/z\0").count();
        assert_eq!(names, 1);
    }

    #[test]
    fn a_path_that_nobody_can_name_is_refused() {
        let name = "x".repeat(255);
        // Each is the name and a slash; the first is "top".
        assert!(write(&name, 15).is_ok());
        assert!(matches!(write(&name, 16), Err(TreeError::TooDeep { .. })));
    }
}
