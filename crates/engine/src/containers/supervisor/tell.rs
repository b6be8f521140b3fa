//! What everybody else gets to know of a container: snapshots, events, its record.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::ContainerId;
use super::super::handle::Snapshot;
use super::super::record::Record;
use super::super::spec::NetworkMode;
use super::super::view::{MountKind, Phase, StateView, View};
use super::{ShimLink, Supervisor};
use crate::engine::Parts;
use crate::events::ObjectKind;
use crate::exec::ExecView;
use crate::metadata::CONTAINERS;

impl Supervisor {
    pub(super) fn record_later(&self) {
        self.parts.metadata.put_later(CONTAINERS, self.id.as_str(), self.record.encode());
    }

    pub(super) fn view(&self) -> View {
        view_of(&self.parts, &self.id, &self.record, self.phase, self.link.as_ref(), &self.execs)
    }

    pub(super) fn publish(&self) {
        let view = Arc::new(self.view());
        let execs: Arc<[ExecView]> = self.execs.as_slice().into();
        let ends = self.ends;
        self.snapshot.send_replace(Snapshot { view, execs, ends, is_gone: false });
    }

    /// Publishes an event about this container.
    pub(super) fn tell<'a>(
        &self,
        action: &str,
        attributes: impl IntoIterator<Item = (&'a str, String)>,
    ) {
        let mut all = self.record.event_attributes();
        all.extend(attributes.into_iter().map(|(key, value)| (key.to_owned(), value)));
        self.parts.events.publish(ObjectKind::Container, action, self.id.as_str(), all);
    }

    pub(super) fn tell_exec(&self, action: &str, arguments: &[String], id: &str) {
        // With the trailing space of Docker's, which scripts that cut at `: ` know.
        let words = arguments.join(" ");
        let program = arguments.first().map_or("", String::as_str);
        let rest = words.strip_prefix(program).unwrap_or_default().trim_start();
        self.tell(&format!("{action}: {program} {rest}"), [("execID", id.to_owned())]);
    }

    /// Tells of the volumes and the network that a run takes or gives back.
    pub(super) fn tell_resources(&self, volume_action: &str, network_action: &str) {
        let container = || ("container".to_owned(), self.id.to_string());
        if let NetworkMode::Network(name) = &self.record.spec.network.mode
            && let Ok(info) = self.parts.networks.get(name)
        {
            let attributes = [
                container(),
                ("name".to_owned(), info.name.clone()),
                ("type".to_owned(), info.driver.clone()),
            ];
            self.parts.events.publish(
                ObjectKind::Network,
                network_action,
                info.id,
                attributes.into(),
            );
        }
        for mount in self.record.mounts.iter().filter(|mount| mount.kind == MountKind::Volume) {
            let mut attributes = BTreeMap::from([container()]);
            attributes.insert("driver".to_owned(), "local".to_owned());
            if volume_action == "mount" {
                attributes.insert("destination".to_owned(), mount.target.clone());
                attributes.insert("propagation".to_owned(), mount.propagation.clone());
                attributes.insert("read/write".to_owned(), mount.writable.to_string());
            }
            let name = mount.name.clone().unwrap_or_default();
            self.parts.events.publish(ObjectKind::Volume, volume_action, name, attributes);
        }
    }
}

/// What everybody sees of a container now.
pub(super) fn view_of(
    parts: &Parts,
    id: &ContainerId,
    record: &Record,
    phase: Phase,
    link: Option<&ShimLink>,
    execs: &[ExecView],
) -> View {
    let folder = parts.settings.container_folder(id);
    let snapshot = parts.settings.data_root.join("snapshots").join(id.as_str());
    View {
        id: id.clone(),
        name: record.name.clone(),
        created_at: record.created_at,
        image_id: record.image_id.clone(),
        image_name: record.image_name.clone(),
        spec: Arc::clone(&record.spec),
        document: Arc::clone(&record.document),
        state: StateView {
            phase,
            pid: link.map_or(0, |link| link.state.pid),
            exit_code: record.exit_code,
            oom_killed: record.oom_killed,
            log_entries_lost: record.log_entries_lost,
            memory_peak: record.memory_peak,
            error: record.error.clone(),
            error_hint: record.error_hint.clone(),
            started_at: record.started_at,
            finished_at: record.finished_at,
            unheard_stop_signal: record.unheard_stop_signal,
            health: record.health.as_ref().map(|health| Arc::new(health.into())),
        },
        attachment: link.and_then(|link| link.attachment.clone()),
        network_namespace: link.and_then(|link| link.network_namespace.clone()),
        cgroup_paths: link
            .map_or_else(Arc::default, |link| link.state.cgroup_paths.as_slice().into()),
        mounts: Arc::clone(&record.mounts),
        restart_count: record.restart_count,
        execs: execs.iter().map(|exec| exec.id.clone()).collect(),
        log: parts.settings.log_paths(id).place(&record.spec.log),
        hostname_path: folder.join("hostname"),
        hosts_path: folder.join("hosts"),
        resolv_conf_path: folder.join("resolv.conf"),
        upper_directory: snapshot.join("fs"),
        work_directory: snapshot.join("work"),
    }
}
