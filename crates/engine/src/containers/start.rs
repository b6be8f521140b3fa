//! Starting a container: from its record to a running process under a shim.
//!
//! The recipe, in order; what fails is undone in reverse:
//!
//! 1. find the containers whose namespaces this one joins;
//! 2. make the run folder;
//! 3. see that what is to be mounted is there;
//! 4. connect it to its network;
//! 5. write its `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf`;
//! 6. write its OCI configuration and launch the shim.
//!
//! All but the first is one piece of blocking work, so that a start costs one change of
//! threads and not six. Nothing here waits for the disk.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fail_points::{Point, pass, reach};
use shim::client::{CleanUpError, LaunchError, Launched, StartDescriptors};
use shim::protocol::{self, AttachOptions, Failure, FailureKind, Launch};

use super::bundle::{self, EtcFiles, Ingredients, Joined};
use super::errors::StartError;
use super::links::{self, Linked};
use super::record::Record;
use super::spec::{IpcMode, NetworkMode, PidMode, RestartPolicy};
use super::supervisor::{Running, ShimLink, blocking};
use super::view::Phase;
use super::{ContainerId, mounts, start_order};
use crate::engine::Parts;
use crate::logs;
use crate::runtimes::{Runtime, RuntimeProgram, foreign_program};

/// In the run folder: what the container was given by its network, for the next engine.
const NETWORK_FILE: &str = "network.json";

/// In the run folder: a `/dev/shm` that other containers may join.
const SHARED_MEMORY_FOLDER: &str = "shm";

/// Starts a container.
pub(super) async fn start(
    parts: &Arc<Parts>,
    record: &Record,
    waiting: Vec<(AttachOptions, OwnedFd)>,
) -> Result<Running, StartError> {
    let joined = join(parts, record).await?;
    check_devices(&record.spec)?;
    let children = links::children(parts, record)?;
    let start = Start {
        id: ContainerId::from_record(&record.id),
        parts: Arc::clone(parts),
        record: record.clone(),
        joined,
        children,
        waiting,
    };
    let running = blocking(move || start.run()).await?;
    if let Some(attachment) = &running.link.attachment {
        links::follow(parts, &ContainerId::from_record(&record.id), attachment.address.into());
    }
    Ok(running)
}

/// Nothing here chooses devices.
fn check_devices(spec: &super::ContainerSpec) -> Result<(), StartError> {
    let Some(request) = spec.device_requests.first() else { return Ok(()) };
    if request.driver == CDI_DRIVER {
        return Err(StartError::NoSuchCdiDevice { names: request.ids.join(", ") });
    }
    let alternatives: Vec<_> =
        request.capabilities.iter().map(|all| format!("[{}]", all.join(" "))).collect();
    Err(StartError::NoDeviceDriver {
        driver: request.driver.clone(),
        capabilities: format!("[{}]", alternatives.join(" ")),
    })
}

/// The driver of devices that are described by files (the Container Device Interface).
const CDI_DRIVER: &str = "cdi";

