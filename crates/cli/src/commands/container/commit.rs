//! `wharf commit`: an image of what a container has made of its own.

use docker_api::client::Request;
use serde::Deserialize;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::failure::Failure;
use crate::options::references;
use crate::output;
use crate::session::Session;

pub(crate) static COMMIT: Command =
    Command::new("commit", "Create a new image from a container's changes", run)
        .spellings(&["container commit", "commit"])
        .takes(Positional::Between(1, 2), "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]")
        .flags(&[&[
            Flag::switch("pause", "Pause container during commit").short('p').default("true"),
            Flag::text("message", "Commit message").short('m'),
            Flag::text("author", "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")")
                .short('a'),
            Flag::list("change", "Apply Dockerfile instruction to the created image").short('c'),
        ]]);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Commit {
    id: String,
}

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let target = parsed.arguments.get(1).map(|name| references::parse(name)).transpose();
    let target = target.map_err(Failure::new)?;
    if target.as_ref().is_some_and(|target| target.digest.is_some()) {
        return Err(Failure::new("refusing to create a tag with a digest reference"));
    }
    let target = target.map(references::Reference::or_latest);
    let mut request = Request::post("/commit")
        .query("container", &parsed.arguments[0])
        .query_some("repo", target.as_ref().map(references::Reference::familiar_name).as_deref())
        .query_some("tag", target.as_ref().and_then(|target| target.tag.as_deref()))
        .query("comment", parsed.text("message"))
        .query("author", parsed.text("author"));
    for change in parsed.list("change") {
        request = request.query("changes", &change);
    }
    if !parsed.switch("pause") {
        request = request.query("pause", "0");
    }
    let commit: Commit = session.client()?.json(request)?;
    output::print(&format!("{}\n", commit.id))?;
    Ok(())
}
