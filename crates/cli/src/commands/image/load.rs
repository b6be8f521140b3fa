//! `wharf load`: images from an archive of images.

use std::fs::File;
use std::io::{self, IsTerminal as _};

use docker_api::client::Request;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::failure::{Failure, go_message};
use crate::options::platforms;
use crate::output::progress;
use crate::session::Session;

pub(crate) static LOAD: Command =
    Command::new("load", "Load an image from a tar archive or STDIN", run)
        .spellings(&["image load", "load"])
        .takes(Positional::None, "[OPTIONS]")
        .flags(&[&[
            Flag::text("input", "Read from tar archive file, instead of STDIN").short('i'),
            Flag::switch("quiet", "Suppress the load output").short('q'),
            Flag::text(
                "platform",
                "Load only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \
             \"linux/amd64\")",
            ),
        ]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let mut stream: Box<dyn io::Read> = match parsed.text("input") {
        "" if io::stdin().is_terminal() => {
            return Err(Failure::new("requested load from stdin, but stdin is empty"));
        }
        "" => Box::new(io::stdin()),
        file => Box::new(
            File::open(file)
                .map_err(|error| Failure::new(format!("open {file}: {}", go_message(&error))))?,
        ),
    };
    let platform = platforms::parameter(parsed.text("platform"))
        .map_err(|error| Failure::new(format!("invalid platform: {error}")))?;
    let quiet = parsed.switch("quiet") || !io::stdout().is_terminal();
    let request = Request::post("/images/load")
        .query("quiet", if quiet { "1" } else { "0" })
        .query_some("platform", platform.as_deref())
        .stream("application/x-tar", &mut *stream);
    let response = session.client()?.send(request)?;
    let is_json =
        response.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    let mut body = response.into_body();
    if is_json {
        return progress::show(body, &mut io::stdout());
    }
    io::copy(&mut body, &mut io::stdout())?;
    Ok(())
}
