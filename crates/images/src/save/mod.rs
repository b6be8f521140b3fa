//! Writing images as an archive.
//!
//! The archive is what Docker 28 writes: an OCI layout, whose layers are uncompressed, with
//! `manifest.json` and `repositories` for older readers. It goes straight to the output; the
//! layers' archives are made on the way, and checked.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use archive::writer::Writer;
use errors::{Explain, Kind};
use oci::{Digest, Reference};
use serde::Serialize;

use crate::catalog::{Catalog, ResolveError};
use crate::image::Image;
use crate::layers::adopt::Leases;
use crate::layers::assemble::{AssembleError, assemble};
use crate::store::Parts;

/// Why images were not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error("reference does not exist")]
    NoSuchName { name: String },
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
            Self::NoSuchName { .. } => Kind::NotFound,
            Self::NoLayers => Kind::NotImplemented,
            Self::Damaged { .. } | Self::Layer { .. } | Self::Write(_) => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Resolve(error) => error.hint(),
            Self::NoSuchName { name } => Some(format!("there is no image {name}")),
            _ => None,
        }
    }
}

/// Writes the images that the names mean.
pub(crate) fn save(
    parts: &Parts,
    names: &[String],
    output: &mut dyn Write,
) -> Result<(), SaveError> {
    let chosen = choose(&parts.catalog(), names)?;
    // Whatever is removed meanwhile, these layers stay until they are written.
    let mut leases = Leases::new(parts);
    let mut blobs = BTreeMap::new();
    let mut documents = Documents::default();
    for (image, references) in &chosen {
        let layers = describe_layers(image, &mut leases, &mut blobs)?;
        documents.add(image, references, &layers, &mut blobs);
    }
    let mut archive = Writer::new(output);
    write_blobs(parts, &mut archive, &blobs)?;
    for (path, content) in documents.finish() {
        archive.file(path, EPOCH, &content).map_err(SaveError::Write)?;
    }
    archive.finish().map_err(SaveError::Write)?;
    Ok(())
}

/// The time of everything in the archive: the same images make the same archive.
const EPOCH: u64 = 0;

/// Images in the order in which they are named, each with the names that it is to keep.
type Chosen = Vec<(Arc<Image>, Vec<Reference>)>;

/// Finds the images. A name without a tag means all of its tags.
fn choose(catalog: &Catalog, names: &[String]) -> Result<Chosen, SaveError> {
    let mut chosen: Chosen = Vec::new();
    for name in names {
        for (image, reference) in mean(catalog, name)? {
            let index = match chosen.iter().position(|(known, _)| known.id == image.id) {
                Some(index) => index,
                None => {
                    chosen.push((image, Vec::new()));
                    chosen.len() - 1
                }
            };
            let references = &mut chosen[index].1;
            references.extend(reference.filter(|reference| !references.contains(reference)));
        }
    }
    Ok(chosen)
}

/// An image, and the name that it is to keep, if it was named by one.
type Meant = (Arc<Image>, Option<Reference>);

/// What one name means.
fn mean(catalog: &Catalog, name: &str) -> Result<Vec<Meant>, SaveError> {
    let Ok(reference) = name.parse::<Reference>() else {
        return Ok(vec![(Arc::clone(catalog.resolve(name)?), None)]);
    };
    if reference.is_name_only() {
        let tags: Vec<_> = catalog
            .tags_of(&reference)
            .into_iter()
            .filter_map(|(tag, id)| Some((Arc::clone(catalog.image(&id)?), Some(tag))))
            .collect();
        if !tags.is_empty() {
            return Ok(tags);
        }
    }
    match catalog.named(&reference).and_then(|id| catalog.image(&id)) {
        Some(image) => {
            let tag = reference.digest().is_none().then(|| reference.or_latest());
            Ok(vec![(Arc::clone(image), tag)])
        }
        None if reference.is_name_only() || reference.familiar_name() == "sha256" => {
            Ok(vec![(Arc::clone(catalog.resolve(name)?), None)])
        }
        None => Err(SaveError::NoSuchName { name: name.to_owned() }),
    }
}

/// One file below `blobs/sha256`.
#[derive(Debug)]
enum Blob {
    Document(Vec<u8>),
    Layer { chain_id: Digest, size: u64 },
}

/// Blobs in the order in which they are written. Each is written once, whoever shares it.
type Blobs = BTreeMap<Digest, Blob>;

/// A blob, as a manifest describes it. The order of the fields is Docker's.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: &'static str,
    digest: Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<&'static str, String>>,
}

const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

fn describe_layers(
    image: &Image,
    leases: &mut Leases<'_>,
    blobs: &mut Blobs,
) -> Result<Vec<Descriptor>, SaveError> {
    if image.layers.is_empty() {
        return Err(SaveError::NoLayers);
    }
    image
        .layers
        .iter()
        .map(|layer| {
            let gone = || SaveError::Damaged { layer: layer.diff_id.to_string() };
            let record = leases.take(&layer.chain_id).ok_or_else(gone)?;
            let size = record.archive_size;
            blobs.insert(layer.diff_id, Blob::Layer { chain_id: layer.chain_id, size });
            Ok(Descriptor {
                media_type: LAYER_TYPE,
                digest: layer.diff_id,
                size,
                annotations: None,
            })
        })
        .collect()
}

