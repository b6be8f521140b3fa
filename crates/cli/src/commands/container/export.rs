//! `wharf export`: a container's file system as an archive.

use docker_api::client::Request;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::container_path;
use crate::commands::image::write_archive;
use crate::failure::Failure;
use crate::session::Session;

pub(crate) static EXPORT: Command =
    Command::new("export", "Export a container's filesystem as a tar archive", run)
        .spellings(&["container export", "export"])
        .takes(Positional::Exactly(1), "[OPTIONS] CONTAINER")
        .flags(&[&[Flag::text("output", "Write to a file, instead of STDOUT").short('o')]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let client = session.client()?;
    write_archive(parsed.text("output"), "failed to export container", || {
        let request = Request::get(container_path(&parsed.arguments[0], "/export"));
        Ok(client.send(request)?.into_body())
    })
}
