//! Volumes of containers that are being made.
//!
//! A volume is made, and filled from the image, before its container is on record. Should the
//! engine die in between, nobody would know that the volume is nobody's, or holds half of what
//! it should. So it is marked until the container is on record, and what is still marked for a
//! container that is not there is removed by the next engine.
//!
//! A volume's folder comes and goes by a rename, so that it is never there without its mark or
//! without half of its content. Names that no volume can have tell the next engine what it finds:
//!
//! | folder | what |
//! |---|---|
//! | `.new-<random>` | a volume that is being made |
//! | `.gone-<random>/<name>` | a volume that is being removed |

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::changes::remove_unused;
use crate::containers::{ContainerId, blocking, random_id};
use crate::engine::Parts;
use crate::metadata::VOLUMES;

/// In a volume's folder, beside its content: the id of the container that it is made for.
const MARK: &str = "made-for";

const NEW: &str = ".new-";
const GONE: &str = ".gone-";

/// Where a volume is made.
pub(super) fn draft(parts: &Parts) -> PathBuf {
    folder_of_all(parts).join(format!("{NEW}{}", random_id()))
}

/// Where a volume goes to be removed.
pub(super) fn removed(parts: &Parts) -> PathBuf {
    folder_of_all(parts).join(format!("{GONE}{}", random_id()))
}

/// Deletes a folder of this engine's, if it is there. Containers have filled it, with folders as
/// deep as they liked.
pub(super) fn delete(folder: &Path) -> io::Result<()> {
    images::remove_tree(folder)
}

/// Comes to the end of what an earlier engine had begun to remove, and removes what it had begun
/// to make.
pub(crate) async fn resume_removals(parts: &Arc<Parts>) {
    for name in names_in(&folder_of_all(parts)) {
        let folder = folder_of_all(parts).join(&name);
        if name.starts_with(GONE) {
            // There may be another one of its name by now.
            let is_gone = |volume: &String| !folder_of_all(parts).join(volume).exists();
            for volume in names_in(&folder).into_iter().filter(is_gone) {
                if let Err(error) = parts.metadata.remove(VOLUMES, &volume).await {
                    let error = errors::chain(&error);
                    tracing::error!(volume, error, "cannot forget a volume");
                }
                parts.volumes.forget(&volume);
            }
        } else if !name.starts_with(NEW) {
            continue;
        }
        if let Err(error) = blocking(move || delete(&folder)).await {
            tracing::warn!(folder = name, %error, "cannot remove what is left of a volume");
        }
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

fn folder_of_all(parts: &Parts) -> PathBuf {
    parts.settings.data_root.join("volumes")
}

/// Marks a volume whose folder is there.
pub(super) fn mark(folder: &Path, container: &ContainerId) -> io::Result<()> {
    fs::write(folder.join(MARK), container.as_str())
}

/// The container that these volumes were made for is on record.
pub(crate) fn finish(parts: &Parts, volumes: &[String]) {
    for name in volumes {
        unmark(name, &folder_of_all(parts).join(name));
    }
}

/// As [`finish`], once everything that was to be recorded so far is on the disk.
pub(crate) fn finish_when_recorded(parts: &Arc<Parts>, volumes: Vec<String>) {
    let parts = Arc::clone(parts);
    tokio::spawn(async move {
        if parts.metadata.settle().await.is_ok() {
            blocking(move || finish(&parts, &volumes)).await;
        }
    });
}

/// Removes the volumes of containers that are not among the `known`: their making was cut off.
pub(crate) async fn collect(parts: &Arc<Parts>, known: &HashSet<String>) {
    for volume in parts.volumes.list() {
        let folder = folder_of_all(parts).join(&volume.name);
        let Ok(container) = fs::read_to_string(folder.join(MARK)) else { continue };
        let is_used = !parts.registry.users_of_volume(&volume.name).is_empty();
        if is_used || known.contains(&container) {
            unmark(&volume.name, &folder);
        } else if let Err(error) = remove_unused(parts, &volume.name).await {
            tracing::warn!(
                volume = volume.name,
                error = errors::chain(&error),
                "cannot remove a volume that was not finished"
            );
        }
    }
}

fn unmark(name: &str, folder: &Path) {
    match fs::remove_file(folder.join(MARK)) {
        // The volume may be gone by now.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(volume = name, %error, "cannot take a volume's mark away");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, Mode, OFlags};

    use super::*;

    #[test]
    fn a_volume_may_be_deeper_than_a_stack() {
        let root = tempfile::tempdir().unwrap();
        let volume = root.path().join("volume");
        fs::create_dir(&volume).unwrap();
        let open = OFlags::PATH | OFlags::DIRECTORY;
        let mut folder = rustix::fs::openat(CWD, &volume, open, Mode::empty()).unwrap();
        for _ in 0..20_000 {
            rustix::fs::mkdirat(&folder, "x", Mode::RWXU).unwrap();
            folder = rustix::fs::openat(&folder, "x", open, Mode::empty()).unwrap();
        }
        delete(&volume).unwrap();
        assert!(!volume.exists());
        delete(&volume).unwrap();
    }
}
