//! `cargo xtask storm`: clients at work while the daemon is killed again and again.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use stories::{Host, Storm};

use crate::machine::{self, BUSYBOX, NFT};
use crate::programs::{self, BuildArguments};

#[derive(Debug, Args)]
pub(crate) struct StormArguments {
    /// How long it lasts.
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// How many work at the same time.
    #[arg(long, default_value_t = 20)]
    clients: u32,
    /// How long a daemon lives, from its launch to its death.
    #[arg(long, default_value_t = 200)]
    interval_ms: u64,
    /// What the clients do follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Use a development build.
    #[arg(long)]
    debug: bool,
}

pub(crate) fn storm(arguments: &StormArguments) -> Result<()> {
    machine::prepare(&[BUSYBOX, NFT])?;
    let folder = programs::build(&BuildArguments { release: !arguments.debug })?;
    let host = Host::builder().programs(&folder).start();
    let storm = Storm {
        duration: Duration::from_secs_f64(arguments.minutes * 60.0),
        clients: arguments.clients,
        interval: Duration::from_millis(arguments.interval_ms),
        seed: arguments.seed,
    };
    let report = storm.blow(&host);
    println!("{report}");
    ensure!(report.problems().is_empty(), "the storm has found something");
    Ok(())
}
