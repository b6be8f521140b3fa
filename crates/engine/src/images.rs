//! Images, with the rules that need to know about containers.

use errors::{Explain, Kind};

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
        "conflict: unable to delete {image} (must be forced) - image is referenced in multiple repositories"
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
    #[error("cannot delete image {image}")]
    Store { image: String, source: images::DeleteError },
}

impl Explain for RemoveImageError {
    fn kind(&self) -> Kind {
        match self {
            Self::Resolve(error) => error.kind(),
            Self::ReferenceInUse { .. }
            | Self::ManyRepositories { .. }
            | Self::UsedByRunning { .. }
            | Self::UsedByStopped { .. } => Kind::Conflict,
            Self::Store { .. } => Kind::Internal,
        }
    }
}
