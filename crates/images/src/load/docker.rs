//! `manifest.json`: what `docker save` has written since 1.10.

use oci::Reference;
use serde::Deserialize;

use crate::image::ImageId;
use crate::load::archive::Contents;
use crate::load::{LoadError, Wanted, document};

/// The document's name.
pub(super) const MANIFEST: &str = "manifest.json";

/// One image of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
    #[serde(default)]
    parent: Option<String>,
}

/// The images that the document names.
pub(super) fn read(contents: &Contents, raw: &[u8]) -> Result<Vec<Wanted>, LoadError> {
    let items: Vec<Item> = serde_json::from_slice(raw)
        .map_err(|source| LoadError::Document { path: MANIFEST.to_owned(), source })?;
    items.into_iter().map(|item| want(contents, item)).collect()
}

fn want(contents: &Contents, item: Item) -> Result<Wanted, LoadError> {
    let tags = item.repo_tags.unwrap_or_default();
    Ok(Wanted {
        config: document(contents, &item.config)?.to_vec(),
        config_path: item.config,
        layers: item.layers.unwrap_or_default(),
        references: tags.iter().map(|tag| reference(tag)).collect::<Result<_, _>>()?,
        manifest: None,
        parent: item.parent.and_then(|parent| parent.parse::<ImageId>().ok()),
    })
}

/// A name with a tag. One without was never written by `save`.
fn reference(text: &str) -> Result<Reference, LoadError> {
    let invalid = |source| LoadError::Tag { text: text.to_owned(), source };
    let reference: Reference = text.parse().map_err(invalid)?;
    match reference.tag() {
        Some(_) => Ok(reference),
        None => Err(invalid(oci::ReferenceError::Format)),
    }
}
