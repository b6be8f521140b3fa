//! Layers: which there are, and who holds on to them.
//!
//! A layer's folder holds its tree (`fs`), the [`recipe`] by which its archive can be given
//! back, and `replaced`, the few files that a later entry of the same archive took the place
//! of. It is made in `unfinished` by [`unpack`], and [`adopt`]ed: renamed to its chain id.

pub(crate) mod adopt;
pub(crate) mod apply;
pub(crate) mod assemble;
pub(crate) mod duplicate;
pub(crate) mod recipe;
pub(crate) mod unpack;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use archive::TarError;
use errors::{Explain, Kind};
use oci::Digest;

use crate::records::LayerRecord;

/// Every layer on this host, whether its image is recorded yet or not.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    state: Mutex<State>,
    /// The layer that each snapshot lies upon, by the snapshot's name.
    snapshots: Mutex<HashMap<String, Option<Digest>>>,
}

/// The layers themselves.
#[derive(Debug, Default)]
pub(crate) struct State {
    known: HashMap<Digest, Known>,
}

#[derive(Debug)]
struct Known {
    record: LayerRecord,
    /// How much unfinished work counts on this layer.
    leases: usize,
}

impl State {
    /// The layer and everything below it, topmost first.
    pub(crate) fn chain(&self, top: &Digest) -> Vec<Digest> {
        let below = |chain_id: &Digest| self.known.get(chain_id)?.record.parent;
        std::iter::successors(Some(*top), below).collect()
    }

    /// Whether no unfinished work counts on the layer.
    pub(crate) fn is_free(&self, chain_id: &Digest) -> bool {
        self.known.get(chain_id).is_some_and(|known| known.leases == 0)
    }

    /// Forgets a layer, and answers with its size.
    pub(crate) fn forget(&mut self, chain_id: &Digest) -> u64 {
        self.known.remove(chain_id).map_or(0, |known| known.record.size)
    }
}