/// Finds what other containers give to this one. They have to run.
async fn join(parts: &Arc<Parts>, record: &Record) -> Result<Joined, StartError> {
    let spec = &record.spec;
    for name in start_order::needed(spec) {
        if let Ok(container) = parts.registry.find(name) {
            container.await_begun_start().await;
        }
    }
    let mut joined = Joined::default();
    if let NetworkMode::Container(name) = &spec.network.mode {
        let container = parts
            .registry
            .find(name)
            .map_err(|source| StartError::JoinedNetworkNotFound { source })?;
        let view = container.view();
        if !matches!(view.state.phase, Phase::Running | Phase::Paused) {
            return Err(StartError::JoinedNotRunning {
                what: "network",
                container: view.id.to_string(),
            });
        }
        // That one may be in the network of yet another one, whose files these are then.
        let owner = links::owner_of_network(parts, &view)
            .map_err(|source| StartError::JoinedNetworkNotFound { source })?;
        joined.etc = Some(EtcFiles {
            hostname: owner.hostname_path.clone(),
            hosts: owner.hosts_path.clone(),
            resolv_conf: owner.resolv_conf_path.clone(),
        });
        joined.hostname = Some(hostname_of(&owner.spec, &owner.id));
        if !matches!(owner.spec.network.mode, NetworkMode::Host) {
            joined.network = Some(container.network_namespace().await.map_err(|_| {
                StartError::JoinedNotRunning { what: "network", container: view.id.to_string() }
            })?);
        }
    }
    if let PidMode::Container(name) = &spec.namespaces.pid {
        joined.pid = Some(live_pid(parts, name, "PID namespace")?);
    }
    if let IpcMode::Container(name) = &spec.namespaces.ipc {
        let view = parts.registry.find(name)?.view();
        if !matches!(view.spec.namespaces.ipc, IpcMode::Shareable | IpcMode::Host) {
            return Err(StartError::IpcNotShareable { container: view.id.to_string() });
        }
        joined.ipc = Some(live_pid(parts, name, "IPC namespace")?);
        joined.shared_memory = Some(match view.spec.namespaces.ipc {
            IpcMode::Host => "/dev/shm".into(),
            _ => parts.settings.run_folder(&view.id).join(SHARED_MEMORY_FOLDER),
        });
    }
    Ok(joined)
}

fn live_pid(parts: &Parts, name: &str, what: &'static str) -> Result<i32, StartError> {
    let view = parts.registry.find(name)?.view();
    match view.state.pid {
        0 => Err(StartError::JoinedNotRunning { what, container: view.id.to_string() }),
        pid => Ok(pid),
    }
}

/// What a container calls itself: what its user says, or the beginning of its id.
pub(super) fn hostname_of(spec: &super::ContainerSpec, id: &ContainerId) -> String {
    if spec.namespaces.host_uts || matches!(spec.network.mode, NetworkMode::Host) {
        if let Some(own) = &spec.hostname {
            return own.clone();
        }
        return rustix::system::uname().nodename().to_string_lossy().into_owned();
    }
    spec.hostname.clone().unwrap_or_else(|| id.short().to_owned())
}

/// The blocking part of a start.
struct Start {
    id: ContainerId,
    parts: Arc<Parts>,
    record: Record,
    joined: Joined,
    /// Containers that this one links to.
    children: Vec<Linked>,
    waiting: Vec<(AttachOptions, OwnedFd)>,
}

/// A container's connection while it is being made.
#[derive(Default)]
struct Connection {
    namespace: Option<OwnedFd>,
    held: Vec<OwnedFd>,
    attachment: Option<Arc<network::AttachmentRecord>>,
}

impl Start {
    fn run(mut self) -> Result<Running, StartError> {
        let folder = self.parts.settings.run_folder(&self.id);
        make_run_folder(&folder)?;
        let result = reach(Point::StartFolder)
            .map_err(|source| StartError::Prepare { what: "run folder", source })
            .and_then(|()| self.run_in(&folder));
        if result.is_err() {
            undo(&self.parts, &self.id, &folder);
            self.parts.volumes.release(&self.record.mounts, self.id.as_str());
        }
        result
    }

    fn run_in(&mut self, folder: &Path) -> Result<Running, StartError> {
        self.parts.volumes.take(&self.record.mounts, self.id.as_str())?;
        mounts::check_sources(&self.record.spec, &self.record.mounts)?;
        let connection = self.connect(folder)?;
        let etc = self.write_etc(connection.attachment.as_deref())?;
        let shared_memory = self.share_memory(folder)?;
        let config = self.config(&etc, shared_memory)?;
        let launch = self.launch_document()?;
        pass(Point::StartConfigured);
        let has_own_network = connection.namespace.is_some() && self.joined.network.is_none();
        let descriptors = StartDescriptors {
            network_namespace: connection.namespace,
            attach: std::mem::take(&mut self.waiting),
            held: connection.held,
        };
        let launched =
            shim::client::launch(&self.parts.shims, folder, &config, &launch, descriptors)
                .map_err(|error| match error {
                    LaunchError::Failed(failure) => StartError::Runtime { failure },
                    source => StartError::Launch { source },
                })?;
        pass(Point::StartLaunched);
        Ok(self.running(folder, launched, connection.attachment, has_own_network))
    }

