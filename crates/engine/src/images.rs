//! Images, with the rules that need to know about containers.
//!
//! Docker's rules of removal, which scripts rely on. By name: the name goes, and the image
//! with its last name. By id: all names go if they are of one repository. What a container
//! needs stays, unless it is forced and the container is stopped: that keeps the layers then,
//! and nothing else of the image.

use std::collections::BTreeMap;
use std::sync::Arc;

use errors::{Explain, Kind};
use images::{Image, ImageId};

use crate::containers::{Phase, PruneFilter, View, blocking};
use crate::engine::Parts;
use crate::events::ObjectKind;

/// A step of an image's removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name or a digest reference was taken off.
    Untagged(String),
    /// An image (or one of its layers) went, by its id.
    Deleted(String),
}

/// How to remove an image.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveImage {
    pub force: bool,
    /// Keep untagged parents.
    pub no_prune: bool,
}

/// Why an image was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveImageError {
    #[error(transparent)]
    Resolve(#[from] images::ResolveError),
    #[error(
        "conflict: unable to remove repository reference \"{reference}\" (must force) - container \
         {container} is using its referenced image {image}"
    )]
    ReferenceInUse { reference: String, container: String, image: String },
    #[error(
        "conflict: unable to delete {image} (must be forced) - image is referenced in multiple \
         repositories"
    )]
    ManyRepositories { image: String },
    #[error(
        "conflict: unable to delete {image} (cannot be forced) - image is being used by running \
         container {container}"
    )]
    UsedByRunning { image: String, container: String },
    #[error(
        "conflict: unable to delete {image} (must be forced) - image is being used by stopped \
         container {container}"
    )]
    UsedByStopped { image: String, container: String },
    #[error(
        "conflict: unable to delete {image} (cannot be forced) - image has dependent child images"
    )]
    HasChildren { image: String },
    #[error("cannot untag image {image}")]
    Untag { image: String, source: images::UntagError },
    #[error("cannot delete image {image}")]
    Delete { image: String, source: images::DeleteError },
}

impl Explain for RemoveImageError {
    fn kind(&self) -> Kind {
        match self {
            Self::Resolve(error) => error.kind(),
            Self::ReferenceInUse { .. }
            | Self::ManyRepositories { .. }
            | Self::UsedByRunning { .. }
            | Self::UsedByStopped { .. }
            | Self::HasChildren { .. } => Kind::Conflict,
            Self::Untag { .. } | Self::Delete { .. } => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::ReferenceInUse { container, .. }
            | Self::UsedByRunning { container, .. }
            | Self::UsedByStopped { container, .. } => {
                Some(format!("`wharf rm -f {container}` removes the container that uses it"))
            }
            _ => None,
        }
    }
}

/// Removes a name, or an image.
pub(crate) async fn remove(
    parts: &Arc<Parts>,
    name: &str,
    options: RemoveImage,
) -> Result<Vec<Removed>, RemoveImageError> {
    let (parts, name) = (Arc::clone(parts), name.to_owned());
    blocking(move || {
        let image = parts.images.find(&name)?;
        let removal = Removal { parts: &parts, options, removed: Vec::new() };
        if is_id(&image.id, &name) { removal.by_id(&image) } else { removal.by_name(&image, &name) }
    })
    .await
}

/// Whether a user's word for an image is (the beginning of) its id.
fn is_id(id: &ImageId, name: &str) -> bool {
    let hex = name.strip_prefix("sha256:").unwrap_or(name);
    !hex.is_empty() && id.hex().starts_with(hex)
}

/// A removal under way.
struct Removal<'a> {
    parts: &'a Parts,
    options: RemoveImage,
    removed: Vec<Removed>,
}

