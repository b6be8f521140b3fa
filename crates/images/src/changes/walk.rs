//! The walk through a container's own folder, beside the layers below.

use std::cell::OnceCell;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use archive::descent::{Descent, Next};
use archive::node::{self, Node, Xattrs};
use archive::place;
use archive::tree::{PATH_LENGTH_MAX, TreeError};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::{ChangesError, scaffold};
use crate::layers::apply::OPAQUE_XATTR;
use crate::snapshots::Snapshot;
use crate::view;

/// How overlayfs notes that a folder came from somewhere else, and that a file's content is
/// still below.
const REDIRECT_XATTR: &[u8] = b"trusted.overlay.redirect";
const METACOPY_XATTR: &[u8] = b"trusted.overlay.metacopy";

/// What is found on the way, each path once and in order.
pub(super) enum Found<'a> {
    /// Something that the layers below do not have.
    Added(&'a Node),
    /// Something in the place of what the layers below have.
    Replaced { node: &'a Node, below: &'a Node },
    /// A folder that is there in both. Whether it differs is to be seen.
    Merged { node: &'a Node, below: &'a Node },
    /// A folder that hides all that the layers below have in theirs.
    Opaque { node: &'a Node, below: &'a Node },
    /// Something of the layers below that is gone.
    Deleted,
}

/// Who wants to know.
pub(super) trait Visitor {
    /// `path` is from the root. A folder comes before what is in it.
    fn visit(&mut self, path: &[u8], found: &Found<'_>) -> Result<(), TreeError>;

    /// All that was in the folder has been visited.
    fn leave(&mut self);
}

/// A folder that is to be walked through next.
struct Level {
    path: Vec<u8>,
    /// The container's own, and that of the layers below.
    folders: [Option<OwnedFd>; 2],
    names: Vec<Vec<u8>>,
    /// It is not at its path among the container's own.
    is_elsewhere: bool,
}

struct Walk<'a> {
    snapshot: &'a Snapshot,
    /// All layers with the container's own: for what cannot be understood without them.
    merged: OnceCell<OwnedFd>,
}

/// Walks through all of a container's own files.
pub(super) fn walk(snapshot: &Snapshot, visitor: &mut dyn Visitor) -> Result<(), ChangesError> {
    let below = view::open_merged(&snapshot.lowers).map_err(ChangesError::Open)?;
    let upper = view::open_folder(&snapshot.upper).map_err(ChangesError::Open)?;
    let top = Node::open(upper.as_fd(), b".").map_err(|error| ChangesError::Open(error.into()))?;
    let walk = Walk { snapshot, merged: OnceCell::new() };
    let first = level(Vec::new(), &top, below, false)?;
    let mut descent = Descent::new(first.folders, first.names);
    loop {
        let next = descent.advance();
        let next = next.map_err(|error| cannot_read(descent.path(), error))?;
        let (name, path) = match next {
            Some(Next::Name { name, path }) => (name, path),
            Some(Next::Left) => {
                visitor.leave();
                continue;
            }
            None => return Ok(()),
        };
        if path.len() > PATH_LENGTH_MAX {
            let path = String::from_utf8_lossy(&path).into_owned();
            return Err(TreeError::TooDeep { path }.into());
        }
        let folder = descent.folder(0).expect("it is where the name is from");
        let node = match Node::open(folder, &name) {
            Ok(node) => node,
            // A container that runs may have removed it meanwhile.
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(cannot_read(&path, error.into()).into()),
        };
        let below = match descent.folder(1) {
            Some(folder) => find(folder, &name).map_err(|error| cannot_read(&path, error))?,
            None => None,
        };
        match walk.look(path, &node, below.as_ref(), visitor)? {
            Some(next) if next.is_elsewhere => {
                descent.enter_elsewhere(next.path, next.folders, next.names);
            }
            Some(next) => descent.enter(next.path, next.folders, next.names),
            None => {}
        }
    }
}

