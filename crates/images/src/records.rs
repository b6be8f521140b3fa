//! What the store writes into the daemon's database.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use oci::{Digest, Reference};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError};
use serde::{Deserialize, Serialize};

use crate::image::ImageId;

/// Images by the hexadecimal digits of their id.
const IMAGES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("images");
/// The same digits, by full name.
const NAMES: TableDefinition<'_, &str, &str> = TableDefinition::new("image_names");
/// Layers by the hexadecimal digits of their chain id.
const LAYERS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("layers");

/// What is known of an image beside its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<ImageId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) manifest: Option<Digest>,
    /// In RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_tagged: Option<String>,
}

/// What is known of a layer beside its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    pub(crate) diff_id: Digest,
    /// The chain id of the layer below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<Digest>,
    /// Bytes of its files.
    pub(crate) size: u64,
    /// Bytes of its archive, unpacked.
    pub(crate) archive_size: u64,
    /// The boot of the host that it was made in, until its files are on the disk for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unsettled: Option<Digest>,
}

/// The database failed, or has something in it that we did not write.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    #[error("the database failed")]
    Database(#[source] Box<redb::Error>),
    #[error("the record of {key} is damaged")]
    Damaged { key: String },
}

impl<E: Into<redb::Error>> From<E> for RecordsError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

/// One change to the records.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    PutImage(ImageId, ImageRecord),
    RemoveImage(ImageId),
    PutName(Reference, ImageId),
    RemoveName(Reference),
    PutLayer(Digest, LayerRecord),
    RemoveLayer(Digest),
}

/// Everything that is recorded.
#[derive(Debug, Default)]
pub(crate) struct Everything {
    pub(crate) images: Vec<(ImageId, ImageRecord)>,
    pub(crate) names: BTreeMap<Reference, ImageId>,
    pub(crate) layers: HashMap<Digest, LayerRecord>,
}

/// The store's tables.
#[derive(Debug)]
pub(crate) struct Records(Arc<Database>);

impl Records {
    pub(crate) fn new(database: Arc<Database>) -> Self {
        Self(database)
    }

    pub(crate) fn read(&self) -> Result<Everything, RecordsError> {
        let transaction = self.0.begin_read()?;
        let mut everything = Everything::default();
        if let Some(table) = existing(transaction.open_table(IMAGES))? {
            for entry in table.iter()? {
                let (key, value) = entry?;
                let id = ImageId::new(digest(key.value())?);
                everything.images.push((id, json(key.value(), value.value())?));
            }
        }
        if let Some(table) = existing(transaction.open_table(NAMES))? {
            for entry in table.iter()? {
                let (key, value) = entry?;
                let name = key.value().parse().map_err(|_| damaged(key.value()))?;
                everything.names.insert(name, ImageId::new(digest(value.value())?));
            }
        }
        if let Some(table) = existing(transaction.open_table(LAYERS))? {
            for entry in table.iter()? {
                let (key, value) = entry?;
                let record = json(key.value(), value.value())?;
                everything.layers.insert(digest(key.value())?, record);
            }
        }
        Ok(everything)
    }

    /// Makes all of the changes, or none. They are on the disk when this returns.
    pub(crate) fn write(&self, changes: &[Change]) -> Result<(), RecordsError> {
        if changes.is_empty() {
            return Ok(());
        }
        let transaction = self.0.begin_write()?;
        {
            let mut images = transaction.open_table(IMAGES)?;
            let mut names = transaction.open_table(NAMES)?;
            let mut layers = transaction.open_table(LAYERS)?;
            for change in changes {
                match change {
                    Change::PutImage(id, record) => {
                        images.insert(id.hex().as_str(), to_json(record).as_slice())?;
                    }
                    Change::RemoveImage(id) => {
                        images.remove(id.hex().as_str())?;
                    }
                    Change::PutName(name, id) => {
                        names.insert(name.to_string().as_str(), id.hex().as_str())?;
                    }
                    Change::RemoveName(name) => {
                        names.remove(name.to_string().as_str())?;
                    }
                    Change::PutLayer(chain_id, record) => {
                        layers.insert(chain_id.hex().as_str(), to_json(record).as_slice())?;
                    }
                    Change::RemoveLayer(chain_id) => {
                        layers.remove(chain_id.hex().as_str())?;
                    }
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

/// The table, if anything was ever written to it.
fn existing<T>(table: Result<T, TableError>) -> Result<Option<T>, TableError> {
    match table {
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        other => other.map(Some),
    }
}

fn damaged(key: &str) -> RecordsError {
    RecordsError::Damaged { key: key.to_owned() }
}

fn digest(hex: &str) -> Result<Digest, RecordsError> {
    Digest::from_hex(hex).map_err(|_| damaged(hex))
}

fn json<'a, T: Deserialize<'a>>(key: &str, bytes: &'a [u8]) -> Result<T, RecordsError> {
    serde_json::from_slice(bytes).map_err(|_| damaged(key))
}

fn to_json<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record is made of strings and numbers")
}
