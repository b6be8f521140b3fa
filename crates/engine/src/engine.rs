//! The engine's handle, and what can be asked of it.
//!
//! This file is the list of everything an engine can do; each method is one call into the
//! part that does it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use errors::{Explain, Kind};

use crate::containers::registry::Registry;
use crate::containers::{
    AttachStreams, ClientStream, ContainerId, ControlError, CreateContainer, CreateError, Created,
    LookupError, Outcome, ProcessTable, PruneFilter, Pruned, RemoveError, RemoveOptions,
    StartError, StopOptions, Stopped, UnlinkError, UpdateContainer, View, WaitCondition,
    WaitResult,
};
use crate::containers::{CopyIn, CopyOut, Export, FilesError, PathStat, ReadChangesError};
use crate::events::{Events, Past, Subscription};
use crate::exec::{ExecId, ExecSpec, ExecView};
use crate::images::{RemoveImage, RemoveImageError, Removed};
use crate::logs::{LogQuery, LogStream, LogsError};
use crate::metadata::Metadata;
use crate::runtimes::Runtimes;
use crate::settings::Settings;
use crate::statistics::{CpuReading, Readers, Usage};
use crate::volumes::{CreateVolume, VolumeError, VolumeView, Volumes};

/// A container host. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine(pub(crate) Arc<Parts>);

/// What an engine is made of. Each part owns its own state.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) metadata: Metadata,
    pub(crate) images: images::Store,
    pub(crate) networks: network::Networks,
    pub(crate) volumes: Volumes,
    pub(crate) shims: shim::client::Program,
    pub(crate) registry: Registry,
    pub(crate) events: Arc<Events>,
    pub(crate) readers: Readers,
    pub(crate) runtimes: RwLock<Arc<Runtimes>>,
}

impl Parts {
    /// What runs containers at present.
    pub(crate) fn runtimes(&self) -> Arc<Runtimes> {
        Arc::clone(&self.runtimes.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot make {path}")]
    Folder { path: std::path::PathBuf, source: std::io::Error },
    #[error("cannot open the records in {path}")]
    Metadata { path: std::path::PathBuf, source: crate::metadata::MetadataError },
    #[error("cannot open the image store")]
    Images { source: images::OpenError },
    #[error("cannot set up networking")]
    Network { source: network::OpenError },
    #[error("cannot prepare for containers' supervisors")]
    Shims { source: shim::client::LaunchError },
    #[error("cannot read the volumes")]
    Volumes { source: VolumeError },
}

impl Explain for OpenError {
    fn kind(&self) -> Kind {
        Kind::Internal
    }
}

/// How much there is of everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostSummary {
    pub containers_running: usize,
    pub containers_paused: usize,
    pub containers_stopped: usize,
    pub images: usize,
    /// Clients that listen to events.
    pub event_listeners: usize,
}

/// Life of the engine itself.
impl Engine {
    /// Opens what there is, takes over what runs, and makes the rest anew. The caller holds
    /// the data root's lock.
    ///
    /// Must be called on a tokio runtime.
    pub async fn open(
        settings: Settings,
        database: Arc<redb::Database>,
    ) -> Result<Self, OpenError> {
        let parts = crate::containers::blocking(move || open_parts(settings, database)).await?;
        let parts = Arc::new(parts);
        crate::containers::restore(&parts).await.map_err(|source| OpenError::Metadata {
            path: parts.settings.data_root.clone(),
            source,
        })?;
        Ok(Self(parts))
    }
}

impl Engine {
    /// Comes to an end in good order. Containers go on; where none does, nothing of the
    /// networks is left on the host.
    pub async fn close(&self) {
        if let Err(error) = self.0.metadata.settle().await {
            tracing::error!(error = errors::chain(&error), "cannot write the last records");
        }
        if self.containers().iter().any(|view| view.state.phase.is_live()) {
            return;
        }
        let parts = Arc::clone(&self.0);
        let flushed = crate::containers::blocking(move || parts.networks.flush()).await;
        if let Err(error) = flushed {
            tracing::warn!(error = errors::chain(&error), "cannot remove the networks");
        }
    }
}

fn open_parts(settings: Settings, database: Arc<redb::Database>) -> Result<Parts, OpenError> {
    for path in [
        settings.data_root.join("containers"),
        settings.data_root.join("volumes"),
        settings.exec_root.join("containers"),
    ] {
        std::fs::create_dir_all(&path).map_err(|source| OpenError::Folder { path, source })?;
    }
    let path = settings.data_root.join("events");
    let events = Events::open(&path).map_err(|source| OpenError::Folder { path, source })?;
    let events = Arc::new(events);
    let told = Arc::clone(&events);
    let metadata = Metadata::open(Arc::clone(&database), move || told.settle())
        .map_err(|source| OpenError::Metadata { path: settings.data_root.clone(), source })?;
    let images = images::Store::open(&settings.data_root, database)
        .map_err(|source| OpenError::Images { source })?;
    let networks = network::Networks::open(settings.network.clone())
        .map_err(|source| OpenError::Network { source })?;
    let volumes =
        Volumes::open(&settings, &metadata).map_err(|source| OpenError::Volumes { source })?;
    let shims = shim::client::Program::new(settings.shim_program.clone());
    shims.warm_up().map_err(|source| OpenError::Shims { source })?;
    let runtimes = RwLock::new(Arc::new(settings.runtimes.clone()));
    Ok(Parts {
        shims,
        settings,
        metadata,
        images,
        networks,
        volumes,
        registry: Registry::default(),
        events,
        readers: Readers::default(),
        runtimes,
    })
}

/// Containers.
impl Engine {
    /// Every container, newest first.
    pub fn containers(&self) -> Vec<Arc<View>> {
        self.0.registry.views()
    }

