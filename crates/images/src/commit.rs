//! Making an image of what a container has changed.

use std::io::{self, Write as _};
use std::sync::mpsc::sync_channel;
use std::thread;

use errors::{Explain, Kind};
use jiff::Timestamp;
use oci::{Digest, Reference};
use serde_json::{Map, Value, json};

use crate::changes::{ChangesError, write_layer};
use crate::image::{Image, ImageId};
use crate::keep::{KeepError, NewImage, keep};
use crate::layers::ArchiveError;
use crate::layers::adopt::Leases;
use crate::layers::unpack::{Unpacked, unpack};
use crate::names::{self, TagError};
use crate::pipeline::{self, PIECES_WAITING, PieceReader, PieceWriter};
use crate::platform::Platform;
use crate::records::RecordsError;
use crate::snapshots::{self, Snapshot, SnapshotError};
use crate::store::Parts;

/// Bytes of an archive with nothing in it: its end mark.
const EMPTY_ARCHIVE_LENGTH: u64 = 1024;

/// What a committed image is to be like.
#[derive(Debug, Clone, Default)]
pub struct CommitOptions {
    /// The name that it gets.
    pub reference: Option<Reference>,
    pub author: String,
    /// The comment in its history.
    pub comment: String,
    /// What made it, for its history.
    pub created_by: String,
    /// The `config` of its configuration.
    pub config: Map<String, Value>,
    /// The container's own, which Docker keeps beside it.
    pub container_config: Map<String, Value>,
    /// What is told to have written it.
    pub docker_version: String,
    /// The image that the container was made from. It may have gone.
    pub parent: Option<ImageId>,
}