    fn running(
        &self,
        folder: &Path,
        launched: Launched,
        attachment: Option<Arc<network::AttachmentRecord>>,
        has_own_network: bool,
    ) -> Running {
        let Launched { state, watch, .. } = launched;
        Running {
            link: ShimLink { folder: folder.to_owned(), state, attachment, has_own_network },
            watch: Some(watch),
            mounts: Arc::clone(&self.record.mounts),
        }
    }

    fn connect(&mut self, folder: &Path) -> Result<Connection, StartError> {
        match &self.record.spec.network.mode {
            NetworkMode::Host => Ok(Connection::default()),
            NetworkMode::None => {
                let namespace = self
                    .parts
                    .networks
                    .new_namespace()
                    .map_err(|source| StartError::Prepare { what: "network namespace", source })?;
                Ok(Connection { namespace: Some(namespace), ..Connection::default() })
            }
            NetworkMode::Container(_) => {
                let namespace = match &self.joined.network {
                    Some(namespace) => Some(namespace.try_clone().map_err(|source| {
                        StartError::Prepare { what: "network namespace", source }
                    })?),
                    None => None,
                };
                Ok(Connection { namespace, ..Connection::default() })
            }
            NetworkMode::Network(name) => self.attach(folder, name),
        }
    }

    fn attach(&self, folder: &Path, network: &str) -> Result<Connection, StartError> {
        let spec = &self.record.spec.network;
        let mac = spec.mac_address.as_deref().map(str::parse).transpose().map_err(|_| {
            StartError::InvalidConfiguration {
                reason: format!(
                    "{} is not a valid mac address",
                    spec.mac_address.as_deref().unwrap_or_default()
                ),
            }
        })?;
        let request = network::AttachRequest {
            container_id: self.id.to_string(),
            container_name: self.record.name.clone(),
            network: network.to_owned(),
            mac,
            ports: spec.ports.clone(),
        };
        let attachment = self
            .parts
            .networks
            .attach(&request)
            .map_err(|source| StartError::Network { source })?;
        // From here on the next engine can tell whose the addresses are.
        let text = serde_json::to_vec(&attachment.record)
            .expect("an attachment's record has string keys only");
        fs::write(folder.join(NETWORK_FILE), text)
            .and_then(|()| reach(Point::StartAttached))
            .map_err(|source| StartError::Prepare { what: "run folder", source })?;
        Ok(Connection {
            namespace: Some(attachment.netns),
            held: attachment.held_ports,
            attachment: Some(Arc::new(attachment.record)),
        })
    }

    /// Writes what the container finds in its `/etc`.
    fn write_etc(
        &self,
        attachment: Option<&network::AttachmentRecord>,
    ) -> Result<EtcFiles, StartError> {
        if let Some(etc) = &self.joined.etc {
            return Ok(etc.clone());
        }
        let folder = self.parts.settings.container_folder(&self.id);
        let files = EtcFiles {
            hostname: folder.join("hostname"),
            hosts: folder.join("hosts"),
            resolv_conf: folder.join("resolv.conf"),
        };
        let write = |path: &Path, text: String| {
            fs::write(path, text)
                .map_err(|source| StartError::Prepare { what: "files in /etc", source })
        };
        let hostname = hostname_of(&self.record.spec, &self.id);
        write(&files.hostname, network::hostname::build(&hostname))?;
        write(&files.hosts, self.hosts(&hostname, attachment)?)?;
        write(&files.resolv_conf, self.resolv_conf())?;
        reach(Point::StartFiles)
            .map_err(|source| StartError::Prepare { what: "files in /etc", source })?;
        Ok(files)
    }

