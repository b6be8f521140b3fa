//! Making a container: its name, its file system, its volumes, its record.
//!
//! The record comes last. Whatever a crash leaves behind before it has no owner, and the
//! next engine removes it.

use std::fs;
use std::sync::Arc;

use jiff::Timestamp;

use fail_points::{Point, pass, reach};

use super::errors::CreateError;
use super::record::{self, Record, RecordedPhase};
use super::requests::{CreateContainer, Created};
use super::spec::{ContainerSpec, IpcMode, PidMode};
use super::supervisor::{self, blocking};
use super::{ContainerId, draft, links, mounts, warnings};
use crate::engine::Parts;
use crate::events::ObjectKind;
use crate::metadata::CONTAINERS;
use crate::names;

/// Tries to make a name up before one is certainly free.
const NAME_ATTEMPTS: u32 = 16;

/// Makes a container.
pub(crate) async fn create(
    parts: &Arc<Parts>,
    mut request: CreateContainer,
) -> Result<Created, CreateError> {
    check(parts, &request.spec)?;
    links::resolve(parts, &mut request.spec)?;
    let id = ContainerId::random();
    let name = take_name(parts, request.name.as_deref(), &id)?;
    pass(Point::CreateName);
    match make(parts, &id, &name, request).await {
        Ok(warnings) => Ok(Created { id, warnings }),
        Err(error) => {
            parts.registry.release_name(&name);
            Err(error)
        }
    }
}

/// Refuses what can be known to be wrong before anything is made. What concerns the network
/// is found out at the start: that is when networks are joined, and when Docker says so.
fn check(parts: &Parts, spec: &ContainerSpec) -> Result<(), CreateError> {
    super::bundle::check_seccomp(&spec.security)
        .map_err(|reason| CreateError::SeccompProfile { reason })?;
    let (pid, ipc) = (&spec.namespaces.pid, &spec.namespaces.ipc);
    let joined = [
        if let PidMode::Container(other) = pid { Some(other) } else { None },
        // A name that is empty is found to be wrong at the start, as in Docker.
        if let IpcMode::Container(other) = ipc
            && !other.is_empty()
        {
            Some(other)
        } else {
            None
        },
    ];
    let taken_from = spec.volumes_from.iter().map(|(other, _)| other);
    for other in joined.into_iter().flatten().chain(taken_from) {
        parts.registry.find(other).map_err(CreateError::Other)?;
    }
    Ok(())
}

fn take_name(parts: &Parts, wanted: Option<&str>, id: &ContainerId) -> Result<String, CreateError> {
    if let Some(wanted) = wanted {
        let name = wanted.strip_prefix('/').unwrap_or(wanted);
        if !names::is_valid(name) {
            return Err(CreateError::InvalidName { name: wanted.to_owned() });
        }
        return match parts.registry.reserve_name(name, id) {
            Ok(()) => Ok(name.to_owned()),
            Err(holder) => {
                Err(CreateError::NameTaken { name: name.to_owned(), holder: holder.to_string() })
            }
        };
    }
    let mut made_up = (0..NAME_ATTEMPTS).map(names::make_up);
    let free = made_up.find(|name| parts.registry.reserve_name(name, id).is_ok());
    Ok(free.unwrap_or_else(|| {
        // Nobody else has this one: it is the container's own id.
        let name = id.short().to_owned();
        let _ = parts.registry.reserve_name(&name, id);
        name
    }))
}

async fn make(
    parts: &Arc<Parts>,
    id: &ContainerId,
    name: &str,
    request: CreateContainer,
) -> Result<Vec<String>, CreateError> {
    let snapshot = make_folders(parts, id, &request.image_id).await?;
    let mut resolved = match mounts::resolve(parts, id, &request.spec, &snapshot).await {
        Ok(resolved) => resolved,
        Err(error) => {
            undo_folders(parts, id).await;
            return Err(error);
        }
    };
    pass(Point::CreateResolved);
    let limits = parts.settings.default_ulimits.iter().chain(&request.spec.limits.ulimits);
    let warnings = warnings::about_ulimits(limits);
    let record = Record {
        version: record::VERSION,
        id: id.to_string(),
        name: name.to_owned(),
        created_at: Timestamp::now(),
        image_id: request.image_id,
        image_name: request.image_name,
        spec: Arc::new(request.spec),
        document: request.document.into(),
        mounts: resolved.mounts.as_slice().into(),
        anonymous_volumes: resolved.anonymous_volumes.clone(),
        phase: RecordedPhase::Created,
        was_stopped: false,
        exit_code: 0,
        oom_killed: false,
        log_entries_lost: 0,
        memory_peak: None,
        error: String::new(),
        error_hint: None,
        started_at: None,
        finished_at: None,
        restart_count: 0,
        health: None,
        unheard_stop_signal: None,
    };
    if record.spec.remove_at_end
        && let Err(source) = draft::write(parts, &record)
    {
        mounts::undo(parts, &mut resolved).await;
        undo_folders(parts, id).await;
        let path = parts.settings.container_folder(id);
        return Err(CreateError::Folder { path, source });
    }
    let mut recording = Some(parts.metadata.begin_put(CONTAINERS, id.as_str(), record.encode()));
    // A container that goes at its end is made to be started, and its start waits for its
    // record: nothing runs that is on no record, and one wait for the disk is not in the way.
    if !record.spec.remove_at_end
        && let Some(recording) = recording.take()
        && let Err(source) = recording.done().await
    {
        mounts::undo(parts, &mut resolved).await;
        undo_folders(parts, id).await;
        return Err(CreateError::Record { source });
    }
    pass(Point::CreateRecorded);
    if recording.is_none() {
        crate::volumes::finish(parts, &resolved.made_volumes);
    } else if !resolved.made_volumes.is_empty() {
        crate::volumes::finish_when_recorded(parts, std::mem::take(&mut resolved.made_volumes));
    }
    let attributes = record.event_attributes();
    parts.registry.insert(supervisor::spawn(parts, record, None, recording));
    drop(resolved.reservations);
    parts.events.publish(ObjectKind::Container, "create", id.as_str(), attributes);
    tracing::debug!(container = %id, name, "a container was made");
    Ok(warnings)
}

/// Makes the folders that are the container's own.
async fn make_folders(
    parts: &Arc<Parts>,
    id: &ContainerId,
    image: &str,
) -> Result<images::Snapshot, CreateError> {
    let image_id = image.parse().map_err(|_| CreateError::ImageGone { image: image.to_owned() })?;
    let folder = parts.settings.container_folder(id);
    let (parts, id) = (Arc::clone(parts), id.clone());
    blocking(move || {
        let snapshot = parts
            .images
            .prepare(id.as_str(), &image_id)
            .map_err(|source| CreateError::Snapshot { source })?;
        match reach(Point::CreateFolder).and_then(|()| fs::create_dir(&folder)) {
            Ok(()) => Ok(snapshot),
            Err(source) => {
                // The error that counts is the first.
                let _ = parts.images.discard(id.as_str());
                Err(CreateError::Folder { path: folder, source })
            }
        }
    })
    .await
}

async fn undo_folders(parts: &Arc<Parts>, id: &ContainerId) {
    let (parts, id) = (Arc::clone(parts), id.clone());
    blocking(move || {
        let folder = parts.settings.container_folder(&id);
        if let Err(error) = fs::remove_dir_all(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "cannot undo a folder");
        }
        if let Err(error) = parts.images.discard(id.as_str()) {
            tracing::warn!(container = %id, error = errors::chain(&error), "cannot undo a snapshot");
        }
    })
    .await;
}
