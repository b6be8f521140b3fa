//! `wharf import`: an image with one layer, from an archive of files.

use std::fs::File;
use std::io;

use docker_api::client::Request;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::failure::{Failure, go_message};
use crate::options::references;
use crate::output::progress;
use crate::session::{Session, environment};

pub(crate) static IMPORT: Command =
    Command::new("import", "Import the contents from a tarball to create a filesystem image", run)
        .spellings(&["image import", "import"])
        .takes(Positional::AtLeast(1), "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]")
        .flags(&[&[
            Flag::list("change", "Apply Dockerfile instruction to the created image").short('c'),
            Flag::text("message", "Set commit message for imported image").short('m'),
            Flag::text("platform", "Set platform if server is multi-platform capable"),
        ]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let source = parsed.arguments[0].as_str();
    let is_remote = source.starts_with("http://") || source.starts_with("https://");
    let mut stream: Box<dyn io::Read> = match source {
        _ if is_remote => Box::new(io::empty()),
        "-" => Box::new(io::stdin()),
        file => Box::new(
            File::open(file)
                .map_err(|error| Failure::new(format!("open {file}: {}", go_message(&error))))?,
        ),
    };
    let reference = parsed.arguments.get(1).map_or("", String::as_str);
    if !reference.is_empty() {
        references::parse(reference).map_err(Failure::new)?;
    }
    let platform = environment("DOCKER_DEFAULT_PLATFORM");
    let platform = parsed.given("platform").or(platform.as_deref());
    let mut request = Request::post("/images/create")
        .query("fromSrc", if is_remote { source } else { "-" })
        .query("repo", reference)
        .query_some("message", Some(parsed.text("message")).filter(|text| !text.is_empty()))
        .query_some("platform", platform.filter(|platform| !platform.is_empty()));
    for change in parsed.list("change") {
        request = request.query("changes", &change);
    }
    if !is_remote {
        request = request.stream("application/x-tar", &mut *stream);
    }
    let body = session.client()?.send(request)?.into_body();
    progress::show(body, &mut io::stdout())
}
