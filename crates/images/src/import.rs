//! Making an image from the archive of a file system.

use std::io::{self, Read};

use errors::{Explain, Kind};
use oci::Reference;

use crate::change::Change;
use crate::image::ImageId;
use crate::layers::ArchiveError;
use crate::names::TagError;
use crate::platform::{Platform, PlatformError};
use crate::records::RecordsError;
use crate::store::Parts;

/// What an imported image is to be like.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The name that it gets.
    pub reference: Option<Reference>,
    /// The comment in its history.
    pub message: String,
    /// Edits of its configuration, in order.
    pub changes: Vec<Change>,
    /// What it runs on, if not on this host: `os/architecture[/variant]`.
    pub platform: Option<String>,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Platform(#[from] PlatformError),
    #[error("operating system is not supported: {os}")]
    System { os: String },
    #[error("cannot unpack the archive")]
    Archive(#[source] ArchiveError),
    #[error(transparent)]
    Tag(#[from] TagError),
    #[error("cannot keep what was imported")]
    Keep(#[source] io::Error),
    #[error("cannot record what was imported")]
    Records(#[source] RecordsError),
}

impl Explain for ImportError {
    fn kind(&self) -> Kind {
        match self {
            Self::Platform(error) => error.kind(),
            Self::System { .. } => Kind::Invalid,
            Self::Archive(error) => error.kind(),
            Self::Tag(error) => error.kind(),
            Self::Keep(_) | Self::Records(_) => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Platform(error) => error.hint(),
            Self::Archive(error) => error.hint(),
            _ => None,
        }
    }
}

pub(crate) fn import(
    _parts: &Parts,
    _archive: &mut dyn Read,
    _options: ImportOptions,
) -> Result<ImageId, ImportError> {
    Err(ImportError::Platform("x/".parse::<Platform>().expect_err("placeholder")))
}
