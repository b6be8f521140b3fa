//! The engine itself: `/_ping`, `/version`, `/info`, `/system/df` and the like.

use std::collections::BTreeMap;

use docker_api::ApiVersion;
use docker_api::images::ImageSummary;
use docker_api::system::{
    BuildPruneReport, Commit, ComponentVersion, DiskUsage, FirewallInfo, IndexConfig, PlatformName,
    PluginsInfo, RegistryConfig, RuntimeInfo, SwarmInfo, SystemInfo, VersionInfo,
};
use docker_api::volumes::{Volume, VolumeUsage};
use engine::Engine;
use engine::runtimes::BUILT_IN;
use hyper::header::{CACHE_CONTROL, HeaderValue, PRAGMA};
use hyper::{Method, Response, StatusCode};
use jiff::Timestamp;

use super::containers::summaries as container_summaries;
use super::host_warnings::warnings;
use super::images::summaries as image_summaries;
use crate::host;
use crate::http::{Answer, ApiError, Request, json, plain};
use crate::product::{OWN_VERSION, VERSION};
use crate::{show, versions};

/// Which builder the client should use: its own classic one, since there is no BuildKit here.
const BUILDER_VERSION: &str = "1";

/// `GET` and `HEAD /_ping`
pub(crate) async fn ping(request: Request) -> Result<Response<Answer>, ApiError> {
    let body = if request.head.method == Method::HEAD { "" } else { "OK" };
    let mut response = plain(StatusCode::OK, body);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert("Builder-Version", HeaderValue::from_static(BUILDER_VERSION));
    headers.insert("Swarm", HeaderValue::from_static("inactive"));
    Ok(response)
}

/// `GET /version`
pub(crate) async fn version(_request: Request) -> Result<Response<Answer>, ApiError> {
    let details = BTreeMap::from([
        ("ApiVersion", ApiVersion::MAX.to_string()),
        ("Arch", host::architecture().to_owned()),
        ("Experimental", "false".to_owned()),
        ("KernelVersion", host::kernel_version()),
        ("MinAPIVersion", ApiVersion::MIN.to_string()),
        ("Os", "linux".to_owned()),
    ]);
    let details = details.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let component = |name: &str, version: &str, details| ComponentVersion {
        name: name.to_owned(),
        version: version.to_owned(),
        details,
    };
    let answer = VersionInfo {
        platform: PlatformName { name: format!("Wharf {OWN_VERSION}") },
        components: vec![
            component("Engine", VERSION, Some(details)),
            component("wharfd", OWN_VERSION, None),
        ],
        version: VERSION.to_owned(),
        api_version: ApiVersion::MAX.to_string(),
        min_api_version: ApiVersion::MIN.to_string(),
        os: "linux".to_owned(),
        arch: host::architecture().to_owned(),
        kernel_version: host::kernel_version(),
        ..VersionInfo::default()
    };
    Ok(json(StatusCode::OK, &answer))
}

/// `GET /info`
pub(crate) async fn info(request: Request) -> Result<Response<Answer>, ApiError> {
    let mut answer = describe(&request);
    versions::info(request.version, &mut answer);
    Ok(json(StatusCode::OK, &answer))
}