impl Removal<'_> {
    fn by_name(mut self, image: &Image, name: &str) -> Result<Vec<Removed>, RemoveImageError> {
        let wanted = name.parse::<oci::Reference>().map(oci::Reference::or_latest).ok();
        let named = all_names(image).into_iter().find(|own| Some(*own) == wanted.as_ref());
        let Some(reference) = named.cloned() else {
            return self.delete(image, false);
        };
        if !self.options.force
            && is_of_one_repository(image)
            && let Some(view) = self.user(image, |_| true)
        {
            return Err(RemoveImageError::ReferenceInUse {
                // As it was typed, which is what Docker repeats.
                reference: name.to_owned(),
                container: view.id.short().to_owned(),
                image: image.id.short(),
            });
        }
        self.untag(image, &reference)?;
        let Some(rest) = self.parts.images.image(&image.id) else { return Ok(self.removed) };
        let same_repository = |other: &&oci::Reference| other.name() == reference.name();
        if rest.references.is_empty() && rest.digests.iter().all(|other| same_repository(&other)) {
            for digest in &rest.digests {
                self.untag(image, digest)?;
            }
        } else {
            return Ok(self.removed);
        }
        self.delete(image, true)
    }

    fn by_id(mut self, image: &Image) -> Result<Vec<Removed>, RemoveImageError> {
        if is_of_one_repository(image) {
            self.check(image, false)?;
            for reference in all_names(image) {
                self.untag(image, reference)?;
            }
        }
        self.delete(image, false)
    }

    /// Removes the image itself. After a name was taken away already, a reason to keep the
    /// image is no error.
    fn delete(
        mut self,
        image: &Image,
        is_after_untag: bool,
    ) -> Result<Vec<Removed>, RemoveImageError> {
        let image = self.parts.images.image(&image.id).unwrap_or_else(|| Arc::new(image.clone()));
        match self.check(&image, true) {
            Ok(()) => {}
            Err(_) if is_after_untag => return Ok(self.removed),
            Err(error) => return Err(error),
        }
        for reference in all_names(&image) {
            self.untag(&image, reference)?;
        }
        let deleted = self
            .parts
            .images
            .delete(&image.id)
            .map_err(|source| RemoveImageError::Delete { image: image.id.short(), source })?;
        self.removed.push(Removed::Deleted(image.id.to_string()));
        self.removed.extend(deleted.layers.iter().map(|layer| Removed::Deleted(layer.to_string())));
        // By now its labels are gone, as Docker's are.
        tell(self.parts, &image.id, "delete", &image.id.to_string());
        match &image.parent {
            Some(parent) if !self.options.no_prune => self.delete_unused_parent(parent),
            _ => Ok(self.removed),
        }
    }

    fn delete_unused_parent(self, parent: &ImageId) -> Result<Vec<Removed>, RemoveImageError> {
        match self.parts.images.image(parent) {
            Some(parent) if parent.is_dangling() => self.delete(&parent, true),
            _ => Ok(self.removed),
        }
    }

    /// What forbids the removal.
    fn check(&self, image: &Image, counts_names: bool) -> Result<(), RemoveImageError> {
        let short = image.id.short();
        if !self.parts.images.children(&image.id).is_empty() {
            return Err(RemoveImageError::HasChildren { image: short });
        }
        if let Some(view) = self.user(image, |view| view.state.phase.is_live()) {
            let container = view.id.short().to_owned();
            return Err(RemoveImageError::UsedByRunning { image: short, container });
        }
        if self.options.force {
            return Ok(());
        }
        if counts_names && !all_names(image).is_empty() {
            return Err(RemoveImageError::ManyRepositories { image: short });
        }
        if let Some(view) = self.user(image, |view| view.state.phase != Phase::Dead) {
            let container = view.id.short().to_owned();
            return Err(RemoveImageError::UsedByStopped { image: short, container });
        }
        Ok(())
    }

    /// A container that uses the image.
    fn user(&self, image: &Image, counts: impl Fn(&View) -> bool) -> Option<Arc<View>> {
        let id = image.id.to_string();
        self.parts.registry.views().into_iter().find(|view| view.image_id == id && counts(view))
    }

    fn untag(&mut self, image: &Image, reference: &oci::Reference) -> Result<(), RemoveImageError> {
        self.parts
            .images
            .untag(reference)
            .map_err(|source| RemoveImageError::Untag { image: reference.familiar(), source })?;
        self.removed.push(Removed::Untagged(reference.familiar()));
        tell(self.parts, &image.id, "untag", &image.id.to_string());
        Ok(())
    }
}

/// Tells everybody who listens what happened to an image: with its labels, as long as it is
/// there.
pub(crate) fn tell(parts: &Parts, id: &ImageId, action: &str, name: &str) {
    let image = parts.images.image(id);
    let mut attributes = image.map(|image| labels(&image)).unwrap_or_default();
    attributes.insert("name".to_owned(), name.to_owned());
    parts.events.publish(ObjectKind::Image, action, id.to_string(), attributes);
}

fn labels(image: &Image) -> BTreeMap<String, String> {
    let labels = image.config.config().as_ref().and_then(|config| config.labels().as_ref());
    let labels = labels.into_iter().flatten();
    labels.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Every name of an image, tags first.
fn all_names(image: &Image) -> Vec<&oci::Reference> {
    image.references.iter().chain(&image.digests).collect()
}

/// Whether taking "its" name away leaves an image without any: it has at most one tag, or all
/// its names are of one repository.
fn is_of_one_repository(image: &Image) -> bool {
    let names = all_names(image);
    names.len() <= 1
        || (image.references.len() <= 1 && {
            let first = names[0].name();
            names.iter().all(|reference| reference.name() == first)
        })
}

/// Removes images that no container uses: those without a name, or (`all`) any. With the
/// bytes that this gave back.
pub(crate) async fn prune(
    parts: &Arc<Parts>,
    all: bool,
    filter: PruneFilter,
) -> (Vec<Removed>, u64) {
    let parts = Arc::clone(parts);
    blocking(move || {
        let before = parts.images.usage().layers;
        let mut removed = Vec::new();
        for image in parts.images.images() {
            if !is_prunable(&parts, &image, all, &filter) {
                continue;
            }
            // Forced, because an image with names in many repositories is meant as well.
            let options = RemoveImage { force: true, no_prune: false };
            let removal = Removal { parts: &parts, options, removed: Vec::new() };
            match removal.delete(&image, false) {
                Ok(steps) => removed.extend(steps),
                Err(error) => tracing::warn!(
                    image = %image.id, error = errors::chain(&error), "cannot prune an image"
                ),
            }
        }
        (removed, before.saturating_sub(parts.images.usage().layers))
    })
    .await
}

fn is_prunable(parts: &Parts, image: &Image, all: bool, filter: &PruneFilter) -> bool {
    let id = image.id.to_string();
    let labels = labels(image);
    (all || image.is_dangling())
        && filter.until.is_none_or(|until| image.created.is_none_or(|created| created < until))
        && filter.has_labels(|key| labels.get(key).map(String::as_str))
        && parts.images.children(&image.id).is_empty()
        && !parts.registry.views().iter().any(|view| view.image_id == id)
}
