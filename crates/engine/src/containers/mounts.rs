//! From what the user asked to be mounted to what is there to mount.
//!
//! At creation volumes are made and every source is decided ([`resolve`]); at each start, what
//! may have gone in the meantime is made or missed ([`check_sources`]).

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use fail_points::{Point, reach};

use super::ContainerId;
use super::bundle::same_path;
use super::errors::{CreateError, MountError};
use super::spec::{ContainerSpec, MountSource, MountSpec};
use super::supervisor::blocking;
use super::view::{MountKind, MountView};
use crate::engine::Parts;
use crate::volumes::{CreateVolume, Reservation, VolumeView};

/// What a container mounts, and which volumes were made for it alone.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) mounts: Vec<MountView>,
    pub(crate) anonymous_volumes: Vec<String>,
    /// Volumes that did not exist before, to be undone if the creation fails.
    pub(crate) made_volumes: Vec<String>,
    /// Until the container is there, which then has them in use itself.
    pub(crate) reservations: Vec<Reservation>,
}

/// Decides every mount of a container. New volumes are made, and filled from the image.
pub(crate) async fn resolve(
    parts: &Arc<Parts>,
    id: &ContainerId,
    spec: &ContainerSpec,
    snapshot: &images::Snapshot,
) -> Result<Resolved, CreateError> {
    let mut resolved = Resolved::default();
    match resolve_all(parts, id, spec, snapshot, &mut resolved).await {
        Ok(()) => Ok(resolved),
        Err(error) => {
            undo(parts, &mut resolved).await;
            Err(error)
        }
    }
}

/// Removes the volumes that were made for a container which is not to be.
pub(crate) async fn undo(parts: &Arc<Parts>, resolved: &mut Resolved) {
    resolved.reservations.clear();
    for name in &resolved.made_volumes {
        if let Err(error) = crate::volumes::remove(parts, name, true).await {
            tracing::warn!(volume = name, error = errors::chain(&error), "cannot undo a volume");
        }
    }
}

async fn resolve_all(
    parts: &Arc<Parts>,
    id: &ContainerId,
    spec: &ContainerSpec,
    snapshot: &images::Snapshot,
    resolved: &mut Resolved,
) -> Result<(), CreateError> {
    for (index, mount) in spec.mounts.iter().enumerate() {
        if spec.mounts[..index].iter().any(|other| same_path(&other.target, &mount.target)) {
            return Err(MountError::Duplicate { target: mount.target.clone() }.into());
        }
        let view = match &mount.source {
            MountSource::Bind { path, propagation, create_missing, .. } => {
                if !create_missing && fs::symlink_metadata(path).is_err() {
                    let path = path.display().to_string();
                    return Err(MountError::SourceMissing { path }.into());
                }
                bind_view(mount, path, propagation)
            }
            MountSource::Tmpfs { .. } => tmpfs_view(mount),
            MountSource::Volume { .. } => volume_view(parts, id, mount, snapshot, resolved).await?,
        };
        resolved.mounts.push(view);
    }
    take_over_volumes(parts, spec, resolved)
}

fn bind_view(mount: &MountSpec, path: &Path, propagation: &str) -> MountView {
    MountView {
        kind: MountKind::Bind,
        name: None,
        source: path.to_owned(),
        target: mount.target.clone(),
        driver: None,
        mode: mount.mode.clone(),
        writable: !mount.read_only,
        propagation: if propagation.is_empty() { "rprivate" } else { propagation }.to_owned(),
    }
}

fn tmpfs_view(mount: &MountSpec) -> MountView {
    MountView {
        kind: MountKind::Tmpfs,
        name: None,
        source: "".into(),
        target: mount.target.clone(),
        driver: None,
        mode: mount.mode.clone(),
        writable: !mount.read_only,
        propagation: String::new(),
    }
}

async fn volume_view(
    parts: &Arc<Parts>,
    id: &ContainerId,
    mount: &MountSpec,
    snapshot: &images::Snapshot,
    resolved: &mut Resolved,
) -> Result<MountView, CreateError> {
    let MountSource::Volume { name, driver, driver_options, labels, no_copy, subpath } =
        &mount.source
    else {
        unreachable!("the caller has looked");
    };
    let existed = name.as_ref().is_some_and(|name| parts.volumes.get(name).is_ok());
    let (volume, reservation) = crate::volumes::create_for(
        parts,
        CreateVolume {
            name: name.clone(),
            driver: driver.clone(),
            options: driver_options.clone(),
            labels: labels.clone(),
        },
        Some(id),
    )
    .await?;
    resolved.reservations.extend(reservation);
    if !existed {
        resolved.made_volumes.push(volume.name.clone());
    }
    if name.is_none() {
        resolved.anonymous_volumes.push(volume.name.clone());
    }
    let source = {
        // Mounted, if it is to be, as long as its content is looked at.
        let _held = Held::take(parts, &volume, id).await?;
        if !no_copy {
            fill(&volume, mount, snapshot).await?;
        }
        match subpath {
            Some(subpath) => subfolder(&volume, subpath)?,
            None => volume.mountpoint.clone(),
        }
    };
    Ok(MountView {
        kind: MountKind::Volume,
        name: Some(volume.name),
        source,
        target: mount.target.clone(),
        driver: Some(volume.driver),
        mode: mount.mode.clone(),
        writable: !mount.read_only,
        propagation: String::new(),
    })
}

