//! `wharf save`: images as an archive that `load` reads.

use std::fs::{self, File};
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use docker_api::client::{Body, Request};

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::failure::{Failure, go_message};
use crate::options::platforms;
use crate::output::quote::quote;
use crate::session::Session;

pub(crate) static SAVE: Command = Command::new(
    "save",
    "Save one or more images to a tar archive (streamed to STDOUT by default)",
    run,
)
.spellings(&["image save", "save"])
.takes(Positional::AtLeast(1), "[OPTIONS] IMAGE [IMAGE...]")
.flags(&[&[
    Flag::text("output", "Write to a file, instead of STDOUT").short('o'),
    Flag::text(
        "platform",
        "Save only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \
         \"linux/amd64\")",
    ),
]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let platform = platforms::parameter(parsed.text("platform"))
        .map_err(|error| Failure::new(format!("invalid platform: {error}")))?;
    let client = session.client()?;
    write_archive(parsed.text("output"), "failed to save image", || {
        let mut request = Request::get("/images/get");
        for name in &parsed.arguments {
            request = request.query("names", name);
        }
        request = request.query_some("platform", platform.as_deref());
        Ok(client.send(request)?.into_body())
    })
}

/// Writes what `open` gives to a file, which appears when it is whole, or to the
/// standard output if that is no terminal.
pub(crate) fn write_archive(
    path: &str,
    what: &str,
    open: impl FnOnce() -> Result<Body, Failure>,
) -> Result<(), Failure> {
    if path.is_empty() {
        if io::stdout().is_terminal() {
            return Err(Failure::new(
                "cowardly refusing to save to a terminal. Use the -o flag or redirect",
            ));
        }
        io::copy(&mut open()?, &mut io::stdout().lock())?;
        return Ok(());
    }
    check_path(Path::new(path)).map_err(|reason| Failure::new(format!("{what}: {reason}")))?;
    let new = format!("{path}.{}.new", std::process::id());
    let wrap =
        |error: io::Error| Failure::new(format!("{what}: open {path}: {}", go_message(&error)));
    let written = open().and_then(|mut body| {
        let options = File::options().write(true).create_new(true).mode(0o600).open(&new);
        let mut file = options.map_err(wrap)?;
        io::copy(&mut body, &mut file)?;
        fs::rename(&new, path).map_err(wrap)
    });
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

fn check_path(path: &Path) -> Result<(), String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(format!(
            "invalid output path: stat {}: no such file or directory",
            folder.display()
        ));
    }
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            Err(format!("cannot write to a directory: {}", path.display()))
        }
        Ok(metadata) if !metadata.is_file() => Err(format!(
            "invalid output path: {} must be a directory or a regular file",
            quote(&path.display().to_string())
        )),
        _ => Ok(()),
    }
}
