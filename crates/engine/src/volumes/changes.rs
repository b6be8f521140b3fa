//! Making and removing volumes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fail_points::{Point, pass, reach};
use jiff::Timestamp;

use super::mounted;
use super::store::encode;
use super::unfinished;
use super::{CreateVolume, Reservation, VolumeError, VolumeView};
use crate::containers::{ContainerId, PruneFilter, Pruned, blocking, folder_size, random_id};
use crate::engine::Parts;
use crate::events::ObjectKind;
use crate::metadata::VOLUMES;
use crate::names;

/// The only driver.
const LOCAL: &str = "local";

/// In a volume's folder: what is the user's. Docker's name for it.
pub(super) const CONTENT: &str = "_data";

/// Docker's label on volumes that were made for one container.
const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

/// Makes a volume; one of that name which exists already is what the caller wants.
pub(crate) async fn create(
    parts: &Arc<Parts>,
    request: CreateVolume,
) -> Result<VolumeView, VolumeError> {
    create_for(parts, request, None).await.map(|(view, _)| view)
}

/// As [`create`], for a container that is being made: a new volume is marked as
/// [`unfinished`](super::unfinished), and a volume is in use from here on.
pub(crate) async fn create_for(
    parts: &Arc<Parts>,
    request: CreateVolume,
    container: Option<&ContainerId>,
) -> Result<(VolumeView, Option<Reservation>), VolumeError> {
    let is_anonymous = request.name.as_deref().is_none_or(str::is_empty);
    let name = match request.name.filter(|name| !name.is_empty()) {
        Some(name) => name,
        None => random_id(),
    };
    check(&name, &request.driver, &request.options)?;
    let mut labels = request.labels;
    if is_anonymous {
        labels.insert(ANONYMOUS_LABEL.to_owned(), String::new());
    }
    let folder = parts.settings.data_root.join("volumes").join(&name);
    let view = VolumeView {
        mountpoint: folder.join(CONTENT),
        name: name.clone(),
        driver: LOCAL.to_owned(),
        options: request.options,
        labels,
        created_at: Timestamp::now(),
        is_anonymous,
    };
    let _turn = parts.volumes.names.turn(&name).await;
    let reservation = container.map(|_| Reservation::of(parts, &name));
    if let Err(other) = parts.volumes.insert(view.clone()) {
        return Ok((*other, reservation));
    }
    if let Err(error) = make(parts, &view, container).await {
        parts.volumes.forget(&name);
        return Err(error);
    }
    tell(parts, "create", &name);
    Ok((view, reservation))
}

fn check(name: &str, driver: &str, options: &BTreeMap<String, String>) -> Result<(), VolumeError> {
    if name.len() == 1 {
        return Err(VolumeError::NameTooShort { name: name.to_owned() });
    }
    if !names::is_valid(name) {
        return Err(VolumeError::InvalidName { name: name.to_owned() });
    }
    if !driver.is_empty() && driver != LOCAL {
        return Err(VolumeError::UnknownDriver {
            name: name.to_owned(),
            driver: driver.to_owned(),
        });
    }
    mounted::check(name, options)
}

async fn make(
    parts: &Arc<Parts>,
    view: &VolumeView,
    container: Option<&ContainerId>,
) -> Result<(), VolumeError> {
    let draft = unfinished::draft(parts);
    let folder = parts.settings.data_root.join("volumes").join(&view.name);
    if let Err(source) = make_folders(&draft, &folder, container) {
        // It holds nothing yet.
        let _ = fs::remove_dir_all(&draft);
        return Err(VolumeError::Files { doing: "create", name: view.name.clone(), source });
    }
    parts
        .metadata
        .put(VOLUMES, &view.name, encode(view))
        .await
        .map_err(|source| VolumeError::Record { name: view.name.clone(), source })?;
    pass(Point::CreateVolumeRecorded);
    Ok(())
}

/// Makes a volume's folder, which is there whole, with its mark, or not at all.
fn make_folders(draft: &Path, folder: &Path, container: Option<&ContainerId>) -> io::Result<()> {
    fs::create_dir(draft)?;
    if let Some(container) = container {
        unfinished::mark(draft, container)?;
    }
    fs::create_dir(draft.join(CONTENT))?;
    reach(Point::CreateVolume)?;
    fs::rename(draft, folder)
}

