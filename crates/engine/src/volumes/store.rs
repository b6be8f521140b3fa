//! Which volumes there are.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::changes::CONTENT;
use super::mounted::Mounted;
use super::names::Names;
use super::{VolumeError, VolumeView};
use crate::containers::MountView;
use crate::metadata::{Metadata, VOLUMES};
use crate::settings::Settings;

/// Every volume of an engine, in memory. The records on disk follow.
#[derive(Debug)]
pub(crate) struct Volumes {
    by_name: RwLock<HashMap<String, VolumeView>>,
    pub(crate) mounted: Mounted,
    pub(crate) names: Names,
}

/// A volume on disk.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    name: String,
    options: std::collections::BTreeMap<String, String>,
    labels: std::collections::BTreeMap<String, String>,
    created_at: Timestamp,
    is_anonymous: bool,
}

impl Volumes {
    /// Reads the records, and takes folders without one in: their content is somebody's.
    pub(crate) fn open(settings: &Settings, metadata: &Metadata) -> Result<Self, VolumeError> {
        let records = metadata
            .all(VOLUMES)
            .map_err(|source| VolumeError::Record { name: "(all)".to_owned(), source })?;
        let mut by_name = HashMap::new();
        for (name, bytes) in records {
            match serde_json::from_slice::<Record>(&bytes) {
                Ok(record) => {
                    let view = view(settings, record);
                    by_name.insert(name, view);
                }
                Err(error) => tracing::error!(volume = name, %error, "cannot read a record"),
            }
        }
        for entry in std::fs::read_dir(settings.data_root.join("volumes")).into_iter().flatten() {
            let Some(name) = entry.ok().and_then(|entry| entry.file_name().into_string().ok())
            else {
                continue;
            };
            if !by_name.contains_key(&name) && crate::names::is_valid(&name) {
                by_name.insert(name.clone(), view(settings, unrecorded(name)));
            }
        }
        Ok(Self {
            by_name: RwLock::new(by_name),
            mounted: Mounted::default(),
            names: Names::default(),
        })
    }

    /// Mounts the volumes among a container's mounts that are to be mounted, for one user.
    pub(crate) fn take(&self, mounts: &[MountView], user: &str) -> Result<(), VolumeError> {
        for volume in self.among(mounts) {
            if let Err(error) = self.mounted.take(&volume, user) {
                self.release(mounts, user);
                return Err(error);
            }
        }
        Ok(())
    }

    /// That user needs them no more.
    pub(crate) fn release(&self, mounts: &[MountView], user: &str) {
        self.among(mounts).for_each(|volume| self.mounted.release(&volume, user));
    }

    /// Whether any of a container's volumes is a mount of its own.
    pub(crate) fn has_mounted(&self, mounts: &[MountView]) -> bool {
        self.among(mounts).any(|volume| !volume.options.is_empty())
    }

    fn among<'a>(&'a self, mounts: &'a [MountView]) -> impl Iterator<Item = VolumeView> + 'a {
        let names = mounts.iter().filter_map(|mount| mount.name.as_deref());
        names.filter_map(|name| self.get(name).ok())
    }

    /// Every volume, by name.
    pub(crate) fn list(&self) -> Vec<VolumeView> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<_> = by_name.values().cloned().collect();
        list.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        list
    }

    pub(crate) fn get(&self, name: &str) -> Result<VolumeView, VolumeError> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name.get(name).cloned().ok_or_else(|| VolumeError::NotFound { name: name.to_owned() })
    }

    /// Adds a volume, unless there is one of that name, which is given back.
    pub(super) fn insert(&self, view: VolumeView) -> Result<(), Box<VolumeView>> {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        match by_name.get(&view.name) {
            Some(other) => Err(Box::new(other.clone())),
            None => {
                by_name.insert(view.name.clone(), view);
                Ok(())
            }
        }
    }

    pub(super) fn forget(&self, name: &str) {
        self.by_name.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

fn view(settings: &Settings, record: Record) -> VolumeView {
    VolumeView {
        mountpoint: settings.data_root.join("volumes").join(&record.name).join(CONTENT),
        name: record.name,
        driver: "local".to_owned(),
        options: record.options,
        labels: record.labels,
        created_at: record.created_at,
        is_anonymous: record.is_anonymous,
    }
}

fn unrecorded(name: String) -> Record {
    Record {
        is_anonymous: name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()),
        name,
        options: Default::default(),
        labels: Default::default(),
        created_at: Timestamp::now(),
    }
}

/// A volume's record, as bytes.
pub(super) fn encode(view: &VolumeView) -> Vec<u8> {
    let record = Record {
        name: view.name.clone(),
        options: view.options.clone(),
        labels: view.labels.clone(),
        created_at: view.created_at,
        is_anonymous: view.is_anonymous,
    };
    serde_json::to_vec(&record).expect("a record has string keys only")
}
