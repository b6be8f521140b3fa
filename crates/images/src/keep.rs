//! Keeping new images: their configurations, records and names, in one step.

use std::fs;
use std::io;

use fail_points::{Point, pass, reach};
use jiff::Timestamp;
use oci::{Digest, Reference};

use crate::image::{Image, ImageId};
use crate::records::{Change, ImageRecord, RecordsError};
use crate::store::Parts;

/// An image whose layers are in place.
#[derive(Debug, Clone)]
pub(crate) struct NewImage {
    /// Its configuration.
    pub(crate) raw: Vec<u8>,
    /// The names that it gets, in their complete form.
    pub(crate) references: Vec<Reference>,
    pub(crate) manifest: Option<Digest>,
    pub(crate) parent: Option<ImageId>,
}

/// An image that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) id: ImageId,
    pub(crate) references: Vec<Reference>,
    /// The images that had some of these names before.
    pub(crate) replaced: Vec<(Reference, ImageId)>,
}

/// Why images were not kept.
#[derive(Debug)]
pub(crate) enum KeepError {
    Content(io::Error),
    Records(RecordsError),
}

/// Keeps all of the images, or none. Someone must hold on to their layers meanwhile.
pub(crate) fn keep(parts: &Parts, images: &[NewImage]) -> Result<Vec<Kept>, KeepError> {
    parts.change(|catalog| {
        let mut changes = Vec::new();
        let mut kept = Vec::new();
        for new in images {
            let id = write_config(parts, &new.raw).map_err(KeepError::Content)?;
            let mut image = assemble(parts, new, catalog.image(&id).map(AsRef::as_ref))
                .ok_or_else(|| {
                    KeepError::Content(io::Error::other(format!("a layer of image {id} is gone")))
                })?;
            if !new.references.is_empty() {
                image.last_tagged = Some(Timestamp::now());
            }
            changes.push(Change::PutImage(id, ImageRecord::of(&image)));
            for layer in &image.layers {
                let record = parts.layers.record(&layer.chain_id);
                changes.extend(record.map(|record| Change::PutLayer(layer.chain_id, record)));
            }
            catalog.insert(image);
            let mut replaced = Vec::new();
            for reference in &new.references {
                changes.push(Change::PutName(reference.clone(), id));
                let previous = catalog.name(reference.clone(), id);
                replaced.extend(previous.map(|previous| (reference.clone(), previous)));
            }
            kept.push(Kept { id, references: new.references.clone(), replaced });
        }
        parts.records.write(&changes).map_err(KeepError::Records)?;
        pass(Point::LoadRecorded);
        Ok(kept)
    })
}

/// The image, with what was known of it if it is not new after all.
fn assemble(parts: &Parts, new: &NewImage, known: Option<&Image>) -> Option<Image> {
    let mut record = known.map(ImageRecord::of).unwrap_or_default();
    record.manifest = new.manifest.or(record.manifest);
    record.parent = new.parent.or(record.parent);
    Image::assemble(new.raw.clone(), &record, |chain_id| parts.layers.record(chain_id))
}

/// Puts a configuration in its place. Should the images not be kept after all, it stays
/// without an owner until the store is next opened; it is small.
fn write_config(parts: &Parts, raw: &[u8]) -> io::Result<ImageId> {
    let digest = Digest::of(raw);
    let place = parts.folders.blob(&digest);
    if !place.exists() {
        let draft = parts.folders.unfinished_path();
        let written = fs::write(&draft, raw)
            .and_then(|()| reach(Point::LoadConfig))
            .and_then(|()| fs::rename(&draft, &place));
        if let Err(error) = written {
            // Should it stay, it goes when the store is next opened.
            let _ = fs::remove_file(&draft);
            return Err(error);
        }
        reach(Point::LoadConfigPlaced)?;
    }
    Ok(ImageId::new(digest))
}
