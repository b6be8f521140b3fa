//! Opening a store, and mending what a crash left.
//!
//! What has no record is removed, and so is a record of what is not there. An image whose
//! configuration or layers are gone cannot be run; it goes too, with a warning.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use oci::{Digest, Reference};
use redb::Database;

use crate::catalog::Catalog;
use crate::folders::Folders;
use crate::image::{Image, ImageId, Layer, parse_config};
use crate::layers::{Layers, chain_ids};
use crate::records::{Change, ImageRecord, LayerRecord, Records};
use crate::settle::this_boot;
use crate::snapshots;
use crate::store::{OpenError, Parts};

/// Opens the store in `root`.
pub(crate) fn open(root: &Path, database: Arc<Database>) -> Result<Parts, OpenError> {
    let folders =
        Folders::open(root).map_err(|(path, source)| OpenError::Folder { path, source })?;
    let in_folder = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Folder { path, source }
    };
    folders.remove_unfinished().map_err(in_folder(folders.unfinished()))?;

    let records = Records::new(database);
    let mut recorded = records.read().map_err(|source| OpenError::Records { source })?;
    let snapshots = snapshots::read_all(&folders).map_err(in_folder(folders.snapshots()))?;

    let present = digests_in(folders.layers()).map_err(in_folder(folders.layers()))?;
    let mut changes = forget_doubtful_layers(&mut recorded.layers, &present, &this_boot());
    let images =
        read_images(&folders, recorded.images, &recorded.layers, &mut recorded.names, &mut changes);
    changes.extend(forget_unused_layers(&mut recorded.layers, &images, &snapshots));
    records.write(&changes).map_err(|source| OpenError::Records { source })?;

    let layers_kept = recorded.layers.keys().copied().collect();
    remove_others(folders.layers(), &present, &layers_kept, &folders)
        .map_err(in_folder(folders.layers()))?;
    let blobs_kept = images.iter().map(|image| *image.id.digest()).collect();
    let blobs = digests_in(folders.blobs()).map_err(in_folder(folders.blobs()))?;
    remove_others(folders.blobs(), &blobs, &blobs_kept, &folders)
        .map_err(in_folder(folders.blobs()))?;

    let layers = Layers::new(recorded.layers, snapshots);
    Ok(Parts::new(folders, records, layers, Catalog::new(images, recorded.names)))
}

/// What a folder holds whose entries are named by digests.
fn digests_in(folder: &Path) -> io::Result<HashSet<Digest>> {
    let mut digests = HashSet::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        digests.extend(name.to_str().and_then(|hex| Digest::from_hex(hex).ok()));
    }
    Ok(digests)
}

/// Forgets layers whose folders are gone, or whose files may not have reached the disk before
/// the host went down; and those above them.
fn forget_doubtful_layers(
    layers: &mut HashMap<Digest, LayerRecord>,
    present: &HashSet<Digest>,
    this_boot: &Digest,
) -> Vec<Change> {
    let mut changes = Vec::new();
    loop {
        let doubtful: Vec<Digest> = layers
            .iter()
            .filter(|(chain_id, record)| {
                let has_parent = record.parent.is_none_or(|parent| layers.contains_key(&parent));
                let is_whole = record.unsettled.is_none_or(|boot| boot == *this_boot);
                !present.contains(*chain_id) || !has_parent || !is_whole
            })
            .map(|(chain_id, _)| *chain_id)
            .collect();
        if doubtful.is_empty() {
            return changes;
        }
        for chain_id in doubtful {
            tracing::warn!(layer = %chain_id, "a layer is gone from the disk, or was cut off");
            layers.remove(&chain_id);
            changes.push(Change::RemoveLayer(chain_id));
        }
    }
}

/// Reads the images that are whole, and forgets the others with their names.
fn read_images(
    folders: &Folders,
    records: Vec<(ImageId, ImageRecord)>,
    layers: &HashMap<Digest, LayerRecord>,
    names: &mut BTreeMap<Reference, ImageId>,
    changes: &mut Vec<Change>,
) -> Vec<Image> {
    let mut images = Vec::new();
    for (id, record) in records {
        let raw = fs::read(folders.blob(id.digest())).ok().filter(|raw| id.digest().verify(raw));
        match raw.and_then(|raw| Image::assemble(raw, &record, |id| layers.get(id).copied())) {
            Some(image) => images.push(image),
            None => {
                tracing::warn!(image = %id, "an image is damaged on the disk, and removed");
                changes.push(Change::RemoveImage(id));
            }
        }
    }
    let whole: HashSet<ImageId> = images.iter().map(|image| image.id).collect();
    let lost: Vec<Reference> =
        names.iter().filter(|(_, id)| !whole.contains(id)).map(|(name, _)| name.clone()).collect();
    for name in lost {
        names.remove(&name);
        changes.push(Change::RemoveName(name));
    }
    images
}

/// Forgets layers that neither an image has nor a snapshot lies upon.
fn forget_unused_layers(
    layers: &mut HashMap<Digest, LayerRecord>,
    images: &[Image],
    snapshots: &HashMap<String, Option<Digest>>,
) -> Vec<Change> {
    let mut used: HashSet<Digest> = HashSet::new();
    used.extend(images.iter().flat_map(|image| &image.layers).map(|layer| layer.chain_id));
    for top in snapshots.values().flatten() {
        let below = |chain_id: &Digest| layers.get(chain_id)?.parent;
        used.extend(std::iter::successors(Some(*top), below));
    }
    let unused: Vec<Digest> =
        layers.keys().filter(|chain_id| !used.contains(*chain_id)).copied().collect();
    for chain_id in &unused {
        layers.remove(chain_id);
    }
    unused.into_iter().map(Change::RemoveLayer).collect()
}

/// Removes what nobody has a record of.
fn remove_others(
    folder: &Path,
    present: &HashSet<Digest>,
    kept: &HashSet<Digest>,
    folders: &Folders,
) -> io::Result<()> {
    for digest in present.difference(kept) {
        folders.remove(&folder.join(digest.hex()))?;
    }
    Ok(())
}

impl Image {
    /// An image from its configuration and its record, without its names. Nothing, if the
    /// configuration cannot be read or a layer is missing.
    pub(crate) fn assemble(
        raw: Vec<u8>,
        record: &ImageRecord,
        layer: impl Fn(&Digest) -> Option<LayerRecord>,
    ) -> Option<Self> {
        let (config, extras) = parse_config(&raw).ok()?;
        let diff_ids: Option<Vec<Digest>> =
            config.rootfs().diff_ids().iter().map(|diff_id| diff_id.parse().ok()).collect();
        let layers: Option<Vec<Layer>> = chain_ids(diff_ids?)
            .into_iter()
            .map(|chain_id| {
                let LayerRecord { diff_id, size, .. } = layer(&chain_id)?;
                Some(Layer { diff_id, chain_id, size })
            })
            .collect();
        let time = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
        Some(Self {
            id: ImageId::new(Digest::of(&raw)),
            created: time(config.created()),
            last_tagged: time(&record.last_tagged),
            config,
            extras,
            raw,
            references: Vec::new(),
            digests: Vec::new(),
            layers: layers?,
            manifest: record.manifest,
            parent: record.parent,
        })
    }
}
