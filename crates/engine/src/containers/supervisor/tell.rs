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
use crate::events::{Event, ObjectKind};
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
        let event = container_event(&self.id, &self.record, action, attributes);
        let run = match action {
            "start" => self.record.started_at,
            "die" => self.record.finished_at,
            _ => None,
        };
        self.parts.events.publish_now(Event { run, ..event });
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
        let events =
            resource_events(&self.parts, &self.id, &self.record, volume_action, network_action);
        events.into_iter().for_each(|event| self.parts.events.publish_now(event));
    }
}

/// An event about a container.
pub(crate) fn container_event<'a>(
    id: &ContainerId,
    record: &Record,
    action: &str,
    attributes: impl IntoIterator<Item = (&'a str, String)>,
) -> Event {
    let mut all = record.event_attributes();
    all.extend(attributes.into_iter().map(|(key, value)| (key.to_owned(), value)));
    Event::new(ObjectKind::Container, action, id.as_str(), all)
}

/// Events about the volumes and the network of a run. What is taken first is given back last.
pub(crate) fn resource_events(
    parts: &Parts,
    id: &ContainerId,
    record: &Record,
    volume_action: &str,
    network_action: &str,
) -> Vec<Event> {
    let mut events: Vec<Event> =
        network_event(parts, id, record, network_action).into_iter().collect();
    let is_taken = volume_action == "mount";
    for mount in record.mounts.iter().filter(|mount| mount.kind == MountKind::Volume) {
        let mut attributes = BTreeMap::from([("container".to_owned(), id.to_string())]);
        attributes.insert("driver".to_owned(), "local".to_owned());
        if is_taken {
            attributes.insert("destination".to_owned(), mount.target.clone());
            attributes.insert("propagation".to_owned(), mount.propagation.clone());
            attributes.insert("read/write".to_owned(), mount.writable.to_string());
        }
        let name = mount.name.clone().unwrap_or_default();
        events.push(Event::new(ObjectKind::Volume, volume_action, name, attributes));
    }
    if is_taken {
        let networks =
            events.iter().take_while(|event| event.object == ObjectKind::Network).count();
        events.rotate_left(networks);
    }
    events
}

fn network_event(parts: &Parts, id: &ContainerId, record: &Record, action: &str) -> Option<Event> {
    let NetworkMode::Network(name) = &record.spec.network.mode else { return None };
    let info = parts.networks.get(name).ok()?;
    let attributes = [
        ("container".to_owned(), id.to_string()),
        ("name".to_owned(), info.name),
        ("type".to_owned(), info.driver),
    ];
    Some(Event::new(ObjectKind::Network, action, info.id, attributes.into()))
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
    // Of one that may never run there is nothing to be seen.
    let is_starting = link.is_some_and(|link| link.state.never_ran());
    let link = link.filter(|_| !is_starting);
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
            is_starting,
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
        network_namespace: link.and_then(ShimLink::network_namespace),
        cgroup_paths: link
            .map_or_else(Arc::default, |link| link.state.cgroup_paths.as_slice().into()),
        mounts: Arc::clone(&record.mounts),
        restart_count: record.restart_count,
        execs: execs
            .iter()
            .filter(|exec| phase.is_live() && exec.exit_code.is_none())
            .map(|exec| exec.id.clone())
            .collect(),
        log: parts.settings.log_paths(id).place(&record.spec.log),
        hostname_path: folder.join("hostname"),
        hosts_path: folder.join("hosts"),
        resolv_conf_path: folder.join("resolv.conf"),
        upper_directory: snapshot.join("fs"),
        work_directory: snapshot.join("work"),
    }
}
