//! Removing a container for good.
//!
//! Its record goes after its volumes and files, and its run folder after that: a removal that is interrupted
//! leaves a container that can be removed again, and whose run folder tells the next engine that
//! it had ended. Every step can be repeated.

use std::fs;
use std::io;
use std::sync::Arc;

use fail_points::{Point, pass, reach};

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
    pass(Point::RemoveBegin);
    // First: once the record is gone, nobody knows that they were its alone.
    if volumes {
        remove_anonymous_volumes(parts, record).await?;
    }
    {
        let parts = Arc::clone(parts);
        blocking(move || remove_files(&parts, &id, &name)).await?;
    }
    if record.spec.remove_at_end {
        // Nobody has to wait for it: should the record be back after a crash, so is the wish
        // that the container goes at its end, and the next engine heeds it.
        let (parts, record) = (Arc::clone(parts), record.clone());
        tokio::spawn(async move {
            if let Err(error) = remove_record(&parts, &record).await {
                tracing::error!(container = record.id, error = errors::chain(&error));
            }
        });
    } else {
        remove_record(parts, record).await?;
    }
    Ok(())
}

/// Removes the record, and then what speaks of the container's last run.
async fn remove_record(parts: &Arc<Parts>, record: &Record) -> Result<(), RemoveError> {
    pass(Point::RemoveRecord);
    let removed = parts.metadata.remove(CONTAINERS, &record.id).await;
    removed.map_err(|source| RemoveError::Record { source })?;
    pass(Point::RemoveRecordRemoved);
    let (parts, id) = (Arc::clone(parts), ContainerId::from_record(&record.id));
    blocking(move || start::remove_run_folder_of(&parts, &id)).await;
    pass(Point::RemoveRunFolder);
    Ok(())
}

fn remove_files(parts: &Parts, id: &ContainerId, name: &str) -> Result<(), RemoveError> {
    let files = |source| RemoveError::Files { name: name.to_owned(), source };
    parts
        .images
        .discard(id.as_str())
        .map_err(|source| RemoveError::Snapshot { name: name.to_owned(), source })?;
    reach(Point::RemoveFolder).map_err(files)?;
    match fs::remove_dir_all(parts.settings.container_folder(id)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(files(error)),
        _ => Ok(()),
    }
}

/// A volume that another container has taken over stays.
async fn remove_anonymous_volumes(parts: &Arc<Parts>, record: &Record) -> Result<(), RemoveError> {
    for name in &record.anonymous_volumes {
        let removed = crate::volumes::remove_own(parts, name, &record.id).await;
        removed.map_err(|source| RemoveError::Volume {
            name: record.name.clone(),
            source: Box::new(source),
        })?;
    }
    Ok(())
}