    fn hosts(
        &self,
        hostname: &str,
        attachment: Option<&network::AttachmentRecord>,
    ) -> Result<String, StartError> {
        let spec = &self.record.spec;
        let invalid = |reason| StartError::InvalidConfiguration { reason };
        let wants_gateway =
            spec.network.extra_hosts.iter().any(|(_, address)| address == "host-gateway");
        let gateway = match self.parts.networks.host_gateway() {
            Some(gateway) => gateway,
            None if wants_gateway => {
                return Err(invalid("unable to derive the IP value for host-gateway".to_owned()));
            }
            None => std::net::Ipv4Addr::UNSPECIFIED,
        };
        let extra: Vec<_> = spec
            .network
            .extra_hosts
            .iter()
            .map(|(name, address)| {
                network::hosts::ExtraHost::parse(&format!("{name}:{address}"), gateway)
            })
            .collect::<Result<_, _>>()
            .map_err(|error| invalid(error.to_string()))?;
        let mut extra = extra;
        extra.extend(self.children.iter().map(Linked::host));
        if matches!(spec.network.mode, NetworkMode::Host) && extra.is_empty() {
            return Ok(fs::read_to_string("/etc/hosts").unwrap_or_default());
        }
        let own = attachment.map(|attachment| network::hosts::OwnName {
            hostname,
            domainname: spec.domainname.as_deref().unwrap_or_default(),
            address: attachment.address.into(),
        });
        Ok(network::hosts::build(&extra, own))
    }

    fn resolv_conf(&self) -> String {
        use network::resolv_conf::{Loopback, Overrides, PATH, build, source};
        let spec = &self.record.spec.network;
        let settings = &self.parts.settings;
        let or = |own: &[String], default: &[String]| {
            if own.is_empty() { default.to_vec() } else { own.to_vec() }
        };
        let overrides = Overrides {
            servers: if spec.dns.is_empty() { settings.dns.clone() } else { spec.dns.clone() },
            search: or(&spec.dns_search, &settings.dns_search),
            options: or(&spec.dns_options, &settings.dns_options),
        };
        let loopback = match spec.mode {
            NetworkMode::Host => Loopback::Host,
            _ => Loopback::Own,
        };
        // A host without the file has no name servers to offer.
        let host = fs::read_to_string(PATH).unwrap_or_default();
        let path = source(&host, loopback);
        let text = if path == PATH { host } else { fs::read_to_string(path).unwrap_or_default() };
        build(&text, path, &overrides, loopback)
    }

    /// A `/dev/shm` that other containers can join has to be where they can reach it.
    fn share_memory(&self, folder: &Path) -> Result<Option<PathBuf>, StartError> {
        if self.record.spec.namespaces.ipc != IpcMode::Shareable {
            return Ok(None);
        }
        let path = folder.join(SHARED_MEMORY_FOLDER);
        let options = format!("mode=1777,size={}", self.record.spec.shm_size);
        let made = fs::create_dir(&path).and_then(|()| {
            use rustix::mount::MountFlags;
            let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            let options = std::ffi::CString::new(options).map_err(io::Error::other)?;
            rustix::mount::mount("shm", &path, "tmpfs", flags, Some(options.as_c_str()))
                .map_err(io::Error::from)
        });
        made.and_then(|()| reach(Point::StartSharedMemory))
            .map_err(|source| StartError::Prepare { what: "shared memory", source })?;
        Ok(Some(path))
    }

    fn config(
        &self,
        etc: &EtcFiles,
        shared_memory: Option<PathBuf>,
    ) -> Result<Vec<u8>, StartError> {
        let spec = &self.record.spec;
        let settings = &self.parts.settings;
        let hostname = self.hostname();
        let init_program = if spec.init {
            Some(
                settings
                    .init_program()
                    .map_err(|source| StartError::Prepare { what: "init program", source })?,
            )
        } else {
            None
        };
        let joins_host =
            matches!(spec.network.mode, NetworkMode::Container(_)) && self.joined.network.is_none();
        bundle::config(&Ingredients {
            id: &self.id,
            spec,
            mounts: &self.record.mounts,
            hostname: &hostname,
            files: etc,
            joined: &self.joined,
            shared_memory,
            init_program,
            default_ulimits: &settings.default_ulimits,
            link_environment: &self.link_environment(),
            cgroup_parent: spec.cgroup_parent.as_deref().unwrap_or(&settings.cgroup_parent),
            is_host_network: joins_host || matches!(spec.network.mode, NetworkMode::Host),
        })
        .map_err(|reason| StartError::Runtime {
            failure: Failure { kind: FailureKind::InvalidConfiguration, message: reason },
        })
    }

