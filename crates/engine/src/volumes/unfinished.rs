//! Volumes of containers that are being made.
//!
//! A volume is made, and filled from the image, before its container is on record. Should the
//! engine die in between, nobody would know that the volume is nobody's, or holds half of what
//! it should. So it is marked until the container is on record, and what is still marked for a
//! container that is not there is removed by the next engine.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::remove_unused;
use crate::containers::{ContainerId, blocking};
use crate::engine::Parts;

/// In a volume's folder, beside its content: the id of the container that it is made for.
const MARK: &str = "made-for";

/// Marks a volume whose folder is there.
pub(super) fn mark(folder: &Path, container: &ContainerId) -> io::Result<()> {
    fs::write(folder.join(MARK), container.as_str())
}

/// The container that these volumes were made for is on record.
pub(crate) fn finish(parts: &Parts, volumes: &[String]) {
    for name in volumes {
        unmark(name, &parts.settings.data_root.join("volumes").join(name));
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
        let folder = parts.settings.data_root.join("volumes").join(&volume.name);
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
