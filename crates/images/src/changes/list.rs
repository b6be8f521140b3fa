//! Changes as a list, as `docker diff` shows it.

use std::os::fd::AsFd as _;

use archive::node::{self, Node};
use archive::place;
use archive::tree::TreeError;
use rustix::fs::FileType;

use super::walk::{Found, Visitor, differs};
use super::{ChangeKind, FileChange, scaffold};

/// A list that grows.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) changes: Vec<FileChange>,
    /// The folders that the walk is in, those that are listed only if something in them is.
    pending: Vec<Option<FileChange>>,
}

impl List {
    fn push(&mut self, path: &[u8], kind: ChangeKind) {
        self.changes.extend(self.pending.iter_mut().filter_map(Option::take));
        self.changes.push(FileChange { path: path.to_vec(), kind });
    }
}

impl Visitor for List {
    fn visit(&mut self, path: &[u8], found: &Found<'_>) -> Result<(), TreeError> {
        let (node, kind, is_certain) = match found {
            Found::Deleted => {
                self.push(path, ChangeKind::Deleted);
                return Ok(());
            }
            Found::Added(node) => (node, ChangeKind::Added, !is_scaffold(path, node)),
            Found::Replaced { node, below } => {
                (node, ChangeKind::Modified, node.is_folder() || is_other(node, below)?)
            }
            Found::Merged { node, below } => (node, ChangeKind::Modified, differs(node, below)?),
            Found::Opaque { node, below } => {
                self.push(path, ChangeKind::Modified);
                self.push_hidden(path, node, below)?;
                self.pending.push(None);
                return Ok(());
            }
        };
        if is_certain {
            self.push(path, kind);
        }
        if node.is_folder() {
            let pending = FileChange { path: path.to_vec(), kind };
            self.pending.push((!is_certain).then_some(pending));
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.pending.pop();
    }
}

impl List {
    /// What the folder below has and this one has not.
    fn push_hidden(&mut self, path: &[u8], node: &Node, below: &Node) -> Result<(), TreeError> {
        let names = |node: &Node| {
            let names = node.list().and_then(|folder| node::names(&folder));
            names.map_err(|source| TreeError::Read {
                path: String::from_utf8_lossy(path).into_owned(),
                source,
            })
        };
        let own = names(node)?;
        for name in names(below)? {
            let is_whiteout = Node::open(below.handle.as_fd(), &name).is_ok_and(|node| {
                node.file_type() == FileType::CharacterDevice && node.stat.st_rdev == 0
            });
            if !is_whiteout && own.binary_search(&name).is_err() {
                self.push(&place::join(path, &name), ChangeKind::Deleted);
            }
        }
        Ok(())
    }
}

fn is_scaffold(path: &[u8], node: &Node) -> bool {
    node.is_folder() && scaffold::is_folder(path)
}

/// Whether a file is another than the one below, as far as its attributes tell. (A file that was
/// opened to be written, and was not, is a copy.)
fn is_other(node: &Node, below: &Node) -> Result<bool, TreeError> {
    let (own, other) = (&node.stat, &below.stat);
    let same_time = own.st_mtime == other.st_mtime
        && (own.st_mtime_nsec == other.st_mtime_nsec
            || own.st_mtime_nsec == 0
            || other.st_mtime_nsec == 0);
    if !same_time || own.st_size != other.st_size || own.st_rdev != other.st_rdev {
        return Ok(true);
    }
    differs(node, below)
}