    /// The variables by which the container knows those that it links to.
    fn link_environment(&self) -> Vec<String> {
        links::environment(&self.record.name, &self.children)
    }

    /// What the container calls itself, or the one whose network it joins.
    fn hostname(&self) -> String {
        let joined = self.joined.hostname.clone();
        joined.unwrap_or_else(|| hostname_of(&self.record.spec, &self.id))
    }

    fn launch_document(&self) -> Result<Launch, StartError> {
        let spec = &self.record.spec;
        let process = &spec.process;
        let snapshot =
            self.parts.images.snapshot(self.id.as_str()).map_err(|error| StartError::Prepare {
                what: "file system",
                source: io::Error::other(errors::chain(&error)),
            })?;
        let program = self.runtime_program()?;
        Ok(Launch {
            version: protocol::VERSION,
            container_id: self.id.to_string(),
            rootfs: protocol::RootFilesystem::Overlay {
                lowers: snapshot.lowers,
                upper: snapshot.upper,
                work: snapshot.work,
                volatile: spec.remove_at_end,
            },
            log: self.log_settings()?,
            user: Some(process.user.clone()),
            additional_groups: process.additional_groups.clone(),
            stdin_open: process.stdin_open,
            stdin_once: process.stdin_once,
            terminal_size: process.terminal_size,
            restart: spec.restart.into(),
            restart_count: 0,
            runtime: program.as_ref().map(|program| program.path.clone()),
            runtime_arguments: program.map(|it| it.arguments).unwrap_or_default(),
            health: super::health::check(&self.record, &self.hostname(), &self.link_environment()),
            joins: self.joins(),
        })
    }

    /// Where the container's shim finds the containers again whose namespaces it joins.
    fn joins(&self) -> Vec<protocol::Join> {
        let namespaces = &self.record.spec.namespaces;
        let pid = match &namespaces.pid {
            PidMode::Container(name) => Some(("pid", name)),
            _ => None,
        };
        let ipc = match &namespaces.ipc {
            IpcMode::Container(name) => Some(("ipc", name)),
            _ => None,
        };
        let joined = pid.into_iter().chain(ipc).filter_map(|(namespace, name)| {
            let id = self.parts.registry.find(name).ok()?.view().id.clone();
            Some(protocol::Join {
                namespace: namespace.to_owned(),
                container: id.to_string(),
                folder: self.parts.settings.run_folder(&id),
            })
        });
        joined.collect()
    }

    /// The program that runs the container, if it is not our own library.
    fn runtime_program(&self) -> Result<Option<RuntimeProgram>, StartError> {
        let name = self.record.spec.runtime.as_deref();
        match self.parts.runtimes().find(name) {
            Some(Runtime::BuiltIn) => Ok(None),
            Some(Runtime::Program(program)) => Ok(Some(program.clone())),
            // It was known when the container was made.
            None => Err(StartError::UnknownRuntime { name: name.unwrap_or_default().to_owned() }),
            Some(Runtime::Foreign) => {
                let name = name.unwrap_or_default().to_owned();
                let program = foreign_program(&name).unwrap_or_default();
                Err(StartError::ForeignRuntime { name, program })
            }
        }
    }

    fn log_settings(&self) -> Result<protocol::LogSettings, StartError> {
        let Record { spec, name, image_id, image_name, created_at, .. } = &self.record;
        let host = rustix::system::uname();
        let about = logs::About {
            id: self.id.as_str(),
            name,
            image_id,
            image_name,
            arguments: &spec.process.arguments,
            environment: &spec.process.environment,
            labels: &spec.labels,
            created_at: *created_at,
            hostname: &host.nodename().to_string_lossy(),
        };
        let paths = self.parts.settings.log_paths(&self.id);
        let settings = logs::settings(&spec.log.driver, &spec.log.options, &about, &paths);
        settings.map_err(|reason| StartError::Runtime {
            failure: Failure {
                kind: FailureKind::Internal,
                message: format!(
                    "failed to create task for container: failed to initialize logging driver: \
                     {reason}"
                ),
            },
        })
    }
}

