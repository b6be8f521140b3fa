//! `wharf system df`: what takes the disk.

use docker_api::client::Request;
use docker_api::system::DiskUsage;

use super::{disk_usage_details, disk_usage_rows};
use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::FORMAT_HELP;
use crate::failure::Failure;
use crate::output;
use crate::output::rows::Format;
use crate::session::Session;

pub(crate) static DF: Command = Command::new("df", "Show docker disk usage", run)
    .takes(Positional::None, "[OPTIONS]")
    .flags(&[&[
        Flag::switch("verbose", "Show detailed information on space usage").short('v'),
        Flag::text("format", FORMAT_HELP),
    ]]);

const TABLE: &str = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
const RAW: &str = "type: {{.Type}}
total: {{.TotalCount}}
active: {{.Active}}
size: {{.Size}}
reclaimable: {{.Reclaimable}}
";
fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let format = match parsed.text("format") {
        "" | "table" => TABLE,
        "raw" => RAW,
        format => format,
    };
    let usage: DiskUsage = session.client()?.json(Request::get("/system/df"))?;
    if parsed.switch("verbose") {
        let text = match format {
            TABLE => disk_usage_details::tables(&usage)?,
            RAW => disk_usage_details::raw(&usage)?,
            format => disk_usage_details::formatted(&usage, format)?,
        };
        output::print(&text)?;
        return Ok(());
    }
    output::print(&Format::parse(format)?.render(&disk_usage_rows::rows(&usage))?)?;
    Ok(())
}
