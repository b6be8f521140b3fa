//! Making an image from the archive of a file system.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::mpsc::sync_channel;
use std::thread;

use errors::{Explain, Kind};
use jiff::Timestamp;
use oci::{Digest, Reference};
use serde_json::{Map, Value, json};

use crate::change::{self, Change};
use crate::image::ImageId;
use crate::keep::{KeepError, NewImage, keep};
use crate::layers::ArchiveError;
use crate::layers::adopt::Leases;
use crate::layers::unpack::{Unpacked, unpack};
use crate::names::{self, TagError};
use crate::pipeline::{self, PIECES_WAITING, PieceReader};
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

/// Makes the image.
pub(crate) fn import(
    parts: &Parts,
    archive: &mut dyn Read,
    options: ImportOptions,
) -> Result<ImageId, ImportError> {
    let ImportOptions { reference, message, changes, platform } = options;
    // What can be refused is refused before the archive is read.
    let reference = reference.as_ref().map(names::check).transpose()?;
    let platform = match platform {
        Some(platform) => platform.parse()?,
        None => Platform::host(),
    };
    if platform.os != "linux" {
        return Err(ImportError::System { os: platform.os });
    }
    let unpacked = unpack_stream(parts, archive).map_err(ImportError::Archive)?;
    let mut leases = Leases::new(parts);
    let (_, layer) = leases.adopt(&unpacked, None).map_err(ImportError::Archive)?;
    let image = NewImage {
        raw: make_config(&platform, &message, &changes, &layer.diff_id, Timestamp::now()),
        references: reference.into_iter().collect(),
        manifest: None,
        parent: None,
    };
    let kept = keep(parts, &[image]).map_err(|error| match error {
        KeepError::Content(source) => ImportError::Keep(source),
        KeepError::Records(source) => ImportError::Records(source),
    })?;
    Ok(kept[0].id)
}

/// Unpacks what the caller's thread reads. No digest vouches for this archive, so it must at
/// least have an end.
fn unpack_stream(parts: &Parts, archive: &mut dyn Read) -> Result<Unpacked, ArchiveError> {
    let (output, pieces) = sync_channel(PIECES_WAITING);
    thread::scope(|scope| {
        let unpacking = pipeline::spawn(scope, "import", move || {
            unpack(&parts.folders, PieceReader::new(pieces.into_iter()))
        })
        .map_err(ArchiveError::Write)?;
        pipeline::pass_on(archive, &output, || {});
        drop(output);
        pipeline::join(unpacking)?.require_mark()
    })
}

/// The configuration of the new image, its fields in alphabetical order.
fn make_config(
    platform: &Platform,
    message: &str,
    changes: &[Change],
    diff_id: &Digest,
    now: Timestamp,
) -> Vec<u8> {
    let mut process = Map::new();
    change::apply(changes, &mut process);
    let created = now.to_string();
    let mut step = json!({ "created": created });
    let mut config = BTreeMap::from([
        ("architecture", Value::from(platform.architecture.clone())),
        ("config", Value::Object(process)),
        ("created", Value::from(created)),
        ("os", Value::from(platform.os.clone())),
        ("rootfs", json!({ "type": "layers", "diff_ids": [diff_id] })),
    ]);
    if !message.is_empty() {
        step["comment"] = message.into();
        config.insert("comment", message.into());
    }
    if let Some(variant) = &platform.variant {
        config.insert("variant", variant.clone().into());
    }
    config.insert("history", Value::Array(vec![step]));
    serde_json::to_vec(&config).expect("the configuration is made of strings")
}
