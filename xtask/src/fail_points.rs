//! `cargo xtask fail-points`: every step of a container's life fails, is slow, or is the last of
//! its process; and what became of it.
//!
//! The work is in the stories of that name. This adds up what they tell.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use crate::machine::{self, BUSYBOX, NFT};
use crate::programs::{self, BuildArguments, cargo};

/// How a story's line about its operation begins.
const TOLD: &str = "fail points of ";

pub(crate) fn fail_points() -> Result<()> {
    machine::prepare(&[BUSYBOX, NFT])?;
    // A release build has no points.
    programs::build(&BuildArguments { release: false })?;
    let output = cargo()
        .args(["nextest", "run", "--package", "stories", "--no-fail-fast"])
        .args(["--success-output", "immediate", "fail_points::"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .context("cannot run the stories")?;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    ensure!(output.status.success(), "{text}");
    let told: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix(TOLD)).collect();
    ensure!(!told.is_empty(), "no story told of its points:\n{text}");
    let (mut points, mut runs) = (0, 0);
    for line in told {
        println!("{line}");
        let mut numbers = line.split([' ', ',']).filter_map(|word| word.parse::<u32>().ok());
        points += numbers.next().unwrap_or_default();
        runs += numbers.next().unwrap_or_default();
    }
    println!("points: {points}, runs: {runs}, leaks: 0");
    Ok(())
}
