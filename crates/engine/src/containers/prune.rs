//! Removing what has ended, and counting what there is.

use std::sync::Arc;

use super::requests::{PruneFilter, Pruned, RemoveOptions};
use super::size;
use super::view::{Phase, View};
use crate::engine::{HostSummary, Parts};

/// Removes containers that do not run. One that cannot be removed stays, with a reason.
pub(crate) async fn prune(parts: &Arc<Parts>, filter: PruneFilter) -> Pruned {
    let mut pruned = Pruned::default();
    for container in parts.registry.containers() {
        let view = container.view();
        let has_ended = matches!(view.state.phase, Phase::Created | Phase::Exited | Phase::Dead);
        if !has_ended || !matches(&view, &filter) {
            continue;
        }
        let bytes = size(parts, &container).await.map_or(0, |(own, _)| own);
        match container.remove(RemoveOptions::default()).await {
            Ok(()) => {
                pruned.names.push(view.id.to_string());
                pruned.bytes += bytes;
            }
            Err(error) => tracing::warn!(
                container = %view.id, error = errors::chain(&error), "cannot prune a container"
            ),
        }
    }
    pruned
}

fn matches(view: &View, filter: &PruneFilter) -> bool {
    filter.until.is_none_or(|until| view.created_at < until)
        && filter.has_labels(|key| view.spec.labels.get(key).map(String::as_str))
}

/// How many containers there are in which phase.
pub(crate) fn summary(parts: &Parts) -> HostSummary {
    let mut summary = HostSummary {
        images: parts.images.images().len(),
        event_listeners: parts.events.listeners(),
        ..Default::default()
    };
    for view in parts.registry.views() {
        match view.state.phase {
            Phase::Paused => summary.containers_paused += 1,
            Phase::Running | Phase::Restarting => summary.containers_running += 1,
            _ => summary.containers_stopped += 1,
        }
    }
    summary
}
