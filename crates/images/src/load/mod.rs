//! Reading images from an archive.

use std::io::{self, Read};

use errors::{Explain, Kind};
use oci::{Digest, Reference, ReferenceError};

use crate::image::ImageId;
use crate::layers::ArchiveError;
use crate::platform::PlatformError;
use crate::records::RecordsError;
use crate::store::Parts;

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub image: ImageId,
    /// The names that it was given.
    pub references: Vec<Reference>,
    /// Names that another image had before, and which one.
    pub replaced: Vec<(Reference, ImageId)>,
}

/// How far a layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadProgress {
    /// The layer's short id.
    pub layer: String,
    /// Bytes of the archive read, and in all.
    pub current: u64,
    pub total: u64,
}

/// Why an archive was not loaded. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Platform(#[from] PlatformError),
    #[error("invalid archive")]
    Archive(#[source] ArchiveError),
    #[error("invalid archive: does not contain a manifest.json")]
    NoImages,
    #[error("invalid archive: failed to decode {path}")]
    Document { path: String, source: serde_json::Error },
    #[error("invalid archive: {path} is missing")]
    Missing { path: String },
    #[error("invalid manifest, layers length mismatch: expected {expected}, got {actual}")]
    LayerCount { expected: usize, actual: usize },
    #[error("invalid diffID for layer {index}: expected \"{expected}\", got \"{actual}\"")]
    DiffId { index: usize, expected: Digest, actual: Digest },
    #[error("{path} of the archive is damaged: its digest is {actual}, not {expected}")]
    Digest { path: String, expected: Digest, actual: Digest },
    #[error("cannot unpack layer {layer}")]
    Layer { layer: String, source: ArchiveError },
    #[error("invalid tag \"{text}\"")]
    Tag { text: String, source: ReferenceError },
    #[error("cannot load {os} image on linux")]
    System { os: String },
    #[error("requested platform ({platform}) not found: the archive has no image for it")]
    NoPlatform { platform: String },
    #[error("cannot keep what was loaded")]
    Keep(#[source] io::Error),
    #[error("cannot record what was loaded")]
    Records(#[source] RecordsError),
}

impl Explain for LoadError {
    fn kind(&self) -> Kind {
        match self {
            Self::Keep(_) | Self::Records(_) => Kind::Internal,
            Self::Archive(error) | Self::Layer { source: error, .. } => error.kind(),
            Self::NoPlatform { .. } => Kind::NotFound,
            _ => Kind::Invalid,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoImages => Some(
                "`load` takes what `save` writes, and OCI layouts; for the archive of a file \
                 system, use `import`"
                    .to_owned(),
            ),
            Self::Platform(error) => error.hint(),
            Self::Archive(error) | Self::Layer { source: error, .. } => error.hint(),
            _ => None,
        }
    }
}

pub(crate) fn load(
    _parts: &Parts,
    _archive: &mut dyn Read,
    _platform: Option<&str>,
    _progress: &mut dyn FnMut(LoadProgress),
) -> Result<Vec<Loaded>, LoadError> {
    Err(LoadError::NoImages)
}
