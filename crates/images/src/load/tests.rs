//! Every kind of archive is loaded in full, or refused in full.

use std::os::unix::fs::MetadataExt as _;

use archive::builder::Builder;
use oci::Digest;
use serde_json::json;

use crate::load::LoadProgress;
use crate::testing::{
    Layout, TestStore, config, docker_archive, for_platform, gzip, layer, named, zstd,
};

fn layers() -> Vec<Vec<u8>> {
    vec![layer("a", "one"), layer("b", "two")]
}

#[track_caller]
fn check_refused(store: &TestStore, archive: &[u8], message: &str) {
    let error = store.load(archive).unwrap_err();
    assert_eq!(errors::chain(&error), message);
    store.assert_tidy();
}

#[test]
fn what_docker_save_writes_is_loaded_plain_and_compressed() {
    let archive = docker_archive(&layers(), &["busybox:1", "me/app:2"]);
    for archive in [archive.clone(), gzip(&archive), zstd(&archive)] {
        let store = TestStore::new();
        let image = store.load_one(&archive);
        let names: Vec<_> = image.references.iter().map(oci::Reference::familiar).collect();
        assert_eq!(names, ["busybox:1", "me/app:2"]);
        assert_eq!(image.layers.len(), 2);
        assert_eq!(image.size(), 6);
        assert_eq!(image.created.unwrap().to_string(), "2024-05-06T07:08:09.123456789Z");
        assert!(image.last_tagged.is_some());
        assert_eq!(image.id.digest(), &Digest::of(&image.raw));
        assert_eq!(std::fs::read(store.tree(&image, 1).join("b")).unwrap(), b"two");
        store.assert_tidy();
    }
}

#[test]
fn layers_may_be_compressed_within_the_archive() {
    for compress in [gzip, zstd] {
        let layers = layers();
        let store = TestStore::new();
        let mut layout = Layout::default();
        let descriptor = layout.image(&layers, &config(&layers), compress);
        let digest = descriptor["digest"].as_str().unwrap().to_owned();
        let image = store.load_one(&layout.list(named(descriptor, "busybox")).finish());
        assert_eq!(image.references[0].familiar(), "busybox:latest");
        assert_eq!(image.manifest.unwrap().to_string(), digest);
        assert!(image.diff_ids().eq(layers.iter().map(|layer| Digest::of(layer))));
        store.assert_tidy();
    }
}

#[test]
fn a_nested_index_gives_the_image_for_this_host() {
    let ours = layers();
    let theirs = vec![layer("foreign", "x")];
    let mut layout = Layout::default();
    let mut foreign_config = config(&theirs);
    foreign_config["architecture"] = "vax".into();
    let foreign = for_platform(layout.image(&theirs, &foreign_config, gzip), "linux", "vax");
    let own = layout.image(&ours, &config(&ours), gzip);
    let own = for_platform(own, "linux", crate::platform::architecture());
    let mut statement = for_platform(layout.blob(b"{}"), "unknown", "unknown");
    statement["annotations"] = json!({ "vnd.docker.reference.type": "attestation-manifest" });
    let index = layout.index(&[statement, foreign, own]);
    let index = layout.index(&[index]);
    let archive = layout.list(named(index, "app:1")).finish();

    let store = TestStore::new();
    let image = store.load_one(&archive);
    assert_eq!(image.layers.len(), 2);
    assert_eq!(image.references[0].familiar(), "app:1");
    store.assert_tidy();

    let store = TestStore::new();
    let loaded = store.store.load(&mut &archive[..], Some("linux/vax"), &mut |_| {}).unwrap();
    assert_eq!(store.store.image(&loaded[0].image).unwrap().layers.len(), 1);
    let error = store.store.load(&mut &archive[..], Some("linux/pdp11"), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("requested platform (linux/pdp11) not found"));
    store.assert_tidy();
}

#[test]
fn one_image_under_several_names_is_one_image() {
    let layers = layers();
    let mut layout = Layout::default();
    let image = layout.image(&layers, &config(&layers), gzip);
    let mut tag_only = image.clone();
    tag_only["annotations"] = json!({ "org.opencontainers.image.ref.name": "latest" });
    let mut reference = image.clone();
    reference["annotations"] = json!({ "org.opencontainers.image.ref.name": "host/c:1" });
    let archive = layout
        .list(named(image.clone(), "a:1"))
        .list(named(image, "b:1"))
        .list(tag_only)
        .list(reference)
        .finish();
    let image = TestStore::new().load_one(&archive);
    let names: Vec<_> = image.references.iter().map(oci::Reference::familiar).collect();
    assert_eq!(names, ["host/c:1", "a:1", "b:1"]);
}

