//! How much the engines weigh: the memory that they add to the machine.

use std::fs;

use anyhow::{Context as _, Result};

use super::BenchArguments;
use super::contender::Contenders;
use super::table::{Measurement, OURS, Samples, Table};

/// How many containers run while memory is looked at.
const RUNNING: u32 = 100;

pub(crate) fn measure(
    arguments: &BenchArguments,
    contenders: &Contenders,
    table: &mut Table,
) -> Result<()> {
    let daemon_name = format!("memory of the daemon with {RUNNING} containers");
    let shim_name = "memory of one supervisor";
    if !arguments.wants(&daemon_name) && !arguments.wants(shim_name) {
        return Ok(());
    }
    let mut daemons = Vec::new();
    let mut shims = Vec::new();
    for contender in contenders.all.iter().filter(|contender| contender.name != "podman") {
        for n in 0..RUNNING {
            contender.run(&format!("run --detach --name PREFIX-{n} IMAGE sleep 1000"))?;
        }
        let ours = contender.name == OURS;
        let mut daemon = Samples::new(contender.name);
        let mut shim = Samples::new(contender.name);
        let (daemon_pids, shim_pids) = if ours {
            (vec![contenders.host.daemon_pid()], contenders.host.shims())
        } else {
            (processes(&["dockerd", "containerd"])?, processes(&["containerd-shim"])?)
        };
        let total: u64 = daemon_pids.iter().filter_map(|&pid| proportional_set_kib(pid)).sum();
        daemon.values.push(mebibytes(total));
        let sizes = shim_pids.iter().filter_map(|&pid| proportional_set_kib(pid));
        shim.values.extend(sizes.map(mebibytes));
        daemons.push(daemon);
        shims.push(shim);
        contender.clear()?;
    }
    table.add(Measurement { name: daemon_name, unit: "MiB", samples: daemons });
    table.add(Measurement { name: shim_name.to_owned(), unit: "MiB", samples: shims });
    Ok(())
}

/// The processes whose names begin so, up to a `-`: `containerd` is not its shim.
fn processes(names: &[&str]) -> Result<Vec<u32>> {
    let entries = fs::read_dir("/proc").context("there is no /proc")?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_one = |pid: &u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let name = name.trim();
        names
            .iter()
            .any(|wanted| name == *wanted || wanted.contains('-') && name.starts_with(wanted))
    };
    Ok(pids.filter(is_one).collect())
}

/// What a process uses for itself, with its share of what it has in common with others.
fn proportional_set_kib(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

fn mebibytes(kib: u64) -> f64 {
    // Sizes of processes are far below the integers that a float cannot hold.
    #[allow(clippy::cast_precision_loss)]
    let kib = kib as f64;
    kib / 1024.0
}
