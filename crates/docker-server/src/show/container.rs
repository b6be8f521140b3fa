//! Everything about one container.

use std::collections::BTreeMap;

use docker_api::containers::{ContainerInspect, GraphDriver, NetworkSettings};
use docker_api::networks::EndpointSettings;
use engine::containers::View;
use engine::containers::spec::NetworkMode;

use super::{Document, container_state, endpoints, mount, time_text};
use crate::host;

/// What Docker calls a file system of layers that overlayfs mounts.
const STORAGE_DRIVER: &str = "overlay2";

/// Shows a container. `sizes` are the bytes of its own changes, and of everything.
pub(crate) fn inspect(view: &View, sizes: Option<(u64, u64)>) -> ContainerInspect {
    let mut document = Document::from_text(&view.document);
    if document.config.hostname.is_empty() {
        document.config.hostname = match view.spec.network.mode {
            NetworkMode::Host => host::hostname(),
            _ => view.id.short().to_owned(),
        };
    }
    let has_address = matches!(view.spec.network.mode, NetworkMode::Network(_));
    if let Some(endpoint) = document.endpoints.get(&document.host_config.network_mode)
        && has_address
    {
        document.config.mac_address.clone_from(&endpoint.mac_address);
    }
    let arguments = &view.spec.process.arguments;
    let bytes = |size: u64| i64::try_from(size).unwrap_or(i64::MAX);
    // These files are made at the first start.
    let has_started = view.state.started_at.is_some();
    let path = |path: &std::path::Path| match has_started {
        true => path.display().to_string(),
        false => String::new(),
    };
    let is_live = view.state.phase.is_live();
    ContainerInspect {
        id: view.id.to_string(),
        created: time_text(Some(view.created_at)),
        path: arguments.first().cloned().unwrap_or_default(),
        args: arguments.iter().skip(1).cloned().collect(),
        state: container_state::state(&view.state),
        image: view.image_id.clone(),
        resolv_conf_path: path(&view.resolv_conf_path),
        hostname_path: path(&view.hostname_path),
        hosts_path: path(&view.hosts_path),
        log_path: view.log.shown().map(path).unwrap_or_default(),
        name: format!("/{}", view.name),
        restart_count: view.restart_count,
        driver: STORAGE_DRIVER.to_owned(),
        platform: "linux".to_owned(),
        mount_label: String::new(),
        process_label: String::new(),
        app_armor_profile: view.spec.security.apparmor_profile.clone().unwrap_or_default(),
        exec_ids: Some(view.execs.iter().map(ToString::to_string).collect::<Vec<_>>())
            .filter(|ids| is_live && !ids.is_empty()),
        graph_driver: graph_driver(view),
        size_rw: sizes.map(|(own, _)| bytes(own)),
        size_root_fs: sizes.map(|(_, all)| bytes(all)),
        mounts: mount::list(&view.mounts, &document.summary.hidden_tmpfs),
        network_settings: network_settings(view, &document),
        host_config: document.host_config,
        config: document.config,
    }
}

fn graph_driver(view: &View) -> GraphDriver {
    let mut data = BTreeMap::from([
        ("ID".to_owned(), view.id.to_string()),
        ("UpperDir".to_owned(), view.upper_directory.display().to_string()),
        ("WorkDir".to_owned(), view.work_directory.display().to_string()),
    ]);
    // The whole is mounted in the container's own mount namespace only.
    if view.state.pid > 0 {
        data.insert("MergedDir".to_owned(), format!("/proc/{}/root", view.state.pid));
    }
    GraphDriver { data: Some(data), name: STORAGE_DRIVER.to_owned() }
}

fn network_settings(view: &View, document: &Document) -> NetworkSettings {
    let networks = endpoints::networks(view, &document.endpoints);
    // The old members are those of the default network.
    let old = networks.get("bridge").cloned().unwrap_or_default();
    let EndpointSettings { endpoint_id, gateway, ip_address, mac_address, ip_prefix_len, .. } = old;
    let shares_host = matches!(view.spec.network.mode, NetworkMode::Host) && view.state.pid > 0;
    let namespace = match &view.network_namespace {
        None if shares_host => Some(format!("/proc/{}/ns/net", view.state.pid)),
        own => own.as_ref().map(|path| path.display().to_string()),
    };
    NetworkSettings {
        sandbox_id: namespace.as_ref().map(|_| view.id.to_string()).unwrap_or_default(),
        sandbox_key: namespace.unwrap_or_default(),
        ports: Some(endpoints::ports(view, &document.summary.exposed_ports)),
        endpoint_id,
        gateway,
        ip_address,
        ip_prefix_len,
        mac_address,
        networks: Some(networks),
        ..NetworkSettings::default()
    }
}