impl Walk<'_> {
    /// Tells the visitor of one name. Gives the folder that is to be walked through next.
    fn look(
        &self,
        path: Vec<u8>,
        node: &Node,
        below: Option<&Node>,
        visitor: &mut dyn Visitor,
    ) -> Result<Option<Level>, TreeError> {
        if is_whiteout(node) {
            if below.is_some() {
                visitor.visit(&path, &Found::Deleted)?;
            }
            return Ok(None);
        }
        if below.is_none() && is_scaffold_file(&path, node) {
            return Ok(None);
        }
        let notes = notes(node).map_err(|error| cannot_read(&path, error))?;
        let from_merged;
        let mut node = node;
        if notes.is_partial {
            from_merged = self.merged(&path).map_err(|error| cannot_read(&path, error))?;
            node = &from_merged;
        }
        if !node.is_folder() {
            let found = match below {
                Some(below) => Found::Replaced { node, below },
                None => Found::Added(node),
            };
            visitor.visit(&path, &found)?;
            return Ok(None);
        }
        let hides = notes.is_opaque || notes.is_partial;
        let (found, next) = match below {
            Some(below) if below.is_folder() && hides => (Found::Opaque { node, below }, None),
            Some(below) if below.is_folder() => {
                let next = below.list().map_err(|error| cannot_read(&path, error))?;
                (Found::Merged { node, below }, Some(next))
            }
            Some(below) => (Found::Replaced { node, below }, None),
            None => (Found::Added(node), None),
        };
        visitor.visit(&path, &found)?;
        level(path, node, next, notes.is_partial).map(Some)
    }

    /// A file as an overlay shows it.
    fn merged(&self, path: &[u8]) -> io::Result<Node> {
        if self.merged.get().is_none() {
            let layers: Vec<_> = std::iter::once(&self.snapshot.upper)
                .chain(&self.snapshot.lowers)
                .cloned()
                .collect();
            let merged = view::open_merged(&layers)?.ok_or(Errno::NOENT)?;
            // Nobody else sets it: this is one thread's.
            let _ = self.merged.set(merged);
        }
        let root = self.merged.get().expect("it was set above");
        let (parent, name) = place::split(path);
        let parent = place::open_folder(root.as_fd(), parent)?;
        Ok(Node::open(parent.descriptor.as_fd(), name)?)
    }
}

fn level(
    path: Vec<u8>,
    node: &Node,
    below: Option<OwnedFd>,
    is_elsewhere: bool,
) -> Result<Level, TreeError> {
    let cannot = |error| cannot_read(&path, error);
    let folder = node.list().map_err(cannot)?;
    let names = node::names(&folder).map_err(cannot)?;
    Ok(Level { path, folders: [Some(folder), below], names, is_elsewhere })
}

fn find(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<Node>> {
    match Node::open(folder, name) {
        // A single layer is looked at as it is, with its whiteouts.
        Ok(node) => Ok(Some(node).filter(|node| !is_whiteout(node))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn cannot_read(path: &[u8], source: io::Error) -> TreeError {
    TreeError::Read { path: format!("/{}", String::from_utf8_lossy(path)), source }
}

/// How overlayfs says that there is nothing.
fn is_whiteout(node: &Node) -> bool {
    node.file_type() == FileType::CharacterDevice && node.stat.st_rdev == 0
}

/// Whether the engine made it, and nobody has used it.
fn is_scaffold_file(path: &[u8], node: &Node) -> bool {
    node.file_type() == FileType::RegularFile && node.size() == 0 && scaffold::is_file(path)
}

/// What overlayfs has noted about a file.
#[derive(Default)]
struct Notes {
    is_opaque: bool,
    /// It cannot be understood without the layers below.
    is_partial: bool,
}

fn notes(node: &Node) -> io::Result<Notes> {
    if !matches!(node.file_type(), FileType::Directory | FileType::RegularFile) {
        return Ok(Notes::default());
    }
    let opaque = OPAQUE_XATTR.as_bytes();
    let is_note = |name: &[u8]| name == opaque || name == REDIRECT_XATTR || name == METACOPY_XATTR;
    let notes = node::read_xattrs(node.handle.as_fd(), is_note)?;
    Ok(Notes {
        is_opaque: notes.iter().any(|(name, value)| name == opaque && value == b"y"),
        is_partial: notes.iter().any(|(name, _)| name != opaque),
    })
}

/// Whether a folder has other attributes than the one below. Its times say nothing: they change
/// with what is in it.
pub(super) fn differs(node: &Node, below: &Node) -> Result<bool, TreeError> {
    let owner_and_mode = |node: &Node| (node.stat.st_mode, node.stat.st_uid, node.stat.st_gid);
    if owner_and_mode(node) != owner_and_mode(below) {
        return Ok(true);
    }
    let xattrs = |node: &Node| {
        let entry = node.entry(Vec::new(), Xattrs::Portable);
        entry.map(|entry| entry.map(|entry| entry.xattrs)).map_err(|error| cannot_read(b"", error))
    };
    Ok(xattrs(node)? != xattrs(below)?)
}
