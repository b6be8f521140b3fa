//! `wharf tag`: gives an image another name.

use docker_api::client::Request;

use crate::command_line::{Command, Parsed, Positional};
use crate::commands::image_path;
use crate::failure::Failure;
use crate::options::references;
use crate::output::quote::quote;
use crate::session::Session;

pub(crate) static TAG: Command =
    Command::new("tag", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", run)
        .spellings(&["image tag", "tag"])
        .takes(Positional::Exactly(2), "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]")
        .stops_at_first_argument();

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let [source, target] = [&parsed.arguments[0], &parsed.arguments[1]];
    let parse = |name: &str| {
        references::parse(name).map_err(|error| {
            Failure::new(format!(
                "Error parsing reference: {} is not a valid repository/tag: {error}",
                quote(name)
            ))
        })
    };
    if !references::is_identifier(source) {
        parse(source)?;
    }
    let target = parse(target)?;
    if target.digest.is_some() {
        return Err(Failure::new("refusing to create a tag with a digest reference"));
    }
    let target = target.or_latest();
    let request = Request::post(image_path(source, "/tag"))
        .query("repo", &target.familiar_name())
        .query_some("tag", target.tag.as_deref());
    Ok(session.client()?.run(request)?)
}
