//! Names, removal, snapshots, and what is left after a crash.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use errors::Explain as _;

use crate::catalog::ResolveError;
use crate::records::Change;
use crate::snapshots::SnapshotError;
use crate::testing::{TestStore, docker_archive, layer};

fn archive(content: &str, tags: &[&str]) -> Vec<u8> {
    docker_archive(&[layer("base", "b"), layer("own", content)], tags)
}

#[test]
fn an_image_is_found_by_name_and_by_id() {
    let store = TestStore::new();
    let image = store.load_one(&archive("1", &["app:latest", "app:1"]));
    let id = image.id;
    let digest = format!("app@{id}");
    for name in [
        "app",
        "app:1",
        "docker.io/library/app:1",
        &id.to_string(),
        &id.hex(),
        &id.short(),
        &id.to_string()[..20],
    ] {
        assert_eq!(store.store.resolve(name).unwrap().id, id, "{name}");
    }
    let message = |name: &str| store.store.resolve(name).unwrap_err().to_string();
    assert_eq!(message("nosuch"), "No such image: nosuch:latest");
    assert_eq!(message("nosuch:1"), "No such image: nosuch:1");
    assert_eq!(message(&digest), format!("No such image: {digest}"));
    assert_eq!(message("sha256:1234"), "No such image: sha256:1234");
    assert_eq!(
        message("Bad"),
        "invalid reference format: repository name (library/Bad) must be lowercase"
    );
    let missing = "0".repeat(64);
    assert_eq!(message(&missing), format!("No such image: sha256:{missing}"));
}

#[test]
fn the_beginning_of_several_ids_means_none_of_them() {
    let store = TestStore::new();
    // With 17 images two ids begin with the same digit.
    for number in 0..17 {
        store.load_one(&archive(&number.to_string(), &[]));
    }
    let ids: Vec<String> = store.store.images().iter().map(|image| image.id.hex()).collect();
    let twice = |digit: &&str| ids.iter().filter(|id| id.starts_with(*digit)).count() > 1;
    let digit = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];
    let digit = digit.iter().copied().find(|digit| twice(digit)).unwrap();
    let error = store.store.resolve(digit).unwrap_err();
    assert_eq!(error.to_string(), format!("No such image: {digit}:latest"));
    assert!(error.hint().unwrap().starts_with("several ids begin so: "));
    // A name that looks like the beginning of an id wins.
    let image = store.store.images()[0].id;
    store.store.tag(&image, &digit.parse().unwrap()).unwrap();
    assert_eq!(store.store.resolve(digit).unwrap().id, image);
}

#[test]
fn names_are_given_and_taken() {
    let store = TestStore::new();
    let one = store.load_one(&archive("1", &["one:1"])).id;
    let two = store.load_one(&archive("2", &["two:1"])).id;
    let name: oci::Reference = "new".parse().unwrap();
    assert_eq!(store.store.tag(&one, &name).unwrap().previous, None);
    assert_eq!(store.store.tag(&one, &name).unwrap().previous, None);
    assert_eq!(store.store.tag(&two, &name).unwrap().previous, Some(one));
    assert_eq!(store.store.resolve("new").unwrap().id, two);
    let store = store.reopen();
    assert_eq!(store.store.resolve("new").unwrap().id, two);
    assert_eq!(store.store.resolve("new").unwrap().references.len(), 2);
    assert_eq!(store.store.untag(&name).unwrap(), two);
    assert_eq!(store.store.untag(&name).unwrap_err().to_string(), "No such image: new:latest");
    let message =
        |text: &str| store.store.tag(&one, &text.parse().unwrap()).unwrap_err().to_string();
    assert_eq!(
        message("sha256:abc"),
        "refusing to create an ambiguous tag using digest algorithm as name"
    );
    assert_eq!(message(&format!("x@{one}")), "refusing to create a tag with a digest reference");
}

