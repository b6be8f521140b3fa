//! `wharf-shim`: one container's supervisor.
//!
//! A daemon executes this program once, as a [`nursery`], with a socket as its standard input;
//! each container's shim is a fork of it that outlives the daemon (see [`shim::protocol`]).
//! Signals that ask a program to end are ignored: when a service manager or a terminal ends
//! the daemon, the container runs on. A shim leaves when its container has exited for good.

mod clock;
mod container;
mod control;
mod event_loop;
mod foreign;
mod health;
mod hearing;
mod joins;
mod launch;
mod log;
mod made;
mod nursery;
mod record;
mod restart;
mod stdio;
mod supervisor;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use fail_points::{Point, reach};
use shim::protocol::{Answer, Failure};
use shim::wire;

use crate::control::Control;
use crate::event_loop::EventLoop;
use crate::launch::Start;
use crate::nursery::NewShim;
use crate::record::Record;
use crate::supervisor::Supervisor;

/// SIGHUP, SIGINT and SIGTERM.
const IGNORED_SIGNALS: [i32; 3] = [1, 2, 15];

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let outcome = match arguments.next() {
        Some(first) if first == log::PACK_ARGUMENT => log::pack_file(arguments),
        Some(_) => Err(anyhow::anyhow!("this program takes no arguments: wharfd runs it")),
        None => become_independent().and_then(|()| nursery::serve()).and_then(|new| match new {
            Some(new) => supervise(new),
            None => Ok(()),
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wharf-shim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn supervise(NewShim { folder, launcher }: NewShim) -> anyhow::Result<()> {
    // It was forked from the leader of its session, so it can have one of its own.
    rustix::process::setsid().context("cannot leave the launcher's session")?;
    // Everything in it has short names then, the socket above all, whose address may have 108
    // bytes.
    std::env::set_current_dir(&folder)
        .with_context(|| format!("cannot go to {}", folder.display()))?;
    // What needs no word of the launcher is done while that still writes its files.
    let places = Places::make();
    let outcome = launch::receive(launcher).map_err(anyhow::Error::new);
    let outcome = outcome.and_then(|start| carry_out(start, places));
    if outcome.is_err() {
        // A supervisor removes it itself. It need not be there.
        let _ = Control::remove_socket();
    }
    outcome
}

/// What every shim has.
struct Places {
    events: EventLoop,
    control: Control,
    record: Record,
}

impl Places {
    fn make() -> Result<Self, Failure> {
        reach(Point::StartPlaces).map_err(container::internal)?;
        let events = EventLoop::new().map_err(container::internal)?;
        let control = Control::listen(&events).map_err(container::internal)?;
        let record = Record::begin(Path::new(".")).map_err(container::internal)?;
        Ok(Self { events, control, record })
    }
}

fn carry_out(start: Start, places: Result<Places, Failure>) -> anyhow::Result<()> {
    let Start { launcher, network_namespace, attach, held } = start;
    let (launch, Places { events, control, record }) =
        match places.and_then(|places| Ok((launch::read_launch()?, places))) {
            Ok(ready) => ready,
            Err(failure) => return refuse(&launcher, failure),
        };
    let mut supervisor = Supervisor::new(events, control, record, launch, network_namespace, held);
    if supervisor.begin(launcher, attach) {
        supervisor.run()?;
    }
    Ok(())
}

/// Leaves the launcher's session, and does not hear the signals that are meant for it.
fn become_independent() -> anyhow::Result<()> {
    // It fails only for the leader of a process group, and then somebody else saw to it.
    let _ = rustix::process::setsid();
    for signal in IGNORED_SIGNALS {
        linux::signals::ignore(signal).context("cannot ignore a signal")?;
    }
    Ok(())
}

/// Tells the launcher why there will be no container.
fn refuse(launcher: &OwnedFd, failure: Failure) -> anyhow::Result<()> {
    // Before the answer, so that a next try finds nothing in its way.
    let _ = Control::remove_socket();
    let frame = wire::encode(&Answer::Failed(failure));
    rustix::io::write(launcher, &frame).context("cannot tell the launcher what is wrong")?;
    Ok(())
}
