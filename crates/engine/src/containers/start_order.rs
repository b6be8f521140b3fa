//! In which order containers start with the engine: whoever joins another's namespaces, or
//! links to it, comes after it. All that do not wait for each other start side by side.
//!
//! A container that needs one which does not start is tried all the same: its start says what
//! is missing. Those that need each other in a circle cannot all be right, so none of them
//! waits; whoever needs one of them still does.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::ContainerId;
use super::handle::Container;
use super::spec::{ContainerSpec, IpcMode, NetworkMode, PidMode};
use crate::engine::Parts;

/// Starts under way at once: more only get into each other's way.
const STARTS_AT_ONCE: usize = 16;

/// Starts containers, each after those that it needs. What fails is logged, and holds up nobody.
pub(super) async fn start_all(parts: &Arc<Parts>, containers: Vec<Container>) {
    let needs = order(&needs_of(parts, &containers));
    let places = Arc::new(Semaphore::new(STARTS_AT_ONCE));
    let (done, tried): (HashMap<_, _>, HashMap<_, _>) = containers
        .iter()
        .map(|container| {
            let (done, tried) = watch::channel(false);
            ((container.id().clone(), done), (container.id().clone(), tried))
        })
        .unzip();
    let mut done = done;
    let mut starts = JoinSet::new();
    for container in containers {
        let before: Vec<_> = needs
            .get(container.id())
            .into_iter()
            .flatten()
            .filter_map(|id| tried.get(id).cloned())
            .collect();
        let done = done.remove(container.id());
        let places = Arc::clone(&places);
        starts.spawn(async move {
            for mut other in before {
                // An error means that it is over with that one, too.
                let _ = other.wait_for(|is_done| *is_done).await;
            }
            let _place = places.acquire().await;
            start(&container).await;
            if let Some(done) = done {
                done.send_replace(true);
            }
        });
    }
    while starts.join_next().await.is_some() {}
}

async fn start(container: &Container) {
    if let Err(error) = container.start().await {
        tracing::warn!(
            container = %container.id(),
            error = errors::chain(&error),
            "cannot restart a container"
        );
    }
}

type Needs = HashMap<ContainerId, Vec<ContainerId>>;

fn needs_of(parts: &Parts, containers: &[Container]) -> Needs {
    let of = |container: &Container| {
        let view = container.view();
        let others = needed(&view.spec).into_iter();
        let ids = others.filter_map(|name| Some(parts.registry.find(name).ok()?.id().clone()));
        (container.id().clone(), ids.collect())
    };
    containers.iter().map(of).collect()
}

/// The containers, by name or id, that one with this spec cannot start without.
pub(super) fn needed(spec: &ContainerSpec) -> Vec<&str> {
    let mut needed = Vec::new();
    if let NetworkMode::Container(other) = &spec.network.mode {
        needed.push(other.as_str());
    }
    if let PidMode::Container(other) = &spec.namespaces.pid {
        needed.push(other);
    }
    if let IpcMode::Container(other) = &spec.namespaces.ipc {
        needed.push(other);
    }
    needed.extend(spec.network.links.iter().map(|link| link.container.as_str()));
    needed
}

/// What each is to wait for: what it needs, unless that needs it, too.
fn order(needs: &Needs) -> Needs {
    needs
        .iter()
        .map(|(id, wanted)| {
            let is_in_circle = |other: &&ContainerId| reaches(needs, other, id);
            let (circle, before): (Vec<_>, Vec<_>) = wanted.iter().partition(is_in_circle);
            if !circle.is_empty() {
                let others: Vec<_> = circle.iter().map(ToString::to_string).collect();
                tracing::warn!(container = %id, ?others, "containers need each other to start");
            }
            (id.clone(), before.into_iter().cloned().collect())
        })
        .collect()
}

/// Whether `from` is `to`, or needs it in however many steps.
fn reaches(needs: &Needs, from: &ContainerId, to: &ContainerId) -> bool {
    let mut seen = HashSet::new();
    let mut pending = vec![from];
    while let Some(id) = pending.pop() {
        if id == to {
            return true;
        }
        if seen.insert(id) {
            pending.extend(needs.get(id).into_iter().flatten());
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(pairs: &[(&str, &[&str])]) -> Needs {
        let id = |name: &&str| ContainerId::from_record(name);
        pairs.iter().map(|(name, others)| (id(name), others.iter().map(id).collect())).collect()
    }

    #[test]
    fn a_container_waits_for_what_it_needs() {
        let wanted = needs(&[("web", &["db", "net"]), ("db", &["net"]), ("net", &[])]);
        assert_eq!(order(&wanted), wanted);
    }

    #[test]
    fn a_circle_holds_up_nobody() {
        let wanted = needs(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"]), ("d", &["a"])]);
        let expected = needs(&[("a", &[]), ("b", &[]), ("c", &[]), ("d", &["a"])]);
        assert_eq!(order(&wanted), expected);
        assert_eq!(order(&needs(&[("a", &["a"])])), needs(&[("a", &[])]));
    }

    #[test]
    fn what_is_not_there_is_waited_for_by_nobody() {
        let wanted = needs(&[("a", &["gone"])]);
        assert_eq!(order(&wanted), wanted);
        assert!(!reaches(
            &wanted,
            &ContainerId::from_record("gone"),
            &ContainerId::from_record("a")
        ));
    }
}
