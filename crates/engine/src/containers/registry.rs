//! Which containers there are, under which names.
//!
//! The lock is held for look-ups in memory only.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::ContainerId;
use super::errors::{ExecError, LookupError};
use super::handle::Container;
use super::view::{MountKind, View};

/// Every container of an engine.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    index: RwLock<Index>,
}

#[derive(Debug, Default)]
struct Index {
    containers: HashMap<ContainerId, Container>,
    /// Taken names, those of containers that are still being made included.
    names: HashMap<String, ContainerId>,
    execs: HashMap<Arc<str>, ContainerId>,
}

impl Index {
    /// The container that another one calls `alias`.
    fn linked(&self, parent: &str, alias: &str) -> Option<&Container> {
        let parent = self.containers.get(self.names.get(parent)?)?.view();
        let link = parent.spec.network.links.iter().find(|link| link.alias == alias)?;
        self.containers.get(&ContainerId::from_record(&link.container))
    }
}

impl Registry {
    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a name, or says whose it is.
    pub(crate) fn reserve_name(&self, name: &str, id: &ContainerId) -> Result<(), ContainerId> {
        match self.write().names.entry(name.to_owned()) {
            std::collections::hash_map::Entry::Occupied(entry) => Err(entry.get().clone()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(id.clone());
                Ok(())
            }
        }
    }

    pub(crate) fn release_name(&self, name: &str) {
        self.write().names.remove(name);
    }

    /// Adds a container whose name is reserved.
    pub(crate) fn insert(&self, container: Container) {
        self.write().containers.insert(container.id().clone(), container);
    }

    /// Forgets a container, its name and its execs.
    pub(crate) fn remove(&self, id: &ContainerId, name: &str) {
        let mut index = self.write();
        index.containers.remove(id);
        index.names.remove(name);
        index.execs.retain(|_, owner| owner != id);
    }

    pub(crate) fn insert_exec(&self, exec: &Arc<str>, owner: &ContainerId) {
        self.write().execs.insert(Arc::clone(exec), owner.clone());
    }

    pub(crate) fn remove_exec(&self, exec: &str) {
        self.write().execs.remove(exec);
    }

    /// The container of an exec.
    pub(crate) fn exec(&self, id: &str) -> Result<Container, ExecError> {
        let index = self.read();
        index
            .execs
            .get(id)
            .and_then(|owner| index.containers.get(owner))
            .cloned()
            .ok_or_else(|| ExecError::NotFound { id: id.to_owned() })
    }

    /// Finds a container by full id, name (with or without Docker's slash), or unambiguous
    /// beginning of an id, in that order.
    pub(crate) fn find(&self, name: &str) -> Result<Container, LookupError> {
        let index = self.read();
        let bare = name.strip_prefix('/').unwrap_or(name);
        if let Some(container) = index.containers.get(&ContainerId::from_record(name)) {
            return Ok(container.clone());
        }
        if let Some(container) = index.names.get(bare).and_then(|id| index.containers.get(id)) {
            return Ok(container.clone());
        }
        let not_found = || LookupError::NotFound { name: name.to_owned() };
        if name.is_empty() {
            return Err(LookupError::Empty);
        }
        if let Some((parent, alias)) = bare.split_once('/') {
            return index.linked(parent, alias).cloned().ok_or_else(not_found);
        }
        let mut matching = index.containers.iter().filter(|(id, _)| id.as_str().starts_with(name));
        let (_, container) = matching.next().ok_or_else(not_found)?;
        match matching.next() {
            None => Ok(container.clone()),
            Some(_) => Err(LookupError::Ambiguous { prefix: name.to_owned() }),
        }
    }

    /// Every container, newest first.
    pub(crate) fn views(&self) -> Vec<Arc<View>> {
        let mut views: Vec<_> = self.read().containers.values().map(Container::view).collect();
        views.sort_unstable_by(|a, b| b.created_at.cmp(&a.created_at).then(a.id.cmp(&b.id)));
        views
    }

    pub(crate) fn containers(&self) -> Vec<Container> {
        self.read().containers.values().cloned().collect()
    }

    /// The containers that mount a volume, running or not.
    pub(crate) fn users_of_volume(&self, name: &str) -> Vec<ContainerId> {
        self.views()
            .into_iter()
            .filter(|view| {
                view.mounts
                    .iter()
                    .any(|m| m.kind == MountKind::Volume && m.name.as_deref() == Some(name))
            })
            .map(|view| view.id.clone())
            .collect()
    }
}
