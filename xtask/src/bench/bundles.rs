//! How long the OCI runtimes take for a bare bundle, and how much memory.
//!
//! The bundle is what `wharf-runtime spec` writes, with `true` for its program and Docker's
//! seccomp profile. Peers are `crun`, `runc` and `youki` where they are installed, and the
//! programs that `RUNTIME_PEERS` names, with `:` between them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::BenchArguments;
use super::contender::Contenders;
use super::floor::Floor;
use super::table::{Measurement, OURS, Samples, Table};
use crate::machine::find;

/// The name of the containers.
const NAME: &str = "wharf-bench";

/// How many containers are there when the last ones are made.
const MANY: usize = 500;

/// How many of the first and of the last of them are compared.
const COMPARED: usize = 20;

pub(crate) fn measure(
    arguments: &BenchArguments,
    programs: &Path,
    contenders: &Contenders,
    floor: &Floor,
    table: &mut Table,
) -> Result<()> {
    if !NAMES.iter().any(|name| arguments.wants(name)) {
        return Ok(());
    }
    let folder = tempfile::tempdir_in("/tmp")?;
    let bundle = Bundle::make(&folder.path().join("true"), programs, contenders, &["true"])?;
    let sleeping =
        Bundle::make(&folder.path().join("sleep"), programs, contenders, &["sleep", "1000"])?;
    let runtimes = Runtime::all(programs, &bundle);
    let bench = Bench { arguments, programs, floor, runtimes, bundle, sleeping };
    for (name, measure) in NAMES.into_iter().zip(MEASUREMENTS) {
        if arguments.wants(name) {
            let samples = measure(&bench).context(name)?;
            let unit = if name.contains("memory") { "MiB" } else { "ms" };
            table.add(Measurement { name: name.to_owned(), unit, samples });
        }
    }
    Ok(())
}

/// What is measured.
pub(super) const NAMES: [&str; 7] = [
    "a bundle's `run` by the runtime alone",
    "a bundle's `create`, `start` and `delete`",
    "a bundle's `exec` of `true`",
    "a bundle's life in the supervisor",
    "a bundle's further process in the supervisor",
    "peak memory of a bundle's `create`",
    "a bundle's `run --detach` beside 500 others",
];

type Measure = fn(&Bench<'_>) -> Result<Vec<Samples>>;

const MEASUREMENTS: [Measure; 7] = [
    |bench| bench.runs(),
    |bench| bench.lifecycles(),
    |bench| bench.execs(),
    |bench| bench.by_the_library(&[]),
    |bench| bench.by_the_library(&["--exec"]),
    |bench| bench.memory(),
    |bench| bench.many(),
];

/// A folder with a configuration and a root.
struct Bundle {
    path: PathBuf,
}

impl Bundle {
    fn make(
        path: &Path,
        programs: &Path,
        contenders: &Contenders,
        command: &[&str],
    ) -> Result<Self> {
        unpack_shell(&path.join("rootfs"))?;
        let mut spec = Command::new(programs.join("wharf-runtime"));
        crate::programs::run(spec.arg("spec").arg("--bundle").arg(path))?;
        let file = path.join("config.json");
        let mut configuration: Value = serde_json::from_slice(&fs::read(&file)?)?;
        configuration["process"]["terminal"] = json!(false);
        configuration["process"]["args"] = json!(command);
        configuration["linux"]["seccomp"] = docker_profile(contenders)?;
        fs::write(&file, serde_json::to_vec_pretty(&configuration)?)?;
        Ok(Self { path: path.to_owned() })
    }
}

/// The filter of a container that was made without any wish.
fn docker_profile(contenders: &Contenders) -> Result<Value> {
    let ours = &contenders.all[0];
    let id = ours.run("run --detach --name PREFIX-profile IMAGE sleep 1000")?;
    let file = contenders.host.exec_root().join("containers").join(id).join("config.json");
    let configuration: Value = serde_json::from_slice(&fs::read(file)?)?;
    ours.run("rm --force PREFIX-profile")?;
    Ok(configuration["linux"]["seccomp"].clone())
}

/// An OCI runtime with runc's command line.
struct Runtime {
    name: String,
    program: PathBuf,
}

impl Runtime {
    /// Ours, and the peers that can run `bundle` here (crun refuses a host with controllers in
    /// both cgroup versions).
    fn all(programs: &Path, bundle: &Bundle) -> Vec<Self> {
        let ours = Self { name: OURS.to_owned(), program: programs.join("wharf-runtime") };
        let named = std::env::var_os("RUNTIME_PEERS").unwrap_or_default();
        let named: Vec<PathBuf> = std::env::split_paths(&named).collect();
        let peers = ["crun", "runc", "youki"].iter().filter_map(|name| find(name)).chain(named);
        let peers = peers.filter(|program| program.is_file()).map(Self::of_peer);
        let can_run = |peer: &Self| match peer.run(bundle) {
            Ok(_) => true,
            Err(error) => {
                println!("no {} to compare with: {error:#}", peer.name);
                false
            }
        };
        std::iter::once(ours).chain(peers.filter(can_run)).collect()
    }

    /// Named by what its `--version` says first: `crun version 1.8.1`.
    fn of_peer(program: PathBuf) -> Self {
        let said = Command::new(&program).arg("--version").output().ok();
        let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let line = said.as_deref().and_then(|said| said.lines().next()).unwrap_or_default();
        let name = line.replace("version ", "");
        Self { name: name.trim().to_owned(), program }
    }

    /// Milliseconds that the runtime takes for what `line` asks of it.
    fn time(&self, line: &[&str]) -> Result<f64> {
        let mut command = Command::new(&self.program);
        // Not a pipe: a container would keep it open.
        let complaints = tempfile::tempfile()?;
        command.args(line).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(complaints.try_clone()?);
        let start = Instant::now();
        let status = command.status()?;
        let elapsed = start.elapsed();
        ensure!(status.success(), "{line:?}: {status}: {}", told(complaints)?);
        Ok(elapsed.as_secs_f64() * 1e3)
    }

    fn run(&self, bundle: &Bundle) -> Result<f64> {
        self.time(&["run", "--bundle", path(bundle), NAME])
    }

    fn lifecycle(&self, bundle: &Bundle) -> Result<f64> {
        let create = self.time(&["create", "--bundle", path(bundle), NAME])?;
        let start = self.time(&["start", NAME])?;
        // What it does itself is not what is measured.
        self.await_end()?;
        Ok(create + start + self.time(&["delete", NAME])?)
    }

    fn await_end(&self) -> Result<()> {
        loop {
            let output = Command::new(&self.program).args(["state", NAME]).output()?;
            let state: Value = serde_json::from_slice(&output.stdout)?;
            if state["status"] == "stopped" {
                return Ok(());
            }
        }
    }
}

fn path(bundle: &Bundle) -> &str {
    bundle.path.to_str().expect("a temporary folder has a plain name")
}

fn told(mut file: fs::File) -> Result<String> {
    std::io::Seek::rewind(&mut file)?;
    Ok(std::io::read_to_string(file)?)
}

struct Bench<'a> {
    arguments: &'a BenchArguments,
    programs: &'a Path,
    floor: &'a Floor,
    /// Ours first.
    runtimes: Vec<Runtime>,
    bundle: Bundle,
    sleeping: Bundle,
}

