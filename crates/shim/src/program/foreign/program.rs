//! Running the program: its command line, its deadline, and what its errors are called.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use runtime::Stdio;
use rustix::process::Pid;
use serde::Deserialize;
use shim::protocol::{Failure, FailureKind, Launch};

/// How long one call of the program may take. While it runs, the shim does nothing else, and
/// whoever asked gives up a little later.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long it may take to set a container up and to start it: nobody else is served yet.
const LAUNCH_PATIENCE: Duration = Duration::from_secs(60);

/// Where the program keeps what it knows of its containers, in the run folder.
const STATE: &str = "bundle/state";

/// Where it writes what went wrong.
const LOG: &str = "bundle/log.json";

/// At most so much of the program's own words is shown.
const WORDS_BYTES_MAX: usize = 4096;

/// A program with runc's command line, and the container that it is asked about.
#[derive(Debug)]
pub(super) struct Program {
    path: PathBuf,
    arguments: Vec<String>,
    container: String,
}

/// What went wrong, in the program's words.
#[derive(Debug)]
pub(super) struct ProgramError {
    message: String,
}

/// A line of the program's log.
#[derive(Deserialize)]
struct LogLine {
    #[serde(default)]
    level: String,
    #[serde(default)]
    msg: String,
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
    pub(super) fn of_container(&self, command: &str) -> Result<(), ProgramError> {
        self.run(&[command.into(), self.container.clone().into()], None, None)
    }

    pub(super) fn delete(&self) -> Result<(), ProgramError> {
        self.run(&["delete".into(), "--force".into(), self.container.clone().into()], None, None)
    }

    /// Runs the program to its end. `stdio` are the streams of the process that it makes.
    pub(super) fn run(
        &self,
        words: &[OsString],
        stdio: Option<Stdio>,
        input: Option<&[u8]>,
    ) -> Result<(), ProgramError> {
        // Only this call's errors are to be in it.
        let _ = std::fs::remove_file(LOG);
        let mut command = self.command(words);
        let words_file = self.connect(&mut command, stdio, input);
        let words_file = words_file.map_err(|error| self.not_run(&error))?;
        let mut child = command.spawn().map_err(|error| self.not_run(&error))?;
        drop(command);
        match await_end(&mut child, patience(words)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.explain(words_file)),
            Err(error) => Err(ProgramError {
                message: format!("the runtime {}: {error}", self.path.display()),
            }),
        }
    }

    fn command(&self, words: &[OsString]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments);
        command.arg("--root").arg(own_path(STATE));
        command.arg("--log").arg(own_path(LOG)).args(["--log-format", "json"]);
        command.args(words);
        // We ignore what asks a daemon's children to end; a container must not.
        linux::signals::heed_in(&mut command, &crate::IGNORED_SIGNALS);
        command
    }

    /// Connects the streams. Answers with a file of the program's own words, where its streams
    /// are not a container's.
    fn connect(
        &self,
        command: &mut Command,
        stdio: Option<Stdio>,
        input: Option<&[u8]>,
    ) -> io::Result<Option<File>> {
        if let Some(Stdio::Descriptors { stdin, stdout, stderr }) = stdio {
            command.stdin(stdin).stdout(stdout).stderr(stderr);
            return Ok(None);
        }
        let file = |name| {
            let memory = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC);
            memory.map(File::from)
        };
        let mut given = file("input")?;
        given.write_all(input.unwrap_or_default())?;
        io::Seek::rewind(&mut given)?;
        let words = file("words")?;
        command.stdin(given).stdout(words.try_clone()?).stderr(words.try_clone()?);
        Ok(Some(words))
    }

    fn not_run(&self, error: &io::Error) -> ProgramError {
        let path = self.path.display();
        let reason = match error.kind() {
            io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        ProgramError {
            message: format!("unable to retrieve OCI runtime error: fork/exec {path}: {reason}"),
        }
    }

    /// The last error of the program's log or, without one, what it said.
    fn explain(&self, words: Option<File>) -> ProgramError {
        let log = std::fs::read_to_string(LOG).unwrap_or_default();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<LogLine>(line).ok());
        let last = lines.rfind(|line| line.level == "error");
        let message = last.map(|line| line.msg).filter(|message| !message.is_empty());
        let message = message.or_else(|| said(words)).unwrap_or_else(|| {
            format!("the runtime {} failed and did not say why", self.path.display())
        });
        ProgramError { message }
    }
}

fn patience(words: &[OsString]) -> Duration {
    match words.first().and_then(|command| command.to_str()) {
        Some("create" | "start") => LAUNCH_PATIENCE,
        _ => PATIENCE,
    }
}

fn said(words: Option<File>) -> Option<String> {
    use std::io::{Read as _, Seek as _};
    let mut file = words?;
    file.rewind().ok()?;
    let mut bytes = Vec::new();
    file.take(WORDS_BYTES_MAX as u64).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    Some(text).filter(|text| !text.is_empty())
}

/// Waits for the program. Whether it has succeeded.
fn await_end(child: &mut Child, patience: Duration) -> io::Result<bool> {
    let process = shim::process::open(Pid::from_child(child))?;
    if !shim::process::await_end(&process, Instant::now() + patience) {
        child.kill()?;
        child.wait()?;
        let message = format!("it has not come to an end within {} s", patience.as_secs());
        return Err(io::Error::other(message));
    }
    Ok(child.wait()?.success())
}

/// A path in the run folder that holds wherever the program goes, and is short.
pub(super) fn own_path(name: &str) -> OsString {
    format!("/proc/{}/cwd/{name}", rustix::process::getpid().as_raw_nonzero()).into()
}

impl ProgramError {
    /// The failure that a client hears of.
    pub(super) fn with_prefix(self, prefix: &str) -> Failure {
        Failure { kind: self.kind(), message: format!("{prefix}{}", self.message) }
    }

    /// Which it is can only be told by the words; so does Docker.
    fn kind(&self) -> FailureKind {
        let has = |words: &str| self.message.contains(words);
        if has("unable to retrieve OCI runtime error") {
            FailureKind::Internal
        } else if has("executable file not found")
            || has("executable file `")
            || (has("exec: ") && has("no such file or directory"))
        {
            FailureKind::ProgramNotFound
        } else if has("permission denied") || has("is a directory") {
            FailureKind::ProgramNotExecutable
        } else {
            FailureKind::Internal
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expected: FailureKind) {
        let error = ProgramError { message: message.to_owned() };
        assert_eq!(error.kind(), expected, "{message}");
    }

    #[test]
    fn words_say_what_went_wrong() {
        let start = "runc create failed: unable to start container process: exec: ";
        check(
            &format!("{start}\"nope\": executable file not found in $PATH"),
            FailureKind::ProgramNotFound,
        );
        check(
            &format!("{start}\"/nope\": stat /nope: no such file or directory"),
            FailureKind::ProgramNotFound,
        );
        check(&format!("{start}\"/etc\": permission denied"), FailureKind::ProgramNotExecutable);
        check("executable file `nope` not found in $PATH", FailureKind::ProgramNotFound);
        check("cannot set up namespace `/x`", FailureKind::Internal);
    }
}
