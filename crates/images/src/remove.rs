//! Removing images, and whatever nobody needs any more.
//!
//! A layer is needed as long as an image has it, a snapshot lies upon it, or some work under
//! way holds a [`Lease`](crate::layers::Lease) on it.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use errors::{Explain, Kind};
use oci::{Digest, Reference};

use crate::catalog::Catalog;
use crate::image::ImageId;
use crate::layers::State;
use crate::records::{Change, RecordsError};
use crate::removal::remove_tree;
use crate::store::Parts;

/// What went with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    pub image: ImageId,
    /// The names that it had.
    pub references: Vec<Reference>,
    /// The chain ids of the layers that nobody else needed, topmost first.
    pub layers: Vec<Digest>,
    /// Bytes of those layers.
    pub freed: u64,
}

/// Why an image was not removed.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    #[error("No such image: {image}")]
    NoSuchImage { image: ImageId },
    #[error("cannot remove the records of image {image}")]
    Records { image: ImageId, source: RecordsError },
}

impl Explain for DeleteError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchImage { .. } => Kind::NotFound,
            Self::Records { .. } => Kind::Internal,
        }
    }
}

/// Layers that are out of their place, and wait to be deleted from the disk.
#[derive(Debug, Default)]
struct Collected {
    layers: Vec<Digest>,
    freed: u64,
    graves: Vec<PathBuf>,
}

impl Collected {
    /// Deletes the files. What fails is tried again when the store is next opened.
    fn bury(&self) {
        for grave in &self.graves {
            if let Err(error) = remove_tree(grave) {
                tracing::warn!(path = %grave.display(), %error, "cannot delete a removed layer");
            }
        }
    }
}

/// Removes an image and its names.
pub(crate) fn delete(parts: &Parts, id: &ImageId) -> Result<Deleted, DeleteError> {
    let (references, collected) = parts.change(|catalog| {
        let image = catalog.image(id).ok_or(DeleteError::NoSuchImage { image: *id })?;
        let candidates: Vec<Digest> =
            image.layers.iter().rev().map(|layer| layer.chain_id).collect();
        let references = [&image.references[..], &image.digests].concat();
        catalog.remove(id);
        let mut changes: Vec<Change> = references.iter().cloned().map(Change::RemoveName).collect();
        changes.push(Change::RemoveImage(*id));
        let collected = collect(parts, catalog, &candidates, changes)
            .map_err(|source| DeleteError::Records { image: *id, source })?;
        Ok((references, collected))
    })?;
    if let Err(error) = fs::remove_file(parts.folders.blob(id.digest())) {
        tracing::warn!(image = %id, %error, "cannot delete a removed image's configuration");
    }
    collected.bury();
    let Collected { layers, freed, .. } = collected;
    Ok(Deleted { image: *id, references, layers, freed })
}

/// Removes those of some layers (topmost first) that nobody needs.
pub(crate) fn release(parts: &Parts, candidates: &[Digest]) {
    let collected = parts.change(|catalog| collect(parts, catalog, candidates, Vec::new()));
    match collected {
        Ok(collected) => collected.bury(),
        Err(error) => {
            tracing::warn!(error = errors::chain(&error), "cannot remove unused layers");
        }
    }
}

/// Makes `changes` and, in the same step, takes away those of the candidates that `catalog`
/// and the snapshots do not need.
fn collect(
    parts: &Parts,
    catalog: &Catalog,
    candidates: &[Digest],
    mut changes: Vec<Change>,
) -> Result<Collected, RecordsError> {
    // Nobody can begin to use a layer while this is held.
    let mut layers = parts.layers.lock();
    let needed = needed(parts, catalog, &layers);
    let unneeded: Vec<Digest> = candidates
        .iter()
        .filter(|chain_id| !needed.contains(*chain_id) && layers.is_free(chain_id))
        .copied()
        .collect();
    changes.extend(unneeded.iter().copied().map(Change::RemoveLayer));
    parts.records.write(&changes)?;

    let mut collected = Collected::default();
    for chain_id in unneeded {
        collected.freed += layers.forget(&chain_id);
        collected.layers.push(chain_id);
        let grave = parts.folders.unfinished_path();
        match fs::rename(parts.folders.layer(&chain_id), &grave) {
            Ok(()) => collected.graves.push(grave),
            // It has no record any more, so that the next start removes it.
            Err(error) => tracing::warn!(layer = %chain_id, %error, "cannot remove a layer"),
        }
    }
    Ok(collected)
}

/// Every layer that an image has or a snapshot lies upon.
fn needed(parts: &Parts, catalog: &Catalog, layers: &State) -> HashSet<Digest> {
    let mut needed: HashSet<Digest> = HashSet::new();
    for image in catalog.images() {
        needed.extend(image.layers.iter().map(|layer| layer.chain_id));
    }
    for top in parts.layers.snapshot_tops() {
        needed.extend(layers.chain(&top));
    }
    needed
}
