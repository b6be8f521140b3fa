//! How fast containers log, and how fast a large log is searched.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::BenchArguments;
use super::contender::{Contender, Contenders};
use super::table::{Measurement, Samples, Table};

/// What a container logs: lines of 100 bytes.
const LINE_BYTES: usize = 100;
const LOGGED_BYTES: usize = 1 << 30;

/// The container writes a file of so much again and again.
const PIECE_BYTES: usize = 16 << 20;

/// The size of a log that is searched, and what time it is about: ten days.
const LARGE_LOG_BYTES: u64 = 5_000_000_000;
const LARGE_LOG_SECONDS: u64 = 10 * 86_400;

/// When the large log begins, as seconds since the epoch.
const LARGE_LOG_BEGINS: i64 = 1_790_000_000;

/// What is measured.
const THROUGHPUT: &str = "1 GiB logged in lines of 100 bytes (`json-file`)";
const SEARCH: &str = "`logs --since` of the last minute of a `json-file` of 5 GB";

pub(crate) fn measure(
    arguments: &BenchArguments,
    contenders: &Contenders,
    table: &mut Table,
) -> Result<()> {
    if arguments.wants(THROUGHPUT) {
        let samples = throughput(arguments, contenders).context(THROUGHPUT)?;
        table.add(Measurement { name: THROUGHPUT.to_owned(), unit: "ms", samples });
    }
    if arguments.wants(SEARCH) {
        let samples = search(arguments, contenders).context(SEARCH)?;
        table.add(Measurement { name: SEARCH.to_owned(), unit: "ms", samples });
    }
    Ok(())
}

/// Everybody with the same bound, since a disk may be too small for more.
fn throughput(arguments: &BenchArguments, contenders: &Contenders) -> Result<Vec<Samples>> {
    let folder = tempfile::tempdir_in("/var/tmp")?;
    let file = folder.path().join("lines");
    let line = [&[b'x'; LINE_BYTES - 1][..], b"\n"].concat();
    std::fs::write(&file, line.repeat(PIECE_BYTES / LINE_BYTES))?;
    let times = LOGGED_BYTES / (PIECE_BYTES / LINE_BYTES * LINE_BYTES);
    let script = format!("for i in $(seq {times}); do cat /lines; done");
    let line = format!(
        "run --detach --name PREFIX-logs --network none --log-driver json-file \
         --log-opt max-size=20m --log-opt max-file=5 --volume {}:/lines:ro IMAGE sh -c '{script}'",
        file.display()
    );
    let mut samples = named(contenders);
    for round in 0..=arguments.few_rounds() {
        for (contender, samples) in contenders.all.iter().zip(&mut samples) {
            samples.take_turn(|| time_logging(contender, &line), round > 0)?;
        }
    }
    Ok(samples)
}

/// From the command to the container's end, when its log is complete.
fn time_logging(contender: &Contender, line: &str) -> Result<f64> {
    let start = Instant::now();
    contender.run(line)?;
    contender.run("wait PREFIX-logs")?;
    let elapsed = start.elapsed();
    contender.run("rm --force PREFIX-logs")?;
    Ok(elapsed.as_secs_f64() * 1e3)
}

/// Each contender gets the same log, in the place of that of an ended container.
fn search(arguments: &BenchArguments, contenders: &Contenders) -> Result<Vec<Samples>> {
    let folder = tempfile::tempdir_in("/var/tmp")?;
    let file = folder.path().join("log");
    let since = write_large_log(&file)?;
    let mut samples = named(contenders);
    for (contender, samples) in contenders.all.iter().zip(&mut samples) {
        // Who keeps logs otherwise than Docker cannot be given this one.
        if contender.name == "podman" {
            continue;
        }
        contender
            .run("run --name PREFIX-large --network none --log-opt max-size=10g IMAGE true")?;
        let path = contender.run("inspect --format {{.LogPath}} PREFIX-large")?;
        put(&file, &PathBuf::from(path))?;
        let line = format!("logs --since {since} PREFIX-large");
        for round in 0..=arguments.few_rounds() {
            samples.take_turn(|| contender.time(&line), round > 0)?;
        }
        contender.run("rm --force PREFIX-large")?;
    }
    Ok(samples)
}

fn named(contenders: &Contenders) -> Vec<Samples> {
    contenders.all.iter().map(|contender| Samples::new(contender.name)).collect()
}

/// Without a copy, if it is on the same file system.
fn put(file: &Path, place: &Path) -> Result<()> {
    std::fs::remove_file(place)?;
    if std::fs::hard_link(file, place).is_err() {
        std::fs::copy(file, place)?;
    }
    Ok(())
}

/// Writes a log; says from when on its last minute is.
fn write_large_log(path: &Path) -> Result<String> {
    let text = "x".repeat(LINE_BYTES - 1);
    let line = |at: jiff::Timestamp| {
        format!("{{\"log\":\"{text}\\n\",\"stream\":\"stdout\",\"time\":\"{at:.9}\"}}\n")
    };
    let begins = jiff::Timestamp::from_second(LARGE_LOG_BEGINS)?;
    let count = LARGE_LOG_BYTES / line(begins).len() as u64;
    let step = jiff::SignedDuration::from_nanos(
        i64::try_from(LARGE_LOG_SECONDS * 1_000_000_000 / count).context("ten days fit")?,
    );
    let mut output = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut at = begins;
    for _ in 0..count {
        output.write_all(line(at).as_bytes())?;
        at += step;
    }
    output.flush()?;
    Ok((at - jiff::SignedDuration::from_secs(60)).to_string())
}