    /// One container, by id, name or unambiguous beginning of an id.
    pub fn container(&self, name: &str) -> Result<Arc<View>, LookupError> {
        Ok(self.0.registry.find(name)?.view())
    }

    /// As [`container`](Self::container), with its newest health checks.
    pub async fn current_container(&self, name: &str) -> Result<Arc<View>, LookupError> {
        Ok(self.0.registry.find(name)?.current_view().await)
    }

    pub async fn create_container(&self, request: CreateContainer) -> Result<Created, CreateError> {
        crate::containers::create(&self.0, request).await
    }

    pub async fn start_container(&self, name: &str) -> Result<Outcome, StartError> {
        self.0.registry.find(name)?.start().await
    }

    /// Asks it to end, waits, then kills it.
    pub async fn stop_container(
        &self,
        name: &str,
        options: StopOptions,
    ) -> Result<Stopped, ControlError> {
        self.0.registry.find(name)?.stop(options).await
    }

    pub async fn restart_container(
        &self,
        name: &str,
        options: StopOptions,
    ) -> Result<Stopped, ControlError> {
        let container = self.0.registry.find(name)?;
        // Whoever asks may leave, and the container must not stay down for that.
        let restarting = tokio::spawn(async move { container.restart(options).await });
        match restarting.await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Sends a signal to the first process.
    pub async fn kill_container(&self, name: &str, signal: i32) -> Result<(), ControlError> {
        self.0.registry.find(name)?.kill(name, signal).await
    }

    pub async fn pause_container(&self, name: &str) -> Result<(), ControlError> {
        self.0.registry.find(name)?.pause().await
    }

    pub async fn unpause_container(&self, name: &str) -> Result<(), ControlError> {
        self.0.registry.find(name)?.unpause().await
    }

    pub async fn rename_container(&self, name: &str, new_name: &str) -> Result<(), ControlError> {
        self.0.registry.find(name)?.rename(new_name).await
    }

    /// The links of a container, for people: the other one's name, and its alias here.
    pub fn links_of(&self, view: &View) -> Vec<(String, String)> {
        crate::containers::links::shown(&self.0, view)
    }

    /// Under which further names (`parent/alias`) containers are known, by their ids.
    pub fn linked_names(&self, views: &[Arc<View>]) -> HashMap<String, Vec<String>> {
        crate::containers::links::names(views)
    }

    /// Forgets the link called `parent/alias`.
    pub async fn remove_link(&self, name: &str) -> Result<(), UnlinkError> {
        crate::containers::links::remove(&self.0, name).await
    }

    pub async fn update_container(
        &self,
        name: &str,
        update: UpdateContainer,
    ) -> Result<(), ControlError> {
        self.0.registry.find(name)?.update(update).await
    }

    pub async fn remove_container(
        &self,
        name: &str,
        options: RemoveOptions,
    ) -> Result<(), RemoveError> {
        self.0.registry.find(name)?.remove(options).await
    }

    /// Waits for a container's end. The future owns all it needs: it can be dropped at any
    /// time. That the container exists, and that the wait has begun, is known when this
    /// returns; the end is in the future.
    pub fn wait_container(
        &self,
        name: &str,
        condition: WaitCondition,
    ) -> Result<impl Future<Output = WaitResult> + Send + use<>, LookupError> {
        Ok(crate::containers::wait_for(&self.0.registry.find(name)?, condition))
    }

    /// Hands a client's connection over. It is served until the container ends or the client
    /// goes, whatever becomes of this process. A container that does not run yet serves it
    /// from its start.
    pub async fn attach_container(
        &self,
        name: &str,
        streams: AttachStreams,
        stream: ClientStream,
    ) -> Result<(), ControlError> {
        self.0.registry.find(name)?.attach(streams, stream).await
    }

    /// Whether an attach to this container would be refused: to be asked before the
    /// connection is taken over.
    pub fn check_attach(&self, name: &str) -> Result<Arc<View>, ControlError> {
        self.0.registry.find(name)?.check_attach(name)
    }

    pub async fn resize_container(
        &self,
        name: &str,
        rows: u16,
        columns: u16,
    ) -> Result<(), ControlError> {
        self.0.registry.find(name)?.resize(rows, columns).await
    }

    /// `arguments` are `ps(1)`'s, `-ef` if empty.
    pub async fn container_processes(
        &self,
        name: &str,
        arguments: &str,
    ) -> Result<ProcessTable, ControlError> {
        self.0.registry.find(name)?.processes(arguments).await
    }

    pub async fn container_logs(
        &self,
        name: &str,
        query: LogQuery,
    ) -> Result<LogStream, LogsError> {
        crate::logs::open(&self.0.registry.find(name)?, query).await
    }

    /// Bytes of a container's own changes, and of the image below them.
    pub async fn container_size(&self, name: &str) -> Result<(u64, u64), ControlError> {
        crate::containers::size(&self.0, &self.0.registry.find(name)?).await
    }

    /// The read-only folders below a container's own changes, the topmost first. Empty if they
    /// cannot be read, or are gone.
    pub async fn container_layers(&self, view: &View) -> Vec<std::path::PathBuf> {
        let (parts, id) = (Arc::clone(&self.0), view.id.clone());
        let read = move || parts.images.snapshot(id.as_str()).map(|snapshot| snapshot.lowers);
        crate::containers::blocking(read).await.unwrap_or_default()
    }

    /// What a container has used so far; `None` while it does not run.
    pub async fn container_usage(&self, name: &str) -> Result<Option<Usage>, LookupError> {
        crate::statistics::usage(&self.0, name).await
    }

    /// Its processor time alone, which costs less.
    pub async fn container_cpu(&self, name: &str) -> Result<Option<CpuReading>, LookupError> {
        crate::statistics::cpu(&self.0, name).await
    }

    pub async fn prune_containers(&self, filter: PruneFilter) -> Pruned {
        crate::containers::prune(&self.0, filter).await
    }
}

/// Containers' files.
impl Engine {
    /// What is at a path of a container's.
    pub async fn stat_path(&self, name: &str, path: &str) -> Result<PathStat, FilesError> {
        crate::containers::files::stat(&self.0, &self.0.registry.find(name)?, name, path).await
    }

