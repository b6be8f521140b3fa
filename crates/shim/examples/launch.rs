//! Measures a container's start under a shim, without a daemon: `launch WHARF-SHIM [COUNT]`.
//!
//! Prints, in microseconds: the least, the median and the 90th percentile of the time from the
//! launch to the running program, and to the news of its end (everything removed); and what
//! memory the shim of a container at rest takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use shim::client::{self, Launched, Program, StartDescriptors};
use shim::protocol::{Launch, LogSettings, Request, RestartPolicy, RootFilesystem, VERSION, What};

const BUSYBOX: &str = "/bin/busybox";

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let program = Program::new(arguments.next().unwrap_or_else(|| "wharf-shim".into()).into());
    let count: u32 = arguments.next().map_or(Ok(200), |count| count.parse())?;
    let folder = tempfile::tempdir()?;
    make_root(&folder.path().join("root"))?;

    let mut running = Vec::new();
    let mut ended = Vec::new();
    for number in 0..count {
        let place = Place::new(folder.path(), number)?;
        let began = Instant::now();
        let mut launched = place.launch(&program, &["true"])?;
        running.push(began.elapsed());
        while launched.watch.next_event()?.is_some_and(|event| event.what != What::Exited) {}
        ended.push(began.elapsed());
        launched.shim.wait()?;
    }
    print("until it runs", running);
    print("until it has ended", ended);

    let launched = Place::new(folder.path(), count)?.launch(&program, &["sleep", "1000"])?;
    println!("memory at once:");
    print_memory(launched.shim.pid())?;
    std::thread::sleep(Duration::from_secs(1));
    println!("memory at rest:");
    print_memory(launched.shim.pid())?;
    let request = Request::Stop { signal: 9, grace: None };
    client::connect(&folder.path().join(format!("{count}/run")))?.call(&request, &[])?;
    launched.shim.wait()?;
    Ok(())
}

fn make_root(root: &Path) -> anyhow::Result<()> {
    for name in ["bin", "proc", "dev", "sys"] {
        fs::create_dir_all(root.join(name))?;
    }
    fs::copy(BUSYBOX, root.join("bin/busybox"))?;
    for name in ["true", "sleep"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name))?;
    }
    Ok(())
}

/// The folders of one container.
struct Place {
    folder: PathBuf,
    root: PathBuf,
    id: String,
}

impl Place {
    fn new(folder: &Path, number: u32) -> anyhow::Result<Self> {
        let root = folder.join("root");
        let folder = folder.join(number.to_string());
        for name in ["upper", "work", "run"] {
            fs::create_dir_all(folder.join(name))?;
        }
        Ok(Self { folder, root, id: format!("wharf-launch-{}-{number}", std::process::id()) })
    }

    fn launch(&self, program: &Program, arguments: &[&str]) -> anyhow::Result<Launched> {
        let launch = Launch {
            version: VERSION,
            container_id: self.id.clone(),
            rootfs: RootFilesystem::Overlay {
                lowers: vec![self.root.clone()],
                upper: self.folder.join("upper"),
                work: self.folder.join("work"),
                volatile: true,
            },
            log: LogSettings::JsonFile {
                path: self.folder.join("log"),
                size_max: None,
                files_max: 1,
                compress: false,
                attributes: Vec::new(),
            },
            user: None,
            additional_groups: Vec::new(),
            stdin_open: false,
            stdin_once: false,
            terminal_size: None,
            restart: RestartPolicy::No,
            restart_count: 0,
            runtime: None,
            runtime_arguments: Vec::new(),
            health: None,
            joins: Vec::new(),
        };
        let config = serde_json::to_vec(&configuration(&self.id, arguments))?;
        let folder = self.folder.join("run");
        Ok(client::launch(program, &folder, &config, &launch, StartDescriptors::default())?)
    }
}

fn configuration(id: &str, arguments: &[&str]) -> serde_json::Value {
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": arguments,
            "env": ["PATH=/bin"],
            "cwd": "/",
            "noNewPrivileges": true,
        },
        "root": { "path": "root" },
        "hostname": "bench",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["newinstance", "ptmxmode=0666"] },
        ],
        "linux": {
            "cgroupsPath": format!("/{id}"),
            "namespaces": [
                { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" },
                { "type": "network" },
            ],
        },
    })
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_micros();
    println!("{what}: {} {} {}", at(0), at(50), at(90));
}

fn print_memory(pid: i32) -> anyhow::Result<()> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    for line in rollup.lines().filter(|line| line.starts_with("Pss")) {
        println!("{line}");
    }
    Ok(())
}