impl Layers {
    pub(crate) fn new(
        layers: HashMap<Digest, LayerRecord>,
        snapshots: HashMap<String, Option<Digest>>,
    ) -> Self {
        let known =
            layers.into_iter().map(|(chain_id, record)| (chain_id, Known { record, leases: 0 }));
        Self {
            state: Mutex::new(State { known: known.collect() }),
            snapshots: Mutex::new(snapshots),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self, chain_id: &Digest) -> Option<LayerRecord> {
        self.lock().known.get(chain_id).map(|known| known.record)
    }

    /// The layer and everything below it, topmost first.
    pub(crate) fn chain(&self, top: &Digest) -> Vec<Digest> {
        self.lock().chain(top)
    }

    /// Layers whose files are not on the disk for good yet.
    pub(crate) fn unsettled(&self) -> Vec<Digest> {
        let state = self.lock();
        let unsettled = state.known.iter().filter(|(_, known)| known.record.unsettled.is_some());
        unsettled.map(|(chain_id, _)| *chain_id).collect()
    }

    /// Notes that a layer is on the disk for good, and answers with what to record of it.
    pub(crate) fn mark_settled(&self, chain_id: &Digest) -> Option<LayerRecord> {
        let mut state = self.lock();
        let known = state.known.get_mut(chain_id)?;
        known.record.unsettled = None;
        Some(known.record)
    }

    /// Bytes of all layers' files.
    pub(crate) fn total_size(&self) -> u64 {
        self.lock().known.values().map(|known| known.record.size).sum()
    }

    /// Holds on to a layer, if it is there.
    pub(crate) fn lease(&self, chain_id: &Digest) -> Option<LayerRecord> {
        let mut state = self.lock();
        let known = state.known.get_mut(chain_id)?;
        known.leases += 1;
        Some(known.record)
    }

    /// Holds on to some layer of this content, if there is one.
    pub(crate) fn lease_by_content(&self, diff_id: &Digest) -> Option<Digest> {
        let mut state = self.lock();
        let (chain_id, known) =
            state.known.iter_mut().find(|(_, known)| known.record.diff_id == *diff_id)?;
        known.leases += 1;
        Some(*chain_id)
    }

    /// Puts a finished layer in its place, and holds on to it. If the same layer came there
    /// first, that one is taken.
    pub(crate) fn adopt(
        &self,
        chain_id: Digest,
        record: LayerRecord,
        finished: &Path,
        place: &Path,
    ) -> io::Result<()> {
        let mut state = self.lock();
        if let Some(known) = state.known.get_mut(&chain_id) {
            known.leases += 1;
            return Ok(());
        }
        fs::rename(finished, place)?;
        state.known.insert(chain_id, Known { record, leases: 1 });
        Ok(())
    }

    /// Lets go of layers.
    pub(crate) fn end_leases(&self, chain_ids: &[Digest]) {
        let mut state = self.lock();
        for chain_id in chain_ids {
            if let Some(known) = state.known.get_mut(chain_id) {
                known.leases -= 1;
            }
        }
    }

    /// Remembers what a new snapshot lies upon. Whether the name was free.
    pub(crate) fn put_snapshot(&self, name: &str, top: Option<Digest>) -> bool {
        match self.snapshots().entry(name.to_owned()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(vacant) => {
                vacant.insert(top);
                true
            }
        }
    }

    /// Forgets a snapshot, and answers with what it lay upon.
    pub(crate) fn forget_snapshot(&self, name: &str) -> Option<Digest> {
        self.snapshots().remove(name).flatten()
    }

    /// What a snapshot lies upon, if there is one of this name.
    pub(crate) fn snapshot(&self, name: &str) -> Option<Option<Digest>> {
        self.snapshots().get(name).copied()
    }

    pub(crate) fn snapshot_tops(&self) -> Vec<Digest> {
        let mut tops: Vec<Digest> = self.snapshots().values().copied().flatten().collect();
        tops.sort_unstable();
        tops.dedup();
        tops
    }

    fn snapshots(&self) -> MutexGuard<'_, HashMap<String, Option<Digest>>> {
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The chain id of a layer: it names the content and everything below it.
pub(crate) fn chain_id(parent: Option<&Digest>, diff_id: &Digest) -> Digest {
    match parent {
        None => *diff_id,
        Some(parent) => Digest::of(format!("{parent} {diff_id}").as_bytes()),
    }
}

/// The chain ids of a list of layers, from the bottom up.
pub(crate) fn chain_ids(diff_ids: impl IntoIterator<Item = Digest>) -> Vec<Digest> {
    let mut parent = None;
    diff_ids
        .into_iter()
        .map(|diff_id| {
            let chain_id = chain_id(parent.as_ref(), &diff_id);
            parent = Some(chain_id);
            chain_id
        })
        .collect()
}

/// Why an archive could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is not an archive, or a damaged one.
    #[error(transparent)]
    Malformed(TarError),
    /// Its compression is damaged, or cut off.
    #[error("cannot decompress the archive")]
    Decompress(#[source] io::Error),
    #[error("{compression} archives are not supported")]
    Compression { compression: &'static str },
    #[error("{path} would be outside of the layer's root")]
    Outside { path: String },
    #[error("cannot make {path}")]
    Make { path: String, source: io::Error },
    #[error("{path} is a hard link to {target}, which is not there")]
    LinkTarget { path: String, target: String },
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    #[error("cannot write to the image store")]
    Write(#[source] io::Error),
}

impl From<TarError> for ArchiveError {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Read(error) => Self::Read(error),
            other => Self::Malformed(other),
        }
    }
}

impl Explain for ArchiveError {
    fn kind(&self) -> Kind {
        match self {
            Self::Malformed(_)
            | Self::Decompress(_)
            | Self::Compression { .. }
            | Self::Outside { .. }
            | Self::LinkTarget { .. }
            | Self::Read(_) => Kind::Invalid,
            Self::Make { .. } | Self::Write(_) => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Compression { .. } => {
                Some("decompress it first; gzip and zstd are understood as they are".to_owned())
            }
            _ => None,
        }
    }
}