#[test]
fn a_removed_image_takes_along_what_only_it_had() {
    let store = TestStore::new();
    let one = store.load_one(&archive("1", &["one:1", "uno:1"]));
    let two = store.load_one(&archive("22", &["two:1"]));
    let deleted = store.store.delete(&one.id).unwrap();
    assert_eq!(deleted.references.len(), 2);
    assert_eq!(deleted.layers, [one.layers[1].chain_id]);
    assert_eq!(deleted.freed, 1);
    store.assert_tidy();
    assert!(store.store.resolve("one:1").is_err());
    assert!(store.store.delete(&one.id).is_err());
    let deleted = store.store.delete(&two.id).unwrap();
    assert_eq!(deleted.layers, [two.layers[1].chain_id, two.layers[0].chain_id]);
    store.assert_tidy();
    assert_eq!(store.names("layers"), Vec::<String>::new());
    store.reopen().assert_tidy();
}

#[test]
fn newer_images_come_first() {
    let store = TestStore::new();
    store.load_one(&archive("1", &[]));
    let import = |name: &str| {
        let options =
            crate::ImportOptions { reference: Some(name.parse().unwrap()), ..Default::default() };
        store.store.import(&mut &layer("f", name)[..], options).unwrap()
    };
    let (second, third) = (import("b"), import("c"));
    let ids: Vec<_> = store.store.images().iter().map(|image| image.id).collect();
    assert_eq!(ids[..2], [third, second]);
}

#[test]
fn a_snapshot_lies_upon_its_images_layers() {
    let store = TestStore::new();
    let image = store.load_one(&archive("1", &["x:1"]));
    let snapshot = store.store.prepare("container", &image.id).unwrap();
    assert_eq!(snapshot.lowers, [store.tree(&image, 1), store.tree(&image, 0)]);
    assert_eq!(snapshot.upper, store.root().join("snapshots/container/fs"));
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&snapshot.upper), 0o755);
    assert_eq!(store.store.snapshot("container").unwrap(), snapshot);
    assert!(matches!(
        store.store.prepare("container", &image.id),
        Err(SnapshotError::Exists { .. })
    ));
    assert_eq!(store.store.snapshots().unwrap(), ["container"]);

    let store = store.reopen();
    assert_eq!(store.store.snapshot("container").unwrap(), snapshot);
    store.store.discard("container").unwrap();
    store.store.discard("container").unwrap();
    assert!(matches!(store.store.snapshot("container"), Err(SnapshotError::NoSuchSnapshot { .. })));
    assert!(store.store.snapshots().unwrap().is_empty());
    for name in ["", ".", "..", "a/b", "a\0b"] {
        assert!(matches!(store.store.discard(name), Err(SnapshotError::Name { .. })), "{name:?}");
    }
    store.assert_tidy();
}

#[test]
fn a_snapshot_is_removed_whatever_its_permissions_are() {
    let store = TestStore::new();
    let image = store.load_one(&archive("1", &[]));
    let snapshot = store.store.prepare("container", &image.id).unwrap();
    let inner = snapshot.upper.join("a/b");
    fs::create_dir_all(&inner).unwrap();
    fs::write(inner.join("f"), "x").unwrap();
    std::os::unix::fs::symlink("/", inner.join("root")).unwrap();
    for path in [&inner, &snapshot.upper.join("a"), &snapshot.work] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o0)).unwrap();
    }
    store.store.discard("container").unwrap();
    store.assert_tidy();
}

#[test]
fn layers_outlive_their_image_while_a_snapshot_needs_them() {
    let store = TestStore::new();
    let image = store.load_one(&archive("1", &["x:1"]));
    let snapshot = store.store.prepare("container", &image.id).unwrap();
    let deleted = store.store.delete(&image.id).unwrap();
    assert!(deleted.layers.is_empty());
    assert!(snapshot.lowers.iter().all(|lower| lower.exists()));
    let store = store.reopen();
    assert_eq!(store.store.snapshot("container").unwrap(), snapshot);
    store.store.discard("container").unwrap();
    assert_eq!(store.names("layers"), Vec::<String>::new());
    store.assert_tidy();
    assert!(matches!(
        store.store.prepare("other", &image.id),
        Err(SnapshotError::NoSuchImage { .. })
    ));
}

