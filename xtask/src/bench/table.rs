//! The table of results.

use std::fmt::Write as _;

use anyhow::Result;

/// What was measured, for one contender.
#[derive(Debug, Clone)]
pub(crate) struct Samples {
    pub(crate) contender: String,
    /// In the measurement's unit.
    pub(crate) values: Vec<f64>,
    /// A peer that cannot do it here is left out from then on.
    is_left_out: bool,
}

impl Samples {
    pub(crate) fn new(contender: &str) -> Self {
        Self { contender: contender.to_owned(), values: Vec::new(), is_left_out: false }
    }

    /// Measures once more, and keeps the value if it `counts`. That a peer fails is told,
    /// but only our own failure is one of the benchmark.
    pub(crate) fn take_turn(
        &mut self,
        measure: impl FnOnce() -> Result<f64>,
        counts: bool,
    ) -> Result<()> {
        if self.is_left_out {
            return Ok(());
        }
        match measure() {
            Ok(value) => self.values.extend(counts.then_some(value)),
            Err(error) if self.contender == OURS => return Err(error),
            Err(error) => {
                println!("{} is left out here: {error:#}", self.contender);
                self.is_left_out = true;
            }
        }
        Ok(())
    }

    fn sorted(&self) -> Vec<f64> {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        values
    }

    fn median(&self) -> f64 {
        let values = self.sorted();
        let middle = values.len() / 2;
        if values.len() % 2 == 1 {
            values[middle]
        } else {
            (values[middle - 1] + values[middle]) / 2.0
        }
    }
}

/// One thing that was measured, the floor first where there is one, then ours.
#[derive(Debug, Clone)]
pub(crate) struct Measurement {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) samples: Vec<Samples>,
}

/// The name that our own samples carry.
pub(crate) const OURS: &str = "wharf";

/// All measurements.
#[derive(Debug)]
pub(crate) struct Table {
    measurements: Vec<Measurement>,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { measurements: Vec::new() }
    }

    /// Adds a measurement and tells it at once, since the whole takes minutes.
    pub(crate) fn add(&mut self, mut measurement: Measurement) {
        measurement.samples.retain(|samples| !samples.values.is_empty());
        print!("{}", rows(&measurement));
        self.measurements.push(measurement);
    }

    /// As Markdown.
    pub(crate) fn render(&self) -> String {
        let mut text = String::from(INTRODUCTION);
        let _ = writeln!(text, "{}\n", machine());
        text.push_str("| measured | who | minimum | median | maximum | Wharf takes |\n");
        text.push_str("|---|---|--:|--:|--:|--:|\n");
        for measurement in &self.measurements {
            text.push_str(&rows(measurement));
        }
        text
    }
}

const INTRODUCTION: &str = "# Benchmarks\n\n\
    Written by `cargo xtask bench --write`. Each thing is measured in turn, round by round, for \
    Wharf, for the peers that the machine has, and for the raw floor: a clone into new \
    namespaces, an overlay mount, a change of the root, an exec and a wait, and nothing else. \
    The last column compares the medians.\n\n";

/// The rows of one measurement.
fn rows(measurement: &Measurement) -> String {
    let ours = measurement.samples.iter().find(|samples| samples.contender == OURS);
    let mut text = String::new();
    for samples in &measurement.samples {
        let values = samples.sorted();
        let (Some(first), Some(last)) = (values.first(), values.last()) else { continue };
        let ratio = ours.map_or(String::new(), |ours| ratio(ours, samples));
        let Measurement { name, unit, .. } = measurement;
        let (first, median, last) = (number(*first), number(samples.median()), number(*last));
        let who = &samples.contender;
        let _ = writeln!(
            text,
            "| {name} | {who} | {first} {unit} | {median} {unit} | {last} {unit} | {ratio} |"
        );
    }
    text
}

/// How many times what `other` takes we take.
fn ratio(ours: &Samples, other: &Samples) -> String {
    if ours.contender == other.contender {
        return String::new();
    }
    let ratio = ours.median() / other.median();
    if ratio >= 0.995 {
        format!("{ratio:.1} times that")
    } else {
        format!("1/{:.1} of that", 1.0 / ratio)
    }
}

fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// What the numbers were measured on.
fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let system = rustix::system::uname();
    let kernel = system.release().to_string_lossy().into_owned();
    let architecture = system.machine().to_string_lossy().into_owned();
    format!("Measured on {processors} processors ({architecture}), Linux {kernel}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_compare_medians_with_ours() {
        let samples = |contender: &str, values: &[f64]| Samples {
            values: values.to_vec(),
            ..Samples::new(contender)
        };
        let measurement = Measurement {
            name: "run".to_owned(),
            unit: "ms",
            samples: vec![
                samples("floor", &[2.0, 1.0, 3.0]),
                samples(OURS, &[4.0, 4.0]),
                samples("docker", &[200.0]),
            ],
        };
        assert_eq!(
            rows(&measurement),
            "| run | floor | 1.0 ms | 2.0 ms | 3.0 ms | 2.0 times that |\n\
             | run | wharf | 4.0 ms | 4.0 ms | 4.0 ms |  |\n\
             | run | docker | 200 ms | 200 ms | 200 ms | 1/50.0 of that |\n"
        );
    }
}
