//! Every image and every name, as they are at one moment.
//!
//! A catalog is never changed. Whoever changes the store makes a new one and puts it in the
//! old one's place, so that readers wait for nobody.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use errors::{Explain, Kind};
use oci::{Digest, Reference, ReferenceError};

use crate::image::{Image, ImageId};

/// Ids shorter than this are taken for names only.
const ID_PREFIX_LENGTH_MIN: usize = 1;

/// A name means no image, or none in particular.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    #[error("No such image: {name}")]
    NotFound {
        name: String,
        /// The ids that begin so, if that is why it means none.
        candidates: Vec<ImageId>,
    },
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The image that is built into the program was asked for, and could not be put in place.
    #[error("cannot make the built-in image {name}: {reason}")]
    BuiltIn { name: String, reason: String },
}

impl Explain for ResolveError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } => Kind::NotFound,
            Self::Reference(error) => error.kind(),
            Self::BuiltIn { .. } => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { candidates, .. } if !candidates.is_empty() => {
                let ids: Vec<_> = candidates.iter().map(ImageId::short).collect();
                Some(format!("several ids begin so: {}", ids.join(", ")))
            }
            Self::Reference(error) => error.hint(),
            Self::NotFound { .. } | Self::BuiltIn { .. } => None,
        }
    }
}

/// Images by id, and ids by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    images: HashMap<ImageId, Arc<Image>>,
    names: BTreeMap<Reference, ImageId>,
}

impl Catalog {
    /// A catalog of these images. Their names are what `names` says.
    pub(crate) fn new(images: Vec<Image>, names: BTreeMap<Reference, ImageId>) -> Self {
        let mut catalog = Self {
            images: images.into_iter().map(|image| (image.id, Arc::new(image))).collect(),
            names,
        };
        let ids: Vec<ImageId> = catalog.images.keys().copied().collect();
        ids.into_iter().for_each(|id| catalog.rename(id));
        catalog
    }

    /// Every image, newest first.
    pub(crate) fn images(&self) -> Vec<Arc<Image>> {
        let mut images: Vec<_> = self.images.values().cloned().collect();
        images.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        images
    }

    pub(crate) fn image(&self, id: &ImageId) -> Option<&Arc<Image>> {
        self.images.get(id)
    }

    /// The image of a complete name.
    pub(crate) fn named(&self, reference: &Reference) -> Option<ImageId> {
        self.names.get(&without_needless_tag(reference.clone().or_latest())).copied()
    }

    /// Every tag of a name without one.
    pub(crate) fn tags_of(&self, name: &Reference) -> Vec<(Reference, ImageId)> {
        self.names
            .iter()
            .filter(|(reference, _)| reference.tag().is_some() && reference.name() == name.name())
            .map(|(reference, id)| (reference.clone(), *id))
            .collect()
    }

    /// The image that a user means: by a full id, else by a name, else by the beginning of an
    /// id. So a name wins over an id that begins like it, as in Docker.
    pub(crate) fn resolve(&self, text: &str) -> Result<&Arc<Image>, ResolveError> {
        let not_found = |name: String| ResolveError::NotFound { name, candidates: Vec::new() };
        if let Some(id) = full_id(text) {
            return self.images.get(&id).ok_or_else(|| not_found(id.to_string()));
        }
        let reference: Reference = text.parse()?;
        if let Some(image) = self.named(&reference).and_then(|id| self.images.get(&id)) {
            return Ok(image);
        }
        let candidates = self.begin_with(text);
        match candidates[..] {
            [id] => Ok(&self.images[&id]),
            _ => Err(ResolveError::NotFound { name: reference.or_latest().familiar(), candidates }),
        }
    }

    /// The ids that begin with `text`, which may name the algorithm.
    fn begin_with(&self, text: &str) -> Vec<ImageId> {
        let prefix = text.strip_prefix("sha256:").unwrap_or(text);
        let is_prefix = prefix.len() >= ID_PREFIX_LENGTH_MIN
            && prefix.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_prefix {
            return Vec::new();
        }
        let mut ids: Vec<_> =
            self.images.keys().filter(|id| id.hex().starts_with(prefix)).copied().collect();
        ids.sort_unstable();
        ids
    }

    /// The images that were made from this one.
    pub(crate) fn children(&self, id: &ImageId) -> Vec<ImageId> {
        self.images
            .values()
            .filter(|image| image.parent.as_ref() == Some(id))
            .map(|image| image.id)
            .collect()
    }

    /// Whether any image has the layer.
    pub(crate) fn uses_layer(&self, chain_id: &Digest) -> bool {
        self.images
            .values()
            .any(|image| image.layers.iter().any(|layer| layer.chain_id == *chain_id))
    }

    /// Adds an image, or puts it in the place of the one of the same id.
    pub(crate) fn insert(&mut self, image: Image) {
        let id = image.id;
        self.images.insert(id, Arc::new(image));
        self.rename(id);
    }

    /// Takes an image away, and its names.
    pub(crate) fn remove(&mut self, id: &ImageId) {
        self.images.remove(id);
        self.names.retain(|_, named| named != id);
    }

    /// Gives a name to an image, and answers with the one that had it.
    pub(crate) fn name(&mut self, reference: Reference, id: ImageId) -> Option<ImageId> {
        let previous = self.names.insert(reference, id).filter(|previous| *previous != id);
        previous.into_iter().chain([id]).for_each(|id| self.rename(id));
        previous
    }

    /// Takes a name away.
    pub(crate) fn unname(&mut self, reference: &Reference) -> Option<ImageId> {
        let id = self.names.remove(reference)?;
        self.rename(id);
        Some(id)
    }

    /// Tells an image its names.
    fn rename(&mut self, id: ImageId) {
        let Some(image) = self.images.get_mut(&id) else { return };
        let names = self.names.iter().filter(|(_, named)| **named == id).map(|(name, _)| name);
        let (digests, references) = names.cloned().partition(|name| name.digest().is_some());
        if image.references != references || image.digests != digests {
            let image = Arc::make_mut(image);
            image.references = references;
            image.digests = digests;
        }
    }
}

/// A full id: 64 hexadecimal digits, with or without the algorithm.
fn full_id(text: &str) -> Option<ImageId> {
    let digest = text.parse::<Digest>().or_else(|_| Digest::from_hex(text));
    digest.ok().map(ImageId::new)
}

/// A name with both tag and digest means what the digest says.
pub(crate) fn without_needless_tag(reference: Reference) -> Reference {
    match reference.digest() {
        Some(digest) if reference.tag().is_some() => reference.with_digest(*digest),
        _ => reference,
    }
}
