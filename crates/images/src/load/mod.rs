//! Reading images from an archive.

mod archive;
mod docker;
mod layout;
mod legacy;

#[cfg(test)]
mod tests;

use std::io::{self, Read};

use errors::{Explain, Kind};
use fail_points::{Point, reach};
use oci::{Digest, Reference, ReferenceError};

use crate::image::{ImageId, parse_config};
use crate::keep::{KeepError, Kept, NewImage, keep};
use crate::layers::adopt::Leases;
use crate::layers::{ArchiveError, chain_id, duplicate};
use crate::load::archive::{ArchivedLayer, Contents};
use crate::platform::{Platform, PlatformError};
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

/// An image that an archive's documents describe.
#[derive(Debug, Clone)]
struct Wanted {
    config: Vec<u8>,
    /// Where that was, for messages.
    config_path: String,
    /// Paths in the archive, from the bottom up.
    layers: Vec<String>,
    references: Vec<Reference>,
    manifest: Option<Digest>,
    parent: Option<ImageId>,
}

/// Loads all images of an archive, or none.
pub(crate) fn load(
    parts: &Parts,
    archive: &mut dyn Read,
    platform: Option<&str>,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Vec<Loaded>, LoadError> {
    let platform: Option<Platform> = platform.map(str::parse).transpose()?;
    let mut contents =
        archive::read(&parts.folders, archive, progress).map_err(LoadError::Archive)?;
    reach(Point::LoadRead).map_err(LoadError::Keep)?;
    let wanted = read_documents(&contents, platform.as_ref())?;
    let mut leases = Leases::new(parts);
    let mut images = Vec::new();
    for wanted in wanted {
        images.extend(prepare(parts, &mut contents, &mut leases, wanted, platform.as_ref())?);
    }
    if let Some(platform) = platform
        && images.is_empty()
    {
        return Err(LoadError::NoPlatform { platform: platform.to_string() });
    }
    forget_foreign_parents(&mut images);
    let kept = keep(parts, &images).map_err(|error| match error {
        KeepError::Content(source) => LoadError::Keep(source),
        KeepError::Records(source) => LoadError::Records(source),
    })?;
    let loaded = kept.into_iter().map(|Kept { id, references, replaced }| Loaded {
        image: id,
        references,
        replaced,
    });
    Ok(loaded.collect())
}

/// Finds the document that lists the images. Archives often have several, for old and new
/// readers; this is Docker's order.
fn read_documents(
    contents: &Contents,
    platform: Option<&Platform>,
) -> Result<Vec<Wanted>, LoadError> {
    if let Some(raw) = contents.document(docker::MANIFEST) {
        return docker::read(contents, raw);
    }
    if let Some(raw) = contents.document(layout::INDEX) {
        return layout::read(contents, raw, platform);
    }
    if let Some(raw) = contents.document(legacy::REPOSITORIES) {
        let digest_of = |path: &str| match contents.layer(path) {
            Some(ArchivedLayer { unpacked: Ok(unpacked), .. }) => Ok(unpacked.diff_id),
            // Whoever unpacks it tells what is wrong with it.
            Some(ArchivedLayer { unpacked: Err(_), .. }) => Ok(Digest::of(b"")),
            None => Err(LoadError::Missing { path: path.to_owned() }),
        };
        return legacy::read(contents, raw, digest_of);
    }
    Err(LoadError::NoImages)
}

/// A document that must be there, and be what its name says.
fn document<'a>(contents: &'a Contents, path: &str) -> Result<&'a [u8], LoadError> {
    let missing = || LoadError::Missing { path: path.to_owned() };
    let raw = contents.document(path).ok_or_else(missing)?;
    match archive::claimed_digest(path.as_bytes()) {
        Some(expected) if !expected.verify(raw) => {
            let actual = Digest::of(raw);
            Err(LoadError::Digest { path: path.to_owned(), expected, actual })
        }
        _ => Ok(raw),
    }
}