/// The documents at the top of the archive, for new and old readers.
#[derive(Debug, Default)]
struct Documents {
    index: Vec<Descriptor>,
    manifest: Vec<Item>,
    /// Names, their tags, and the topmost layer: all that the oldest readers want.
    repositories: BTreeMap<String, BTreeMap<String, String>>,
}

/// An image in `manifest.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    layer_sources: BTreeMap<Digest, Source>,
}

/// A layer in `manifest.json`: a descriptor, with its fields in the order of an older type.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    media_type: &'static str,
    size: u64,
    digest: Digest,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u32,
    media_type: &'static str,
    config: Descriptor,
    layers: &'a [Descriptor],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<Descriptor>,
}

impl Documents {
    fn add(
        &mut self,
        image: &Image,
        references: &[Reference],
        layers: &[Descriptor],
        blobs: &mut Blobs,
    ) {
        let config = Descriptor {
            media_type: CONFIG_TYPE,
            digest: *image.id.digest(),
            size: image.raw.len() as u64,
            annotations: None,
        };
        blobs.insert(config.digest, Blob::Document(image.raw.clone()));
        let config_path = path_of(&config.digest);
        let manifest =
            json(&Manifest { schema_version: 2, media_type: MANIFEST_TYPE, config, layers });
        let descriptor = Descriptor {
            media_type: MANIFEST_TYPE,
            digest: Digest::of(&manifest),
            size: manifest.len() as u64,
            annotations: None,
        };
        blobs.insert(descriptor.digest, Blob::Document(manifest));
        for reference in references {
            let tag = reference.tag().unwrap_or_default();
            let top = layers.last().map(|layer| layer.digest.hex()).unwrap_or_default();
            let tags = self.repositories.entry(reference.familiar_name()).or_default();
            tags.insert(tag.to_owned(), top);
            let annotations = BTreeMap::from([
                ("io.containerd.image.name", reference.to_string()),
                ("org.opencontainers.image.ref.name", tag.to_owned()),
            ]);
            self.index.push(Descriptor { annotations: Some(annotations), ..descriptor.clone() });
        }
        if references.is_empty() {
            self.index.push(descriptor);
        }
        let repo_tags = references.iter().map(Reference::familiar).collect::<Vec<_>>();
        self.manifest.push(Item {
            config: config_path,
            repo_tags: (!repo_tags.is_empty()).then_some(repo_tags),
            layers: layers.iter().map(|layer| path_of(&layer.digest)).collect(),
            parent: image.parent.map(|parent| parent.to_string()),
            layer_sources: layers.iter().map(|layer| (layer.digest, source(layer))).collect(),
        });
    }

    /// The files, in the order of their names.
    fn finish(mut self) -> Vec<(&'static str, Vec<u8>)> {
        let saved: Vec<String> = self
            .manifest
            .iter()
            .filter_map(|item| item.config.rsplit('/').next())
            .map(|hex| format!("sha256:{hex}"))
            .collect();
        for item in &mut self.manifest {
            // A parent is worth naming only if it is here as well.
            item.parent = item.parent.take().filter(|parent| saved.contains(parent));
        }
        let index = Index { schema_version: 2, media_type: INDEX_TYPE, manifests: self.index };
        let mut files = vec![
            ("index.json", json(&index)),
            ("manifest.json", line(&self.manifest)),
            ("oci-layout", br#"{"imageLayoutVersion": "1.0.0"}"#.to_vec()),
        ];
        if !self.repositories.is_empty() {
            files.push(("repositories", line(&self.repositories)));
        }
        files
    }
}

fn write_blobs(
    parts: &Parts,
    archive: &mut Writer<&mut dyn Write>,
    blobs: &Blobs,
) -> Result<(), SaveError> {
    for folder in ["blobs", "blobs/sha256"] {
        archive.folder(folder, EPOCH).map_err(SaveError::Write)?;
    }
    for (digest, blob) in blobs {
        let path = path_of(digest);
        match blob {
            Blob::Document(content) => {
                archive.file(&path, EPOCH, content).map_err(SaveError::Write)?;
            }
            Blob::Layer { chain_id, size } => {
                archive.begin(&path, EPOCH, *size).map_err(SaveError::Write)?;
                let folder = parts.folders.layer(chain_id);
                let written = assemble(&folder, archive.output()).map_err(|error| match error {
                    AssembleError::Read(source) => {
                        SaveError::Layer { layer: digest.to_string(), source }
                    }
                    AssembleError::Write(source) => SaveError::Write(source),
                })?;
                if written != *digest {
                    return Err(SaveError::Damaged { layer: digest.to_string() });
                }
                archive.pad(*size).map_err(SaveError::Write)?;
            }
        }
    }
    Ok(())
}

fn source(layer: &Descriptor) -> Source {
    Source { media_type: layer.media_type, size: layer.size, digest: layer.digest }
}

fn path_of(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn json<T: Serialize>(document: &T) -> Vec<u8> {
    serde_json::to_vec(document).expect("the documents are made of strings and numbers")
}

/// JSON as a line, as Docker writes the older documents.
fn line<T: Serialize>(document: &T) -> Vec<u8> {
    let mut line = json(document);
    line.push(b'\n');
    line
}