    /// What is at a path of a container's, to be had as an archive.
    pub async fn copy_out(&self, name: &str, path: &str) -> Result<CopyOut, FilesError> {
        crate::containers::files::read(&self.0, &self.0.registry.find(name)?, name, path).await
    }

    /// Unpacks an archive into a folder of a container's.
    pub async fn copy_in(
        &self,
        name: &str,
        path: &str,
        options: CopyIn,
        archive: impl std::io::Read + Send + 'static,
    ) -> Result<(), FilesError> {
        let container = self.0.registry.find(name)?;
        crate::containers::files::write(&self.0, &container, name, path, options, archive).await
    }
}

/// What containers have changed of their images.
impl Engine {
    /// The files that differ from the image's.
    pub async fn container_changes(
        &self,
        name: &str,
    ) -> Result<Vec<images::FileChange>, ReadChangesError> {
        crate::containers::list_changes(&self.0, &self.0.registry.find(name)?).await
    }

    /// All of a container's files, to be had as an archive.
    pub fn export_container(&self, name: &str) -> Result<Export, ReadChangesError> {
        crate::containers::export(&self.0, &self.0.registry.find(name)?)
    }

    /// Makes an image of what a container has changed. With `pause`, it holds still meanwhile.
    pub async fn commit_container(
        &self,
        name: &str,
        pause: bool,
        options: images::CommitOptions,
    ) -> Result<images::ImageId, ReadChangesError> {
        crate::containers::commit(&self.0, &self.0.registry.find(name)?, pause, options).await
    }
}

/// Additional processes.
impl Engine {
    pub async fn create_exec(
        &self,
        container: &str,
        spec: ExecSpec,
    ) -> Result<ExecId, crate::containers::ExecError> {
        let found = self.0.registry.find(container).map_err(ControlError::from)?;
        found.create_exec(container, spec).await
    }