#[test]
fn the_oldest_archives_are_loaded() {
    let (bottom, top) = (layer("a", "one"), layer("b", "two"));
    let old = |id: &str, parent: Option<&str>| {
        json!({
            "id": id, "parent": parent, "created": "2014-01-02T03:04:05Z",
            "container_config": { "Cmd": ["/bin/sh", "-c", id] },
            "config": { "Cmd": ["sh"] }, "architecture": "amd64", "os": "linux", "Size": 3,
        })
        .to_string()
    };
    let archive = Builder::default()
        .folder("111/")
        .file("111/VERSION", b"1.0")
        .file("111/json", old("111", None).as_bytes())
        .file("111/layer.tar", &bottom)
        .file("222/json", old("222", Some("111")).as_bytes())
        .file("222/layer.tar", &top)
        .file("repositories", br#"{"old":{"latest":"222","1":"222"}}"#)
        .finish();
    let store = TestStore::new();
    let image = store.load_one(&archive);
    assert_eq!(image.layers.len(), 2);
    let names: Vec<_> = image.references.iter().map(oci::Reference::familiar).collect();
    assert_eq!(names, ["old:1", "old:latest"]);
    let history = store.store.history(&image.id).unwrap();
    assert_eq!(history[0].created_by, "/bin/sh -c 222");
    assert_eq!(history[1].size, 3);
    assert!(!String::from_utf8_lossy(&image.raw).contains("parent"));
    store.assert_tidy();
}

#[test]
fn a_layer_that_is_a_link_to_another_is_that_one() {
    let layer = layer("a", "one");
    let config = config(&[layer.clone(), layer.clone()]).to_string();
    let archive = Builder::default()
        .file("one/layer.tar", &layer)
        .symlink("two/layer.tar", "../one/layer.tar")
        .file("c.json", config.as_bytes())
        .file(
            "manifest.json",
            br#"[{"Config":"c.json","RepoTags":null,"Layers":["one/layer.tar","two/layer.tar"]}]"#,
        )
        .finish();
    let store = TestStore::new();
    let image = store.load_one(&archive);
    assert!(image.is_dangling());
    // The same content twice in one image has two places, since what is below differs.
    assert_eq!(image.layers[0].diff_id, image.layers[1].diff_id);
    assert_ne!(image.layers[0].chain_id, image.layers[1].chain_id);
    for index in [0, 1] {
        assert_eq!(std::fs::read(store.tree(&image, index).join("a")).unwrap(), b"one");
    }
    store.assert_tidy();
}

#[test]
fn images_share_the_layers_that_they_have_in_common() {
    let shared = layer("base", "x");
    let store = TestStore::new();
    let one = store.load_one(&docker_archive(&[shared.clone(), layer("a", "1")], &["one:1"]));
    let inode = || std::fs::metadata(store.tree(&one, 0)).unwrap().ino();
    let before = inode();
    let two = store.load_one(&docker_archive(&[shared, layer("b", "2")], &["two:1"]));
    assert_eq!(one.layers[0], two.layers[0]);
    assert_eq!(inode(), before);
    assert_eq!(store.store.usage().layers, 3);
    assert_eq!(store.store.shared_size(&one), 1);
    store.assert_tidy();
}

#[test]
fn a_name_that_another_image_has_is_taken_from_it() {
    let store = TestStore::new();
    let old = store.load_one(&docker_archive(&[layer("a", "1")], &["x:1"]));
    let loaded = store.load(&docker_archive(&[layer("a", "2")], &["x:1"])).unwrap();
    assert_eq!(loaded[0].replaced, [("x:1".parse().unwrap(), old.id)]);
    assert!(store.store.image(&old.id).unwrap().is_dangling());
    assert_eq!(store.store.resolve("x:1").unwrap().id, loaded[0].image);
}

#[test]
fn loading_again_changes_nothing() {
    let store = TestStore::new();
    let archive = docker_archive(&layers(), &["x:1"]);
    let first = store.load_one(&archive);
    let second = store.load_one(&archive);
    assert_eq!(first.id, second.id);
    assert_eq!(store.store.images().len(), 1);
    store.assert_tidy();
}

#[test]
fn many_layers_are_loaded() {
    let layers: Vec<_> = (0..200).map(|index| layer(&format!("f{index}"), "x")).collect();
    let store = TestStore::new();
    let image = store.load_one(&docker_archive(&layers, &["deep:1"]));
    assert_eq!(image.layers.len(), 200);
    let snapshot = store.store.prepare("c", &image.id).unwrap();
    assert_eq!(snapshot.lowers.len(), 200);
    assert!(snapshot.lowers[0].join("f199").exists());
    assert!(snapshot.lowers[199].join("f0").exists());
    store.assert_tidy();
}

#[test]
fn loads_side_by_side_do_not_clash() {
    let store = TestStore::new();
    let shared: Vec<_> = (0..5).map(|index| layer(&format!("s{index}"), "x")).collect();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (store, shared) = (&store, &shared);
            scope.spawn(move || {
                let mut layers = shared.clone();
                layers.push(layer("own", &number.to_string()));
                let tag = format!("image:{number}");
                for _ in 0..5 {
                    let image = store.load_one(&docker_archive(&layers, &[&tag]));
                    store.store.delete(&image.id).unwrap();
                }
                store.load_one(&docker_archive(&layers, &[&tag]));
            });
        }
    });
    assert_eq!(store.store.images().len(), 8);
    store.assert_tidy();
    let store = store.reopen();
    assert_eq!(store.store.images().len(), 8);
    store.assert_tidy();
}