fn make_run_folder(folder: &Path) -> Result<(), StartError> {
    let prepare = |source| StartError::Prepare { what: "run folder", source };
    match fs::create_dir(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // An earlier run's, whose end was interrupted.
            shim::client::clean_up(folder)
                .map_err(|error| prepare(io::Error::other(errors::chain(&error))))?;
            remove_run_folder(folder).map_err(prepare)?;
            fs::create_dir(folder).map_err(prepare)
        }
        Err(error) => Err(prepare(error)),
    }
}

/// Takes back what a start that failed has made.
fn undo(parts: &Parts, id: &ContainerId, folder: &Path) {
    if let Err(error) = shim::client::clean_up(folder) {
        tracing::warn!(container = %id, error = errors::chain(&error), "cannot undo a start");
    }
    let_go(parts, id);
}

/// Gives addresses, ports and the run folder back. Goes on after an error.
fn let_go(parts: &Parts, id: &ContainerId) {
    detach(parts, id);
    remove_run_folder_of(parts, id);
}

fn detach(parts: &Parts, id: &ContainerId) {
    if let Err(error) = parts.networks.detach(id.as_str()) {
        tracing::warn!(container = %id, error = errors::chain(&error), "cannot disconnect");
    }
}

/// Removes a container's run folder, if it has one.
pub(super) fn remove_run_folder_of(parts: &Parts, id: &ContainerId) {
    if let Err(error) = remove_run_folder(&parts.settings.run_folder(id)) {
        tracing::warn!(container = %id, %error, "cannot remove the run folder");
    }
}

/// Removes a run folder, with the shared memory that may be mounted in it.
pub(super) fn remove_run_folder(folder: &Path) -> io::Result<()> {
    let shared_memory = folder.join(SHARED_MEMORY_FOLDER);
    if shared_memory.exists() {
        match rustix::mount::unmount(&shared_memory, rustix::mount::UnmountFlags::DETACH) {
            // It was not mounted (any more).
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Gives back the addresses and ports of a run, after its shim has left.
pub(super) async fn disconnect(parts: &Arc<Parts>, id: &ContainerId) {
    let (parts, id) = (Arc::clone(parts), id.clone());
    blocking(move || detach(&parts, &id)).await;
}

/// What the network gave to a container that outlived its engine.
pub(super) fn read_attachment(folder: &Path) -> Option<network::AttachmentRecord> {
    let text = fs::read(folder.join(NETWORK_FILE)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Ends what a dead shim's container left, and says how it ended, if it ever ran. Nothing, if the shim lives.
pub(super) async fn clean_up_after(
    folder: &Path,
    known: protocol::State,
) -> Option<protocol::State> {
    let folder = folder.to_owned();
    let cleaned = blocking(move || shim::client::clean_up(&folder)).await;
    let mut state = known;
    match cleaned {
        Ok(cleaned) => state = cleaned.last_state.unwrap_or(state),
        Err(CleanUpError::ShimLives { .. }) => return None,
        Err(error) => tracing::error!(
            error = errors::chain(&error),
            "cannot clean up after a supervisor that died"
        ),
    }
    if state.never_ran() {
        return Some(state);
    }
    if state.phase != protocol::Phase::Exited {
        state.phase = protocol::Phase::Exited;
        state.exit_code = Some(137);
        state.error = Some("its supervisor (wharf-shim) died, so it was killed".to_owned());
        state.finished_at = i64::try_from(jiff::Timestamp::now().as_nanosecond()).ok();
    }
    state.pid = 0;
    Some(state)
}

impl From<RestartPolicy> for protocol::RestartPolicy {
    fn from(policy: RestartPolicy) -> Self {
        match policy {
            RestartPolicy::No => Self::No,
            RestartPolicy::Always => Self::Always,
            RestartPolicy::UnlessStopped => Self::UnlessStopped,
            RestartPolicy::OnFailure { retries_max } => Self::OnFailure { retries_max },
        }
    }
}
