//! `wharf rmi`: removes images, or names of them.

use docker_api::client::Request;
use docker_api::images::ImageDeleteItem;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::image_path;
use crate::failure::Failure;
use crate::options::platforms;
use crate::output;
use crate::session::Session;

pub(crate) static RMI: Command = Command::new("rmi", "Remove one or more images", run)
    .spellings(&["image rm", "image remove", "rmi"])
    .takes(Positional::AtLeast(1), "[OPTIONS] IMAGE [IMAGE...]")
    .flags(&[FLAGS]);
pub(crate) static RM: Command = Command::new("rm", "Remove one or more images", run)
    .aliases(&["remove"])
    .spellings(&["image rm", "image remove", "rmi"])
    .takes(Positional::AtLeast(1), "[OPTIONS] IMAGE [IMAGE...]")
    .flags(&[FLAGS]);

const FLAGS: &[Flag] = &[
    Flag::switch("force", "Force removal of the image").short('f'),
    Flag::switch("no-prune", "Do not delete untagged parents"),
    Flag::strings(
        "platform",
        "Remove only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \
         \"linux/amd64\")",
    ),
];

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let mut platforms = Vec::new();
    for platform in parsed.comma_list("platform") {
        platforms.extend(platforms::parameter(&platform).map_err(Failure::new)?);
    }
    let client = session.client()?;
    let force = parsed.switch("force");
    let mut failures: Vec<Failure> = Vec::new();
    for name in &parsed.arguments {
        let mut request = Request::delete(image_path(name, ""))
            .query_set("force", force)
            .query_set("noprune", parsed.switch("no-prune"));
        for platform in &platforms {
            request = request.query("platforms", platform);
        }
        match client.json::<Vec<ImageDeleteItem>>(request) {
            Ok(items) => output::print(&items.iter().map(line).collect::<String>())?,
            Err(error) => failures.push(error.into()),
        }
    }
    // With force, that there is no such image is as good as having removed it.
    let is_fatal = failures.iter().any(|failure| !failure.is_not_found);
    match Failure::join(failures) {
        Err(failure) if force && !is_fatal => {
            output::warn(&failure.text());
            Ok(())
        }
        result => result,
    }
}

fn line(item: &ImageDeleteItem) -> String {
    if item.deleted.is_empty() {
        format!("Untagged: {}\n", item.untagged)
    } else {
        format!("Deleted: {}\n", item.deleted)
    }
}
