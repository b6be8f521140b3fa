//! Folders for the changes that a container makes to its image.
//!
//! ```text
//! snapshots/<name>/fs      the changes: an overlay's upper directory
//!                  work    the overlay's own
//!                  top     a symlink to the topmost layer below; none below, no link
//!                  empty   stands in for the layers of an image that has none
//! ```

use std::collections::HashMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use errors::{Explain, Kind};
use fail_points::{Point, pass, reach};
use oci::Digest;

use crate::folders::Folders;
use crate::image::ImageId;
use crate::store::Parts;

/// The file by which programs know that they are in a container of Docker's.
const MARK: &str = ".dockerenv";

/// The parts of an overlay mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The layers' trees, topmost first. There is always one.
    pub lowers: Vec<PathBuf>,
    /// Where changes go.
    pub upper: PathBuf,
    /// A folder that the overlay needs for itself.
    pub work: PathBuf,
}

/// Why there is no file system for a container.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("No such image: {image}")]
    NoSuchImage { image: ImageId },
    #[error("there is no file system for {name}")]
    NoSuchSnapshot { name: String },
    #[error("there is a file system for {name} already")]
    Exists { name: String },
    #[error("{name:?} cannot be the name of a file system")]
    Name { name: String },
    #[error("cannot make the file system for {name}")]
    Prepare { name: String, source: io::Error },
    #[error("cannot remove the file system of {name}")]
    Discard { name: String, source: io::Error },
}

impl Explain for SnapshotError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchImage { .. } | Self::NoSuchSnapshot { .. } => Kind::NotFound,
            Self::Exists { .. } => Kind::Conflict,
            Self::Name { .. } => Kind::Invalid,
            Self::Prepare { .. } | Self::Discard { .. } => Kind::Internal,
        }
    }
}

/// Makes the folders, upon an image's layers.
pub(crate) fn prepare(parts: &Parts, name: &str, id: &ImageId) -> Result<Snapshot, SnapshotError> {
    let place = place(&parts.folders, name)?;
    let catalog = parts.catalog();
    let image = catalog.image(id).ok_or(SnapshotError::NoSuchImage { image: *id })?;
    let top = image.layers.last().map(|layer| layer.chain_id);
    // From here on the layers stay, whatever becomes of the image.
    if !parts.layers.put_snapshot(name, top) {
        return Err(SnapshotError::Exists { name: name.to_owned() });
    }
    let is_complete = top.is_none_or(|top| parts.layers.record(&top).is_some());
    let made = if is_complete {
        let lowers = lowers(parts, &place, top.as_ref());
        make(&parts.folders, &place, top.as_ref(), &lowers)
            .map_err(|source| SnapshotError::Prepare { name: name.to_owned(), source })
    } else {
        Err(SnapshotError::NoSuchImage { image: *id })
    };
    if let Err(error) = made {
        parts.layers.forget_snapshot(name);
        return Err(error);
    }
    Ok(describe(parts, &place, top.as_ref()))
}

/// What was prepared under this name.
pub(crate) fn get(parts: &Parts, name: &str) -> Result<Snapshot, SnapshotError> {
    let place = place(&parts.folders, name)?;
    let top = parts.layers.snapshot(name);
    let top = top.ok_or_else(|| SnapshotError::NoSuchSnapshot { name: name.to_owned() })?;
    Ok(describe(parts, &place, top.as_ref()))
}

/// Removes what was prepared under this name.
pub(crate) fn discard(parts: &Parts, name: &str) -> Result<(), SnapshotError> {
    let place = place(&parts.folders, name)?;
    reach(Point::RemoveSnapshot)
        .and_then(|()| parts.folders.remove(&place))
        .map_err(|source| SnapshotError::Discard { name: name.to_owned(), source })?;
    pass(Point::RemoveSnapshotRemoved);
    // The image may have gone before the container; then its layers go now.
    if let Some(top) = parts.layers.forget_snapshot(name)
        && !parts.catalog().uses_layer(&top)
    {
        crate::remove::release(parts, &parts.layers.chain(&top));
    }
    Ok(())
}

