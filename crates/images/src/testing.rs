//! Stores and archives for tests.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::builder::Builder;
use oci::Digest;
use redb::Database;
use serde_json::{Value, json};

use crate::image::Image;
use crate::load::{LoadError, Loaded};
use crate::store::Store;

/// A store of its own.
#[derive(Debug)]
pub(crate) struct TestStore {
    pub(crate) store: Store,
    folder: tempfile::TempDir,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(folder.path().join("metadata.redb")).unwrap();
        let store = Store::open(folder.path(), Arc::new(database)).unwrap();
        Self { store, folder }
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Closes the store, and opens it again.
    pub(crate) fn reopen(self) -> Self {
        self.while_closed(|_| {})
    }

    /// Closes the store, lets others work on its root, and opens it again.
    pub(crate) fn while_closed(self, work: impl FnOnce(&Path)) -> Self {
        let Self { store, folder } = self;
        drop(store);
        work(folder.path());
        let database = Database::open(folder.path().join("metadata.redb")).unwrap();
        let store = Store::open(folder.path(), Arc::new(database)).unwrap();
        Self { store, folder }
    }

    pub(crate) fn load(&self, archive: &[u8]) -> Result<Vec<Loaded>, LoadError> {
        self.store.load(&mut &archive[..], None, &mut |_| {})
    }

    /// Loads an archive of one image.
    #[track_caller]
    pub(crate) fn load_one(&self, archive: &[u8]) -> Arc<Image> {
        let loaded = self.load(archive).unwrap_or_else(|error| panic!("{}", errors::chain(&error)));
        assert_eq!(loaded.len(), 1);
        self.store.image(&loaded[0].image).unwrap()
    }

    /// The names in one of the root's folders.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root().join(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The tree of an image's layer, counted from the bottom.
    pub(crate) fn tree(&self, image: &Image, index: usize) -> PathBuf {
        self.root().join("layers").join(image.layers[index].chain_id.hex()).join("fs")
    }

    /// Checks that there is nothing but what the images need.
    #[track_caller]
    pub(crate) fn assert_tidy(&self) {
        self.store.0.folders.remover.finish();
        let mut layers: Vec<String> = Vec::new();
        let mut blobs: Vec<String> = Vec::new();
        for image in self.store.images() {
            layers.extend(image.layers.iter().map(|layer| layer.chain_id.hex()));
            blobs.push(image.id.hex());
        }
        for name in self.store.snapshots().unwrap() {
            let lowers = self.store.snapshot(&name).unwrap().lowers;
            // `…/layers/<chain id>/fs`
            layers.extend(lowers.iter().filter_map(|lower| {
                let layer = lower.parent()?.file_name()?.to_str()?;
                lower.ends_with("fs").then(|| layer.to_owned())
            }));
        }
        layers.sort();
        layers.dedup();
        blobs.sort();
        assert_eq!(self.names("layers"), layers);
        assert_eq!(self.names("content/blobs/sha256"), blobs);
        assert_eq!(self.names("unfinished"), Vec::<String>::new());
    }
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}

/// A layer of one file, which tells it from others.
pub(crate) fn layer(path: &str, content: &str) -> Vec<u8> {
    Builder::default().file(path, content.as_bytes()).finish()
}

/// A configuration for these layers.
pub(crate) fn config(layers: &[Vec<u8>]) -> Value {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    json!({
        "architecture": crate::platform::architecture(),
        "os": "linux",
        "created": "2024-05-06T07:08:09.123456789Z",
        "config": { "Cmd": ["true"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    })
}

/// What `docker save` wrote until 25: a folder for each layer, and a manifest.
pub(crate) fn docker_archive(layers: &[Vec<u8>], tags: &[&str]) -> Vec<u8> {
    let config = config(layers).to_string();
    let mut archive = Builder::default();
    let mut paths = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let path = format!("{index:064x}/layer.tar");
        archive = archive.file(&path, layer);
        paths.push(path);
    }
    let manifest = json!([{ "Config": "config.json", "RepoTags": tags, "Layers": paths }]);
    archive
        .file("config.json", config.as_bytes())
        .file("manifest.json", manifest.to_string().as_bytes())
        .finish()
}

/// An OCI layout under construction.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    archive: Builder,
    manifests: Vec<Value>,
}

impl Layout {
    pub(crate) fn blob(&mut self, content: &[u8]) -> Value {
        let digest = Digest::of(content);
        let archive = std::mem::take(&mut self.archive);
        self.archive = archive.file(&format!("blobs/sha256/{}", digest.hex()), content);
        json!({ "digest": digest, "size": content.len(), "mediaType": "application/octet-stream" })
    }

    /// Adds an image whose layers are compressed by `compress`, and answers with the
    /// descriptor of its manifest.
    pub(crate) fn image(
        &mut self,
        layers: &[Vec<u8>],
        config: &Value,
        compress: impl Fn(&[u8]) -> Vec<u8>,
    ) -> Value {
        let config = self.blob(config.to_string().as_bytes());
        let layers: Vec<Value> = layers.iter().map(|layer| self.blob(&compress(layer))).collect();
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
        let mut descriptor = self.blob(manifest.to_string().as_bytes());
        descriptor["mediaType"] = "application/vnd.oci.image.manifest.v1+json".into();
        descriptor
    }

    /// Adds an index of manifests, and answers with its descriptor.
    pub(crate) fn index(&mut self, manifests: &[Value]) -> Value {
        let index = json!({ "schemaVersion": 2, "manifests": manifests });
        let mut descriptor = self.blob(index.to_string().as_bytes());
        descriptor["mediaType"] = "application/vnd.oci.image.index.v1+json".into();
        descriptor
    }

    /// Lists a manifest at the top.
    pub(crate) fn list(mut self, descriptor: Value) -> Self {
        self.manifests.push(descriptor);
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let index = json!({ "schemaVersion": 2, "manifests": self.manifests });
        self.archive
            .file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
            .file("index.json", index.to_string().as_bytes())
            .finish()
    }
}

/// A descriptor with a name.
pub(crate) fn named(mut descriptor: Value, name: &str) -> Value {
    descriptor["annotations"] = json!({ "io.containerd.image.name": name });
    descriptor
}

/// A descriptor for a platform.
pub(crate) fn for_platform(mut descriptor: Value, os: &str, architecture: &str) -> Value {
    descriptor["platform"] = json!({ "os": os, "architecture": architecture });
    descriptor
}