/// Puts the layers of an image in place. Nothing, if it is for another platform than asked.
fn prepare(
    parts: &Parts,
    contents: &mut Contents,
    leases: &mut Leases<'_>,
    wanted: Wanted,
    platform: Option<&Platform>,
) -> Result<Option<NewImage>, LoadError> {
    let malformed = |source| LoadError::Document { path: wanted.config_path.clone(), source };
    let (config, _) = parse_config(&wanted.config).map_err(malformed)?;
    let target = Platform::of(&config);
    if target.os != "linux" {
        return Err(LoadError::System { os: target.os });
    }
    if platform.is_some_and(|platform| !platform.accepts(&target)) {
        return Ok(None);
    }
    let diff_ids = config.rootfs().diff_ids().iter().map(|diff_id| diff_id.parse::<Digest>());
    let diff_ids: Vec<Digest> = diff_ids
        .collect::<Result<_, _>>()
        .map_err(|error| malformed(serde::de::Error::custom(error)))?;
    if wanted.layers.len() != diff_ids.len() {
        let (expected, actual) = (wanted.layers.len(), diff_ids.len());
        return Err(LoadError::LayerCount { expected, actual });
    }
    let mut parent = None;
    for (index, (path, diff_id)) in wanted.layers.iter().zip(diff_ids).enumerate() {
        let chain_id = chain_id(parent.as_ref(), &diff_id);
        if leases.take(&chain_id).is_none() {
            let place = Place { index, path, diff_id, parent };
            place_layer(parts, contents, leases, &place)?;
        }
        parent = Some(chain_id);
    }
    Ok(Some(NewImage {
        raw: wanted.config,
        references: wanted.references,
        manifest: wanted.manifest,
        parent: wanted.parent,
    }))
}

/// Where a layer of the archive belongs.
#[derive(Debug)]
struct Place<'a> {
    index: usize,
    path: &'a str,
    diff_id: Digest,
    parent: Option<Digest>,
}

fn place_layer(
    parts: &Parts,
    contents: &mut Contents,
    leases: &mut Leases<'_>,
    place: &Place<'_>,
) -> Result<(), LoadError> {
    let failed = |source| LoadError::Layer { layer: place.path.to_owned(), source };
    let Some(layer) = contents.take_layer(place.path) else {
        // It may have its place already, but above other layers than here.
        let Some(twin) = leases.take_by_content(&place.diff_id) else {
            return Err(LoadError::Missing { path: place.path.to_owned() });
        };
        let copy = duplicate::duplicate(parts, &twin).map_err(failed)?;
        leases.adopt(&copy, place.parent.as_ref()).map_err(failed)?;
        return Ok(());
    };
    check_digest(place.path, layer.digest)?;
    let unpacked = layer.unpacked.map_err(failed)?;
    if unpacked.diff_id != place.diff_id {
        return Err(LoadError::DiffId {
            index: place.index,
            expected: place.diff_id,
            actual: unpacked.diff_id,
        });
    }
    leases.adopt(&unpacked, place.parent.as_ref()).map_err(failed)?;
    Ok(())
}

/// Checks a file's digest against the one that is its name.
fn check_digest(path: &str, actual: Option<Digest>) -> Result<(), LoadError> {
    match (archive::claimed_digest(path.as_bytes()), actual) {
        (Some(expected), Some(actual)) if expected != actual => {
            Err(LoadError::Digest { path: path.to_owned(), expected, actual })
        }
        _ => Ok(()),
    }
}

/// A parent counts only if it came with its child, as in Docker.
fn forget_foreign_parents(images: &mut [NewImage]) {
    let ids: Vec<ImageId> =
        images.iter().map(|image| ImageId::new(Digest::of(&image.raw))).collect();
    for (image, id) in images.iter_mut().zip(&ids) {
        image.parent = image.parent.filter(|parent| ids.contains(parent) && parent != id);
    }
}
