//! How long the OCI runtimes take for a bare bundle.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::BenchArguments;
use super::floor::Floor;
use super::table::{Measurement, OURS, Samples, Table};
use crate::machine::find;

pub(crate) fn measure(
    arguments: &BenchArguments,
    programs: &Path,
    floor: &Floor,
    table: &mut Table,
) -> Result<()> {
    let name = "a bundle's `run` by the runtime alone";
    if !arguments.wants(name) {
        return Ok(());
    }
    let folder = tempfile::tempdir_in("/tmp")?;
    let bundle = folder.path();
    unpack_shell(&bundle.join("rootfs"))?;
    fs::write(bundle.join("config.json"), configuration().to_string())?;
    let peers = ["crun", "runc"].iter().filter_map(|name| Some((*name, find(name)?)));
    // A peer may refuse a host (crun does one with controllers in both cgroup versions).
    let peers = peers.filter(|(name, program)| match time(program, bundle) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("no {name} to compare with: {error:#}");
            false
        }
    });
    let runtimes: Vec<_> =
        [(OURS, programs.join("wharf-runtime"))].into_iter().chain(peers).collect();

    let mut raw = Samples::new("raw floor");
    let mut samples: Vec<_> = runtimes.iter().map(|(name, _)| Samples::new(name)).collect();
    for round in 0..=arguments.rounds {
        let value = floor.measure(&[])?;
        raw.values.extend((round > 0).then_some(value));
        for ((name, program), samples) in runtimes.iter().zip(&mut samples) {
            let measure = || time(program, bundle).with_context(|| format!("{name} failed"));
            samples.take_turn(measure, round > 0)?;
        }
    }
    samples.insert(0, raw);
    table.add(Measurement { name: name.to_owned(), unit: "ms", samples });
    Ok(())
}

fn time(program: &Path, bundle: &Path) -> Result<f64> {
    let mut command = Command::new(program);
    command.arg("run").arg("--bundle").arg(bundle).arg("wharf-bench");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let output = command.output()?;
    let elapsed = start.elapsed();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(elapsed.as_secs_f64() * 1e3)
}

/// What `runc spec` writes, in short: the namespaces and mounts that everybody uses.
fn configuration() -> serde_json::Value {
    let namespaces = ["pid", "ipc", "uts", "mount"].map(|kind| serde_json::json!({"type": kind}));
    serde_json::json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": ["/bin/true"], "cwd": "/",
            "env": ["PATH=/bin"], "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "bench",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        ],
        "linux": {"namespaces": namespaces},
    })
}

/// Makes a root with a shell, from the archive that the stories use.
pub(crate) fn unpack_shell(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for name in ["proc", "dev", "sys"] {
        fs::create_dir_all(folder.join(name))?;
    }
    let file = folder.with_extension("tar");
    fs::write(&file, stories::FileSystem::with_shell().tar())?;
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(&file).arg("-C").arg(folder);
    crate::programs::run(&mut tar)
}
