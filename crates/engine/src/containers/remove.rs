//! Removing a container for good.
//!
//! Its record goes last: a removal that is interrupted leaves a container that can be removed
//! again. Every step can be repeated.

use std::fs;
use std::io;
use std::sync::Arc;

use super::ContainerId;
use super::errors::RemoveError;
use super::record::Record;
use super::start;
use super::supervisor::blocking;
use crate::engine::Parts;
use crate::metadata::CONTAINERS;

/// Removes all that a container that has ended consists of.
pub(super) async fn remove(
    parts: &Arc<Parts>,
    record: &Record,
    volumes: bool,
) -> Result<(), RemoveError> {
    let id = ContainerId::from_record(&record.id);
    let name = record.name.clone();
    {
        let parts = Arc::clone(parts);
        blocking(move || remove_files(&parts, &id, &name)).await?;
    }
    if record.spec.remove_at_end {
        // Nobody has to be sure of it: should the record be back after a crash, so is the wish
        // that the container goes at its end, and the next engine heeds it.
        parts.metadata.remove_later(CONTAINERS, &record.id);
    } else {
        let removed = parts.metadata.remove(CONTAINERS, &record.id).await;
        removed.map_err(|source| RemoveError::Record { source })?;
    }
    if volumes {
        remove_anonymous_volumes(parts, record).await;
    }
    Ok(())
}

fn remove_files(parts: &Parts, id: &ContainerId, name: &str) -> Result<(), RemoveError> {
    let files = |source| RemoveError::Files { name: name.to_owned(), source };
    start::remove_run_folder(&parts.settings.run_folder(id)).map_err(files)?;
    parts
        .images
        .discard(id.as_str())
        .map_err(|source| RemoveError::Snapshot { name: name.to_owned(), source })?;
    match fs::remove_dir_all(parts.settings.container_folder(id)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(files(error)),
        _ => Ok(()),
    }
}

/// A volume that another container has taken over stays.
async fn remove_anonymous_volumes(parts: &Arc<Parts>, record: &Record) {
    for name in &record.anonymous_volumes {
        let is_taken_over =
            parts.registry.users_of_volume(name).iter().any(|user| user.as_str() != record.id);
        if is_taken_over {
            continue;
        }
        if let Err(error) = crate::volumes::remove_unused(parts, name).await {
            tracing::warn!(volume = name, error = errors::chain(&error), "cannot remove a volume");
        }
    }
}
