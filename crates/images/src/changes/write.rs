//! Changes as a layer, as images have it.

use std::io::{self, Write};

use archive::entry::{Entry, Kind, Time};
use archive::node::{Node, Xattrs};
use archive::place;
use archive::tree::{self, TreeError, TreeWriter};

use super::walk::{Found, Visitor, differs, walk};
use super::{ChangesError, scaffold};
use crate::snapshots::Snapshot;

/// Before the name of what a layer takes away.
const WHITEOUT: &[u8] = b".wh.";
/// Says that a folder hides everything that the layers below have in it.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Writes a container's changes as the archive of a layer.
pub(crate) fn write_layer(snapshot: &Snapshot, output: impl Write) -> Result<(), ChangesError> {
    let writer = TreeWriter::new(output, Xattrs::Portable, &tree::nothing);
    let mut layer = Layer { writer, pending: Vec::new() };
    match walk(snapshot, &mut layer) {
        Ok(()) => layer.writer.finish().map(drop).map_err(|error| TreeError::Write(error).into()),
        Err(error) => {
            layer.writer.break_off();
            Err(error)
        }
    }
}

/// A layer that is being written.
struct Layer<'a, W> {
    writer: TreeWriter<'a, W>,
    /// The folders that the walk is in, those that are written only if something in them is.
    pending: Vec<Option<(Vec<u8>, Node)>>,
}

impl<W: Write> Layer<'_, W> {
    fn write_pending(&mut self) -> Result<(), TreeError> {
        for pending in &mut self.pending {
            if let Some((path, node)) = pending.take() {
                self.writer.add_node(&node, &path)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, path: &[u8], node: &Node) -> Result<(), TreeError> {
        self.write_pending()?;
        self.writer.add_node(node, path)
    }

    /// Writes an empty file that stands for something. It has no time: whether, and not when, is
    /// what a layer says.
    fn write_mark(&mut self, path: Vec<u8>) -> Result<(), TreeError> {
        self.write_pending()?;
        let mark = Entry {
            path,
            kind: Kind::File { size: 0, fragments: None },
            mode: 0o600,
            uid: 0,
            gid: 0,
            modified: Time::default(),
            accessed: None,
            xattrs: Vec::new(),
        };
        self.writer.author().entry(&mark).map_err(TreeError::Write)
    }
}

impl<W: Write> Visitor for Layer<'_, W> {
    fn visit(&mut self, path: &[u8], found: &Found<'_>) -> Result<(), TreeError> {
        let (node, is_certain) = match found {
            Found::Deleted => {
                let (folder, name) = place::split(path);
                return self.write_mark(place::join(folder, &[WHITEOUT, name].concat()));
            }
            Found::Added(node) => (node, !(node.is_folder() && scaffold::is_folder(path))),
            // Whoever copied a file up may have changed what no attribute tells.
            Found::Replaced { node, .. } => (node, true),
            Found::Merged { node, below } => (node, differs(node, below)?),
            Found::Opaque { node, .. } => {
                self.write(path, node)?;
                self.write_mark(place::join(path, OPAQUE))?;
                self.pending.push(None);
                return Ok(());
            }
        };
        if is_certain {
            self.write(path, node)?;
        }
        if node.is_folder() {
            let pending = match is_certain {
                true => None,
                false => Some((path.to_vec(), again(path, node)?)),
            };
            self.pending.push(pending);
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.pending.pop();
    }
}

/// Another handle on a folder.
fn again(path: &[u8], node: &Node) -> Result<Node, TreeError> {
    let handle = node.handle.try_clone();
    let handle = handle.map_err(|source: io::Error| TreeError::Read {
        path: String::from_utf8_lossy(path).into_owned(),
        source,
    })?;
    Ok(Node { handle, stat: node.stat })
}
