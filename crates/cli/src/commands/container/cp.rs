//! `wharf cp`: files between a container and this host, as archives over the API.
//!
//! The engine only knows "an archive of this path" and "unpack this archive in that folder".
//! What a copy is called at its destination is decided here, by the rules that are `cp(1)`'s
//! with a few of Docker's own ([`paths::place`]).

mod paths;
mod progress;
mod receive;
mod send;

use std::path::Path;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::failure::Failure;
use crate::session::Session;

pub(crate) static CP: Command =
    Command::new("cp", "Copy files/folders between a container and the local filesystem", run)
        .long_about(
            "Copy files/folders between a container and the local filesystem\n\n\
             Use '-' as the source to read a tar archive from stdin\n\
             and extract it to a directory destination in a container.\n\
             Use '-' as the destination to stream a tar archive of a\n\
             container source to stdout.",
        )
        .spellings(&["container cp", "cp"])
        .takes(
            Positional::Exactly(2),
            "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\twharf cp [OPTIONS] SRC_PATH|- \
             CONTAINER:DEST_PATH",
        )
        .flags(&[&[
            Flag::switch("archive", "Archive mode (copy all uid/gid information)").short('a'),
            Flag::switch("follow-link", "Always follow symbol link in SRC_PATH").short('L'),
            Flag::switch(
                "quiet",
                "Suppress progress output during copy. Progress output is automatically \
                 suppressed if no terminal is attached",
            )
            .short('q'),
        ]]);

/// A path that stands for the standard input or output.
const STANDARD_STREAM: &str = "-";

/// What was asked for.
struct Copy<'a> {
    container: &'a str,
    source: &'a str,
    destination: &'a str,
    follows_links: bool,
    keeps_owners: bool,
    is_quiet: bool,
}

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let (source, destination) = (&parsed.arguments[0], &parsed.arguments[1]);
    if source.is_empty() {
        return Err(Failure::new("source can not be empty"));
    }
    if destination.is_empty() {
        return Err(Failure::new("destination can not be empty"));
    }
    let (from, source) = split(source);
    let (to, destination) = split(destination);
    let copy = |container| Copy {
        container,
        source,
        destination,
        follows_links: parsed.switch("follow-link"),
        keeps_owners: parsed.switch("archive"),
        is_quiet: match parsed.given("quiet") {
            Some(_) => parsed.switch("quiet"),
            None => !std::io::IsTerminal::is_terminal(&std::io::stdout()),
        },
    };
    let client = session.client()?;
    match (from, to) {
        ("", "") => Err(Failure::new("must specify at least one container source")),
        (from, "") => receive::run(client, &copy(from)),
        ("", to) => send::run(client, &copy(to)),
        _ => Err(Failure::new("copying between containers is not supported")),
    }
}

/// Splits `CONTAINER:PATH`. A path of this host's with a colon in it has to begin with a slash
/// or a dot.
fn split(argument: &str) -> (&str, &str) {
    match argument.split_once(':') {
        Some((container, path))
            if !Path::new(argument).is_absolute() && !container.starts_with('.') =>
        {
            (container, path)
        }
        _ => ("", argument),
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_colon_separates_unless_the_path_is_plainly_of_this_host() {
        assert_eq!(split("web:/etc"), ("web", "/etc"));
        assert_eq!(split("web:"), ("web", ""));
        assert_eq!(split("/a:b"), ("", "/a:b"));
        assert_eq!(split("./a:b"), ("", "./a:b"));
        assert_eq!(split("a"), ("", "a"));
    }
}
