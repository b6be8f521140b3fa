//! `wharf history`: the steps that made an image.

use docker_api::client::Request;
use docker_api::images::HistoryItem;
use jiff::Timestamp;
use serde_json::Value;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::{FORMAT_HELP, image_path};
use crate::failure::Failure;
use crate::options::platforms;
use crate::output::ellipsis::{ellipsis, short_id};
use crate::output::rows::{Format, QUIET, Row};
use crate::output::{self, times, units};
use crate::session::Session;

pub(crate) static HISTORY: Command = Command::new("history", "Show the history of an image", run)
    .spellings(&["image history", "history"])
    .takes(Positional::Exactly(1), "[OPTIONS] IMAGE")
    .flags(&[&[
        Flag::switch("human", "Print sizes and dates in human readable format")
            .short('H')
            .default("true"),
        Flag::switch("quiet", "Only show image IDs").short('q'),
        Flag::switch("no-trunc", "Don't truncate output"),
        Flag::text("format", FORMAT_HELP),
        Flag::text(
            "platform",
            "Show history for the given platform. Formatted as \"os[/arch[/variant]]\" (e.g., \
             \"linux/amd64\")",
        ),
    ]]);

const TABLE: &str = "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const TABLE_EXACT: &str = "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
/// 2000-01-01. Steps said to be older have no time at all.
const OLDEST_TIME: i64 = 946_684_800;

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let platform = platforms::parameter(parsed.text("platform"))
        .map_err(|error| Failure::new(format!("invalid platform: {error}")))?;
    let request = Request::get(image_path(&parsed.arguments[0], "/history"))
        .query_some("platform", platform.as_deref());
    let items: Vec<HistoryItem> = session.client()?.json(request)?;
    let human = parsed.switch("human");
    let format = match parsed.text("format") {
        "" | "table" if parsed.switch("quiet") => QUIET,
        "" | "table" if human => TABLE,
        "" | "table" => TABLE_EXACT,
        format => format,
    };
    let (now, is_short) = (Timestamp::now(), !parsed.switch("no-trunc"));
    let rows: Vec<_> = items.iter().map(|item| HistoryRow { item, human, is_short, now }).collect();
    output::print(&Format::parse(format)?.render(&rows)?)?;
    Ok(())
}

struct HistoryRow<'a> {
    item: &'a HistoryItem,
    human: bool,
    is_short: bool,
    now: Timestamp,
}

impl Row for HistoryRow<'_> {
    const TYPE: &'static str = "*image.historyContext";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("Size", "SIZE"),
        ("Comment", "COMMENT"),
    ];
    const HAS_LABELS: bool = false;

    fn field(&self, name: &str) -> Value {
        let item = self.item;
        let text = match name {
            "ID" if self.is_short => short_id(&item.id).to_owned(),
            "ID" => item.id.clone(),
            "CreatedSince" if self.human && item.created <= OLDEST_TIME => "N/A".to_owned(),
            "CreatedSince" if self.human => units::ago(item.created, self.now),
            "CreatedSince" | "CreatedAt" => times::rfc3339(item.created),
            "CreatedBy" => {
                let command = item.created_by.replace('\t', " ");
                if self.is_short { ellipsis(&command, 45) } else { command }
            }
            "Size" if self.human => units::short_size(item.size as f64),
            "Size" => item.size.to_string(),
            _ => item.comment.clone(),
        };
        text.into()
    }
}