/// Removes a volume that no container uses. With `force`, one that is not there is removed
/// already.
pub(crate) async fn remove(parts: &Arc<Parts>, name: &str, force: bool) -> Result<(), VolumeError> {
    let turn = parts.volumes.names.turn(name).await;
    match parts.volumes.get(name) {
        Err(VolumeError::NotFound { .. }) if force => return Ok(()),
        found => found?,
    };
    let users = parts.registry.users_of_volume(name);
    if !users.is_empty() {
        let containers = users.iter().map(ToString::to_string).collect();
        return Err(VolumeError::InUse { name: name.to_owned(), containers });
    }
    if parts.volumes.names.is_reserved(name) {
        return Err(VolumeError::Reserved { name: name.to_owned() });
    }
    let removed = take_away(parts, name).await?;
    drop(turn);
    delete(name, removed).await
}

/// Removes a volume that was made for one container, unless another one has taken it over.
pub(crate) async fn remove_own(
    parts: &Arc<Parts>,
    name: &str,
    container: &str,
) -> Result<(), VolumeError> {
    let turn = parts.volumes.names.turn(name).await;
    let users = parts.registry.users_of_volume(name);
    let is_taken_over = users.iter().any(|user| user.as_str() != container);
    if is_taken_over || parts.volumes.names.is_reserved(name) {
        return Ok(());
    }
    let removed = take_away(parts, name).await?;
    drop(turn);
    delete(name, removed).await
}

/// Removes a volume that was made for a container which never came to be.
pub(super) async fn remove_unused(parts: &Arc<Parts>, name: &str) -> Result<(), VolumeError> {
    let removed = take_away(parts, name).await?;
    delete(name, removed).await
}

async fn delete(name: &str, removed: PathBuf) -> Result<(), VolumeError> {
    let deleted = blocking(move || unfinished::delete(&removed)).await;
    deleted.map_err(|source| VolumeError::Files { doing: "remove", name: name.to_owned(), source })
}

/// Makes it that there is no such volume any more. Gives back what is left to be deleted, which
/// may take long.
async fn take_away(parts: &Arc<Parts>, name: &str) -> Result<PathBuf, VolumeError> {
    let folder = parts.settings.data_root.join("volumes").join(name);
    let (volumes, volume) = (Arc::clone(parts), parts.volumes.get(name).ok());
    let files = |source| VolumeError::Files { doing: "remove", name: name.to_owned(), source };
    let removed = unfinished::removed(parts);
    let place = removed.clone();
    let own_name = name.to_owned();
    // In one step: what is left of it in between is known for what it is by its place.
    let renamed = blocking(move || {
        // What is mounted there is not ours to remove.
        if let Some(volume) = volume {
            volumes.volumes.mounted.forget(&volume)?;
        }
        fs::create_dir(&place)?;
        match reach(Point::RemoveVolume)
            .and_then(|()| fs::rename(&folder, place.join(own_name)))
            .inspect_err(|_| drop(fs::remove_dir(&place)))
        {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    });
    renamed.await.map_err(files)?;
    pass(Point::RemoveVolumeRecord);
    parts
        .metadata
        .remove(VOLUMES, name)
        .await
        .map_err(|source| VolumeError::Record { name: name.to_owned(), source })?;
    parts.volumes.forget(name);
    pass(Point::RemoveVolumeFiles);
    tell(parts, "destroy", name);
    Ok(removed)
}

/// Removes volumes that no container uses: anonymous ones, or (`all`) any.
pub(crate) async fn prune(parts: &Arc<Parts>, all: bool, filter: PruneFilter) -> Pruned {
    let mut pruned = Pruned::default();
    for volume in parts.volumes.list() {
        // What has options of its own is not ours alone, and Docker leaves it as well.
        let is_meant = (all || volume.is_anonymous)
            && volume.options.is_empty()
            && filter.has_labels(|key| volume.labels.get(key).map(String::as_str))
            && parts.registry.users_of_volume(&volume.name).is_empty();
        if !is_meant {
            continue;
        }
        let folder = volume.mountpoint.clone();
        let bytes = blocking(move || folder_size(&folder)).await.unwrap_or(0);
        match remove(parts, &volume.name, false).await {
            Ok(()) => {
                pruned.names.push(volume.name);
                pruned.bytes += bytes;
            }
            Err(error) => tracing::warn!(
                volume = volume.name,
                error = errors::chain(&error),
                "cannot prune a volume"
            ),
        }
    }
    pruned
}

fn tell(parts: &Parts, action: &str, name: &str) {
    let attributes = BTreeMap::from([("driver".to_owned(), LOCAL.to_owned())]);
    parts.events.publish(ObjectKind::Volume, action, name, attributes);
}
