//! What each test needs: a root file system of busybox, a run folder, a launched shim, and the
//! certainty that nothing is left of all that.

use std::collections::VecDeque;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use shim::client::{
    self, Connection, LaunchError, Launched, Program, Shim, StartDescriptors, Watch,
};
use shim::protocol::{
    Answer, AttachOptions, Event, ExecRequest, Launch, LogSettings, RestartPolicy, RootFilesystem,
    State, VERSION, What, files,
};
use tempfile::TempDir;

/// Debian's static one.
const BUSYBOX: &str = "/bin/busybox";

/// How long a test waits for what must come. Long, for the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A container to be, with settings that a test may change before the launch.
pub(crate) struct Workshop {
    pub id: String,
    folder: TempDir,
    pub config: Value,
    pub launch: Launch,
    pub program: Program,
    pub network_namespace: Option<OwnedFd>,
    pub attach: Vec<(AttachOptions, OwnedFd)>,
}

/// Whether containers can be made here; says why if not.
pub(crate) fn is_possible() -> bool {
    let reason = if !rustix::process::geteuid().is_root() {
        "it needs root"
    } else if !Path::new(BUSYBOX).exists() {
        "it needs busybox-static's /bin/busybox"
    } else {
        return true;
    };
    eprintln!("skipped: {reason}");
    false
}

impl Workshop {
    /// A container that runs `script` in a shell.
    pub(crate) fn shell(script: &str) -> Self {
        Self::program(&["sh", "-c", script])
    }

    /// A container that runs a program.
    pub(crate) fn program(arguments: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("wharf-shim-test-{}-{number}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        make_root(&folder.path().join("root"));
        for name in ["upper", "work", "run"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let launch = Launch {
            version: VERSION,
            container_id: id.clone(),
            rootfs: RootFilesystem::Overlay {
                lowers: vec![folder.path().join("root")],
                upper: folder.path().join("upper"),
                work: folder.path().join("work"),
                volatile: true,
            },
            log: LogSettings::JsonFile {
                path: folder.path().join("log"),
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
        Self {
            config: configuration(&id, arguments),
            id,
            folder,
            launch,
            program: shared_program(),
            network_namespace: None,
            attach: Vec::new(),
        }
    }

    /// The program, with a nursery of its own.
    pub(crate) fn fresh_program() -> Program {
        Program::new(PathBuf::from(env!("CARGO_BIN_EXE_wharf-shim")))
    }

    pub(crate) fn with_terminal(mut self) -> Self {
        self.config["process"]["terminal"] = json!(true);
        self.launch.terminal_size = Some((24, 80));
        self
    }

    pub(crate) fn with_input(mut self, once: bool) -> Self {
        self.launch.stdin_open = true;
        self.launch.stdin_once = once;
        self
    }

    pub(crate) fn with_restart(mut self, policy: RestartPolicy) -> Self {
        self.launch.restart = policy;
        self
    }

    /// Attaches a client before the start.
    pub(crate) fn attach_early(&mut self, options: AttachOptions) -> Attached {
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.attach.push((options, theirs.into()));
        Attached::new(ours)
    }

    pub(crate) fn try_launch(&mut self) -> Result<Launched, LaunchError> {
        let config = serde_json::to_vec(&self.config).unwrap();
        let descriptors = StartDescriptors {
            network_namespace: self.network_namespace.take(),
            attach: std::mem::take(&mut self.attach),
            held: Vec::new(),
        };
        client::launch(&self.program, &self.run_folder(), &config, &self.launch, descriptors)
    }

    pub(crate) fn launch(mut self) -> Running {
        let Launched { state, watch, shim } =
            self.try_launch().unwrap_or_else(|error| panic!("{}", errors::chain(&error)));
        Running {
            workshop: self,
            started: state,
            watch: Some(watch),
            shim: Some(shim),
            seen: VecDeque::new(),
        }
    }

    pub(crate) fn run_folder(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// The log's entries, as (stream, text).
    pub(crate) fn log(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.folder.path().join("log")).unwrap();
        text.lines()
            .map(|line| {
                let entry: Value = serde_json::from_str(line).unwrap();
                let field = |name: &str| entry[name].as_str().unwrap().to_owned();
                (field("stream"), field("log"))
            })
            .collect()
    }

    /// The text of the log's entries, one after the other.
    pub(crate) fn logged(&self) -> String {
        self.log().into_iter().map(|(_, text)| text).collect()
    }

    /// Waits until the container has said `text` so many times.
    #[track_caller]
    pub(crate) fn await_logged(&self, text: &str, times: usize) {
        eventually(&format!("{text:?} in the log"), || {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            (log.matches(text).count() >= times).then_some(())
        });
    }

    /// Asserts that the container has left nothing on the host.
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.cgroups(), Vec::<PathBuf>::new(), "a cgroup is left");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let folder = self.folder.path().to_str().unwrap();
        assert!(!mounts.contains(folder), "a mount is left");
        assert!(!self.run_folder().join(files::SOCKET).exists(), "the socket is left");
        assert_eq!(self.processes(), Vec::<String>::new(), "a process is left");
    }

    /// The container's cgroups, in whatever hierarchy.
    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        let mut hierarchies = vec![PathBuf::from("/sys/fs/cgroup")];
        for entry in fs::read_dir("/sys/fs/cgroup").unwrap() {
            hierarchies.push(entry.unwrap().path());
        }
        hierarchies
            .into_iter()
            .map(|path| path.join(&self.id))
            .filter(|path| path.exists())
            .collect()
    }

    /// The container's `pids.max`, wherever that is.
    pub(crate) fn process_limits(&self) -> Vec<String> {
        let limit = |path: PathBuf| fs::read_to_string(path.join("pids.max")).ok();
        self.cgroups().into_iter().filter_map(limit).collect()
    }

    /// Processes that are this container's shim or live in its root.
    fn processes(&self) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap() {
            let path = entry.unwrap().path();
            let Ok(command) = fs::read(path.join("cmdline")) else { continue };
            let is_shim = fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd == self.run_folder());
            let mounts = fs::read_to_string(path.join("mountinfo")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).into_owned();
            if is_shim || mounts.contains(self.folder.path().to_str().unwrap()) {
                found.push(command);
            }
        }
        found
    }
}

