//! What was loaded is given back, for every kind of reader.

use std::collections::BTreeMap;
use std::io::{self, Write};

use archive::builder::{Builder, Fields};
use archive::reader::{NoTape, Reader};
use oci::Digest;
use serde_json::{Value, json};

use crate::save::SaveError;
use crate::testing::{TestStore, docker_archive, gzip, layer};

fn save(store: &TestStore, names: &[&str]) -> Result<Vec<u8>, SaveError> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut archive = Vec::new();
    store.store.save(&names, &mut archive).map(|()| archive)
}

/// The files of an archive.
fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut reader = Reader::new(archive, NoTape);
    let mut files = BTreeMap::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut content = Vec::new();
        while let piece @ [_, ..] = reader.content().unwrap() {
            content.extend_from_slice(piece);
            let length = piece.len();
            reader.consume(length);
        }
        files.insert(String::from_utf8(entry.path).unwrap(), content);
    }
    files
}

fn document(files: &BTreeMap<String, Vec<u8>>, path: &str) -> Value {
    serde_json::from_slice(&files[path]).unwrap()
}

/// A layer with all that is hard to give back.
fn difficult_layer() -> Vec<u8> {
    Builder::default()
        .pax(&[("mtime", b"1.5"), ("SCHILY.xattr.user.x", b"y")])
        .file("f", b"first")
        .hard_link("g", "f")
        .file(".wh.gone", b"")
        .file("f", b"second")
        .entry(&Fields { path: "null", kind: b'3', device: (1, 3), ..Fields::default() }, b"")
        .finish()
}

#[test]
fn what_is_saved_loads_as_the_same_image() {
    let layers = [difficult_layer(), layer("b", "two")];
    let store = TestStore::new();
    let image = store.load_one(&gzip(&docker_archive(&layers, &["busybox:1", "me/app:2"])));
    let archive = save(&store, &["busybox:1", "me/app:2"]).unwrap();

    let files = files(&archive);
    for layer in &layers {
        let path = format!("blobs/sha256/{}", Digest::of(layer).hex());
        assert!(files[&path] == *layer, "the layer is what it was");
    }

    let other = TestStore::new();
    let again = other.load_one(&archive);
    assert_eq!(again.id, image.id);
    assert_eq!(again.references, image.references);
    other.assert_tidy();
    // Without Docker's manifest it is an OCI layout.
    let layout = files
        .iter()
        .filter(|(path, _)| path.as_str() != "manifest.json")
        .filter(|(path, _)| !path.ends_with('/'))
        .fold(Builder::default(), |archive, (path, content)| archive.file(path, content))
        .finish();
    let again = TestStore::new().load_one(&layout);
    assert_eq!(again.id, image.id);
    assert_eq!(again.references, image.references);
}

#[test]
fn the_documents_are_dockers() {
    let layers = [layer("a", "one")];
    let store = TestStore::new();
    let image = store.load_one(&docker_archive(&layers, &["one:1", "me/two:2"]));
    let files = files(&save(&store, &["one:1", "me/two:2"]).unwrap());
    let diff_id = Digest::of(&layers[0]);
    let (layer, config) = (diff_id.hex(), image.id.hex());
    let size = layers[0].len();

    assert_eq!(
        String::from_utf8_lossy(&files["manifest.json"]),
        format!(
            "[{{\"Config\":\"blobs/sha256/{config}\",\"RepoTags\":[\"one:1\",\"me/two:2\"],\
             \"Layers\":[\"blobs/sha256/{layer}\"],\"LayerSources\":{{\"sha256:{layer}\":\
             {{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\
             \"size\":{size},\"digest\":\"sha256:{layer}\"}}}}}}]\n"
        )
    );
    assert_eq!(
        document(&files, "repositories"),
        json!({ "one": { "1": layer }, "me/two": { "2": layer } })
    );
    assert_eq!(files["oci-layout"], br#"{"imageLayoutVersion": "1.0.0"}"#);
    let index = document(&files, "index.json");
    assert_eq!(
        index["manifests"][0]["annotations"],
        json!({
            "io.containerd.image.name": "docker.io/library/one:1",
            "org.opencontainers.image.ref.name": "1",
        })
    );
    assert_eq!(index["manifests"][0]["digest"], index["manifests"][1]["digest"]);
    let paths: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(paths[..2], ["blobs/", "blobs/sha256/"]);
    assert_eq!(paths[5..], ["index.json", "manifest.json", "oci-layout", "repositories"]);
}

#[test]
fn the_same_images_make_the_same_archive() {
    let shared = layer("base", "x");
    let (one, two) = (TestStore::new(), TestStore::new());
    for store in [&one, &two] {
        store.load_one(&docker_archive(&[shared.clone(), layer("a", "1")], &["one:1"]));
        store.load_one(&docker_archive(&[shared.clone(), layer("b", "2")], &["two:1"]));
    }
    let archive = save(&one, &["one:1", "two:1"]).unwrap();
    assert!(archive == save(&two, &["one:1", "two:1"]).unwrap());
    // Three layers, two configurations, two manifests.
    let blobs = files(&archive).keys().filter(|path| path.starts_with("blobs/sha256/")).count();
    assert_eq!(blobs, 7 + 1);
    let third = TestStore::new();
    assert_eq!(third.load(&archive).unwrap().len(), 2);
}

#[test]
fn a_name_without_a_tag_means_all_of_its_tags_and_an_id_means_none() {
    let store = TestStore::new();
    store.load_one(&docker_archive(&[layer("a", "1")], &["app:1"]));
    let image = store.load_one(&docker_archive(&[layer("a", "2")], &["app:2", "other:3"]));
    let tags = |names: &[&str]| -> Vec<Value> {
        let manifest = document(&files(&save(&store, names).unwrap()), "manifest.json");
        manifest.as_array().unwrap().iter().map(|item| item["RepoTags"].clone()).collect()
    };
    assert_eq!(tags(&["app"]), [json!(["app:1"]), json!(["app:2"])]);
    assert_eq!(tags(&["app:2", "app"]), [json!(["app:2"]), json!(["app:1"])]);
    assert_eq!(tags(&[&image.id.to_string()]), [Value::Null]);
    assert_eq!(tags(&[&image.id.short()]), [Value::Null]);
}

#[test]
fn what_is_not_there_is_refused_in_dockers_words() {
    let store = TestStore::new();
    let message = |name: &str| save(&store, &[name]).unwrap_err().to_string();
    assert_eq!(message("nosuch"), "No such image: nosuch:latest");
    assert_eq!(message("nosuch:1"), "reference does not exist");
    assert_eq!(
        message("Bad"),
        "invalid reference format: repository name (library/Bad) must be lowercase"
    );
}

#[test]
fn a_layer_that_was_tampered_with_is_not_given_out() {
    let store = TestStore::new();
    let image = store.load_one(&docker_archive(&[layer("a", "one")], &["x:1"]));
    std::fs::write(store.tree(&image, 0).join("a"), "two").unwrap();
    let error = save(&store, &["x:1"]).unwrap_err();
    assert!(error.to_string().contains("is damaged on this host"), "{error}");
    std::fs::remove_file(store.tree(&image, 0).join("a")).unwrap();
    assert!(matches!(save(&store, &["x:1"]), Err(SaveError::Layer { .. })));
}

#[test]
fn an_output_that_is_gone_is_told_as_such() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let store = TestStore::new();
    store.load_one(&docker_archive(&[layer("a", "one")], &["x:1"]));
    let error = store.store.save(&["x:1".to_owned()], &mut Gone).unwrap_err();
    assert!(matches!(error, SaveError::Write(_)));
}
