//! `wharf top`: the processes of a container.

use docker_api::client::Request;
use docker_api::containers::TopResponse;

use crate::command_line::{Command, Parsed, Positional};
use crate::commands::container_path;
use crate::failure::Failure;
use crate::output;
use crate::output::table::Columns;
use crate::session::Session;

pub(crate) static TOP: Command =
    Command::new("top", "Display the running processes of a container", run)
        .spellings(&["container top", "top"])
        .takes(Positional::AtLeast(1), "CONTAINER [ps OPTIONS]")
        .stops_at_first_argument();

const COLUMNS: Columns = Columns { width_min: 20, padding: 3 };

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let options = parsed.arguments[1..].join(" ");
    let request = Request::get(container_path(&parsed.arguments[0], "/top"))
        .query_some("ps_args", Some(options.as_str()).filter(|options| !options.is_empty()));
    let answer: TopResponse = session.client()?.json(request)?;
    let mut text = answer.titles.join("\t");
    for process in &answer.processes {
        text.push('\n');
        text.push_str(&process.join("\t"));
    }
    text.push('\n');
    output::print(&COLUMNS.align(&text))?;
    Ok(())
}
