//! How an image came to be: its configuration's history, beside its layers' sizes.

use jiff::Timestamp;
use oci::Reference;

use crate::catalog::ResolveError;
use crate::image::{Image, ImageId};
use crate::store::Parts;

/// One step on the way to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The image that it led to, if that is known here.
    pub id: Option<ImageId>,
    pub created: Option<Timestamp>,
    pub created_by: String,
    /// Bytes of the layer that it made, if it made one.
    pub size: u64,
    pub comment: String,
    pub tags: Vec<Reference>,
}

/// The steps of an image, newest first.
pub(crate) fn of(parts: &Parts, id: &ImageId) -> Result<Vec<HistoryEntry>, ResolveError> {
    let catalog = parts.catalog();
    let image = catalog
        .image(id)
        .ok_or_else(|| ResolveError::NotFound { name: id.to_string(), candidates: Vec::new() })?;
    let mut entries = entries(image);
    let mut ancestor = Some(image);
    for entry in &mut entries {
        let Some(image) = ancestor else { break };
        entry.id = Some(image.id);
        entry.tags.clone_from(&image.references);
        ancestor = image.parent.as_ref().and_then(|parent| catalog.image(parent));
    }
    Ok(entries)
}

/// The steps of an image, without the images that they led to.
fn entries(image: &Image) -> Vec<HistoryEntry> {
    let mut sizes = image.layers.iter().map(|layer| layer.size);
    let mut entries: Vec<HistoryEntry> = image
        .config
        .history()
        .iter()
        .flatten()
        .map(|step| {
            let has_layer = !step.empty_layer().unwrap_or_default();
            HistoryEntry {
                id: None,
                created: step.created().as_deref().and_then(|time| time.parse().ok()),
                created_by: step.created_by().clone().unwrap_or_default(),
                size: if has_layer { sizes.next().unwrap_or_default() } else { 0 },
                comment: step.comment().clone().unwrap_or_default(),
                tags: Vec::new(),
            }
        })
        .collect();
    // An image may be silent about how it came to be, but its layers are there.
    entries.extend(sizes.map(|size| HistoryEntry {
        id: None,
        created: image.created,
        created_by: String::new(),
        size,
        comment: String::new(),
        tags: Vec::new(),
    }));
    entries.reverse();
    entries
}