#[test]
fn progress_is_told_layer_by_layer() {
    let big = layer("big", &"x".repeat(2_000_000));
    let archive = docker_archive(&[big.clone(), layer("small", "x")], &[]);
    let store = TestStore::new();
    let mut reports: Vec<LoadProgress> = Vec::new();
    store.store.load(&mut &archive[..], None, &mut |report| reports.push(report)).unwrap();
    assert!(reports.len() > 3, "{reports:?}");
    assert_eq!(reports[0].total, big.len() as u64);
    assert!(reports.iter().any(|report| report.current == big.len() as u64));
}

#[test]
fn what_is_no_archive_of_images_is_refused() {
    let store = TestStore::new();
    let no_images = "invalid archive: does not contain a manifest.json";
    check_refused(&store, &layer("bin/sh", "x"), no_images);
    check_refused(&store, b"", "invalid archive: unexpected EOF: the archive is cut off at byte 0");
    check_refused(
        &store,
        &[b'x'; 1000],
        "invalid archive: archive/tar: invalid tar header at byte 0: its checksum is not a number",
    );
    let archive = Builder::default().file("manifest.json", b"{").finish();
    let error = store.load(&archive).unwrap_err();
    assert_eq!(error.to_string(), "invalid archive: failed to decode manifest.json");
    let archive = Builder::default().file("manifest.json", br#"[{"Config":"c.json"}]"#).finish();
    check_refused(&store, &archive, "invalid archive: c.json is missing");
    let archive = Builder::default().file("../manifest.json", b"[]").finish();
    check_refused(
        &store,
        &archive,
        "invalid archive: ../manifest.json would be outside of the layer's root",
    );
}

#[test]
fn layers_that_are_not_what_the_configuration_says_are_refused() {
    let store = TestStore::new();
    let (right, wrong) = (layer("a", "right"), layer("a", "wrong"));
    let config = config(std::slice::from_ref(&right)).to_string();
    let archive = |layers: &str, layer: &[u8]| {
        let manifest = format!(r#"[{{"Config":"c.json","RepoTags":["x:1"],"Layers":{layers}}}]"#);
        Builder::default()
            .file("l.tar", layer)
            .file("c.json", config.as_bytes())
            .file("manifest.json", manifest.as_bytes())
            .finish()
    };
    let message = format!(
        "invalid diffID for layer 0: expected \"{}\", got \"{}\"",
        Digest::of(&right),
        Digest::of(&wrong)
    );
    check_refused(&store, &archive(r#"["l.tar"]"#, &wrong), &message);
    check_refused(
        &store,
        &archive(r#"["l.tar","l.tar"]"#, &right),
        "invalid manifest, layers length mismatch: expected 2, got 1",
    );
    check_refused(&store, &archive(r#"["m.tar"]"#, &right), "invalid archive: m.tar is missing");
    let evil = Builder::default().file("../../evil", b"x").finish();
    check_refused(
        &store,
        &archive(r#"["l.tar"]"#, &evil),
        "cannot unpack layer l.tar: ../../evil would be outside of the layer's root",
    );
    store.load_one(&archive(r#"["l.tar"]"#, &right));
}

#[test]
fn a_blob_that_is_not_what_its_name_says_is_refused() {
    let layers = layers();
    let store = TestStore::new();
    for (damaged, what) in [(0, "config"), (1, "layer"), (3, "manifest")] {
        let mut layout = Layout::default();
        let descriptor = layout.image(&layers, &config(&layers), <[u8]>::to_vec);
        let mut archive = layout.list(named(descriptor, "x:1")).finish();
        // The blobs come in the order config, layer, layer, manifest. Each archive's content
        // begins after its header; a byte is changed that both readers accept.
        let mut at = 0;
        for _ in 0..damaged {
            let size = std::str::from_utf8(&archive[at + 124..at + 135]).unwrap();
            let size = usize::from_str_radix(size, 8).unwrap();
            at += 512 + size.next_multiple_of(512);
        }
        match what {
            // A file's content within the layer.
            "layer" => archive[at + 512 + 512] ^= 1,
            // A space instead of the last brace's newline would do nothing, so a digit changes.
            _ => {
                let body = &mut archive[at + 512..];
                let digit = body.iter().position(u8::is_ascii_digit).unwrap();
                body[digit] = if body[digit] == b'7' { b'8' } else { b'7' };
            }
        }
        let error = store.load(&archive).unwrap_err();
        let message = errors::chain(&error);
        assert!(message.contains("is damaged: its digest is sha256:"), "{what}: {message}");
        store.assert_tidy();
    }
}

#[test]
fn an_archive_that_is_cut_off_anywhere_is_refused() {
    let archive = docker_archive(&layers(), &["x:1"]);
    let store = TestStore::new();
    for length in (0..archive.len() - 1024).step_by(256) {
        assert!(store.load(&archive[..length]).is_err(), "{length}");
    }
    store.assert_tidy();
    let compressed = gzip(&archive);
    for length in (0..compressed.len()).step_by(50) {
        assert!(store.load(&compressed[..length]).is_err(), "{length}");
    }
    store.assert_tidy();
    assert!(store.store.images().is_empty());
}

#[test]
fn a_reader_that_fails_is_told_as_such() {
    struct Failing;
    impl std::io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the client went away"))
        }
    }
    let store = TestStore::new();
    let error = store.store.load(&mut Failing, None, &mut |_| {}).unwrap_err();
    let message = errors::chain(&error);
    assert_eq!(message, "invalid archive: cannot read the archive: the client went away");
    store.assert_tidy();
}

#[test]
fn an_image_for_another_system_is_refused() {
    let layers = layers();
    let mut config = config(&layers);
    config["os"] = "windows".into();
    let mut layout = Layout::default();
    let image = layout.image(&layers, &config, gzip);
    let store = TestStore::new();
    check_refused(
        &store,
        &layout.list(named(image, "x:1")).finish(),
        "cannot load windows image on linux",
    );
}

#[test]
fn several_images_come_in_one_archive() {
    let one = vec![layer("a", "1")];
    let two = vec![layer("a", "1"), layer("b", "2")];
    let three = vec![layer("b", "2"), layer("a", "1")];
    let mut layout = Layout::default();
    let mut list = Vec::new();
    for (name, layers) in [("one", &one), ("two", &two), ("three", &three)] {
        list.push(named(layout.image(layers, &config(layers), gzip), name));
    }
    let archive = list.into_iter().fold(layout, Layout::list).finish();
    let store = TestStore::new();
    assert_eq!(store.load(&archive).unwrap().len(), 3);
    // `a` and `a/b`, `b` and `b/a`.
    assert_eq!(store.names("layers").len(), 4);
    store.assert_tidy();
    assert_eq!(store.store.resolve("three").unwrap().size(), 2);
}
