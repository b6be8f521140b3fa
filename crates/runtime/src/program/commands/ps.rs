//! `ps`.

use std::process::Command as Program;

use anyhow::{Context as _, bail};

use crate::command_line::{Call, Command, Count, Flag};
use crate::exit_code::ExitCode;
use crate::record::Known;

pub(super) const COMMAND: Command = Command {
    usage: "<container-id> [ps options]",
    flags: &[Flag::text("format", "select one of: table or json").short("f").default("table")],
    arguments: Count::AtLeast(1),
    has_flags_anywhere: false,
    ..Command::new("ps", "ps displays the processes running inside a container", ps)
};

fn ps(call: &Call) -> anyhow::Result<ExitCode> {
    let known = Known::open(&call.root, call.id())?;
    let processes = match known.container()? {
        Some(container) => container.cgroup().processes()?,
        None => runtime::processes_left(&known.record.cgroup)?,
    };
    let processes: Vec<i32> =
        processes.into_iter().map(|process| process.as_raw_nonzero().get()).collect();
    match call.values.text("format") {
        "json" => println!("{}", serde_json::to_string(&processes)?),
        "table" => print_table(&processes, &call.values.arguments[1..])?,
        _ => bail!("invalid format option"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The lines of the host's `ps` that are about the container's processes.
fn print_table(processes: &[i32], options: &[String]) -> anyhow::Result<()> {
    let defaults = ["-ef".to_owned()];
    let options = if options.is_empty() { &defaults } else { options };
    let output = Program::new("ps").args(options).output().context("cannot run `ps`")?;
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
