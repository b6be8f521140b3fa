//! `cargo xtask demo`: what Wharf does, shown on this machine.
//!
//! Everything happens with a daemon of the demo's own, in a folder of its own, so that
//! nothing on the machine is touched and nothing stays.

mod stage;
mod tour;

use anyhow::Result;

use crate::machine::{self, BUSYBOX};
use crate::programs::{self, BuildArguments};
use stage::Stage;

pub(crate) fn demo() -> Result<()> {
    machine::prepare(&[BUSYBOX])?;
    println!("building Wharf (this takes a few minutes the first time)");
    let folder = programs::build(&BuildArguments { release: true })?;
    let mut stage = Stage::set_up(&folder)?;
    let shown = tour::walk(&mut stage);
    // Cleaned up after a failure too, but what failed first is what is told.
    let struck = stage.strike();
    shown?;
    struck?;
    println!("\nAll of this worked, and nothing is left behind.");
    Ok(())
}