impl Bench<'_> {
    fn samples(&self) -> Vec<Samples> {
        self.runtimes.iter().map(|runtime| Samples::new(&runtime.name)).collect()
    }

    /// Everybody in turn, round by round; the first round is not counted: caches are cold then.
    fn in_turn(&self, measure: impl Fn(&Runtime) -> Result<f64>) -> Result<Vec<Samples>> {
        let mut samples = self.samples();
        for round in 0..=self.arguments.rounds {
            for (runtime, samples) in self.runtimes.iter().zip(&mut samples) {
                samples.take_turn(|| measure(runtime), round > 0)?;
            }
        }
        Ok(samples)
    }

    fn runs(&self) -> Result<Vec<Samples>> {
        let mut floor = Samples::new("raw floor");
        for _ in 0..self.arguments.rounds {
            floor.values.push(self.floor.measure(&["--network"])?);
        }
        let mut samples = self.in_turn(|runtime| runtime.run(&self.bundle))?;
        samples.insert(0, floor);
        Ok(samples)
    }

    fn lifecycles(&self) -> Result<Vec<Samples>> {
        self.in_turn(|runtime| runtime.lifecycle(&self.bundle))
    }

    fn execs(&self) -> Result<Vec<Samples>> {
        self.in_turn(|runtime| {
            runtime.time(&["run", "--detach", "--bundle", path(&self.sleeping), NAME])?;
            let elapsed = runtime.time(&["exec", NAME, "true"]);
            runtime.time(&["delete", "--force", NAME])?;
            elapsed
        })
    }

    /// No peer is a library.
    fn by_the_library(&self, flags: &[&str]) -> Result<Vec<Samples>> {
        let mut ours = Samples::new(OURS);
        for round in 0..=self.arguments.rounds {
            let mut command = Command::new(self.programs.join("examples/lifecycle"));
            let output = command.arg(&self.bundle.path).args(flags).output()?;
            let complaint = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "lifecycle failed: {complaint}");
            let nanoseconds: f64 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
            ours.values.extend((round > 0).then_some(nanoseconds / 1e6));
        }
        Ok(vec![ours])
    }

    fn memory(&self) -> Result<Vec<Samples>> {
        self.in_turn(|runtime| {
            // Not pipes: the container would keep them open.
            let (peak, complaints) = (tempfile::tempfile()?, tempfile::tempfile()?);
            let mut command = Command::new(self.programs.join("peak"));
            command.arg(&runtime.program).args(["create", "--bundle", path(&self.bundle), NAME]);
            command.stdin(Stdio::null()).stdout(peak.try_clone()?);
            let status = command.stderr(complaints.try_clone()?).status()?;
            ensure!(status.success(), "{}", told(complaints)?);
            runtime.time(&["delete", "--force", NAME])?;
            Ok(told(peak)?.trim().parse::<f64>()? / 1024.0)
        })
    }

    fn many(&self) -> Result<Vec<Samples>> {
        let ours = &self.runtimes[0];
        let names: Vec<String> = (0..MANY + COMPARED).map(|n| format!("{NAME}-{n}")).collect();
        let run =
            |name: &String| ours.time(&["run", "--detach", "--bundle", path(&self.sleeping), name]);
        let times: Result<Vec<f64>> = names.iter().map(run).collect();
        for name in &names {
            ours.time(&["delete", "--force", name])?;
        }
        let times = times?;
        let mut first = Samples::new(&format!("the first {COMPARED}"));
        let mut last = Samples::new(OURS);
        first.values = times[..COMPARED].to_vec();
        last.values = times[MANY..].to_vec();
        Ok(vec![first, last])
    }
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
