//! Starting our own daemon when nobody named another and none answers.
//!
//! Several commands may do this at the same moment. Each starts a daemon; all but one of
//! these find the data root taken and leave, and every command waits for the one socket.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use docker_api::client::{Client, ClientError};

use super::SOCKET_DEFAULT;
use crate::failure::{Failure, go_message};

/// The word by which the program knows that it is to become the daemon.
pub(crate) const BECOME_DAEMON: &str = "__become-daemon";
const DAEMON: &str = "wharfd";
/// How long a daemon may take until it answers.
const START_TIME_MAX: Duration = Duration::from_secs(10);
/// How often we look. Short, as somebody waits at a terminal.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// How much of the daemon's log an error shows.
const LOG_TAIL: u64 = 2048;
const LOG_LINES: usize = 5;

/// Whether an attempt to connect says that there is no daemon.
pub(crate) fn is_absent(error: &ClientError) -> bool {
    matches!(error, ClientError::Connect { source, .. } if matches!(
        source.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    ))
}

/// Starts a daemon and waits until it answers.
pub(crate) fn start(client: &Client) -> Result<(), Failure> {
    let folder = Path::new(SOCKET_DEFAULT).parent().expect("the socket is in a folder");
    let unreachable = || client.connect().map_err(Failure::from);
    // Whoever may not make the folder may not run a daemon either: the plain error is
    // the more helpful one.
    if std::fs::create_dir_all(folder).is_err() {
        return unreachable();
    }
    let log = folder.join("wharfd.log");
    let Ok(mut child) = spawn(&log) else { return unreachable() };
    wait(client, &mut child, &log)
}

fn spawn(log: &Path) -> io::Result<Child> {
    let log = File::options().create(true).append(true).open(log)?;
    Command::new(std::env::current_exe()?)
        .arg(BECOME_DAEMON)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

fn wait(client: &Client, child: &mut Child, log: &Path) -> Result<(), Failure> {
    let deadline = Instant::now() + START_TIME_MAX;
    let mut ended = None;
    while client.connect().is_err() {
        if Instant::now() > deadline {
            return Err(not_started(log, ended, "did not answer in time"));
        }
        ended = ended.or(child.try_wait()?);
        // One that left at once may have lost against another, which then answers soon.
        if ended.is_some() && deadline - Instant::now() < START_TIME_MAX - Duration::from_secs(2) {
            return Err(not_started(log, ended, "ended at once"));
        }
        thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}

fn not_started(log: &Path, ended: Option<std::process::ExitStatus>, what: &str) -> Failure {
    let status = ended.map(|status| format!(" ({status})")).unwrap_or_default();
    let mut failure = Failure::new(format!(
        "Cannot connect to the Docker daemon at unix://{SOCKET_DEFAULT}. Is the docker daemon \
         running?\nwharf started {DAEMON}, which {what}{status}"
    ));
    for line in last_lines(log).unwrap_or_default() {
        failure.message.push_str("\n  ");
        failure.message.push_str(&line);
    }
    failure.hint = Some(format!("see {}, or start `{DAEMON}` by hand", log.display()));
    failure
}

fn last_lines(log: &Path) -> io::Result<Vec<String>> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    let first = lines.len().saturating_sub(LOG_LINES);
    Ok(lines[first..].to_vec())
}

/// Becomes the daemon: leaves the terminal's session, so that nothing that happens to
/// the terminal reaches it, and then is the other program. Returns why not.
pub(crate) fn become_daemon() -> Failure {
    if let Err(error) = rustix::process::setsid() {
        return Failure::new(format!("cannot leave the terminal: {error}"));
    }
    let program = program();
    let error = Command::new(&program).exec();
    Failure::new(format!("cannot run {}: {}", program.display(), go_message(&error)))
}

/// The daemon beside our own program, else the one on the path.
fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(DAEMON));
    beside.filter(|path| path.exists()).unwrap_or_else(|| DAEMON.into())
}
