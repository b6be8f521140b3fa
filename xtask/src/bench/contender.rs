//! Who is measured: Wharf, and the peers that this machine has.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use stories::Host;

use super::table::OURS;
use crate::machine::find;

/// The label of every container that the benchmark makes in a peer, which may have others.
const PREFIX: &str = "wharf-bench";

/// One engine, and how its client is run.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    program: PathBuf,
    environment: Vec<(&'static str, OsString)>,
    /// The name of the image with a shell.
    pub(crate) image: String,
}

impl Contender {
    /// A client that is told what `line` says. `IMAGE` stands for the image with a shell,
    /// and `PREFIX` for the beginning of every name.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut line = line.replace("IMAGE", &self.image).replace("PREFIX", PREFIX);
        if self.name == "podman" {
            // It would ask nicely for ten seconds, where the others kill at once.
            line = line.replace("rm --force", "rm --force --time 0");
        }
        let mut command = Command::new(&self.program);
        command.args(stories::words::split(&line));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to a good end and returns its output.
    pub(crate) fn run(&self, line: &str) -> Result<String> {
        let output = self.command(line).stdout(Stdio::piped()).output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{} {line}` failed: {complaint}", self.name);
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Milliseconds that a command takes, from its start to its end.
    pub(crate) fn time(&self, line: &str) -> Result<f64> {
        let mut command = self.command(line);
        let start = Instant::now();
        let output = command.output()?;
        let elapsed = start.elapsed();
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{} {line}` failed: {complaint}", self.name);
        Ok(elapsed.as_secs_f64() * 1e3)
    }

    /// Milliseconds that several commands take which are started at once.
    pub(crate) fn time_at_once(&self, lines: &[String]) -> Result<f64> {
        let mut commands: Vec<_> = lines.iter().map(|line| self.command(line)).collect();
        let start = Instant::now();
        let children: Vec<_> = commands.iter_mut().map(Command::spawn).collect::<Result<_, _>>()?;
        for child in children {
            let output = child.wait_with_output()?;
            let complaint = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "one of the {} failed: {complaint}", self.name);
        }
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }

    /// Pipes `input` into a command that succeeds.
    pub(crate) fn feed(&self, line: &str, input: &[u8]) -> Result<()> {
        let mut child = self.command(line).stdin(Stdio::piped()).spawn()?;
        let mut pipe = child.stdin.take().context("stdin is a pipe")?;
        pipe.write_all(input)?;
        drop(pipe);
        let output = child.wait_with_output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{} {line}` failed: {complaint}", self.name);
        Ok(())
    }

    /// Removes every container that the benchmark made.
    pub(crate) fn clear(&self) -> Result<()> {
        let ids = self.run("ps --all --quiet --filter name=PREFIX")?;
        if !ids.is_empty() {
            self.run(&format!("rm --force {ids}"))?;
        }
        Ok(())
    }
}

/// Everybody who is measured. Wharf comes first, with a host of its own.
#[derive(Debug)]
pub(crate) struct Contenders {
    pub(crate) all: Vec<Contender>,
    /// Wharf's daemon, in a network of its own.
    pub(crate) host: Host,
}

impl Contenders {
    /// Wharf and the peers.
    pub(crate) fn gather(programs: &Path) -> Result<Self> {
        let mut contenders = Self::alone(programs)?;
        contenders.add_peers()?;
        Ok(contenders)
    }

    /// Wharf without any peer.
    pub(crate) fn alone(programs: &Path) -> Result<Self> {
        let host = Host::builder().bare().programs(programs).start();
        let address = format!("unix://{}", host.socket().display());
        let ours = Contender {
            name: OURS,
            program: programs.join("wharf"),
            environment: vec![("DOCKER_HOST", address.into())],
            image: "busybox".to_owned(),
        };
        ours.feed("import - IMAGE", &shell())?;
        Ok(Self { all: vec![ours], host })
    }

    fn add_peers(&mut self) -> Result<()> {
        let mut peers = Vec::new();
        match (find("docker"), std::env::var_os("PEER_HOST")) {
            (Some(program), Some(peer)) => peers.push(Contender {
                name: "docker",
                program,
                environment: vec![("DOCKER_HOST", peer)],
                image: format!("{PREFIX}-busybox"),
            }),
            _ => println!("no docker to compare with: no client on PATH, or no PEER_HOST"),
        }
        match find("podman") {
            Some(program) => peers.push(Contender {
                name: "podman",
                program,
                environment: vec![("CONTAINERS_CONF", podman_settings(&self.host)?.into())],
                image: format!("localhost/{PREFIX}-busybox"),
            }),
            None => println!("no podman to compare with"),
        }
        for peer in peers {
            peer.feed("import - IMAGE", &shell())?;
            self.all.push(peer);
        }
        Ok(())
    }
}

/// The root that everybody's image has.
fn shell() -> Vec<u8> {
    stories::FileSystem::with_shell().tar()
}

/// What lets podman run everywhere: by default it asks for more files and processes than
/// root may have on some machines, and for crun, which refuses hosts with both versions of
/// control groups.
fn podman_settings(host: &Host) -> Result<PathBuf> {
    let mut settings =
        "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n".to_owned();
    if find("runc").is_some() {
        settings.push_str("[engine]\nruntime = \"runc\"\n");
    }
    let file = host.path("containers.conf");
    std::fs::write(&file, settings)?;
    Ok(file)
}

impl Drop for Contenders {
    fn drop(&mut self) {
        for contender in self.all.iter().filter(|contender| contender.name != OURS) {
            let cleared = contender.clear().and_then(|()| contender.run("rmi --force IMAGE"));
            if let Err(error) = cleared {
                eprintln!("{} was not cleaned up: {error:#}", contender.name);
            }
        }
    }
}
