//! `events`: what a container uses, and when memory runs out, as lines of JSON.

mod report;

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use runtime::{Container, OutOfMemoryEvents};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::Serialize;

use crate::command_line::{Call, Command, Flag};
use crate::exit_code::ExitCode;
use crate::log::Log;
use crate::record::Known;

pub(super) const COMMAND: Command = Command {
    details: "The events command displays information about the container. By default the\n\
              information is displayed once every 5 seconds.",
    flags: &[
        Flag::duration("interval", "5s", "set the stats collection interval"),
        Flag::switch("stats", "display the container's stats then exit"),
    ],
    ..Command::new(
        "events",
        "display container events such as OOM notifications, cpu, memory, and IO usage statistics",
        events,
    )
};

/// A line, as runc's `types.Event`.
#[derive(Debug, Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<report::Report>,
}

fn events(call: &Call) -> anyhow::Result<ExitCode> {
    let (id, interval) = (call.id(), call.values.duration("interval"));
    if interval.is_zero() {
        bail!("duration interval must be greater than 0");
    }
    let known = Known::open(&call.root, id)?;
    let container =
        known.container()?.with_context(|| format!("container with id {id} is not running"))?;
    if call.values.is_on("stats") {
        tell_statistics(id, &container)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out_of_memory = container.cgroup().out_of_memory_events()?;
    if let Some(events) = &mut out_of_memory {
        // What happened before nobody has asked for.
        events.take()?;
    }
    Watch { id, container: &container, log: &call.log, told: 0, killed: 0 }
        .follow(interval, out_of_memory)?;
    Ok(ExitCode::SUCCESS)
}

fn tell_statistics(id: &str, container: &Container) -> anyhow::Result<()> {
    let statistics = container.cgroup().statistics()?;
    let data = report::Report::new(&statistics, container.pid());
    print(&Event { kind: "stats", id, data: Some(data) })
}

fn print(event: &Event<'_>) -> anyhow::Result<()> {
    let line = serde_json::to_string(event)?;
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).context("cannot write the event")
}

/// Watches one container until its first process ends.
struct Watch<'a> {
    id: &'a str,
    container: &'a Container,
    log: &'a Log,
    /// Events of memory that ran out, told and counted.
    told: u64,
    killed: u64,
}

impl Watch<'_> {
    fn follow(
        mut self,
        interval: Duration,
        mut out_of_memory: Option<OutOfMemoryEvents>,
    ) -> anyhow::Result<()> {
        let mut next = Instant::now() + interval;
        loop {
            let ready = wait(self.container, out_of_memory.as_ref(), next)?;
            if ready.has_ended {
                return self.tell_killed(out_of_memory.as_mut(), false);
            }
            if ready.is_out_of_memory {
                self.tell_killed(out_of_memory.as_mut(), true)?;
            }
            if Instant::now() >= next {
                next += interval;
                self.tell_statistics()?;
            }
        }
    }

    /// The cgroup may go away at any moment: the next look at the process tells.
    fn tell_statistics(&self) -> anyhow::Result<()> {
        match self.container.cgroup().statistics() {
            Ok(statistics) => {
                let data = report::Report::new(&statistics, self.container.pid());
                print(&Event { kind: "stats", id: self.id, data: Some(data) })
            }
            Err(error) => {
                self.log.error(&errors::chain(&error));
                Ok(())
            }
        }
    }

    fn tell_killed(
        &mut self,
        events: Option<&mut OutOfMemoryEvents>,
        is_signalled: bool,
    ) -> anyhow::Result<()> {
        let Some(events) = events else { return Ok(()) };
        self.killed += events.take().unwrap_or(0);
        // Version 1 signals before it counts, and also where nobody is killed because that is
        // switched off.
        let is_version1 = events.poll_flags() == PollFlags::IN;
        let due =
            if is_signalled && is_version1 { self.killed.max(self.told + 1) } else { self.killed };
        while self.told < due {
            self.told += 1;
            print(&Event { kind: "oom", id: self.id, data: None })?;
        }
        Ok(())
    }
}

struct Ready {
    has_ended: bool,
    is_out_of_memory: bool,
}

fn wait(
    container: &Container,
    out_of_memory: Option<&OutOfMemoryEvents>,
    until: Instant,
) -> anyhow::Result<Ready> {
    let left = until.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).context("the interval is too long")?;
    let mut waiting = vec![PollFd::from_borrowed_fd(container.pidfd(), PollFlags::IN)];
    if let Some(events) = out_of_memory {
        waiting.push(PollFd::from_borrowed_fd(events.as_fd(), events.poll_flags()));
    }
    match poll(&mut waiting, Some(&left)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error).context("cannot wait for events"),
    }
    Ok(Ready {
        has_ended: !waiting[0].revents().is_empty(),
        is_out_of_memory: waiting.get(1).is_some_and(|events| !events.revents().is_empty()),
    })
}
