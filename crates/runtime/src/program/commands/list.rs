//! `list`.

use anyhow::{Context as _, bail};

use crate::command_line::{Call, Command, Count, Flag};
use crate::exit_code::ExitCode;
use crate::record::{Known, Status, ids};

use super::state::Shown;

pub(super) const COMMAND: Command = Command {
    usage: "",
    details: "The containers are those below the global option \"--root\".",
    flags: &[
        Flag::text("format", "select one of: table or json").short("f").default("table"),
        Flag::switch("quiet", "display only container IDs").short("q"),
    ],
    arguments: Count::Exactly(0),
    ..Command::new("list", "lists containers started by this runtime with the given root", list)
};

fn list(call: &Call) -> anyhow::Result<ExitCode> {
    let format = call.values.text("format");
    if !matches!(format, "table" | "json") {
        bail!("invalid format option");
    }
    let ids = match ids(&call.root)? {
        // Without a container there need not be the usual folder either.
        None if call.global.given("root").is_none() => Vec::new(),
        ids => {
            ids.with_context(|| format!("open {}: no such file or directory", call.root.display()))?
        }
    };
    if call.values.is_on("quiet") {
        ids.iter().for_each(|id| println!("{id}"));
        return Ok(ExitCode::SUCCESS);
    }
    let known: Vec<(Known, Status)> = ids.iter().filter_map(|id| look_at(call, id)).collect();
    let rows = known
        .iter()
        .map(|(known, status)| Ok(Shown::new(known, *status, name_of(known.folder.owner()?))));
    let rows = rows.collect::<anyhow::Result<Vec<_>>>()?;
    match format {
        "json" => println!("{}", serde_json::to_string(&rows)?),
        _ => print!("{}", table(&rows)),
    }
    Ok(ExitCode::SUCCESS)
}

/// One that cannot be read does not keep the others from being listed. It may also be gone by
/// now.
fn look_at(call: &Call, id: &str) -> Option<(Known, Status)> {
    let known = Known::open(&call.root, id);
    match known.and_then(|known| known.status().map(|status| (known, status))) {
        Ok(found) => Some(found),
        Err(error) => {
            eprintln!("load container {id}: {error:#}");
            None
        }
    }
}

/// A user by name, or by number if there is none.
fn name_of(user: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(user)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("#{user}"))
}

/// Columns as wide as they have to be.
fn table(rows: &[Shown<'_>]) -> String {
    const WIDTH_MIN: usize = 12;
    const GAP: usize = 3;
    let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let lines: Vec<[String; 6]> = std::iter::once(head)
        .chain(rows.iter().map(|row| {
            [
                row.id.to_owned(),
                row.pid.to_string(),
                row.status.to_owned(),
                row.bundle.display().to_string(),
                row.created.to_owned(),
                row.owner.clone(),
            ]
        }))
        .collect();
    let width = |column: usize| {
        let longest = lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
        (longest + GAP).max(WIDTH_MIN)
    };
    let widths: Vec<usize> = (0..5).map(width).collect();
    let mut text = String::new();
    for [id, pid, status, bundle, created, owner] in &lines {
        for (field, width) in [id, pid, status, bundle, created].into_iter().zip(&widths) {
            text.push_str(&format!("{field:width$}"));
        }
        text.push_str(owner);
        text.push('\n');
    }
    text
}
