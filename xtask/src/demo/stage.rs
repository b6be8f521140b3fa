//! Where the demo plays: a daemon, a client, and a folder that goes at the end.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long the demo waits for anything before it says that it does not work.
const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon of the demo's own, and what is needed to talk to it.
#[derive(Debug)]
pub(crate) struct Stage {
    programs: PathBuf,
    folder: TempDir,
    daemon: Option<Child>,
    chapter: u32,
}

impl Stage {
    /// Starts the daemon.
    pub(crate) fn set_up(programs: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("demo").tempdir_in("/tmp")?;
        let mut stage = Self { programs: programs.to_owned(), folder, daemon: None, chapter: 0 };
        stage.start_daemon()?;
        Ok(stage)
    }

    /// Begins the next chapter.
    pub(crate) fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        println!("\n{}. {title}", self.chapter);
    }

    pub(crate) fn start_daemon(&mut self) -> Result<()> {
        let path = |name: &str| self.path(name).display().to_string();
        let host = format!("unix://{}", path("sock"));
        println!("   # wharfd --data-root {} --host {host}", path("d"));
        let log = File::options().create(true).append(true).open(self.path("log"))?;
        let mut daemon = Command::new(self.programs.join("wharfd"))
            .args(["--data-root", &path("d"), "--exec-root", &path("r"), "--host", &host])
            .args(["--pidfile", &path("pid"), "--cgroup-parent", &self.cgroup_parent()])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot run wharfd")?;
        let answered = self.wait_for("the daemon to answer", || {
            if let Some(status) = daemon.try_wait()? {
                bail!("wharfd ended at once ({status}): {}", self.log());
            }
            let answer = self.client("version").stdin(Stdio::null()).output()?;
            Ok(answer.status.success().then_some(()))
        });
        self.daemon = Some(daemon);
        answered
    }

    /// `kill -9` of the daemon.
    pub(crate) fn kill_daemon(&mut self) -> Result<()> {
        let mut daemon = self.daemon.take().context("the daemon runs")?;
        println!("   # kill -9 {}", daemon.id());
        daemon.kill()?;
        daemon.wait()?;
        Ok(())
    }

    /// Runs a command of `wharf`, shows it and what it said, and returns its output.
    pub(crate) fn wharf(&self, line: &str) -> Result<String> {
        self.wharf_with(line, b"")
    }

    /// As [`Stage::wharf`], with `input` piped into it.
    pub(crate) fn wharf_with(&self, line: &str, input: &[u8]) -> Result<String> {
        let (status, output) = self.show(line, input)?;
        ensure!(status == 0, "`wharf {line}` failed with {status}\n{}", self.log());
        Ok(output)
    }

    /// As [`Stage::wharf`], of a command that should end with `status`.
    pub(crate) fn wharf_ends_with(&self, status: i32, line: &str) -> Result<()> {
        let (found, _) = self.show(line, b"")?;
        println!("   (exit status {found})");
        ensure!(found == status, "`wharf {line}` should have ended with {status}");
        Ok(())
    }

    fn show(&self, line: &str, input: &[u8]) -> Result<(i32, String)> {
        println!("   $ wharf {line}");
        let mut client = self.client(line);
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = client.spawn().context("cannot run wharf")?;
        let mut pipe = child.stdin.take().context("stdin is a pipe")?;
        // A client that does not read its input is none of our concern here.
        let _ = pipe.write_all(input);
        drop(pipe);
        let output = child.wait_with_output()?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        for line in stdout.lines().chain(String::from_utf8_lossy(&output.stderr).lines()) {
            println!("     {line}");
        }
        Ok((output.status.code().unwrap_or(-1), stdout.trim().to_owned()))
    }

    /// The output of a command that is not worth showing.
    pub(crate) fn quietly(&self, line: &str) -> Result<String> {
        let output = self.client(line).stdin(Stdio::null()).output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`wharf {line}` failed: {complaint}");
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// A client, told what `line` says. Words are split as a shell would.
    pub(crate) fn client(&self, line: &str) -> Command {
        self.client_of(&self.programs.join("wharf"), line)
    }

    /// Another client of the same interface.
    pub(crate) fn client_of(&self, program: &Path, line: &str) -> Command {
        let mut command = Command::new(program);
        command.args(stories::words::split(line));
        command.env("DOCKER_HOST", format!("unix://{}", self.path("sock").display()));
        command.env_remove("DOCKER_CONTEXT").env("HOME", self.folder.path());
        command
    }

    /// Gets the page that the server at `address` shows.
    pub(crate) fn get(&self, address: &str) -> Result<String> {
        println!("   $ curl http://{address}/");
        let page = self.wait_for("the server to answer", || Ok(get(address).ok()))?;
        println!("     {page}");
        Ok(page)
    }

    /// Looks until `look` finds something.
    pub(crate) fn wait_for<T>(
        &self,
        what: &str,
        mut look: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            ensure!(Instant::now() < end, "waited in vain for {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the daemon said.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        format!("what wharfd said:\n{log}")
    }

    /// Removes everything, and looks whether anything stayed.
    pub(crate) fn strike(mut self) -> Result<()> {
        if self.daemon.is_none() {
            self.start_daemon()?;
        }
        let ids = self.quietly("ps --all --quiet --no-trunc")?;
        for id in ids.lines() {
            self.quietly(&format!("rm --force --volumes {id}"))?;
        }
        if let Some(mut daemon) = self.daemon.take() {
            // It may have ended by itself.
            let _ = kill_process(Pid::from_child(&daemon), Signal::TERM);
            self.wait_for("the daemon's end", || Ok(daemon.try_wait()?))?;
        }
        self.check_nothing_is_left()
    }

    /// The control group below which the demo's containers have theirs.
    fn cgroup_parent(&self) -> String {
        let name = self.folder.path().file_name().unwrap_or_default();
        format!("/wharf-{}", name.to_string_lossy())
    }

    /// Removes the empty control group, in the one hierarchy or in each of version 1.
    fn remove_cgroup(&self) -> Result<()> {
        let root = PathBuf::from("/sys/fs/cgroup");
        let hierarchies = fs::read_dir(&root)?.flatten().map(|entry| entry.path());
        for hierarchy in hierarchies.chain([root]) {
            let group = hierarchy.join(self.cgroup_parent().trim_start_matches('/'));
            if group.is_dir() {
                fs::remove_dir(&group).with_context(|| format!("{} is left", group.display()))?;
            }
        }
        Ok(())
    }

    fn check_nothing_is_left(&self) -> Result<()> {
        let folder = self.folder.path().to_str().context("a plain path")?.to_owned();
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let mounts: Vec<_> = mounts.lines().filter(|line| line.contains(&folder)).collect();
        ensure!(mounts.is_empty(), "mounts were left behind: {mounts:?}");
        // A supervisor may be on its way out.
        self.wait_for("the supervisors' end", || {
            let running = fs::read_dir("/proc")?.flatten().any(|entry| {
                let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&line).contains(&folder)
            });
            Ok((!running).then_some(()))
        })?;
        self.remove_cgroup()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            // The demo has failed already, and says so.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

fn get(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    Ok(body.trim().to_owned())
}
