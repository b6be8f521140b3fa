//! `ps`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::arguments::{Format, Ps};
use crate::record::Folder;

pub(super) fn ps(root: &Path, request: &Ps) -> anyhow::Result<()> {
    let folder = Folder::open(root, &request.id)?;
    let container = folder.container()?.context("container not running")?;
    let processes: Vec<i32> = container
        .cgroup()
        .processes()?
        .into_iter()
        .map(|process| process.as_raw_nonzero().get())
        .collect();
    match request.format {
        Format::Json => {
            println!("{}", serde_json::to_string(&processes)?);
            Ok(())
        }
        Format::Table => print_table(&processes, &request.options),
    }
}

/// The lines of the host's `ps` that are about the container's processes.
fn print_table(processes: &[i32], options: &[String]) -> anyhow::Result<()> {
    let defaults = ["-ef".to_owned()];
    let options = if options.is_empty() { &defaults } else { options };
    let output = Command::new("ps").args(options).output().context("cannot run `ps`")?;
    if !output.status.success() {
        bail!("`ps` has failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let column = head.split_whitespace().position(|title| title == "PID");
    let column = column.context("couldn't find PID field in ps output")?;
    println!("{head}");
    for line in lines {
        let process = line.split_whitespace().nth(column).and_then(|word| word.parse().ok());
        if process.is_some_and(|process: i32| processes.contains(&process)) {
            println!("{line}");
        }
    }
    Ok(())
}