    /// Whether an exec could be started now: to be asked before the connection is taken over.
    pub fn check_exec(&self, id: &str) -> Result<ExecView, crate::containers::ExecError> {
        self.0.registry.exec(id)?.check_startable(id)
    }

    /// Starts an exec. With no stream it runs detached. `spec` streams are served as asked at
    /// its creation.
    pub async fn start_exec(
        &self,
        id: &str,
        stream: Option<ClientStream>,
        terminal_size: Option<(u16, u16)>,
    ) -> Result<(), crate::containers::ExecError> {
        self.0.registry.exec(id)?.start_exec(id, stream, terminal_size).await
    }

    pub async fn exec(&self, id: &str) -> Result<ExecView, crate::containers::ExecError> {
        self.0.registry.exec(id)?.current_exec_view(id).await
    }

    pub async fn resize_exec(
        &self,
        id: &str,
        rows: u16,
        columns: u16,
    ) -> Result<(), crate::containers::ExecError> {
        self.0.registry.exec(id)?.resize_exec(id, rows, columns).await
    }
}

/// Images.
impl Engine {
    /// The store, for all that does not concern containers. Its methods block: call them
    /// through [`tokio::task::spawn_blocking`].
    pub fn images(&self) -> &images::Store {
        &self.0.images
    }

    /// Removes a name, or an image.
    pub async fn remove_image(
        &self,
        name: &str,
        options: RemoveImage,
    ) -> Result<Vec<Removed>, RemoveImageError> {
        crate::images::remove(&self.0, name, options).await
    }

    /// Removes images that no container uses: those without a name, or (`all`) any.
    pub async fn prune_images(&self, all: bool, filter: PruneFilter) -> (Vec<Removed>, u64) {
        crate::images::prune(&self.0, all, filter).await
    }
}

/// Volumes.
impl Engine {
    pub fn volumes(&self) -> Vec<VolumeView> {
        self.0.volumes.list()
    }

    pub fn volume(&self, name: &str) -> Result<VolumeView, VolumeError> {
        self.0.volumes.get(name)
    }

    /// Makes a volume, or answers with the one of that name.
    pub async fn create_volume(&self, request: CreateVolume) -> Result<VolumeView, VolumeError> {
        crate::volumes::create(&self.0, request).await
    }

    pub async fn remove_volume(&self, name: &str, force: bool) -> Result<(), VolumeError> {
        crate::volumes::remove(&self.0, name, force).await
    }

    /// Removes volumes that no container uses: anonymous ones, or (`all`) any.
    pub async fn prune_volumes(&self, all: bool, filter: PruneFilter) -> Pruned {
        crate::volumes::prune(&self.0, all, filter).await
    }

    /// Bytes of a volume's files.
    pub async fn volume_size(&self, name: &str) -> Result<u64, VolumeError> {
        let folder = self.0.volumes.get(name)?.mountpoint;
        crate::containers::blocking(move || crate::containers::folder_size(&folder)).await.map_err(
            |source| VolumeError::Files { doing: "measure", name: name.to_owned(), source },
        )
    }

    /// The ids of the containers that use a volume.
    pub fn volume_users(&self, name: &str) -> Vec<ContainerId> {
        self.0.registry.users_of_volume(name)
    }
}

/// Networks, events, and the host as a whole.
impl Engine {
    pub fn networks(&self) -> &network::Networks {
        &self.0.networks
    }

    /// Begins to listen: whatever happens from now on will be heard.
    pub fn events(&self, past: Past) -> Subscription {
        self.0.events.subscribe(past)
    }

    /// For what a front door itself does to objects (an image was loaded, tagged, saved).
    pub fn publish_event(
        &self,
        object: crate::events::ObjectKind,
        action: &str,
        id: &str,
        attributes: std::collections::BTreeMap<String, String>,
    ) {
        self.0.events.publish(object, action, id, attributes);
    }

    /// The same for an image, whose labels go with it.
    pub fn publish_image_event(&self, action: &str, id: &images::ImageId, name: &str) {
        crate::images::tell(&self.0, id, action, name);
    }

    /// Containers that start from now on find these.
    pub fn set_runtimes(&self, runtimes: Runtimes) {
        let runtimes = Arc::new(runtimes);
        *self.0.runtimes.write().unwrap_or_else(PoisonError::into_inner) = runtimes;
    }

    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// What the kernel calls the file system that everything is kept on, in Docker's words.
    pub fn backing_filesystem(&self) -> &'static str {
        crate::filesystem::name(&self.0.settings.data_root)
    }

    pub fn summary(&self) -> HostSummary {
        crate::containers::summary(&self.0)
    }
}