/// The names of all snapshots.
pub(crate) fn names(parts: &Parts) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(parts.folders.snapshots())? {
        names.extend(entry?.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

/// What every snapshot in the folder lies upon.
pub(crate) fn read_all(folders: &Folders) -> io::Result<HashMap<String, Option<Digest>>> {
    let mut snapshots = HashMap::new();
    for entry in fs::read_dir(folders.snapshots())? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let top = match fs::read_link(entry.path().join("top")) {
            Ok(target) => target
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|hex| Digest::from_hex(hex).ok()),
            Err(_) => None,
        };
        snapshots.insert(name, top);
    }
    Ok(snapshots)
}

/// The folder of a snapshot. The name comes from the engine, but it is a path's last part, so
/// that nothing is taken on trust.
fn place(folders: &Folders, name: &str) -> Result<PathBuf, SnapshotError> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return Err(SnapshotError::Name { name: name.to_owned() });
    }
    Ok(folders.snapshots().join(name))
}

/// Makes the folders elsewhere and renames them in, so that a crash never leaves half of them.
fn make(
    folders: &Folders,
    place: &Path,
    top: Option<&Digest>,
    lowers: &[PathBuf],
) -> io::Result<()> {
    let draft = folders.unfinished_path();
    let folder = |path: &Path, mode| DirBuilder::new().mode(mode).create(path);
    let made = folder(&draft, 0o710)
        // The container's root: like Docker's, whatever the image says of its own.
        .and_then(|()| folder(&draft.join("fs"), 0o755))
        .and_then(|()| mark_as_container(&draft.join("fs"), lowers))
        .and_then(|()| folder(&draft.join("work"), 0o700))
        .and_then(|()| match top {
            Some(top) => symlink(format!("../../layers/{}", top.hex()), draft.join("top")),
            None => folder(&draft.join("empty"), 0o755),
        })
        .and_then(|()| reach(Point::CreateSnapshot))
        .and_then(|()| fs::rename(&draft, place));
    pass(Point::CreateSnapshotMade);
    if made.is_err() {
        // Whatever is left here goes when the store is next opened.
        let _ = crate::removal::remove_tree(&draft);
    }
    made
}

/// Makes the file by which programs know that they are in a container of Docker's, unless the
/// image has one. Here, and not where the root is mounted, for a start has no time for it.
fn mark_as_container(upper: &Path, lowers: &[PathBuf]) -> io::Result<()> {
    let layers = lowers.iter();
    let topmost = layers.filter_map(|layer| fs::symlink_metadata(layer.join(MARK)).ok()).next();
    // A whiteout says that there is none any more.
    if topmost.is_some_and(|metadata| !metadata.file_type().is_char_device()) {
        return Ok(());
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o755).open(upper.join(MARK)).map(drop)
}

fn lowers(parts: &Parts, place: &Path, top: Option<&Digest>) -> Vec<PathBuf> {
    match top {
        Some(top) => parts
            .layers
            .chain(top)
            .iter()
            .map(|chain_id| parts.folders.layer(chain_id).join("fs"))
            .collect(),
        None => vec![place.join("empty")],
    }
}