fn describe(request: &Request) -> SystemInfo {
    let (engine, about) = (request.engine(), &request.server.about);
    let (settings, summary) = (engine.settings(), engine.summary());
    let current = request.server.current();
    let (told, cgroups) = (&current.reloadable, current.circumstances.cgroups);
    let (operating_system, os_version) = host::distribution();
    SystemInfo {
        id: about.daemon_id.clone(),
        containers: (summary.containers_running
            + summary.containers_paused
            + summary.containers_stopped) as u64,
        containers_running: summary.containers_running as u64,
        containers_paused: summary.containers_paused as u64,
        containers_stopped: summary.containers_stopped as u64,
        images: summary.images as u64,
        driver: "overlay2".to_owned(),
        driver_status: driver_status(engine.backing_filesystem()),
        plugins: plugins_info(),
        memory_limit: cgroups.memory,
        swap_limit: cgroups.swap,
        cpu_cfs_period: cgroups.cpu_quota,
        cpu_cfs_quota: cgroups.cpu_quota,
        cpu_shares: cgroups.cpu_shares,
        cpu_set: cgroups.cpuset,
        pids_limit: cgroups.pids,
        ipv4_forwarding: host::is_forwarding_ipv4(),
        debug: told.debug,
        n_fd: host::open_descriptors(),
        oom_kill_disable: cgroups.oom_kill_disable,
        kernel_memory_tcp: cgroups.memory_tcp,
        n_events_listener: summary.event_listeners as u64,
        n_goroutines: host::tasks(),
        system_time: Timestamp::now().to_string(),
        logging_driver: settings.default_log.driver.clone(),
        log_bound: engine::log_bound(&settings.default_log.driver, &settings.default_log.options)
            .unwrap_or_default(),
        cgroup_driver: "cgroupfs".to_owned(),
        cgroup_version: cgroups.version.to_string(),
        kernel_version: host::kernel_version(),
        operating_system,
        os_version,
        os_type: "linux".to_owned(),
        architecture: host::machine().to_owned(),
        index_server_address: "https://index.docker.io/v1/".to_owned(),
        registry_config: Some(registry_config()),
        n_cpu: host::processor_count() as u64,
        mem_total: host::memory_total(),
        docker_root_dir: settings.data_root.display().to_string(),
        http_proxy: about.http_proxy.clone(),
        https_proxy: about.https_proxy.clone(),
        no_proxy: about.no_proxy.clone(),
        name: host::hostname(),
        labels: told.labels.clone(),
        server_version: VERSION.to_owned(),
        runtimes: runtimes(settings, &told.runtimes),
        default_runtime: told.runtimes.default.clone(),
        swarm: SwarmInfo { local_node_state: "inactive".to_owned(), ..SwarmInfo::default() },
        // Containers outlive the daemon, always.
        live_restore_enabled: true,
        init_binary: "docker-init".to_owned(),
        containerd_commit: Commit::default(),
        runc_commit: Commit { id: OWN_VERSION.to_owned(), ..Commit::default() },
        security_options: security_options(cgroups.version),
        firewall_backend: Some(FirewallInfo { driver: "nftables".to_owned(), info: None }),
        cdi_spec_dirs: Some(Vec::new()),
        warnings: Some(warnings(&cgroups, host::is_forwarding_ipv4()))
            .filter(|warnings| !warnings.is_empty()),
        ..SystemInfo::default()
    }
}

fn driver_status(backing_filesystem: &str) -> Vec<[String; 2]> {
    let pairs = [
        ("Backing Filesystem", backing_filesystem),
        ("Supports d_type", "true"),
        ("Using metacopy", "false"),
        ("Native Overlay Diff", "true"),
        ("userxattr", "false"),
    ];
    pairs.map(|(name, value)| [name.to_owned(), value.to_owned()]).to_vec()
}

fn plugins_info() -> PluginsInfo {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    PluginsInfo {
        volume: owned(&["local"]),
        network: owned(&["bridge", "host", "null"]),
        authorization: None,
        log: owned(&engine::LOG_DRIVERS),
    }
}

fn registry_config() -> RegistryConfig {
    let hub = IndexConfig {
        mirrors: Vec::new(),
        name: "docker.io".to_owned(),
        official: true,
        secure: true,
    };
    RegistryConfig {
        index_configs: BTreeMap::from([("docker.io".to_owned(), hub)]),
        insecure_registry_cidrs: vec!["::1/128".to_owned(), "127.0.0.0/8".to_owned()],
        mirrors: None,
    }
}