/// Looks until there is what is looked for.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(std::time::Instant::now() < deadline, "{what} has not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// All tests launch from the same nursery, as a daemon does.
fn shared_program() -> Program {
    static PROGRAM: OnceLock<Program> = OnceLock::new();
    PROGRAM.get_or_init(Workshop::fresh_program).clone()
}

fn make_root(root: &Path) {
    for name in ["bin", "proc", "dev", "sys", "tmp", "etc"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    fs::copy(BUSYBOX, root.join("bin/busybox")).unwrap();
    for name in [
        "sh", "cat", "echo", "sleep", "true", "false", "stty", "readlink", "tail", "yes", "head",
        "kill", "dd", "seq",
    ] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
}

fn configuration(id: &str, arguments: &[&str]) -> Value {
    json!({
        "ociVersion": "1.2.0",
        "process": process(arguments),
        "root": { "path": "root" },
        "hostname": "test",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "mode=755"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
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

/// An OCI process object.
pub(crate) fn process(arguments: &[&str]) -> Value {
    json!({
        "user": { "uid": 0, "gid": 0 },
        "args": arguments,
        "env": ["PATH=/bin", "TERM=xterm"],
        "cwd": "/",
    })
}

/// A container that was launched. Ended and checked for leaks by the test; killed, at least,
/// when the test fails before.
pub(crate) struct Running {
    pub workshop: Workshop,
    pub started: State,
    pub watch: Option<Watch>,
    pub shim: Option<Shim>,
    seen: VecDeque<Event>,
}

impl Running {
    pub(crate) fn connect(&self) -> Connection {
        client::connect(&self.workshop.run_folder()).unwrap()
    }

    /// The next event. Panics when the shim has left without one.
    pub(crate) fn event(&mut self) -> Event {
        if let Some(event) = self.seen.pop_front() {
            return event;
        }
        let watch = self.watch.as_mut().expect("the test watches");
        watch.next_event().unwrap().expect("the shim has something to tell")
    }

    /// The next event of this kind; earlier ones are passed over.
    pub(crate) fn await_event(&mut self, what: &What) -> State {
        loop {
            let event = self.event();
            if event.what == *what {
                return event.state;
            }
        }
    }

    pub(crate) fn await_exec(&mut self, wanted: &str) -> i32 {
        loop {
            match self.event().what {
                What::ExecExited { id, exit_code } if id == wanted => return exit_code,
                _ => {}
            }
        }
    }

    pub(crate) fn attach(&self, options: AttachOptions) -> Attached {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let request = shim::protocol::Request::Attach(options);
        self.connect().call(&request, &[std::os::fd::AsFd::as_fd(&theirs)]).unwrap();
        Attached::new(ours)
    }

    /// Runs a further process, attached.
    pub(crate) fn exec(&self, request: ExecRequest) -> Attached {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let request = shim::protocol::Request::Exec(request);
        let answer = self.connect().call(&request, &[std::os::fd::AsFd::as_fd(&theirs)]).unwrap();
        assert!(matches!(answer, Answer::ExecStarted { pid: 1.. }));
        Attached::new(ours)
    }

    /// Waits for the end for good, and asserts that nothing is left.
    pub(crate) fn finish(mut self) -> State {
        let state = loop {
            let state = self.await_event(&What::Exited);
            if state.phase == shim::protocol::Phase::Exited {
                break state;
            }
        };
        // The watchers hear of it last of all.
        let on_disk = client::last_state(&self.workshop.run_folder()).unwrap().unwrap();
        assert_eq!(on_disk.exit_code, state.exit_code);
        self.shim.take().expect("nobody waited for it yet").wait().unwrap();
        let last_words = fs::read_to_string(self.workshop.run_folder().join(files::LAST_WORDS));
        assert_eq!(last_words.unwrap(), "");
        self.workshop.assert_clean();
        state
    }

    /// As [`Running::finish`], for a container that does not end by itself.
    pub(crate) fn stop(self) -> State {
        let request = shim::protocol::Request::Stop { signal: 9, grace: None };
        self.connect().call(&request, &[]).unwrap();
        self.finish()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(shim) = self.shim.take() {
            shim.kill();
            let _ = shim.wait();
            let _ = client::clean_up(&self.workshop.run_folder());
        }
    }
}

/// A client's end of an attached stream.
pub(crate) struct Attached {
    pub stream: UnixStream,
}

impl Attached {
    fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn close_input(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Everything up to the end.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// Reads until the raw output contains `text`; hands back all of it.
    pub(crate) fn read_until(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let so_far = String::from_utf8_lossy(&seen).into_owned();
            if so_far.contains(text) {
                return so_far;
            }
            let count = self.stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the output ended with {so_far:?}");
            seen.extend_from_slice(&buffer[..count]);
        }
    }

    /// Everything up to the end, taken out of Docker's frames: standard output and error.
    pub(crate) fn read_frames(&mut self) -> (String, String) {
        let bytes = self.read_to_end();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut rest = &bytes[..];
        while let Some((header, body)) = rest.split_first_chunk::<8>() {
            let length = u32::from_be_bytes(*header.last_chunk().unwrap()) as usize;
            let (body, after) = body.split_at(length);
            match header[0] {
                1 => stdout.extend_from_slice(body),
                2 => stderr.extend_from_slice(body),
                other => panic!("a frame of stream {other}"),
            }
            rest = after;
        }
        assert!(rest.is_empty(), "a frame was cut off");
        (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }
}

/// A client that wants everything and gives input.
pub(crate) fn everything() -> AttachOptions {
    AttachOptions { stdin: true, stdout: true, stderr: true, ..AttachOptions::default() }
}

/// A client that only looks.
pub(crate) fn output_only() -> AttachOptions {
    AttachOptions { stdin: false, ..everything() }
}

/// An exec of a program with an attached client.
pub(crate) fn exec(id: &str, arguments: &[&str]) -> ExecRequest {
    ExecRequest {
        id: id.to_owned(),
        process: process(arguments),
        user: None,
        additional_groups: Vec::new(),
        attach: Some(everything()),
        terminal_size: None,
    }
}
