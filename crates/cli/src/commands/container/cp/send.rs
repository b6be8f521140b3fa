//! From this host to a container.

use std::fs::{self, File};
use std::io::{self, BufWriter, PipeWriter, Write as _};
use std::os::fd::AsFd as _;
use std::thread;

use archive::node::{Node, Xattrs};
use archive::tree::{self, TreeError, TreeWriter};
use docker_api::client::{Client, Method, Request};

use super::paths::{self, End};
use super::progress::Progress;
use super::receive::stat;
use super::{Copy, STANDARD_STREAM};
use crate::commands::container_path;
use crate::failure::{Failure, go_message};

/// Bytes that are gathered before they go into the pipe to the request.
const BUFFER_LENGTH: usize = 64 << 10;

pub(super) fn run(client: &Client, copy: &Copy<'_>) -> Result<(), Failure> {
    let from_stream = copy.source == STANDARD_STREAM;
    let source = match from_stream {
        true => Vec::new(),
        false => paths::absolute(copy.source)?,
    };
    let end = look_at_destination(client, copy)?;
    let shown = format!("{}:{}", copy.container, String::from_utf8_lossy(&end.path));
    if from_stream {
        if !end.is_folder {
            let given = format!("{}:{}", copy.container, copy.destination);
            let reason = format!("destination \"{given}\" must be a directory");
            return Err(Failure::new(reason));
        }
        let progress = Progress::begin(copy.is_quiet, "Copying to container - ");
        let sent = put(client, copy, &end.path, &mut progress.count(io::stdin()));
        progress.end(copy.is_quiet, &shown);
        return sent;
    }
    let source = Source::find(&source, copy.follows_links)?;
    let (folder, name) = paths::place(source.node.is_folder(), &end)?;
    let name = name.unwrap_or_else(|| source.name.clone());
    let progress = Progress::begin(copy.is_quiet, "Copying to container - ");
    let sent = send(client, copy, &folder, &source.node, &name, &progress);
    progress.end(copy.is_quiet, &shown);
    sent
}

/// What is to be copied.
struct Source {
    node: Node,
    /// What it is called, if its destination does not say otherwise.
    name: Vec<u8>,
}

impl Source {
    /// Finds it. Symlinks on the way are followed, the last part only on demand.
    fn find(path: &[u8], follows: bool) -> Result<Self, Failure> {
        let fail = |error: &io::Error| {
            let path = String::from_utf8_lossy(path);
            Failure::new(format!("lstat {path}: {}", go_message(error)))
        };
        let (folder, name) = paths::split(path);
        let means_folder = path.ends_with(b"/") || path.ends_with(b"/.");
        if !follows && !means_folder {
            let folder = File::open(paths::host_path(&folder)).map_err(|error| fail(&error))?;
            let node = Node::open(folder.as_fd(), &name).map_err(|error| fail(&error.into()))?;
            return Ok(Self { node, name });
        }
        let real = fs::canonicalize(paths::host_path(path)).map_err(|error| fail(&error))?;
        let here = rustix::fs::CWD;
        let real = std::os::unix::ffi::OsStrExt::as_bytes(real.as_os_str());
        let node = Node::open(here, real).map_err(|error| fail(&error.into()))?;
        if means_folder && !node.is_folder() {
            return Err(fail(&rustix::io::Errno::NOTDIR.into()));
        }
        Ok(Self { node, name })
    }
}

/// What is at the destination. A symlink there is followed. That nothing can be learnt about it
/// is no error: the copy may work, or else says why it does not.
fn look_at_destination(client: &Client, copy: &Copy<'_>) -> Result<End, Failure> {
    let path = copy.destination.as_bytes().to_vec();
    let mut end = End { path, exists: false, is_folder: false };
    let Ok(mut found) = stat(client, copy.container, copy.destination) else { return Ok(end) };
    if found.mode.is_symlink() {
        end.path = paths::beside(&end.path, found.link_target.as_bytes());
        match stat(client, copy.container, &String::from_utf8_lossy(&end.path)) {
            Ok(target) => found = target,
            Err(_) => return Ok(end),
        }
    }
    if let Some(what) = found.mode.unfit() {
        let given = format!("{}:{}", copy.container, copy.destination);
        return Err(Failure::new(format!(
            "destination \"{given}\" must be a directory or a regular file: {what}"
        )));
    }
    end.exists = true;
    end.is_folder = found.mode.is_folder();
    Ok(end)
}

/// Writes the archive on one thread, and sends it on this one.
fn send(
    client: &Client,
    copy: &Copy<'_>,
    folder: &[u8],
    node: &Node,
    name: &[u8],
    progress: &Progress,
) -> Result<(), Failure> {
    let (reader, writer) = io::pipe()?;
    let (sent, written) = thread::scope(|scope| {
        let writing = scope.spawn(|| write(node, name, writer));
        let sent = put(client, copy, folder, &mut progress.count(reader));
        (sent, writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    match written {
        // It was not wanted any more, and the answer says why.
        Err(TreeError::Write(_)) | Ok(()) => sent,
        Err(TreeError::Read { path, source }) => {
            Err(Failure::new(format!("cannot read {path}: {}", go_message(&source))))
        }
        Err(error) => Err(Failure::new(error.to_string())),
    }
}

fn write(node: &Node, name: &[u8], pipe: PipeWriter) -> Result<(), TreeError> {
    let output = BufWriter::with_capacity(BUFFER_LENGTH, pipe);
    let mut writer = TreeWriter::new(output, Xattrs::Portable, &tree::nothing);
    match writer.add(node, name) {
        Ok(()) => {
            let mut output = writer.finish().map_err(TreeError::Write)?;
            output.flush().map_err(TreeError::Write)
        }
        Err(error) => {
            writer.break_off();
            Err(error)
        }
    }
}

fn put(
    client: &Client,
    copy: &Copy<'_>,
    folder: &[u8],
    archive: &mut dyn io::Read,
) -> Result<(), Failure> {
    let mut request = Request::new(Method::Put, container_path(copy.container, "/archive"))
        .query("path", &String::from_utf8_lossy(folder))
        .query("noOverwriteDirNonDir", "true");
    if copy.keeps_owners {
        request = request.query("copyUIDGID", "true");
    }
    client.run(request.stream("application/x-tar", archive))?;
    Ok(())
}
