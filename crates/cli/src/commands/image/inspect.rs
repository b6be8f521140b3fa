//! `wharf image inspect`: everything about an image.

use docker_api::client::{Client, Request};

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::{INSPECT_FORMAT_HELP, image_path};
use crate::failure::Failure;
use crate::options::platforms;
use crate::output::inspect::{self, Document};
use crate::session::Session;

pub(crate) static INSPECT: Command =
    Command::new("inspect", "Display detailed information on one or more images", run)
        .takes(Positional::AtLeast(1), "[OPTIONS] IMAGE [IMAGE...]")
        .flags(&[&[
            Flag::text("format", INSPECT_FORMAT_HELP).short('f'),
            Flag::text(
                "platform",
                "Inspect a specific platform of the multi-platform image.
If the image or the server is not multi-platform capable, the command will error out if the platform does not match.
'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)",
            ),
        ]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let platform = platforms::parameter(parsed.text("platform")).map_err(Failure::new)?;
    let client = session.client()?;
    inspect::inspect(&parsed.arguments, parsed.text("format"), |name| {
        document(client, name, platform.as_deref())
    })
}

/// An image's document.
pub(crate) fn document(
    client: &Client,
    name: &str,
    platform: Option<&str>,
) -> Result<Document, Failure> {
    let request = Request::get(image_path(name, "/json")).query_some("platform", platform);
    let bytes = client.send(request)?.bytes()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Document { text, absent: inspect::IMAGE })
}