/// A volume that is in use while a container is made.
struct Held<'a> {
    parts: &'a Parts,
    volume: &'a VolumeView,
    user: String,
}

impl<'a> Held<'a> {
    async fn take(
        parts: &'a Arc<Parts>,
        volume: &'a VolumeView,
        id: &ContainerId,
    ) -> Result<Self, CreateError> {
        let user = format!("creation of {id}");
        if !volume.options.is_empty() {
            let (parts, volume, user) = (Arc::clone(parts), volume.clone(), user.clone());
            blocking(move || parts.volumes.mounted.take(&volume, &user)).await?;
        }
        Ok(Self { parts, volume, user })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.parts.volumes.mounted.release(self.volume, &self.user);
    }
}

async fn fill(
    volume: &VolumeView,
    mount: &MountSpec,
    snapshot: &images::Snapshot,
) -> Result<(), MountError> {
    let (folder, target) = (volume.mountpoint.clone(), mount.target.clone());
    let lowers = snapshot.lowers.clone();
    let filled = blocking(move || {
        reach(Point::CreateFill)?;
        crate::volumes::fill_from_image(&folder, &lowers, &target)
    });
    filled.await.map_err(|source| MountError::Fill {
        volume: volume.name.clone(),
        path: mount.target.clone(),
        source,
    })
}

/// A folder inside a volume. A symlink in the volume must not lead out of it.
fn subfolder(volume: &VolumeView, subpath: &str) -> Result<std::path::PathBuf, MountError> {
    let refuse = |source| MountError::Subpath {
        path: subpath.to_owned(),
        volume: volume.name.clone(),
        source,
    };
    let path = volume.mountpoint.join(subpath).canonicalize().map_err(refuse)?;
    let root = volume.mountpoint.canonicalize().map_err(refuse)?;
    if !path.starts_with(&root) {
        return Err(refuse(io::Error::from(io::ErrorKind::PermissionDenied)));
    }
    Ok(path)
}

/// `--volumes-from`: what another container mounts, except where this one says otherwise.
fn take_over_volumes(
    parts: &Arc<Parts>,
    spec: &ContainerSpec,
    resolved: &mut Resolved,
) -> Result<(), CreateError> {
    for (name, read_only) in &spec.volumes_from {
        let other = parts.registry.find(name).map_err(CreateError::Other)?.view();
        for mount in other.mounts.iter().filter(|mount| mount.kind != MountKind::Tmpfs) {
            let own = resolved.mounts.iter_mut().find(|own| same_path(&own.target, &mount.target));
            let volume = mount.name.as_deref();
            resolved.reservations.extend(volume.map(|name| Reservation::of(parts, name)));
            let mut taken = mount.clone();
            taken.writable &= !read_only;
            // What that one's user said of it is not said here.
            taken.mode.clear();
            match own {
                // The image's volume of the same place gives way, the user's own does not.
                Some(own) if is_anonymous(own, &resolved.anonymous_volumes) => *own = taken,
                Some(_) => {}
                None => resolved.mounts.push(taken),
            }
        }
    }
    Ok(())
}

fn is_anonymous(mount: &MountView, anonymous: &[String]) -> bool {
    mount.name.as_ref().is_some_and(|name| anonymous.contains(name))
}

/// Makes missing folders that may be made, and misses the rest, before a start.
pub(crate) fn check_sources(spec: &ContainerSpec, mounts: &[MountView]) -> Result<(), MountError> {
    for mount in mounts.iter().filter(|mount| mount.kind != MountKind::Tmpfs) {
        if fs::symlink_metadata(&mount.source).is_ok() {
            continue;
        }
        let may_make = mount.kind == MountKind::Volume
            || spec.mounts.iter().any(|asked| {
                same_path(&asked.target, &mount.target)
                    && matches!(asked.source, MountSource::Bind { create_missing: true, .. })
            });
        let path = || mount.source.display().to_string();
        if !may_make {
            return Err(MountError::SourceMissing { path: path() });
        }
        fs::create_dir_all(&mount.source)
            .map_err(|source| MountError::MakeSource { path: path(), source })?;
    }
    Ok(())
}