fn runtimes(
    settings: &engine::Settings,
    configured: &engine::Runtimes,
) -> BTreeMap<String, RuntimeInfo> {
    let own = settings.shim_program.display().to_string();
    let built_in = BUILT_IN
        .map(|name| (name.to_owned(), RuntimeInfo { path: own.clone(), ..RuntimeInfo::default() }));
    let mut runtimes = BTreeMap::from(built_in);
    for (name, program) in &configured.programs {
        let info = RuntimeInfo {
            path: program.path.display().to_string(),
            runtime_args: program.arguments.clone(),
            status: None,
        };
        runtimes.insert(name.clone(), info);
    }
    runtimes
}

fn security_options(cgroup_version: u8) -> Vec<String> {
    let mut options = vec!["name=seccomp,profile=builtin".to_owned()];
    if cgroup_version == 2 {
        options.push("name=cgroupns".to_owned());
    }
    options
}

/// `GET /system/df`
pub(crate) async fn disk_usage(request: Request) -> Result<Response<Answer>, ApiError> {
    let mut wanted: Vec<&str> = request.query.all("type").collect();
    if let Some(unknown) = wanted
        .iter()
        .find(|kind| !matches!(**kind, "container" | "image" | "volume" | "build-cache"))
    {
        return Err(ApiError::invalid(format!("unknown object type: {unknown}")));
    }
    if wanted.is_empty() || !versions::has_stop_signals(request.version) {
        wanted = vec!["container", "image", "volume", "build-cache"];
    }
    let wants = |kind: &str| wanted.contains(&kind);
    let engine = request.engine();
    let mut usage = DiskUsage {
        images: wants("image").then(|| images(engine)),
        build_cache: wants("build-cache").then(Vec::new),
        ..DiskUsage::default()
    };
    if wants("image") {
        let bytes = engine.images().usage().layers;
        usage.layers_size = i64::try_from(bytes).unwrap_or(i64::MAX);
    }
    if wants("container") {
        let views = engine.containers();
        usage.containers = Some(container_summaries(engine, &views, true).await);
    }
    if wants("volume") {
        usage.volumes = Some(volumes(engine).await);
    }
    versions::disk_usage(request.version, &mut usage);
    Ok(json(StatusCode::OK, &usage))
}

/// Here, and only here, a Docker engine writes lists of no names as `null`.
fn images(engine: &Engine) -> Vec<ImageSummary> {
    let mut images = image_summaries(engine, true, |_| true);
    for image in &mut images {
        for names in [&mut image.repo_tags, &mut image.repo_digests] {
            *names = names.take().filter(|names| !names.is_empty());
        }
    }
    images
}

async fn volumes(engine: &Engine) -> Vec<Volume> {
    let mut volumes = Vec::new();
    // What a volume with options of its own takes up is not this disk's to tell, says Docker.
    for view in engine.volumes().into_iter().filter(|view| view.options.is_empty()) {
        // One that went meanwhile takes nothing.
        let Ok(size) = engine.volume_size(&view.name).await else { continue };
        let usage = VolumeUsage {
            ref_count: i64::try_from(engine.volume_users(&view.name).len()).unwrap_or(i64::MAX),
            size: i64::try_from(size).unwrap_or(i64::MAX),
        };
        volumes.push(show::volume(&view, Some(usage)));
    }
    volumes
}

/// `POST /auth`
pub(crate) async fn authenticate(_request: Request) -> Result<Response<Answer>, ApiError> {
    Err(ApiError::not_implemented("logging in to registries: there are no registries yet"))
}

/// `GET /plugins`: there are none, which is an answer.
pub(crate) async fn plugins(_request: Request) -> Result<Response<Answer>, ApiError> {
    Ok(json(StatusCode::OK, &[(); 0]))
}

/// `GET /plugins/{name}/json`: what looks for anything of a name asks here as well.
pub(crate) async fn inspect_plugin(request: Request) -> Result<Response<Answer>, ApiError> {
    Err(ApiError::not_found(format!("plugin {:?} not found", request.name)))
}

/// `POST /build/prune`: there is no cache, so there is nothing to prune.
pub(crate) async fn prune_build_cache(_request: Request) -> Result<Response<Answer>, ApiError> {
    Ok(json(StatusCode::OK, &BuildPruneReport::default()))
}
