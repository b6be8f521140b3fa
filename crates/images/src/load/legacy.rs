//! `repositories`: what `docker save` wrote before 1.10, and others for longer.
//!
//! Here every layer is an image with a made-up id, in a folder of that name: `json` describes
//! it and names its parent, `layer.tar` is its layer. There is no configuration to take the
//! digest of, so one is made as Docker made it when it moved to content addresses.

use std::collections::BTreeMap;

use oci::{Digest, Reference};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::load::archive::Contents;
use crate::load::{LoadError, Wanted, document};

/// The document's name.
pub(super) const REPOSITORIES: &str = "repositories";

/// More ancestors than any image has.
const ANCESTORS_MAX: usize = 1024;

/// Fields that make no sense in the new kind of configuration.
const OLD_FIELDS: &[&str] = &["id", "parent", "Size", "parent_id", "layer_id", "throwaway"];

/// Names, their tags, and the made-up ids.
type Repositories = BTreeMap<String, BTreeMap<String, String>>;

/// One of the made-up images.
#[derive(Debug, Deserialize)]
struct Old {
    #[serde(default)]
    parent: Option<String>,
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    author: Option<String>,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    container_config: Option<OldConfig>,
}

#[derive(Debug, Deserialize)]
struct OldConfig {
    #[serde(default, rename = "Cmd")]
    cmd: Option<Vec<String>>,
}

/// The images that have a name, each with the digests of its layers, which `digest_of` knows.
pub(super) fn read(
    contents: &Contents,
    raw: &[u8],
    digest_of: impl Fn(&str) -> Result<Digest, LoadError>,
) -> Result<Vec<Wanted>, LoadError> {
    let repositories: Repositories = parse(REPOSITORIES, raw)?;
    let mut names: BTreeMap<String, Vec<Reference>> = BTreeMap::new();
    for (name, tags) in repositories {
        for (tag, id) in tags {
            let text = format!("{name}:{tag}");
            let reference =
                text.parse().map_err(|source| LoadError::Tag { text: text.clone(), source })?;
            names.entry(id).or_default().push(reference);
        }
    }
    names.into_iter().map(|(id, references)| want(contents, &id, references, &digest_of)).collect()
}

fn want(
    contents: &Contents,
    id: &str,
    references: Vec<Reference>,
    digest_of: impl Fn(&str) -> Result<Digest, LoadError>,
) -> Result<Wanted, LoadError> {
    let config_path = format!("{id}/json");
    let mut history = Vec::new();
    let mut diff_ids = Vec::new();
    let mut layers = Vec::new();
    for id in ancestors(contents, id)? {
        let path = format!("{id}/json");
        history.push(history_of(parse(&path, document(contents, &path)?)?));
        let layer = format!("{id}/layer.tar");
        diff_ids.push(digest_of(&layer)?);
        layers.push(layer);
    }
    let old: Map<String, Value> = parse(&config_path, document(contents, &config_path)?)?;
    Ok(Wanted {
        config: make_config(old, &diff_ids, history),
        config_path,
        layers,
        references,
        manifest: None,
        parent: None,
    })
}

/// An image and those it is made upon, from the bottom up.
fn ancestors(contents: &Contents, id: &str) -> Result<Vec<String>, LoadError> {
    let mut ids = vec![id.to_owned()];
    loop {
        let path = format!("{}/json", ids[ids.len() - 1]);
        let old: Old = parse(&path, document(contents, &path)?)?;
        match old.parent.filter(|parent| !parent.is_empty()) {
            Some(parent) if ids.len() < ANCESTORS_MAX && !ids.contains(&parent) => ids.push(parent),
            Some(parent) => return Err(LoadError::Missing { path: format!("{parent}/json") }),
            None => break,
        }
    }
    ids.reverse();
    Ok(ids)
}

/// The step of the history that an old image stands for, with its fields in Docker's order.
fn history_of(old: Old) -> Value {
    let mut step = Map::new();
    let created_by =
        old.container_config.and_then(|config| config.cmd).map(|command| command.join(" "));
    let fields = [
        ("created", old.created),
        ("author", old.author),
        ("created_by", created_by),
        ("comment", old.comment),
    ];
    for (name, value) in fields {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            step.insert(name.to_owned(), value.into());
        }
    }
    Value::Object(step)
}

/// The new configuration. Its fields are sorted, as they come out of Docker's map, so that the
/// image has the id that Docker gives it.
fn make_config(old: Map<String, Value>, diff_ids: &[Digest], history: Vec<Value>) -> Vec<u8> {
    let mut fields: BTreeMap<String, Value> = old.into_iter().collect();
    for field in OLD_FIELDS {
        fields.remove(*field);
    }
    fields.insert("rootfs".to_owned(), json!({"type": "layers", "diff_ids": diff_ids}));
    fields.insert("history".to_owned(), history.into());
    serde_json::to_vec(&fields).expect("JSON that was read can be written")
}

fn parse<'a, T: Deserialize<'a>>(path: &str, raw: &'a [u8]) -> Result<T, LoadError> {
    serde_json::from_slice(raw)
        .map_err(|source| LoadError::Document { path: path.to_owned(), source })
}
