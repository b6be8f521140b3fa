//! How much of the disk a container takes.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use super::errors::ControlError;
use super::handle::Container;
use super::supervisor::blocking;
use crate::engine::Parts;

/// Bytes of a container's own changes, and of those and its image together.
pub(crate) async fn size(
    parts: &Arc<Parts>,
    container: &Container,
) -> Result<(u64, u64), ControlError> {
    let view = container.view();
    let image = parts.images.resolve(&view.image_id).map_or(0, |image| image.size());
    let upper = view.upper_directory.clone();
    let own = blocking(move || of_folder(&upper))
        .await
        .map_err(|source| ControlError::Processes { id: view.id.to_string(), source })?;
    Ok((own, own + image))
}

/// Bytes of all files below a folder. One with several names counts once for each, as Docker
/// counts; what disappears meanwhile does not count.
pub(crate) fn of_folder(folder: &Path) -> io::Result<u64> {
    let mut total = 0;
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => pending.push(entry.path()),
                Ok(metadata) if metadata.is_file() => total += metadata.size(),
                _ => {}
            }
        }
    }
    Ok(total)
}
