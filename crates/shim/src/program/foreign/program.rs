//! The program: its command line, its streams, and how long it may take.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use runtime::Stdio;
use shim::protocol::Launch;

use super::call::Call;
use super::error::ProgramError;
use super::files::{CallFiles, own_path};

/// How long one call of the program may take. Whoever asked gives up a little later.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long it may take to set a container up and to start it: nobody else is served yet.
const LAUNCH_PATIENCE: Duration = Duration::from_secs(60);

/// Where the program keeps what it knows of its containers, in the run folder.
pub(super) const STATE: &str = "bundle/state";

/// A program with runc's command line, and the container that it is asked about.
#[derive(Debug, Clone)]
pub(super) struct Program {
    path: PathBuf,
    arguments: Vec<String>,
    container: String,
}

/// What a call has beside its words.
#[derive(Debug, Default)]
pub(super) struct Streams<'a> {
    /// Those of the process that it makes.
    pub process: Option<Stdio>,
    /// What it reads, if it makes none.
    pub input: &'a [u8],
}

impl Program {
    pub(super) fn new(launch: &Launch, path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            arguments: launch.runtime_arguments.clone(),
            container: launch.container_id.clone(),
        }
    }

    pub(super) fn container(&self) -> &str {
        &self.container
    }

    /// A command that wants nothing but the container.
    pub(super) fn ask(&self, command: &str) -> Result<Call, ProgramError> {
        let words = [command.into(), self.container.clone().into()];
        self.begin(&words, CallFiles::new(), Streams::default())
    }

    /// Has it forget the container, whatever is left of that.
    pub(super) fn ask_to_delete(&self) -> Result<Call, ProgramError> {
        let words = ["delete", "--force", &self.container].map(OsString::from);
        self.begin(&words, CallFiles::new(), Streams::default())
    }

    /// Begins a call.
    pub(super) fn begin(
        &self,
        words: &[OsString],
        files: CallFiles,
        streams: Streams<'_>,
    ) -> Result<Call, ProgramError> {
        let mut command = self.command(words, &files);
        let said = connect(&mut command, streams).map_err(|error| self.not_run(&error))?;
        Call::begin(command, files, said, patience(words)).map_err(|error| self.not_run(&error))
    }

    fn command(&self, words: &[OsString], files: &CallFiles) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments);
        command.arg("--root").arg(own_path(STATE));
        command.arg("--log").arg(own_path(&files.log())).args(["--log-format", "json"]);
        command.args(words);
        command.process_group(0);
        // We ignore what asks a daemon's children to end; a container must not.
        linux::signals::heed_in(&mut command, &crate::IGNORED_SIGNALS);
        command
    }

    fn not_run(&self, error: &io::Error) -> ProgramError {
        let path = self.path.display();
        let reason = match error.kind() {
            io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        ProgramError::new(format!(
            "unable to retrieve OCI runtime error: fork/exec {path}: {reason}"
        ))
    }
}

/// Connects the streams. Answers with a file of the program's own words, where its streams are
/// not a container's.
fn connect(command: &mut Command, streams: Streams<'_>) -> io::Result<Option<File>> {
    if let Some(Stdio::Descriptors { stdin, stdout, stderr }) = streams.process {
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        return Ok(None);
    }
    let file = |name| {
        let memory = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC);
        memory.map(File::from)
    };
    let mut given = file("input")?;
    given.write_all(streams.input)?;
    io::Seek::rewind(&mut given)?;
    let words = file("words")?;
    command.stdin(given).stdout(words.try_clone()?).stderr(words.try_clone()?);
    Ok(Some(words))
}

fn patience(words: &[OsString]) -> Duration {
    match words.first().and_then(|command| command.to_str()) {
        Some("create" | "start") => LAUNCH_PATIENCE,
        _ => PATIENCE,
    }
}
