//! The image that is built into the program: `hello`.
//!
//! It is there for those who have nothing else yet, and no network. It is made the first time
//! that somebody names it, and then is an image like any other. The same sources make the
//! same image, with the same id, on every host.

use std::sync::Arc;

use archive::writer::Writer;
use oci::{Digest, Reference};
use serde_json::json;

use crate::catalog::ResolveError;
use crate::image::Image;
use crate::keep::{KeepError, NewImage, keep};
use crate::layers::adopt::Leases;
use crate::layers::chain_id;
use crate::layers::unpack::unpack;
use crate::platform;
use crate::store::Parts;

/// Its name. Only this one: `hello:2` would be another image.
const NAME: &str = "hello:latest";

/// A static program for this processor, which `build.rs` has compiled.
const PROGRAM: &[u8] = include_bytes!(env!("HELLO_PROGRAM"));

/// When it was made, as far as it says itself: it must not depend on when it was compiled.
const CREATED: &str = "2026-11-21T00:00:00Z";
const CREATED_SECONDS: u64 = 1_795_219_200;

/// Resolves a name. Nothing, if it means the built-in image, and there is no image of this
/// name yet.
pub(crate) fn resolve(parts: &Parts, name: &str) -> Result<Option<Arc<Image>>, ResolveError> {
    match parts.catalog().resolve(name) {
        Err(ResolveError::NotFound { name, .. }) if name == NAME => Ok(None),
        other => other.cloned().map(Some),
    }
}

/// Makes the image, for somebody who called it `name`.
pub(crate) fn make(parts: &Parts, name: &str) -> Result<Arc<Image>, ResolveError> {
    try_make(parts).map_err(|reason| ResolveError::BuiltIn { name: NAME.to_owned(), reason })?;
    parts.catalog().resolve(name).cloned()
}

fn try_make(parts: &Parts) -> Result<(), String> {
    let archive = layer().map_err(|error| error.to_string())?;
    let diff_id = Digest::of(&archive);
    let mut leases = Leases::new(parts);
    if leases.take(&chain_id(None, &diff_id)).is_none() {
        let unpacked =
            unpack(&parts.folders, &archive[..]).map_err(|error| errors::chain(&error))?;
        leases.adopt(&unpacked, None).map_err(|error| errors::chain(&error))?;
    }
    let reference: Reference = NAME.parse().expect("the name is well-formed");
    let image = NewImage {
        raw: config(&diff_id),
        references: vec![reference],
        manifest: None,
        parent: None,
    };
    keep(parts, &[image]).map(drop).map_err(|error| match error {
        KeepError::Content(error) => error.to_string(),
        KeepError::Records(error) => errors::chain(&error),
    })
}

/// Its only layer: the program.
fn layer() -> std::io::Result<Vec<u8>> {
    let mut archive = Writer::new(Vec::new());
    archive.program("hello", CREATED_SECONDS, PROGRAM)?;
    archive.finish()
}

fn config(diff_id: &Digest) -> Vec<u8> {
    let config = json!({
        "architecture": platform::architecture(),
        "config": { "Cmd": ["/hello"], "WorkingDir": "/" },
        "created": CREATED,
        "history": [{ "created": CREATED, "created_by": "wharf", "comment": "built in" }],
        "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
    });
    config.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use crate::testing::{TestStore, docker_archive, layer};

    #[test]
    fn it_is_made_when_it_is_named_and_not_before() {
        let store = TestStore::new();
        assert!(store.store.images().is_empty());
        assert!(store.store.find("hello").is_err());
        let image = store.store.resolve("hello").unwrap();
        assert_eq!(image.references[0].familiar(), "hello:latest");
        assert_eq!(store.store.resolve("docker.io/library/hello:latest").unwrap().id, image.id);
        assert!(store.store.resolve("hello:2").is_err());
        assert!(store.store.resolve("me/hello").is_err());
        assert_eq!(store.store.images().len(), 1);
        store.assert_tidy();

        store.store.delete(&image.id).unwrap();
        assert!(store.store.find("hello").is_err());
        assert_eq!(store.store.resolve("hello").unwrap().id, image.id);
    }

    #[test]
    fn another_image_of_the_name_is_left_alone() {
        let store = TestStore::new();
        let own = store.load_one(&docker_archive(&[layer("f", "x")], &["hello:latest"]));
        assert_eq!(store.store.resolve("hello").unwrap().id, own.id);
    }

    #[test]
    fn its_program_runs_without_anything_and_tells_what_isolates_it() {
        let store = TestStore::new();
        let image = store.store.resolve("hello").unwrap();
        let program = store.tree(&image, 0).join("hello");
        let mode = std::fs::metadata(&program).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
        let output = Command::new(program).env_clear().output().unwrap();
        assert!(output.status.success());
        let page = String::from_utf8(output.stdout).unwrap();
        assert!(page.starts_with("\nHello from a container!\n"), "{page}");
        let pid_namespace = std::fs::read_link("/proc/self/ns/pid").unwrap();
        assert!(page.contains(pid_namespace.to_str().unwrap()), "{page}");
        assert!(page.contains("of root's 41"), "{page}");
    }
}
