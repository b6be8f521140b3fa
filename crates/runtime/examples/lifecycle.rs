//! A container's whole life by the library, as a supervisor leads it, and how long it took.
//!
//! `lifecycle BUNDLE [--exec]` prints nanoseconds: of creating, starting, awaiting and deleting
//! the bundle's container, or of running its program once more in it.

use std::error::Error;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oci::runtime::Spec;
use runtime::{Container, CreateRequest, ExecRequest, Root, Stdio, create};
use rustix::process::{WaitId, WaitIdOptions, waitid};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let bundle = PathBuf::from(arguments.next().ok_or("usage: lifecycle BUNDLE [--exec]")?);
    let mut spec: Spec = serde_json::from_slice(&std::fs::read(bundle.join("config.json"))?)?;
    let elapsed = match arguments.next().as_deref() {
        Some("--exec") => measure_exec(&mut spec, &bundle)?,
        _ => measure_life(&spec, &bundle)?,
    };
    println!("{}", elapsed.as_nanos());
    Ok(())
}

fn measure_life(spec: &Spec, bundle: &Path) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    let mut container = made(spec, bundle)?;
    container.start()?;
    waitid(WaitId::PidFd(container.pidfd()), WaitIdOptions::EXITED)?;
    container.delete()?;
    Ok(start.elapsed())
}

/// In a container whose own program has not been started: what else it does costs nothing.
fn measure_exec(spec: &mut Spec, bundle: &Path) -> Result<Duration, Box<dyn Error>> {
    let container = made(spec, bundle)?;
    let process = spec.process().as_ref().ok_or("the configuration has no process")?;
    let start = Instant::now();
    let running = container.exec(ExecRequest::new(process, streams()?))?;
    waitid(WaitId::PidFd(running.pidfd.as_fd()), WaitIdOptions::EXITED)?;
    let elapsed = start.elapsed();
    container.delete()?;
    Ok(elapsed)
}

fn made(spec: &Spec, bundle: &Path) -> Result<Container, Box<dyn Error>> {
    let root = Root::Directory(bundle.join("rootfs"));
    Ok(create(CreateRequest::new("lifecycle", spec, bundle, root, streams()?))?)
}

fn streams() -> std::io::Result<Stdio> {
    let null = || File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from);
    Ok(Stdio::Descriptors { stdin: null()?, stdout: null()?, stderr: null()? })
}
