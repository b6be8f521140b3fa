//! Any archive of files becomes an image.

use archive::builder::Builder;
use serde_json::{Value, json};

use crate::change::parse_changes;
use crate::import::{ImportError, ImportOptions};
use crate::testing::{TestStore, gzip, layer};

fn import(store: &TestStore, archive: &[u8], options: ImportOptions) -> Result<Value, ImportError> {
    let id = store.store.import(&mut &archive[..], options)?;
    Ok(serde_json::from_slice(&store.store.image(&id).unwrap().raw).unwrap())
}

#[test]
fn an_archive_becomes_an_image_of_one_layer() {
    let store = TestStore::new();
    let changes = ["ENV a=b", "CMD [\"sh\"]"].map(str::to_owned);
    let options = ImportOptions {
        reference: Some("app".parse().unwrap()),
        message: "Imported from -".to_owned(),
        changes: parse_changes(&changes, &[]).unwrap(),
        platform: Some("linux/arm64/v8".to_owned()),
    };
    let config = import(&store, &gzip(&layer("bin/sh", "x")), options).unwrap();
    assert_eq!(config["config"], json!({ "Env": ["a=b"], "Cmd": ["sh"] }));
    assert_eq!(config["architecture"], "arm64");
    assert_eq!(config["variant"], "v8");
    assert_eq!(config["comment"], "Imported from -");
    assert_eq!(config["history"][0]["comment"], "Imported from -");
    assert_eq!(config["history"][0]["created"], config["created"]);
    let image = store.store.resolve("app").unwrap();
    assert_eq!(std::fs::read(store.tree(&image, 0).join("bin/sh")).unwrap(), b"x");
    assert!(image.created.is_some());
    store.assert_tidy();
}

#[test]
fn nothing_is_a_file_system_too() {
    let store = TestStore::new();
    let config = import(&store, &Builder::default().finish(), ImportOptions::default()).unwrap();
    assert_eq!(config["architecture"], crate::platform::architecture());
    assert!(store.store.images()[0].is_dangling());
    store.assert_tidy();
}

#[test]
fn what_cannot_be_imported_leaves_nothing() {
    let store = TestStore::new();
    let whole = layer("f", "x");
    let refused = |archive: &[u8], options| {
        let error = import(&store, archive, options).unwrap_err();
        store.assert_tidy();
        errors::chain(&error)
    };
    let default = ImportOptions::default;
    assert_eq!(
        refused(&whole[..whole.len() - 1024], default()),
        "cannot unpack the archive: unexpected EOF: the archive is cut off at byte 1024"
    );
    assert!(refused(b"text", default()).contains("the archive is cut off at byte"));
    assert!(refused(&gzip(&whole)[..50], default()).contains("cannot decompress the archive"));
    let options = ImportOptions { platform: Some("windows/amd64".to_owned()), ..default() };
    assert_eq!(refused(&whole, options), "operating system is not supported: windows");
    let reference = format!("x@sha256:{}", "0".repeat(64)).parse().unwrap();
    let options = ImportOptions { reference: Some(reference), ..default() };
    assert_eq!(refused(&whole, options), "refusing to create a tag with a digest reference");
    assert!(store.store.images().is_empty());
}
