//! `cargo xtask test`: everything that must hold.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::machine::{self, BUSYBOX, CRUN, IP, LIBSECCOMP, NEWUIDMAP, NFT, RUNC, find};
use crate::programs::{self, BuildArguments, cargo, run};

#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Only the stories whose names contain this.
    #[arg(long)]
    only: Option<String>,
}

/// Skips that are no failure even where nothing may be skipped in silence: a part of a
/// test's note, and why it is all right.
const EXPECTED_SKIPS: &[(&str, &str)] = &[
    ("no stock docker client", "it is not a part of a fresh machine"),
    ("pure cgroup v2", "needs a machine that was started with it"),
    ("needs version 1", "needs a machine that was started with it"),
    ("only version 1 has", "needs a machine that was started with it"),
    ("version 2 with controllers", "needs a machine that was started with it"),
    ("this kernel has no AppArmor", "not every kernel is built with it"),
    ("this kernel has no SELinux", "not every kernel is built with it"),
    ("`apparmor_parser` is not there", "needed only to try AppArmor"),
    ("no policy of types", "needed only to try SELinux"),
    ("knows no nodes", "not every kernel is built for machines with several"),
    ("there is one processor only", "there is nothing to choose from"),
    ("crun refuses hosts with cgroups of both versions", "needs another machine"),
    ("this machine has a journald", "the story is about machines without"),
    ("nothing freezes it here", "not every machine has the freezer of version 1"),
    ("joining a mount namespace leads to", "the machine runs from within a change of root"),
];

/// What a test writes in front of its reason when it cannot be run.
const SKIPPED: &str = "skipped:";

pub(crate) fn test(arguments: &TestArguments) -> Result<()> {
    machine::prepare(&[BUSYBOX, NFT, IP, LIBSECCOMP, NEWUIDMAP, RUNC, CRUN])?;
    if arguments.only.is_none() {
        step("format", || run(cargo().args(["fmt", "--all", "--check"])))?;
        step("lints", || {
            let clippy = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
            run(cargo().args(clippy))
        })?;
    }
    step("programs", || programs::build(&BuildArguments { release: false }).map(drop))?;
    let skips = step("tests", || run_tests(arguments))?;
    judge(&skips)
}

/// Runs one part, saying what it is and how long it took.
fn step<T>(name: &str, part: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("=== {name}");
    let start = Instant::now();
    let result = part().with_context(|| format!("{name} failed"))?;
    println!("=== {name}: {:.0} s", start.elapsed().as_secs_f64());
    Ok(result)
}

/// Runs all tests, showing all that they print, and returns the notes of those skipped.
fn run_tests(arguments: &TestArguments) -> Result<Vec<String>> {
    let mut command = cargo();
    if find("cargo-nextest").is_some() {
        command.args(["nextest", "run", "--no-fail-fast", "--success-output", "immediate"]);
    } else {
        command.args(["test", "--no-fail-fast"]);
    }
    match &arguments.only {
        Some(name) => command.args(["--package", "stories", name]),
        None => command.arg("--workspace"),
    };
    if find("cargo-nextest").is_none() {
        command.args(["--", "--show-output"]);
    }
    let skips = watch(&mut command)?;
    if arguments.only.is_none() && find("cargo-nextest").is_some() {
        // The examples in documentation, which nextest leaves out.
        run(cargo().args(["test", "--workspace", "--doc", "--quiet"]))?;
    }
    Ok(skips)
}

/// Runs `command`, passing its output on, and picks out the notes of skipped tests.
fn watch(command: &mut Command) -> Result<Vec<String>> {
    // One pipe for both streams, so that the lines stay in order.
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().context("cannot run the tests")?;
    // It holds the pipe's other end, which must close when the tests end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut skips = Vec::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.context("cannot read the tests' output")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        if let Some((_, note)) = line.split_once(SKIPPED) {
            skips.push(note.trim().to_owned());
        }
    }
    let status = child.wait().context("cannot wait for the tests")?;
    ensure!(status.success(), "some tests failed");
    Ok(skips)
}

/// Shows what was skipped, and refuses what is not expected where nothing may be missed.
fn judge(skips: &[String]) -> Result<()> {
    let mut unexpected = 0;
    for skip in skips {
        let reason = EXPECTED_SKIPS.iter().find(|(part, _)| skip.contains(part));
        let verdict = reason.map_or("not expected", |(_, reason)| reason);
        println!("skipped: {skip} ({verdict})");
        unexpected += usize::from(reason.is_none());
    }
    println!("{} skipped, {unexpected} of them unexpectedly", skips.len());
    if unexpected > 0 && std::env::var("CI").is_ok_and(|ci| ci == "true") {
        bail!("{unexpected} tests were skipped that should not be");
    }
    Ok(())
}
