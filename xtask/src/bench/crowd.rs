//! What many containers cost those who ask about one, and what they cost when nobody asks.
//!
//! A question about one container is asked beside [`FEW`] others and beside [`MANY`]: the
//! answer is as long, so it should take as long. `ps` of them all is measured elsewhere, as its
//! answer grows with them; here it is asked for one by its name.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use super::BenchArguments;
use super::contender::{Contender, Contenders};
use super::table::{Measurement, OURS, Samples, Table};

/// Containers that are few.
const FEW: usize = 10;

/// Containers that are many.
const MANY: usize = 500;

/// Containers whose statistics are asked for at once.
const COUNTED: usize = 100;

/// How long nobody asks.
const IDLE: Duration = Duration::from_secs(60);

/// How long what was just started may have to do with itself.
const SETTLING: Duration = Duration::from_secs(5);

/// Questions about one container: what they are called, and what is asked.
const QUESTIONS: [(&str, &str); 3] = [
    ("`ps` of one container beside 500 running ones", "ps --filter name=^PREFIX-0$"),
    ("`inspect` of one container beside 500 running ones", "inspect PREFIX-0"),
    (
        "`events` of one container's last second beside 500 running ones",
        "events --since SINCE --until SINCE --filter container=PREFIX-0",
    ),
];

const IDLE_NAME: &str = "idle: daemon and supervisors of 500 containers";

/// Containers that are probed, each once a second.
const PROBED: usize = 100;

pub(crate) fn measure(
    arguments: &BenchArguments,
    contenders: &Contenders,
    table: &mut Table,
) -> Result<()> {
    statistics(arguments, contenders, table)?;
    probes(arguments, contenders, table)?;
    let wanted: Vec<_> = QUESTIONS.iter().filter(|(name, _)| arguments.wants(name)).collect();
    if wanted.is_empty() && !arguments.wants(IDLE_NAME) {
        return Ok(());
    }
    let ours = &contenders.all[0];
    run(ours, 0..FEW)?;
    let few = ask_all(ours, &wanted, arguments.rounds, "beside 10")?;
    run(ours, FEW..MANY)?;
    sleep(SETTLING);
    let many = ask_all(ours, &wanted, arguments.rounds, OURS)?;
    for ((name, _), samples) in wanted.iter().zip(few.into_iter().zip(many)) {
        let samples = vec![samples.0, samples.1];
        table.add(Measurement { name: (*name).to_owned(), unit: "ms", samples });
    }
    if arguments.wants(IDLE_NAME) {
        sleep(SETTLING);
        let mut samples = Samples::new(OURS);
        samples.values.push(busy_percent(contenders)?);
        let samples = vec![samples];
        table.add(Measurement { name: IDLE_NAME.to_owned(), unit: "% of a core", samples });
    }
    ours.clear()
}

/// Statistics of everybody's containers, in turn.
fn statistics(
    arguments: &BenchArguments,
    contenders: &Contenders,
    table: &mut Table,
) -> Result<()> {
    let name = format!("`stats --no-stream` of {COUNTED} containers");
    if !arguments.wants(&name) {
        return Ok(());
    }
    let mut samples = Vec::new();
    for contender in &contenders.all {
        let mut own = Samples::new(contender.name);
        own.take_turn(|| run(contender, 0..COUNTED).map(|()| 0.0), false)?;
        for _ in 0..arguments.few_rounds() {
            own.take_turn(|| contender.time("stats --no-stream"), true)?;
        }
        contender.clear()?;
        samples.push(own);
    }
    table.add(Measurement { name, unit: "ms", samples });
    Ok(())
}

/// What health checks without a process cost the daemon and the supervisors.
fn probes(arguments: &BenchArguments, contenders: &Contenders, table: &mut Table) -> Result<()> {
    let name = format!("{PROBED} health checks a second by `--health-tcp`");
    if !arguments.wants(&name) {
        return Ok(());
    }
    let ours = &contenders.all[0];
    for n in 0..PROBED {
        let check = "--health-tcp 8080 --health-interval 1s";
        let server = "httpd -f -p 8080";
        ours.run(&format!("run --detach --name PREFIX-{n} {check} IMAGE {server}"))?;
    }
    sleep(SETTLING);
    let mut samples = Samples::new(OURS);
    samples.values.push(busy_percent(contenders)?);
    table.add(Measurement { name, unit: "% of a core", samples: vec![samples] });
    ours.clear()
}

fn run(contender: &Contender, numbers: std::ops::Range<usize>) -> Result<()> {
    for n in numbers {
        contender.run(&format!("run --detach --name PREFIX-{n} IMAGE sleep 100000"))?;
    }
    Ok(())
}

/// Asks each question often.
fn ask_all(
    ours: &Contender,
    questions: &[&(&str, &str)],
    rounds: usize,
    who: &str,
) -> Result<Vec<Samples>> {
    let ask = |(_, line): &&(&str, &str)| {
        let mut samples = Samples::new(who);
        // The first answer is not counted: caches are cold then.
        for round in 0..=rounds {
            let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
            let line = line.replace("SINCE", &since.to_string());
            samples.take_turn(|| ours.time(&line), round > 0)?;
        }
        Ok(samples)
    };
    questions.iter().map(ask).collect()
}

/// The share of a processor that the daemon and the supervisors take while nobody asks them.
fn busy_percent(contenders: &Contenders) -> Result<f64> {
    let mut pids = contenders.host.shims();
    pids.push(contenders.host.daemon_pid());
    let start = Instant::now();
    let before = nanoseconds(&pids)?;
    sleep(IDLE);
    let after = nanoseconds(&pids)?;
    let elapsed = start.elapsed();
    // Processor time of a minute is far below the integers that a float cannot hold.
    #[allow(clippy::cast_precision_loss)]
    let used = after.saturating_sub(before) as f64;
    Ok(used / 1e9 / elapsed.as_secs_f64() * 100.0)
}

/// Processor time of all threads, to the nanosecond. `/proc/<pid>/stat` would count in ticks, of
/// which a process that hardly does anything has none.
fn nanoseconds(pids: &[u32]) -> Result<u64> {
    let mut total = 0;
    for pid in pids {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).context("a process has gone")?;
        for task in tasks.flatten() {
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let first = text.split(' ').next().and_then(|word| word.parse::<u64>().ok());
            total += first.unwrap_or(0);
        }
    }
    Ok(total)
}
