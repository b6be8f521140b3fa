//! Times the life of a container inside one process, as a supervisor sees it.
//!
//! `cargo run --release -p runtime --example lifecycle -- CONFIG ROOTFS WORK [ROUNDS]`: the
//! configuration is run on an overlay of ROOTFS, with folders made below WORK, and the program
//! is taken from the configuration. Prints the median of each phase.

use std::fs::{self, File};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use oci::runtime::Spec;
use runtime::{CreateRequest, ExecRequest, Root, Stdio};
use rustix::process::{WaitId, WaitIdOptions, waitid};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [configuration, rootfs, work, rest @ ..] = &arguments[..] else {
        anyhow::bail!("usage: lifecycle CONFIG ROOTFS WORK [ROUNDS]");
    };
    let rounds = rest.first().map_or(Ok(100), |rounds| rounds.parse())?;
    let spec: Spec = serde_json::from_slice(&fs::read(configuration)?)?;
    let mut phases = Phases::default();
    for round in 0..rounds {
        live(&spec, Path::new(rootfs), Path::new(work), round, &mut phases)?;
    }
    phases.print();
    Ok(())
}

/// The durations of each phase.
#[derive(Default)]
struct Phases {
    create: Vec<Duration>,
    start: Vec<Duration>,
    exec: Vec<Duration>,
    wait: Vec<Duration>,
    delete: Vec<Duration>,
}

impl Phases {
    fn print(&mut self) {
        let phases = [
            ("create", &mut self.create),
            ("start", &mut self.start),
            ("exec, to its end", &mut self.exec),
            ("wait", &mut self.wait),
            ("delete", &mut self.delete),
        ];
        for (name, durations) in phases {
            durations.sort();
            if let Some(median) = durations.get(durations.len() / 2) {
                println!("{name:>18} {:7.0} us", median.as_secs_f64() * 1e6);
            }
        }
    }
}

fn live(
    spec: &Spec,
    rootfs: &Path,
    work: &Path,
    round: u32,
    phases: &mut Phases,
) -> anyhow::Result<()> {
    let id = format!("lifecycle-{}-{round}", std::process::id());
    let folder = work.join(&id);
    let (upper, overlay_work) = (folder.join("fs"), folder.join("work"));
    fs::create_dir_all(&upper)?;
    fs::create_dir(&overlay_work)?;

    let began = Instant::now();
    let root = overlay(rootfs, upper, overlay_work);
    let request = CreateRequest::new(&id, spec, work, root, null_streams()?);
    let mut container =
        runtime::create(request).map_err(|error| anyhow::anyhow!(errors::chain(&error)))?;
    let created = Instant::now();
    container.start().context("start")?;
    let started = Instant::now();
    let process = spec.process().as_ref().context("no process")?;
    if process.args().as_ref().is_some_and(|args| args.first().is_some_and(|name| name == "sleep"))
    {
        let mut process = process.clone();
        process.set_args(Some(vec!["true".to_owned()]));
        let stdio = null_streams()?;
        let running = container.exec(ExecRequest::new(&process, stdio)).context("exec")?;
        waitid(WaitId::PidFd(running.pidfd.as_fd()), WaitIdOptions::EXITED)?;
        phases.exec.push(started.elapsed());
        rustix::process::pidfd_send_signal(container.pidfd(), rustix::process::Signal::KILL)?;
    }
    let ending = Instant::now();
    waitid(WaitId::PidFd(container.pidfd()), WaitIdOptions::EXITED)?;
    let ended = Instant::now();
    container.delete().context("delete")?;
    phases.create.push(created - began);
    phases.start.push(started - created);
    phases.wait.push(ended - ending);
    phases.delete.push(ended.elapsed());
    fs::remove_dir_all(folder)?;
    Ok(())
}

fn overlay(rootfs: &Path, upper: PathBuf, work: PathBuf) -> Root {
    Root::Overlay { lowers: vec![rootfs.to_owned()], upper, work, volatile: true }
}

fn null_streams() -> anyhow::Result<Stdio> {
    let null = || File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from);
    Ok(Stdio::Descriptors { stdin: null()?, stdout: null()?, stderr: null()? })
}
