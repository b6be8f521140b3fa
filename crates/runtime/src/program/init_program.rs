//! The init that `--init` puts before a container's program.
//!
//! As process 1 it does the two things that programs which were not written for that place do
//! not: it reaps whatever is orphaned in the container, and it passes every signal on. It ends
//! with its child, with the child's exit code (128+n for a signal).
//!
//! It is this same executable, mounted into the container under the name `docker-init`.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use linux::signals;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, pidfd_open};

use crate::exit_code::ExitCode;

/// The last part of the name under which this is run.
pub(crate) const NAME: &str = "docker-init";

/// What a shell answers for a program that is not there, and for one that it may not execute.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Runs the program that the arguments name, after an optional `--`.
pub(crate) fn main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let program = match arguments.next() {
        Some(first) if first == "--" => arguments.next(),
        first => first,
    };
    let Some(program) = program else {
        eprintln!("{NAME}: no program to run");
        return ExitCode::FAILURE;
    };
    match run(&program, arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("{NAME}: {}: {error}", program.display());
            ExitCode::from(match error.kind() {
                io::ErrorKind::NotFound => NOT_FOUND,
                _ => NOT_EXECUTABLE,
            })
        }
    }
}

fn run(program: &OsString, arguments: impl Iterator<Item = OsString>) -> io::Result<u8> {
    // Before there is a child, so that nothing is missed.
    signals::block_all()?;
    let mut command = Command::new(program);
    // A group of its own, so that the terminal's signals reach it once and not twice.
    command.args(arguments).process_group(0);
    linux::process::take_foreground_in(&mut command);
    signals::unblock_in(&mut command);
    let child = command.spawn()?;
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a child has a pid");
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        let signal = signals::wait()?;
        if signal == Signal::CHILD.as_raw() {
            if let Some(code) = reap(pid)? {
                return Ok(code);
            }
        } else {
            // It has ended at worst, which the next round finds out.
            let _ = signals::send(process.as_fd(), signal);
        }
    }
}

/// Reaps all that has ended; answers with the child's exit code if it is among them.
fn reap(child: Pid) -> io::Result<Option<u8>> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == child => return Ok(Some(exit_code(status))),
            Ok(Some(_)) => {}
            Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(None),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn exit_code(status: WaitStatus) -> u8 {
    let code = match status.terminating_signal() {
        Some(signal) => 128 + signal,
        None => status.exit_status().unwrap_or_default(),
    };
    u8::try_from(code).unwrap_or(u8::MAX)
}
