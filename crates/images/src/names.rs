//! Giving names to images, and taking them away.

use errors::{Explain, Kind};
use jiff::Timestamp;
use oci::Reference;

use crate::catalog::without_needless_tag;
use crate::image::{Image, ImageId};
use crate::records::{Change, ImageRecord, RecordsError};
use crate::store::Parts;

/// A name was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tagged {
    /// The image that had the name before.
    pub previous: Option<ImageId>,
}

/// Why a name was not given.
#[derive(Debug, thiserror::Error)]
pub enum TagError {
    #[error("No such image: {image}")]
    NoSuchImage { image: ImageId },
    #[error("refusing to create a tag with a digest reference")]
    Digest { name: String },
    #[error("refusing to create an ambiguous tag using digest algorithm as name")]
    Ambiguous { name: String },
    #[error("cannot record the name {name}")]
    Records { name: String, source: RecordsError },
}

impl Explain for TagError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchImage { .. } => Kind::NotFound,
            Self::Digest { .. } | Self::Ambiguous { .. } => Kind::Invalid,
            Self::Records { .. } => Kind::Internal,
        }
    }
}

/// Why a name was not taken away.
#[derive(Debug, thiserror::Error)]
pub enum UntagError {
    #[error("No such image: {name}")]
    NoSuchName { name: String },
    #[error("cannot remove the name {name}")]
    Records { name: String, source: RecordsError },
}

impl Explain for UntagError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchName { .. } => Kind::NotFound,
            Self::Records { .. } => Kind::Internal,
        }
    }
}

/// Gives the name to the image.
pub(crate) fn tag(parts: &Parts, id: &ImageId, reference: &Reference) -> Result<Tagged, TagError> {
    let reference = check(reference)?;
    parts.change(|catalog| {
        let image = catalog.image(id).ok_or(TagError::NoSuchImage { image: *id })?;
        let mut image = Image::clone(image);
        image.last_tagged = Some(Timestamp::now());
        let changes = [
            Change::PutImage(*id, ImageRecord::of(&image)),
            Change::PutName(reference.clone(), *id),
        ];
        parts
            .records
            .write(&changes)
            .map_err(|source| TagError::Records { name: reference.familiar(), source })?;
        catalog.insert(image);
        Ok(Tagged { previous: catalog.name(reference, *id) })
    })
}

/// The complete name, if it may be one.
pub(crate) fn check(reference: &Reference) -> Result<Reference, TagError> {
    if reference.digest().is_some() {
        return Err(TagError::Digest { name: reference.familiar() });
    }
    // `sha256:abc` would be a name and the beginning of an id.
    if reference.familiar_name() == "sha256" {
        return Err(TagError::Ambiguous { name: reference.familiar() });
    }
    Ok(reference.clone().or_latest())
}

/// Takes the name away.
pub(crate) fn untag(parts: &Parts, reference: &Reference) -> Result<ImageId, UntagError> {
    let reference = without_needless_tag(reference.clone().or_latest());
    parts.change(|catalog| {
        let Some(id) = catalog.unname(&reference) else {
            return Err(UntagError::NoSuchName { name: reference.familiar() });
        };
        parts
            .records
            .write(&[Change::RemoveName(reference.clone())])
            .map_err(|source| UntagError::Records { name: reference.familiar(), source })?;
        Ok(id)
    })
}

impl ImageRecord {
    /// What is to be recorded of an image.
    pub(crate) fn of(image: &Image) -> Self {
        Self {
            parent: image.parent,
            manifest: image.manifest,
            last_tagged: image.last_tagged.map(|time| time.to_string()),
        }
    }
}
