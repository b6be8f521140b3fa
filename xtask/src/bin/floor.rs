//! The floor: what the kernel alone takes to run a container.
//!
//! Clones a process into namespaces of its own, lays a writable file system over a folder,
//! makes it the root, runs `/bin/true` in it, and waits. No configuration, control group,
//! filter or log: no engine can be faster, so the benchmark measures them all against this.
//!
//! `floor LOWER SCRATCH [--network]` prints how many nanoseconds it took.

use std::ffi::CString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use linux::namespaces::Namespaces;
use linux::process::{Cloned, clone_process, execute, exit};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::WaitOptions;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [lower, scratch, rest @ ..] = &arguments[..] else {
        eprintln!("usage: floor LOWER SCRATCH [--network]");
        return ExitCode::from(2);
    };
    let mut namespaces = Namespaces::MOUNT | Namespaces::PID | Namespaces::UTS | Namespaces::IPC;
    if rest.iter().any(|flag| flag == "--network") {
        namespaces |= Namespaces::NETWORK;
    }
    match measure(Path::new(lower), Path::new(scratch), namespaces) {
        Ok(nanoseconds) => {
            println!("{nanoseconds}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one container and returns how long it took.
fn measure(lower: &Path, scratch: &Path, namespaces: Namespaces) -> std::io::Result<u128> {
    for folder in ["upper", "work", "root"] {
        fs::create_dir_all(scratch.join(folder))?;
    }
    let start = Instant::now();
    let child = match clone_process(namespaces, None)? {
        Cloned::Parent { child, .. } => child,
        Cloned::Child => exit(become_container(lower, scratch)),
    };
    let status = rustix::process::waitpid(Some(child), WaitOptions::empty())?;
    let elapsed = start.elapsed();
    match status.and_then(|(_, status)| status.exit_status()) {
        Some(0) => Ok(elapsed.as_nanos()),
        _ => Err(std::io::Error::other("the container failed")),
    }
}

/// Runs in the new process. Comes back only with an exit status that says it failed.
fn become_container(lower: &Path, scratch: &Path) -> i32 {
    if let Err(error) = enter(lower, scratch) {
        eprintln!("floor: {error}");
        return 1;
    }
    let program = c"/bin/true";
    let error = execute(program, &[CString::from(program)], &[]);
    eprintln!("floor: {error}");
    1
}

fn enter(lower: &Path, scratch: &Path) -> std::io::Result<()> {
    let root = scratch.join("root");
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private)?;
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        scratch.join("upper").display(),
        scratch.join("work").display()
    );
    let options = CString::new(options)?;
    rustix::mount::mount("overlay", &root, "overlay", MountFlags::empty(), &*options)?;
    rustix::process::chdir(&root)?;
    // The new root lies on the old one, which is then taken away from below it.
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    Ok(())
}
