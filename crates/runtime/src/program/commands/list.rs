//! `list`.

use std::path::Path;

use crate::arguments::{Format, List};
use crate::record::{Folder, Record, Status, ids};

pub(super) fn list(root: &Path, request: &List) -> anyhow::Result<()> {
    if request.quiet {
        ids(root)?.iter().for_each(|id| println!("{id}"));
        return Ok(());
    }
    let mut rows = Vec::new();
    for id in ids(root)? {
        let folder = Folder::open(root, &id)?;
        rows.push((folder.record()?, folder.status()?));
    }
    match request.format {
        Format::Json => print_json(&rows),
        Format::Table => print_table(&rows),
    }
    Ok(())
}

fn print_json(rows: &[(Record, Status)]) {
    let rows: Vec<serde_json::Value> = rows
        .iter()
        .map(|(record, status)| {
            serde_json::json!({
                "id": record.id,
                "pid": shown_pid(record, *status),
                "status": status.as_str(),
                "bundle": record.bundle,
                "rootfs": record.rootfs,
                "created": record.created,
                "owner": "root",
            })
        })
        .collect();
    println!("{}", serde_json::Value::from(rows));
}

fn print_table(rows: &[(Record, Status)]) {
    println!("{:<24} {:<8} {:<10} {:<40} CREATED", "ID", "PID", "STATUS", "BUNDLE");
    for (record, status) in rows {
        println!(
            "{:<24} {:<8} {:<10} {:<40} {}",
            record.id,
            shown_pid(record, *status),
            status.as_str(),
            record.bundle.display().to_string(),
            record.created
        );
    }
}

fn shown_pid(record: &Record, status: Status) -> i32 {
    if status == Status::Stopped { 0 } else { record.pid }
}
