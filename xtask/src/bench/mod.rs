//! `cargo xtask bench`: how long things take, and how much they weigh.
//!
//! A time alone says little: it is the machine's as much as ours. So everything is
//! measured in turn, round by round, for Wharf, for the peers that this machine has, and
//! for the raw floor (what the kernel alone takes), and told as a ratio.
//!
//! Peers: `docker` against the dockerd that `PEER_HOST` names, `podman`, and for bare
//! bundles the other OCI runtimes (see [`bundles`]).

mod bundles;
mod contender;
mod crowd;
mod floor;
mod logs;
mod memory;
mod table;
mod timings;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::machine::{self, BUSYBOX};
use crate::programs::{self, BuildArguments, cargo, run, workspace};
use contender::Contenders;
use table::Table;

#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// How often each short thing is measured. Long ones are measured a quarter as often.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Only the measurements whose names contain this.
    #[arg(long)]
    only: Option<String>,
    /// How many containers `ps` has to list.
    #[arg(long, default_value_t = 500)]
    containers: usize,
    /// Write the table to `docs/benchmarks.md`.
    #[arg(long)]
    write: bool,
}

impl BenchArguments {
    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    /// Whether anything is measured that engines do, and not runtimes alone.
    fn wants_peers(&self) -> bool {
        let is_of_a_bundle =
            |only: &String| bundles::NAMES.iter().any(|name| name.contains(only.as_str()));
        !self.only.as_ref().is_some_and(is_of_a_bundle)
    }

    /// Rounds of something that takes seconds.
    fn few_rounds(&self) -> usize {
        self.rounds.div_ceil(4)
    }
}

pub(crate) fn bench(arguments: &BenchArguments) -> Result<()> {
    machine::prepare(&[BUSYBOX])?;
    let folder = programs::build(&BuildArguments { release: true })?;
    let helpers = ["build", "--release", "--package", "xtask", "--bin", "floor", "--bin", "peak"];
    run(cargo().args(helpers))?;
    run(cargo().args(["build", "--release", "--package", "runtime", "--example", "lifecycle"]))?;

    let contenders = if arguments.wants_peers() {
        Contenders::gather(&folder)?
    } else {
        Contenders::alone(&folder)?
    };
    let mut table = Table::new();
    let floor = floor::Floor::prepare(&folder.join("floor"))?;
    timings::measure(arguments, &contenders, &floor, &mut table)?;
    bundles::measure(arguments, &folder, &contenders, &floor, &mut table)?;
    crowd::measure(arguments, &contenders, &mut table)?;
    memory::measure(arguments, &contenders, &mut table)?;
    logs::measure(arguments, &contenders, &mut table)?;

    let text = table.render();
    println!("\n{text}");
    if arguments.write {
        let file = workspace().join("docs/benchmarks.md");
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        println!("written to {}", file.display());
    }
    Ok(())
}