#[test]
fn what_a_crash_leaves_is_removed() {
    let store = TestStore::new();
    let image = store.load_one(&archive("1", &["x:1"]));
    store.store.prepare("container", &image.id).unwrap();
    let root = store.root().to_owned();
    let stray = "0".repeat(64);
    // Between unpacking and adopting; between adopting and recording; the same for blobs; in
    // the midst of removing.
    fs::create_dir_all(root.join("unfinished/0/fs/etc")).unwrap();
    fs::write(root.join("unfinished/1"), "half").unwrap();
    fs::create_dir_all(root.join("layers").join(&stray).join("fs")).unwrap();
    fs::write(root.join("content/blobs/sha256").join(&stray), "{}").unwrap();
    let store = store.reopen();
    store.assert_tidy();
    assert_eq!(store.store.resolve("x:1").unwrap().id, image.id);
    assert!(store.store.snapshot("container").is_ok());
}

#[test]
fn an_image_that_lost_a_part_is_forgotten_and_can_be_loaded_again() {
    for damage in ["configuration", "changed configuration", "layer"] {
        let store = TestStore::new();
        let archive = archive("1", &["x:1"]);
        let image = store.load_one(&archive);
        let other = store.load_one(&docker_archive(&[layer("base", "b")], &["other:1"]));
        let blob = store.root().join("content/blobs/sha256").join(image.id.hex());
        match damage {
            "configuration" => fs::remove_file(blob).unwrap(),
            "changed configuration" => fs::write(blob, "{}").unwrap(),
            _ => fs::remove_dir_all(store.tree(&image, 1).parent().unwrap()).unwrap(),
        }
        let store = store.reopen();
        let found = store.store.resolve("x:1");
        assert!(matches!(found, Err(ResolveError::NotFound { .. })), "{damage}");
        assert_eq!(store.store.images().len(), 1, "{damage}");
        assert_eq!(store.store.resolve("other:1").unwrap().id, other.id, "{damage}");
        store.assert_tidy();
        assert_eq!(store.load_one(&archive).id, image.id, "{damage}");
        store.assert_tidy();
    }
}

#[test]
fn history_tells_each_layers_size() {
    let layers = [layer("a", "123"), layer("b", "12345")];
    let mut config = crate::testing::config(&layers);
    config["history"] = serde_json::json!([
        { "created": "2024-01-01T00:00:00Z", "created_by": "one" },
        { "created": "2024-01-02T00:00:00Z", "created_by": "ENV", "empty_layer": true },
        { "created": "2024-01-03T00:00:00Z", "created_by": "two", "comment": "c" },
    ]);
    let mut layout = crate::testing::Layout::default();
    let descriptor = layout.image(&layers, &config, crate::testing::gzip);
    let archive = layout.list(crate::testing::named(descriptor, "x:1")).finish();
    let store = TestStore::new();
    let image = store.load_one(&archive);
    let history = store.store.history(&image.id).unwrap();
    let steps: Vec<_> = history.iter().map(|step| (step.created_by.as_str(), step.size)).collect();
    assert_eq!(steps, [("two", 5), ("ENV", 0), ("one", 3)]);
    assert_eq!(history[0].id, Some(image.id));
    assert_eq!(history[0].tags, image.references);
    assert_eq!(history[0].comment, "c");
    assert_eq!(history[1].id, None);
}

#[test]
fn a_layer_of_another_boot_is_believed_only_if_it_was_settled() {
    let store = TestStore::new();
    let archive = archive("1", &["x:1"]);
    let image = store.load_one(&archive);
    let pretend_other_boot = |store: &TestStore| {
        let parts = &store.store.0;
        let changes: Vec<Change> = image
            .layers
            .iter()
            .map(|layer| {
                let mut record = parts.layers.record(&layer.chain_id).unwrap();
                record.unsettled = record.unsettled.map(|_| oci::Digest::of(b"another boot"));
                Change::PutLayer(layer.chain_id, record)
            })
            .collect();
        parts.records.write(&changes).unwrap();
    };

    pretend_other_boot(&store);
    let store = store.reopen();
    assert!(store.store.images().is_empty());
    store.assert_tidy();

    store.load_one(&archive);
    crate::settle::settle(&store.store.0).unwrap();
    assert!(store.store.0.layers.unsettled().is_empty());
    pretend_other_boot(&store);
    let store = store.reopen();
    assert_eq!(store.store.images().len(), 1);
    store.assert_tidy();
}
