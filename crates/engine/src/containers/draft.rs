//! The record of a container on its way to the database.
//!
//! A container that goes at its end (`--rm`) is answered for before its record is on the disk.
//! Should only the engine be killed, and not the machine, a file in the container's own folder
//! is as good: the kernel has it. So the client that was told of the container finds it again.

use std::collections::HashSet;
use std::fs;
use std::io;

use super::ContainerId;
use super::record::Record;
use crate::engine::Parts;

/// In the container's folder, and gone with that.
const FILE: &str = "record.json";

/// Writes the record down, for an engine that comes before the database has it.
pub(super) fn write(parts: &Parts, record: &Record) -> io::Result<()> {
    let id = ContainerId::from_record(&record.id);
    fs::write(parts.settings.container_folder(&id).join(FILE), record.encode())
}

/// The records that are not among the `known`.
pub(super) fn read_all(parts: &Parts, known: &[Record]) -> Vec<Record> {
    let known: HashSet<&str> = known.iter().map(|record| record.id.as_str()).collect();
    let folders = fs::read_dir(parts.settings.data_root.join("containers"));
    let names = folders
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter(|name| !known.contains(name.as_str()))
        .filter_map(|name| {
            let folder = parts.settings.container_folder(&ContainerId::from_record(&name));
            // One that was cut off was not answered for.
            let record: Record = serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()?;
            (record.id == name).then_some(record)
        })
        .collect()
}