fn describe(parts: &Parts, place: &Path, top: Option<&Digest>) -> Snapshot {
    let lowers = lowers(parts, place, top);
    Snapshot { lowers, upper: place.join("fs"), work: place.join("work") }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use crate::snapshots::Snapshot;
    use crate::testing::{TestStore, docker_archive, layer};
    use archive::builder::{Builder, Fields};

    /// Runs a shell's script in an overlay of the snapshot, in a mount namespace of its own.
    fn run_within(snapshot: &Snapshot, script: &str) -> String {
        let target = tempfile::tempdir().unwrap();
        let lowers: Vec<&str> =
            snapshot.lowers.iter().map(|lower| lower.to_str().unwrap()).collect();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lowers.join(":"),
            snapshot.upper.display(),
            snapshot.work.display()
        );
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-ec"])
            .arg(format!("mount -t overlay overlay -o \"$1\" \"$2\"; cd \"$2\"; {script}"))
            .args(["sh", &options])
            .arg(target.path())
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_container_is_marked_unless_its_image_is() {
        let marked = Builder::default().file(".dockerenv", b"own").finish();
        let unmarked = Builder::default().file(".wh..dockerenv", b"").finish();
        let other = Builder::default().file("other", b"").finish();
        let is_made = |layers: &[Vec<u8>]| {
            let store = TestStore::new();
            let image = store.load_one(&docker_archive(layers, &[]));
            let snapshot = store.store.prepare("container", &image.id).unwrap();
            snapshot.upper.join(".dockerenv").exists()
        };
        assert!(is_made(std::slice::from_ref(&other)));
        assert!(!is_made(&[marked.clone(), other.clone()]));
        assert!(is_made(&[marked, unmarked, other]));
    }

    #[test]
    fn an_overlay_of_the_layers_shows_the_images_files() {
        let bottom = Builder::default()
            .folder("etc")
            .file("etc/removed", b"x")
            .file("etc/kept", b"kept")
            .folder("cache")
            .file("cache/old", b"x")
            .folder("data")
            .file("data/old", b"x")
            .file("turned", b"file")
            .entry(&Fields { path: "bin/tool", mode: 0o4755, ..Fields::default() }, b"tool")
            .finish();
        let middle = Builder::default()
            .file("etc/.wh.removed", b"")
            .file("cache/.wh..wh..opq", b"")
            .file("cache/new", b"x")
            .file(".wh.data", b"")
            .folder("turned")
            .file("turned/inner", b"x")
            .hard_link("bin/alias", "bin/tool")
            .finish();
        let top = Builder::default().folder("data").file("data/new", b"x").finish();
        let store = TestStore::new();
        let image = store.load_one(&docker_archive(&[bottom, middle, top], &[]));
        let snapshot = store.store.prepare("container", &image.id).unwrap();

        let files =
            run_within(&snapshot, "find . -type f | sort; cat etc/kept; stat -c %h%a bin/tool");
        let expected = "./.dockerenv\n./bin/alias\n./bin/tool\n./cache/new\n./data/new\n./etc/kept\n\
                        ./turned/inner\nkept24755\n";
        assert_eq!(files, expected);
        store.store.discard("container").unwrap();
        store.assert_tidy();
    }

    #[test]
    fn changes_go_to_the_snapshot_and_with_it() {
        let store = TestStore::new();
        let image = store.load_one(&docker_archive(&[layer("f", "image's")], &[]));
        let snapshot = store.store.prepare("container", &image.id).unwrap();
        run_within(&snapshot, "echo changed > f; mkdir d; echo x > d/new; rm -r d; mkdir d");
        assert_eq!(std::fs::read(snapshot.upper.join("f")).unwrap(), b"changed\n");
        assert_eq!(std::fs::read(store.tree(&image, 0).join("f")).unwrap(), b"image's");
        assert_eq!(run_within(&snapshot, "cat f"), "changed\n");
        store.store.discard("container").unwrap();
        store.assert_tidy();
        let snapshot = store.store.prepare("container", &image.id).unwrap();
        assert_eq!(run_within(&snapshot, "cat f"), "image's");
    }

    #[test]
    fn an_image_without_layers_is_an_empty_root() {
        let store = TestStore::new();
        let image = store.load_one(&docker_archive(&[], &[]));
        let snapshot = store.store.prepare("container", &image.id).unwrap();
        assert_eq!(run_within(&snapshot, "ls -A"), ".dockerenv\n");
        let store = store.reopen();
        assert_eq!(store.store.snapshot("container").unwrap(), snapshot);
    }
}
