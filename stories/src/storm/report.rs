//! What is told of a storm.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What a client counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Containers from their creation to their removal.
    pub(super) lives: u64,
    /// Requests whose connection broke.
    pub(super) retries: u64,
    /// Lines of output that were compared.
    pub(super) lines: u64,
    pub(super) exit_codes: u64,
    /// How long each operation took, with all its retries.
    pub(super) times: BTreeMap<&'static str, Vec<Duration>>,
    pub(super) problems: Vec<String>,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.lives += other.lives;
        self.retries += other.retries;
        self.lines += other.lines;
        self.exit_codes += other.exit_codes;
        self.problems.extend(other.problems);
        for (operation, times) in other.times {
            self.times.entry(operation).or_default().extend(times);
        }
    }
}

/// What a storm did.
#[derive(Debug)]
pub struct StormReport {
    pub(super) duration: Duration,
    pub(super) kills: u64,
    pub(super) clients: u32,
    pub(super) tally: Tally,
}

impl StormReport {
    /// What went wrong.
    pub fn problems(&self) -> &[String] {
        &self.tally.problems
    }

    /// Whether enough happened for the absence of problems to mean something.
    pub fn is_telling(&self) -> bool {
        let Tally { lives, retries, lines, exit_codes, .. } = &self.tally;
        self.kills > 0 && [lives, retries, lines, exit_codes].iter().all(|count| **count > 0)
    }
}

impl fmt::Display for StormReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { lives, retries, lines, exit_codes, times, problems } = &self.tally;
        let operations: usize = times.values().map(Vec::len).sum();
        writeln!(
            f,
            "{:.0} s, {} clients: the daemon was killed {} times",
            self.duration.as_secs_f64(),
            self.clients,
            self.kills
        )?;
        writeln!(f, "{lives} containers, {operations} operations, {retries} retries")?;
        writeln!(f, "{lines} lines of output and {exit_codes} exit codes compared")?;
        writeln!(f, "{:<12} {:>8} {:>10} {:>10}", "operation", "count", "p50 ms", "p99 ms")?;
        for (operation, times) in times {
            let mut times = times.clone();
            times.sort_unstable();
            let (half, most) = (percentile(&times, 50), percentile(&times, 99));
            writeln!(f, "{operation:<12} {:>8} {half:>10.1} {most:>10.1}", times.len())?;
        }
        for problem in problems {
            writeln!(f, "PROBLEM: {problem}")?;
        }
        write!(f, "problems: {}", problems.len())
    }
}

/// In milliseconds, of times that are sorted.
fn percentile(times: &[Duration], percent: usize) -> f64 {
    let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(index).map_or(0.0, Duration::as_secs_f64) * 1000.0
}
