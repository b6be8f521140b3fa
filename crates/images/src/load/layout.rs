//! `index.json`: an OCI image layout.
//!
//! An index lists manifests, or further indexes. The ones of a nested index are the same image
//! for different platforms, of which one is taken: the one asked for, else this host's, else
//! the first.

use std::collections::BTreeMap;

use oci::{Digest, Reference};
use serde::Deserialize;

use crate::load::archive::Contents;
use crate::load::{LoadError, Wanted, document};
use crate::platform::Platform;

/// The document's name.
pub(super) const INDEX: &str = "index.json";

/// Where an image's whole name is, and where at least its tag is.
const FULL_NAME: &str = "io.containerd.image.name";
const REFERENCE_NAME: &str = "org.opencontainers.image.ref.name";

/// Marks what is not an image, but says something of one.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// Indexes within indexes.
const DEPTH_MAX: usize = 8;

#[derive(Debug, Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    digest: String,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    platform: Option<PlatformField>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, Deserialize)]
struct PlatformField {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    config: Descriptor,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

/// The images that the index names.
pub(super) fn read(
    contents: &Contents,
    raw: &[u8],
    platform: Option<&Platform>,
) -> Result<Vec<Wanted>, LoadError> {
    let index: Index = parse(INDEX, raw)?;
    // Descriptors of one name are one image, for several platforms.
    let mut images: Vec<(Vec<Reference>, Vec<Descriptor>)> = Vec::new();
    for descriptor in index.manifests.into_iter().filter(Descriptor::is_image) {
        let name = descriptor.name()?;
        let same = images.iter_mut().find(|(known, _)| !name.is_empty() && *known == name);
        match same {
            Some((_, descriptors)) => descriptors.push(descriptor),
            None => images.push((name, vec![descriptor])),
        }
    }
    let mut wanted: Vec<Wanted> = Vec::new();
    for (references, descriptors) in images {
        let Some(descriptor) = choose(descriptors, platform) else { continue };
        let Some((digest, manifest)) = find_manifest(contents, &descriptor, platform, 0)? else {
            continue;
        };
        let image = want(contents, references, digest, &manifest)?;
        // One image under several names is listed several times.
        match wanted.iter_mut().find(|other| other.manifest == Some(digest)) {
            Some(other) => other.references.extend(image.references),
            None => wanted.push(image),
        }
    }
    Ok(wanted)
}

/// The manifest that a descriptor leads to.
fn find_manifest(
    contents: &Contents,
    descriptor: &Descriptor,
    platform: Option<&Platform>,
    depth: usize,
) -> Result<Option<(Digest, Manifest)>, LoadError> {
    let (digest, path) = blob(descriptor)?;
    let raw = document(contents, &path)?;
    if !descriptor.is_index() {
        return Ok(Some((digest, parse(&path, raw)?)));
    }
    let index: Index = parse(&path, raw)?;
    let images = index.manifests.into_iter().filter(Descriptor::is_image).collect();
    match choose(images, platform) {
        Some(descriptor) if depth < DEPTH_MAX => {
            find_manifest(contents, &descriptor, platform, depth + 1)
        }
        _ => Ok(None),
    }
}

fn want(
    contents: &Contents,
    references: Vec<Reference>,
    digest: Digest,
    manifest: &Manifest,
) -> Result<Wanted, LoadError> {
    let (_, config_path) = blob(&manifest.config)?;
    let layers = manifest.layers.iter().map(|layer| Ok(blob(layer)?.1));
    Ok(Wanted {
        config: document(contents, &config_path)?.to_vec(),
        config_path,
        layers: layers.collect::<Result<_, LoadError>>()?,
        references,
        manifest: Some(digest),
        parent: None,
    })
}

/// The one for the platform. If nobody asked for one, there is always one.
fn choose(descriptors: Vec<Descriptor>, platform: Option<&Platform>) -> Option<Descriptor> {
    let host = Platform::host();
    let target = platform.unwrap_or(&host);
    let fits = |descriptor: &Descriptor| {
        // What does not say is looked at more closely later.
        descriptor.platform().is_none_or(|platform| target.accepts(&platform))
    };
    let found = descriptors.iter().position(fits);
    let found = found.or(if platform.is_none() { Some(0) } else { None });
    found.and_then(|found| descriptors.into_iter().nth(found))
}

impl Descriptor {
    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }

    fn is_index(&self) -> bool {
        self.media_type.contains("image.index") || self.media_type.contains("manifest.list")
    }

    /// Whether it is an image, and not a statement about one.
    fn is_image(&self) -> bool {
        self.annotation(REFERENCE_TYPE).is_none()
            && self.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
    }

    fn platform(&self) -> Option<Platform> {
        let field = self.platform.as_ref()?;
        Some(Platform {
            os: field.os.clone(),
            architecture: field.architecture.clone(),
            variant: field.variant.clone().filter(|variant| !variant.is_empty()),
        })
    }

    /// The names that it is to have. A bare tag is no name: nobody says of what.
    fn name(&self) -> Result<Vec<Reference>, LoadError> {
        let is_whole = |name: &&str| name.contains(['/', ':']);
        let text = self.annotation(FULL_NAME);
        let Some(text) = text.or_else(|| self.annotation(REFERENCE_NAME).filter(is_whole)) else {
            return Ok(Vec::new());
        };
        let reference: Reference =
            text.parse().map_err(|source| LoadError::Tag { text: text.to_owned(), source })?;
        Ok(if reference.digest().is_some() { Vec::new() } else { vec![reference.or_latest()] })
    }
}

/// The digest and the path of what a descriptor describes.
fn blob(descriptor: &Descriptor) -> Result<(Digest, String), LoadError> {
    let digest: Digest = descriptor
        .digest
        .parse()
        .map_err(|_| LoadError::Missing { path: format!("blob {:?}", descriptor.digest) })?;
    Ok((digest, format!("blobs/sha256/{}", digest.hex())))
}

fn parse<'a, T: Deserialize<'a>>(path: &str, raw: &'a [u8]) -> Result<T, LoadError> {
    serde_json::from_slice(raw)
        .map_err(|source| LoadError::Document { path: path.to_owned(), source })
}
