//! What must survive: records, written durably by one thread.
//!
//! A durable commit costs one disk flush whatever it holds, so writes that arrive while one
//! is under way go into the next together. Who must not answer before the disk has it awaits
//! [`Metadata::put`]; who need not calls [`Metadata::put_later`].
//!
//! What was told of is written before what is recorded of it, so that a daemon that is killed
//! in between tells of it again, or knows that it need not, but never forgets it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use tokio::sync::oneshot;

/// Containers' records, by id.
pub(crate) const CONTAINERS: Table = Table("containers");
/// Volumes' records, by name.
pub(crate) const VOLUMES: Table = Table("volumes");

/// A table without records.
const NOTHING: Table = Table("nothing");

/// A table of JSON documents.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table(&'static str);

impl Table {
    fn definition(self) -> TableDefinition<'static, &'static str, &'static [u8]> {
        TableDefinition::new(self.0)
    }
}

/// A record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    #[error("cannot write to the database: {reason}")]
    Write { reason: Arc<str> },
    #[error("cannot read from the database")]
    Read(#[source] Box<redb::Error>),
    #[error("the database's writer has ended")]
    Ended,
}

/// One change to a table: `None` removes the record.
#[derive(Debug)]
struct Write {
    table: Table,
    key: String,
    value: Option<Vec<u8>>,
    done: Option<oneshot::Sender<Result<(), Arc<str>>>>,
}

/// A write under way.
#[derive(Debug)]
pub(crate) struct Recording(oneshot::Receiver<Result<(), Arc<str>>>);

impl Recording {
    /// Waits until it is on the disk.
    pub(crate) async fn done(self) -> Result<(), MetadataError> {
        let written = self.0.await.map_err(|_| MetadataError::Ended)?;
        written.map_err(|reason| MetadataError::Write { reason })
    }
}

/// The engine's records.
#[derive(Debug)]
pub(crate) struct Metadata {
    database: Arc<Database>,
    writes: Sender<Write>,
}

impl Metadata {
    /// Before each commit the writer calls `before`.
    pub(crate) fn open(
        database: Arc<Database>,
        before: impl Fn() + Send + 'static,
    ) -> Result<Self, MetadataError> {
        let (writes, receiver) = channel();
        let writer = Arc::clone(&database);
        thread::Builder::new()
            .name("metadata".to_owned())
            .stack_size(256 << 10)
            .spawn(move || write_all(&writer, &receiver, before))
            .map_err(|error| MetadataError::Write { reason: error.to_string().into() })?;
        Ok(Self { database, writes })
    }

    /// Writes a record, and returns once it is on the disk.
    pub(crate) async fn put(
        &self,
        table: Table,
        key: &str,
        value: Vec<u8>,
    ) -> Result<(), MetadataError> {
        self.commit(table, key, Some(value)).await
    }

    /// Begins to write a record. It is on the disk once the [`Recording`] says so.
    pub(crate) fn begin_put(&self, table: Table, key: &str, value: Vec<u8>) -> Recording {
        self.begin(table, key, Some(value))
    }

    /// Writes a record soon.
    pub(crate) fn put_later(&self, table: Table, key: &str, value: Vec<u8>) {
        let write = Write { table, key: key.to_owned(), value: Some(value), done: None };
        if self.writes.send(write).is_err() {
            tracing::error!(key, "the database's writer has ended; a record is lost");
        }
    }

    /// Waits until everything that was to be written soon is on the disk.
    pub(crate) async fn settle(&self) -> Result<(), MetadataError> {
        // Writes are done in order, so the last of them tells of all.
        self.remove(NOTHING, "").await
    }

    /// Removes a record, and returns once that is on the disk.
    pub(crate) async fn remove(&self, table: Table, key: &str) -> Result<(), MetadataError> {
        self.commit(table, key, None).await
    }

    async fn commit(
        &self,
        table: Table,
        key: &str,
        value: Option<Vec<u8>>,
    ) -> Result<(), MetadataError> {
        self.begin(table, key, value).done().await
    }

    fn begin(&self, table: Table, key: &str, value: Option<Vec<u8>>) -> Recording {
        let (done, written) = oneshot::channel();
        // If the writer has ended, so has the sender, and the recording tells.
        let _ = self.writes.send(Write { table, key: key.to_owned(), value, done: Some(done) });
        Recording(written)
    }

    /// Every record of a table.
    pub(crate) fn all(&self, table: Table) -> Result<Vec<(String, Vec<u8>)>, MetadataError> {
        self.read_all(table).map_err(|error| MetadataError::Read(Box::new(error)))
    }

    fn read_all(&self, table: Table) -> Result<Vec<(String, Vec<u8>)>, redb::Error> {
        let transaction = self.database.begin_read()?;
        let table = match transaction.open_table(table.definition()) {
            Ok(table) => table,
            // Nothing was ever written to it.
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        table
            .iter()?
            .map(|entry| {
                let (key, value) = entry?;
                Ok((key.value().to_owned(), value.value().to_vec()))
            })
            .collect()
    }
}

/// The writer's life: everything that waits goes into one commit.
fn write_all(database: &Database, writes: &Receiver<Write>, before: impl Fn()) {
    while let Ok(first) = writes.recv() {
        let mut batch = vec![first];
        batch.extend(writes.try_iter());
        before();
        let result = commit(database, &batch).map_err(|error| Arc::from(error.to_string()));
        if let Err(reason) = &result {
            tracing::error!(%reason, records = batch.len(), "cannot write to the database");
        }
        for done in batch.into_iter().filter_map(|write| write.done) {
            // Whoever waited may have given up.
            let _ = done.send(result.clone());
        }
    }
}

fn commit(database: &Database, batch: &[Write]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    for write in batch {
        let mut table = transaction.open_table(write.table.definition())?;
        match &write.value {
            Some(value) => table.insert(write.key.as_str(), value.as_slice())?,
            None => table.remove(write.key.as_str())?,
        };
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(folder: &std::path::Path) -> Metadata {
        let database = Database::create(folder.join("metadata.redb")).unwrap();
        Metadata::open(Arc::new(database), || ()).unwrap()
    }

    #[tokio::test]
    async fn a_record_is_there_once_its_write_was_awaited() {
        let folder = tempfile::tempdir().unwrap();
        let metadata = metadata(folder.path());

        metadata.put(CONTAINERS, "a", b"1".to_vec()).await.unwrap();
        metadata.put(VOLUMES, "a", b"2".to_vec()).await.unwrap();

        assert_eq!(metadata.all(CONTAINERS).unwrap(), [("a".to_owned(), b"1".to_vec())]);
        metadata.remove(CONTAINERS, "a").await.unwrap();
        assert!(metadata.all(CONTAINERS).unwrap().is_empty());
        assert_eq!(metadata.all(VOLUMES).unwrap().len(), 1);
    }

    #[tokio::test]
    async fn later_writes_come_before_an_awaited_one() {
        let folder = tempfile::tempdir().unwrap();
        let metadata = metadata(folder.path());

        for number in 0..100_u8 {
            metadata.put_later(CONTAINERS, "same", vec![number]);
        }
        metadata.put(CONTAINERS, "other", vec![]).await.unwrap();

        let all = metadata.all(CONTAINERS).unwrap();
        assert_eq!(all[1], ("same".to_owned(), vec![99]));
    }
}
