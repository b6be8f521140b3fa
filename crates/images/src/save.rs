//! Writing images as an archive.

use std::io::{self, Write};

use errors::{Explain, Kind};

use crate::catalog::ResolveError;
use crate::store::Parts;

/// Why images were not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error("empty export - not implemented")]
    NoLayers,
    #[error("layer {layer} is damaged on this host: its archive cannot be given back")]
    Damaged { layer: String },
    #[error("cannot read layer {layer}")]
    Layer { layer: String, source: io::Error },
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
}

impl Explain for SaveError {
    fn kind(&self) -> Kind {
        match self {
            Self::Resolve(error) => error.kind(),
            Self::NoLayers => Kind::NotImplemented,
            Self::Damaged { .. } | Self::Layer { .. } | Self::Write(_) => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Resolve(error) => error.hint(),
            _ => None,
        }
    }
}

pub(crate) fn save(
    _parts: &Parts,
    _names: &[String],
    _output: &mut dyn Write,
) -> Result<(), SaveError> {
    Err(SaveError::NoLayers)
}