/// Why nothing was committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Changes(#[from] ChangesError),
    #[error("cannot make a layer of the container's changes")]
    Layer(#[source] ArchiveError),
    #[error("a layer below the container is gone")]
    LayerGone,
    #[error(transparent)]
    Tag(#[from] TagError),
    #[error("cannot keep the image")]
    Keep(#[source] io::Error),
    #[error("cannot record the image")]
    Records(#[source] RecordsError),
}

impl Explain for CommitError {
    fn kind(&self) -> Kind {
        match self {
            Self::Snapshot(error) => error.kind(),
            Self::Changes(error) => error.kind(),
            Self::Tag(error) => error.kind(),
            Self::Layer(_) | Self::LayerGone | Self::Keep(_) | Self::Records(_) => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Tag(error) => error.hint(),
            _ => None,
        }
    }
}

/// Makes an image of what was changed in the snapshot `name`.
pub(crate) fn commit(
    parts: &Parts,
    name: &str,
    options: &CommitOptions,
) -> Result<ImageId, CommitError> {
    // What can be refused is refused before anything is read.
    let reference = options.reference.as_ref().map(names::check).transpose()?;
    let snapshot = snapshots::get(parts, name)?;
    let top = parts.layers.snapshot(name).flatten();
    let mut leases = Leases::new(parts);
    let mut chain = top.map(|top| parts.layers.chain(&top)).unwrap_or_default();
    chain.reverse();
    let mut diff_ids = Vec::new();
    for chain_id in &chain {
        diff_ids.push(leases.take(chain_id).ok_or(CommitError::LayerGone)?.diff_id);
    }
    let unpacked = make_layer(parts, &snapshot)?;
    let is_empty = unpacked.archive_size == EMPTY_ARCHIVE_LENGTH;
    if !is_empty {
        let (_, layer) = leases.adopt(&unpacked, top.as_ref()).map_err(CommitError::Layer)?;
        diff_ids.push(layer.diff_id);
    }
    let parent = options.parent.and_then(|id| parts.catalog().image(&id).cloned());
    let raw = configuration(name, options, parent.as_deref(), &diff_ids, is_empty);
    let image = NewImage {
        raw,
        references: reference.into_iter().collect(),
        manifest: None,
        parent: parent.map(|parent| parent.id),
    };
    let kept = keep(parts, &[image]).map_err(|error| match error {
        KeepError::Content(source) => CommitError::Keep(source),
        KeepError::Records(source) => CommitError::Records(source),
    })?;
    Ok(kept[0].id)
}

/// Writes the changes as an archive, and unpacks that as a layer.
fn make_layer(parts: &Parts, snapshot: &Snapshot) -> Result<Unpacked, CommitError> {
    let (output, pieces) = sync_channel(PIECES_WAITING);
    let (written, unpacked) = thread::scope(|scope| {
        let writing = pipeline::spawn(scope, "commit", move || {
            let mut writer = PieceWriter::new(output);
            let written = write_layer(snapshot, &mut writer);
            if written.is_ok() {
                // Whoever hung up has a better error to tell.
                let _ = writer.flush();
            }
            written
        })
        .map_err(ArchiveError::Write)?;
        let unpacked = unpack(&parts.folders, PieceReader::new(pieces.into_iter()));
        Ok((pipeline::join(writing), unpacked))
    })
    .map_err(CommitError::Layer)?;
    match (written, unpacked) {
        // That nobody takes the archive any more is explained by whoever took it.
        (Err(ChangesError::Tree(archive::tree::TreeError::Write(_))), Err(error)) => {
            Err(CommitError::Layer(error))
        }
        (Err(error), _) => Err(error.into()),
        (Ok(()), unpacked) => unpacked.map_err(CommitError::Layer),
    }
}

/// The new image's configuration, its fields in alphabetical order.
fn configuration(
    container: &str,
    options: &CommitOptions,
    parent: Option<&Image>,
    diff_ids: &[Digest],
    is_empty: bool,
) -> Vec<u8> {
    let below: Map<String, Value> =
        parent.and_then(|parent| serde_json::from_slice(&parent.raw).ok()).unwrap_or_default();
    let platform = Platform::host();
    let created = Timestamp::now().to_string();
    let mut config = Map::new();
    let architecture = below.get("architecture").cloned();
    let filled = |value: &&Value| !value.is_null() && value.as_str() != Some("");
    let architecture = architecture.as_ref().filter(filled).cloned();
    config.insert(
        "architecture".to_owned(),
        architecture.unwrap_or_else(|| platform.architecture.clone().into()),
    );
    if !options.author.is_empty() {
        config.insert("author".to_owned(), options.author.clone().into());
    }
    config.insert("config".to_owned(), Value::Object(options.config.clone()));
    config.insert("container".to_owned(), container.into());
    config.insert("container_config".to_owned(), Value::Object(options.container_config.clone()));
    config.insert("created".to_owned(), created.clone().into());
    config.insert("docker_version".to_owned(), options.docker_version.clone().into());
    config.insert("history".to_owned(), history(options, &below, diff_ids, is_empty, &created));
    config.insert("os".to_owned(), "linux".into());
    for key in ["os.features", "os.version"] {
        if let Some(value) = below.get(key) {
            config.insert(key.to_owned(), value.clone());
        }
    }
    config.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": diff_ids }));
    if let Some(variant) = below.get("variant").filter(filled) {
        config.insert("variant".to_owned(), variant.clone());
    }
    serde_json::to_vec(&config).expect("the configuration is made of JSON")
}

/// The parent's history and one step more. A parent that has gone has taken its history with
/// it: then there is a step for each of its layers.
fn history(
    options: &CommitOptions,
    below: &Map<String, Value>,
    diff_ids: &[Digest],
    is_empty: bool,
    created: &str,
) -> Value {
    let mut steps = match below.get("history").and_then(Value::as_array) {
        Some(steps) => steps.clone(),
        None if !below.is_empty() => Vec::new(),
        None => vec![json!({ "created": created }); diff_ids.len() - usize::from(!is_empty)],
    };
    let mut step = Map::from_iter([("created".to_owned(), Value::from(created))]);
    for (key, text) in [
        ("created_by", &options.created_by),
        ("author", &options.author),
        ("comment", &options.comment),
    ] {
        if !text.is_empty() {
            step.insert(key.to_owned(), text.as_str().into());
        }
    }
    if is_empty {
        step.insert("empty_layer".to_owned(), true.into());
    }
    steps.push(Value::Object(step));
    Value::Array(steps)
}
