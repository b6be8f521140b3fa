//! `wharf pull`: has the daemon fetch an image.

use std::io;

use docker_api::client::Request;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::container::pull_request;
use crate::failure::Failure;
use crate::options::references;
use crate::output::{self, progress};
use crate::session::{Session, environment};

pub(crate) static PULL: Command = Command::new("pull", "Download an image from a registry", run)
    .spellings(&["image pull", "pull"])
    .takes(Positional::Exactly(1), "[OPTIONS] NAME[:TAG|@DIGEST]")
    .flags(&[&[
        Flag::switch("all-tags", "Download all tagged images in the repository").short('a'),
        Flag::switch("quiet", "Suppress verbose output").short('q'),
        Flag::text("platform", "Set platform if server is multi-platform capable"),
        Flag::switch("disable-content-trust", "Skip image verification").default("true"),
    ]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    if parsed.given("disable-content-trust") == Some("false") {
        return Err(Failure::new("--disable-content-trust=false is not supported by wharf yet"));
    }
    let reference = references::parse(&parsed.arguments[0]).map_err(Failure::new)?;
    let (all, quiet) = (parsed.switch("all-tags"), parsed.switch("quiet"));
    if all && !reference.is_name_only() {
        return Err(Failure::new("tag can't be used with --all-tags/-a"));
    }
    if !all && reference.is_name_only() && !quiet {
        output::print("Using default tag: latest\n")?;
    }
    let reference = if all { reference } else { reference.or_latest() };
    let platform = environment("DOCKER_DEFAULT_PLATFORM");
    let platform = parsed.given("platform").or(platform.as_deref());
    let request: Request<'_> = pull_request(&reference, platform);
    let body = session.client()?.send(request)?.into_body();
    if quiet {
        progress::show(body, &mut io::sink())?;
    } else {
        progress::show(body, &mut io::stdout())?;
    }
    output::print(&format!("{}\n", reference.full()))?;
    Ok(())
}
