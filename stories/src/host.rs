//! A host with a daemon of its own.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::archive::FileSystem;
use crate::client::Client;
use crate::container::Container;
use crate::engine::{Engine, on_path, stock_client, wharf_program};
use crate::fail_points::{self, FailPoints};
use crate::http::{self, Answer};
use crate::leaks;
use crate::network_namespace::NetworkNamespace;
use crate::outcome::Outcome;
use crate::patience::eventually;
use crate::skips;
use crate::terminal::TerminalClient;
use crate::words;

/// How long what belongs to a removed container may take to go.
const LEAVING: Duration = Duration::from_secs(10);

/// How many links a daemon may keep ready for containers to come.
const SPARES_MAX: usize = 4;

/// How many of the daemon's last words a failing story prints.
const LAST_WORDS: usize = 25;

/// A host with a daemon of its own. Dropping it removes everything, and fails the story
/// if the daemon forgot something.
#[derive(Debug)]
pub struct Host {
    engine: Engine,
    /// Where our programs are, if not where the build puts them.
    programs: Option<PathBuf>,
    flags: Vec<String>,
    /// Shared by hosts that were started beside each other.
    namespace: Rc<NetworkNamespace>,
    /// Short, since a socket's path may have 108 characters only.
    folder: TempDir,
    daemon: RefCell<Option<Child>>,
    fail_points: Option<FailPoints>,
}

/// A host to be started.
#[derive(Debug, Default)]
pub struct HostBuilder {
    flags: Vec<String>,
    is_bare: bool,
    namespace: Option<Rc<NetworkNamespace>>,
    programs: Option<PathBuf>,
    has_fail_points: bool,
}

impl HostBuilder {
    /// Gives the daemon further flags.
    #[must_use]
    pub fn flags(mut self, line: &str) -> Self {
        self.flags.extend(words::split(line));
        self
    }

    /// Without the image `busybox`.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.is_bare = true;
        self
    }

    /// On the network of `other`: two daemons on one machine.
    #[must_use]
    pub fn beside(mut self, other: &Host) -> Self {
        self.namespace = Some(Rc::clone(&other.namespace));
        self
    }

    /// With the programs of another folder than the build's.
    #[must_use]
    pub fn programs(mut self, folder: &Path) -> Self {
        self.programs = Some(folder.to_owned());
        self
    }

    /// With programs that can be made to fail.
    #[must_use]
    pub fn fail_points(mut self) -> Self {
        self.has_fail_points = true;
        self
    }

    #[track_caller]
    pub fn start(self) -> Host {
        let namespace = self.namespace.unwrap_or_else(|| Rc::new(NetworkNamespace::new()));
        let folder = tempfile::Builder::new().prefix("s").tempdir_in("/tmp").expect("/tmp exists");
        let points = folder.path().join("points");
        let host = Host {
            engine: Engine::chosen(),
            programs: self.programs,
            flags: self.flags,
            namespace,
            folder,
            daemon: RefCell::new(None),
            fail_points: self.has_fail_points.then(|| FailPoints::new(points)),
        };
        host.start_daemon();
        if !self.is_bare {
            let import = "import --change 'CMD [\"sh\"]' - busybox";
            host.docker_with_input(import, FileSystem::shell_tar()).succeeds();
        }
        host
    }
}

impl Host {
    /// A host with an image `busybox`: a shell, and a web page in `/var/www`.
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A host whose programs can be made to fail at chosen places. Nothing, with the reason
    /// told, with a stock dockerd or programs that were built for a release: those have none.
    pub fn with_fail_points_or_skips() -> Option<Self> {
        if !Self::is_wharf_or_skips("dockerd has no fail points") {
            return None;
        }
        let host = Self::builder().fail_points().start();
        if host.fail_points().all().is_empty() {
            Self::skips("fail points: programs that were built for a release have none");
            return None;
        }
        Some(host)
    }

    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// Whether a story that is about Wharf only can be told; if not, notes the reason.
    #[must_use]
    pub fn is_wharf_or_skips(reason: &str) -> bool {
        let is_wharf = Engine::chosen() == Engine::Wharf;
        if !is_wharf {
            skips::note(reason);
        }
        is_wharf
    }

    /// Whether a story with flags that only our own client knows can be told; if not, notes that.
    #[must_use]
    pub fn has_own_client_or_skips() -> bool {
        let is_own = Engine::chosen().client() == wharf_program("wharf");
        if !is_own {
            skips::note("the stock docker client does not know the flags");
        }
        is_own
    }

    /// Notes that the present story, or the rest of it, cannot be told here.
    pub fn skips(reason: &str) {
        skips::note(reason);
    }

    /// Whether this machine has the stock docker client; if not, notes that.
    #[must_use]
    pub fn has_stock_client_or_skips() -> bool {
        let has_client = stock_client().is_some();
        if !has_client {
            skips::note("no stock docker client on PATH");
        }
        has_client
    }

    /// Our own client's program, for a story about how it is started.
    pub fn wharf() -> PathBuf {
        wharf_program("wharf")
    }

    /// Types a command, without the client's name in front, and waits for its end.
    #[track_caller]
    pub fn docker(&self, line: &str) -> Outcome {
        self.docker_with_input(line, b"")
    }

    /// As [`Host::docker`], with words that need no quoting.
    #[track_caller]
    pub fn docker_words(&self, words: &[&str]) -> Outcome {
        let client = self.client(words.iter().copied());
        let mut client = Client::start(client, &words.join(" "));
        client.ends_input();
        client.finish()
    }

    /// Types a command into the stock docker client.
    #[track_caller]
    pub fn stock_docker(&self, line: &str) -> Outcome {
        let program = stock_client().expect("has_stock_client_or_skips was asked");
        let mut client = Client::start(self.client_of(&program, words::split(line)), line);
        client.ends_input();
        client.finish()
    }

    /// Types a command that only our own client has, whichever engine the story is about.
    #[track_caller]
    pub fn wharf_only(&self, line: &str) -> Outcome {
        let mut client = Client::start(self.client_of(&Self::wharf(), words::split(line)), line);
        client.ends_input();
        client.finish()
    }

    /// As [`Host::wharf_only`], in a terminal.
    #[track_caller]
    pub fn wharf_only_terminal(&self, line: &str) -> TerminalClient {
        TerminalClient::start(&self.client_of(&Self::wharf(), words::split(line)), line)
    }

    /// As [`Host::spawn`], with the stock docker client.
    #[track_caller]
    pub fn spawn_stock(&self, line: &str) -> Client {
        let program = stock_client().expect("has_stock_client_or_skips was asked");
        Client::start(self.client_of(&program, words::split(line)), line)
    }

    /// Types a command and pipes `input` into it.
    #[track_caller]
    pub fn docker_with_input(&self, line: &str, input: &[u8]) -> Outcome {
        let mut command = self.client(words::split(line));
        // From a file, so that a client that does not read it cannot block us.
        let mut file = tempfile::tempfile_in(self.folder.path()).expect("/tmp takes files");
        file.write_all(input).expect("/tmp has room");
        std::io::Seek::rewind(&mut file).expect("files can be rewound");
        command.stdin(Stdio::from(file));
        Client::start_with_stdin(command, line).finish()
    }

    /// The output of a command that succeeds, without white space around it.
    #[track_caller]
    pub fn answer(&self, line: &str) -> String {
        self.docker(line).succeeds().text().to_owned()
    }

    /// Types a command and lets it run. Its input is a pipe.
    #[track_caller]
    pub fn spawn(&self, line: &str) -> Client {
        Client::start(self.client(words::split(line)), line)
    }

    /// Types a command in a terminal.
    #[track_caller]
    pub fn terminal(&self, line: &str) -> TerminalClient {
        TerminalClient::start(&self.client(words::split(line)), line)
    }

    /// Runs a container in the background.
    #[track_caller]
    pub fn run(&self, line: &str) -> Container<'_> {
        Container::new(self, self.answer(&format!("run --detach {line}")))
    }

    /// Creates a container.
    #[track_caller]
    pub fn create(&self, line: &str) -> Container<'_> {
        Container::new(self, self.answer(&format!("create {line}")))
    }

    /// The container called `name`, which need not exist.
    pub fn container(&self, name: &str) -> Container<'_> {
        Container::new(self, name)
    }

    /// Loads an image from an archive and returns what `load` said.
    #[track_caller]
    pub fn load(&self, archive: &[u8]) -> Outcome {
        self.docker_with_input("load", archive)
    }

    /// The events so far, as `events` prints them with further `flags`.
    #[track_caller]
    pub fn events(&self, flags: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        // `--until 0s` would leave out those of the present second.
        let until = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
        self.answer(&format!("events --since 0 --until {until} {flags}"))
    }

    /// What `inspect` tells of any object.
    #[track_caller]
    pub fn inspect(&self, line: &str) -> Value {
        let text = self.answer(line);
        let mut list: Value = serde_json::from_str(&text).expect("inspect prints JSON");
        list[0].take()
    }

    /// The page that the server at `address` shows; waits for it to listen.
    /// An address `0.0.0.0` means the loopback one.
    #[track_caller]
    pub fn get(&self, address: &str) -> String {
        self.get_page(address, "/")
    }

    /// As [`Host::get`], of another page.
    #[track_caller]
    pub fn get_page(&self, address: &str, path: &str) -> String {
        let to = socket_address(address);
        let what = format!("an answer from {address}");
        self.namespace.inside(|| eventually(&what, || http::get(to, path).ok())).body
    }

    /// Whether nobody answers at `address`.
    pub fn refuses(&self, address: &str) -> bool {
        let to = socket_address(address);
        self.namespace.inside(|| http::get(to, "/")).is_err()
    }

    /// Does something in the host's network.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.namespace.inside(work)
    }

    /// A command that runs in the host's network.
    pub fn command_inside(&self, program: &str) -> Command {
        self.namespace.command(program)
    }

    /// Asks the daemon without a client in between.
    #[track_caller]
    pub fn api(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let body = body.unwrap_or_default().as_bytes();
        let answer = http::ask(&self.socket(), method, path, body);
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Asks the daemon, which may die meanwhile: then there is no answer.
    pub fn try_api(&self, method: &str, path: &str, body: &[u8]) -> Option<Answer> {
        http::ask(&self.socket(), method, path, body).ok()
    }

    /// The points at which the programs can be made to fail.
    pub fn fail_points(&self) -> &FailPoints {
        self.fail_points.as_ref().expect("the host was built with them")
    }

    /// The daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.path("sock")
    }

    /// A path in the host's own folder, which goes with the host.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a folder for a bind mount, with files in it.
    ///
    /// Not beside the daemon's own: dockerd takes `/x/data` to be a part of `/x/d`.
    pub fn folder(&self, name: &str, files: &[(&str, &str)]) -> String {
        let folder = self.path("files").join(name);
        fs::create_dir_all(&folder).expect("/tmp takes folders");
        for (name, content) in files {
            fs::write(folder.join(name), content).expect("/tmp takes files");
        }
        folder.to_str().expect("temporary folders have plain names").to_owned()
    }

    /// Where the daemon keeps what must survive a reboot.
    pub fn data_root(&self) -> PathBuf {
        self.path("d")
    }

    /// Where the daemon keeps what must not survive a reboot.
    pub fn exec_root(&self) -> PathBuf {
        self.path("r")
    }

    pub fn daemon_pid(&self) -> u32 {
        self.daemon.borrow().as_ref().expect("the daemon runs").id()
    }

    /// `kill -9` of the daemon.
    pub fn kill_daemon(&self) {
        let mut daemon = self.daemon.borrow_mut().take().expect("the daemon runs");
        daemon.kill().expect("it is our child");
        daemon.wait().expect("it is our child");
    }

    /// `kill -9` of the daemon, and a start of the next one, for which nobody waits. An error
    /// if there was none to kill.
    pub(crate) fn kill_and_launch_daemon(&self) -> Result<(), String> {
        let mut daemon = self.daemon.borrow_mut().take().expect("the daemon was started");
        let ended = daemon.try_wait().expect("it is our child");
        if ended.is_some() {
            return Err(format!("the daemon had ended by itself: {}", self.last_words()));
        }
        daemon.kill().expect("it is our child");
        daemon.wait().expect("it is our child");
        *self.daemon.borrow_mut() = Some(self.spawn_daemon());
        Ok(())
    }

    /// Waits until the daemon answers; starts one if there is none.
    #[track_caller]
    pub(crate) fn await_daemon(&self) {
        if self.daemon.borrow().is_none() {
            return self.start_daemon();
        }
        eventually("the daemon to answer", || {
            http::ask(&self.socket(), "GET", "/_ping", b"").ok().filter(|it| it.status == 200)
        });
    }

    /// Asks the daemon to end, and waits until it has.
    pub fn stop_daemon(&self) {
        let Some(mut daemon) = self.daemon.borrow_mut().take() else { return };
        // It may have ended by itself.
        let _ = kill_process(Pid::from_child(&daemon), Signal::TERM);
        eventually("the daemon's end", || daemon.try_wait().expect("it is our child"));
    }

    /// Starts the daemon and waits until it answers.
    #[track_caller]
    pub fn start_daemon(&self) {
        let mut daemon = self.spawn_daemon();
        eventually("the daemon to answer", || {
            let ended = daemon.try_wait().expect("it is our child");
            assert!(ended.is_none(), "the daemon ended at once: {}", self.last_words());
            let answer = http::ask(&self.socket(), "GET", "/_ping", b"").ok()?;
            (answer.status == 200).then_some(())
        });
        *self.daemon.borrow_mut() = Some(daemon);
    }

    fn spawn_daemon(&self) -> Child {
        let log = File::options().create(true).append(true).open(self.path("log"));
        let log = log.expect("/tmp takes files");
        let mut command = self.daemon_command();
        command.stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a descriptor can be copied")).stderr(log);
        command.spawn().expect("nsenter (util-linux) can be run")
    }

    /// Starts the daemon; `false` if it ended before it answered.
    #[track_caller]
    pub fn try_start_daemon(&self) -> bool {
        let mut daemon = self.spawn_daemon();
        let answers = eventually("the daemon to answer or to end", || {
            if daemon.try_wait().expect("it is our child").is_some() {
                return Some(false);
            }
            let answer = http::ask(&self.socket(), "GET", "/_ping", b"").ok()?;
            (answer.status == 200).then_some(true)
        });
        *self.daemon.borrow_mut() = Some(daemon);
        answers
    }

    /// Waits for the end of a daemon that is dying, and starts another.
    #[track_caller]
    pub fn restart_ended_daemon(&self) {
        let mut daemon = self.daemon.borrow_mut().take().expect("there was a daemon");
        eventually("the daemon's end", || daemon.try_wait().expect("it is our child"));
        self.start_daemon();
    }

    /// A command that runs a further daemon in this host's network, with no flags yet.
    pub fn bare_daemon_command(&self) -> Command {
        let program = self.daemon_program();
        let mut command = self.namespace.command(program.to_str().expect("a plain path"));
        if self.engine == Engine::Dockerd {
            let beside = program.parent().expect("a program is in a folder");
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{path}", beside.display()));
        }
        command
    }

    fn daemon_command(&self) -> Command {
        let mut command = self.bare_daemon_command();
        command.arg("--data-root").arg(self.data_root());
        command.arg("--exec-root").arg(self.exec_root());
        command.arg("--pidfile").arg(self.path("pid"));
        command.arg("--cgroup-parent").arg(self.cgroup_parent());
        command.arg("--host").arg(format!("unix://{}", self.socket().display()));
        if self.engine == Engine::Dockerd {
            let program = self.daemon_program();
            command.arg("--userland-proxy-path").arg(program.with_file_name("docker-proxy"));
            command.args(["--exec-opt", "native.cgroupdriver=cgroupfs"]);
            if let Some(tini) = on_path("tini-static") {
                command.arg("--init-path").arg(tini);
            }
            // Not the machine's own settings.
            let settings = self.path("daemon.json");
            fs::write(&settings, "{}").expect("/tmp takes files");
            command.arg("--config-file").arg(settings);
        }
        command.args(&self.flags);
        if let Some(points) = &self.fail_points {
            command.env(fail_points::VARIABLE, points.folder());
        }
        command
    }

    fn daemon_program(&self) -> PathBuf {
        let ours = self.programs.as_ref().map(|folder| folder.join("wharfd"));
        ours.unwrap_or_else(|| self.engine.daemon())
    }

    fn client_to_use(&self) -> PathBuf {
        let ours = self.programs.as_ref().map(|folder| folder.join("wharf"));
        ours.unwrap_or_else(|| self.engine.client())
    }

    /// The supervisors of this host's containers.
    pub fn shims(&self) -> Vec<u32> {
        let processes = leaks::processes_of(&self.exec_root());
        let shims = processes.into_iter().filter(|(_, line)| line.contains("wharf-shim"));
        shims.map(|(pid, _)| pid).collect()
    }

    /// The numbers of the interfaces in the host's network.
    pub fn links(&self) -> Vec<u32> {
        let output = self.namespace.command("busybox").args(["ip", "-o", "link"]).output();
        let table = String::from_utf8_lossy(&output.expect("busybox runs").stdout).into_owned();
        let numbers = table.lines().filter_map(|line| line.split_once(':')?.0.parse().ok());
        numbers.collect()
    }

    /// The host's ends of the containers' links, and of those that are kept ready.
    fn veths(&self) -> Vec<String> {
        let mut names = self.namespace.interfaces();
        names.retain(|name| name.starts_with("veth"));
        names
    }

    fn cgroup_parent(&self) -> String {
        let name = self.folder.path().file_name().expect("a temporary folder has a name");
        format!("/story-{}", name.to_string_lossy())
    }

    fn client<'word>(&self, words: impl IntoIterator<Item = impl AsRef<str> + 'word>) -> Command {
        self.client_of(&self.client_to_use(), words)
    }

    fn client_of<'word>(
        &self,
        program: &Path,
        words: impl IntoIterator<Item = impl AsRef<str> + 'word>,
    ) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DOCKER_")) {
            command.env_remove(name);
        }
        command.env("DOCKER_HOST", format!("unix://{}", self.socket().display()));
        command.env("HOME", self.folder.path()).env("LC_ALL", "C").env("TERM", "xterm");
        command.args(words.into_iter().map(|word| word.as_ref().to_owned()));
        command
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
    }

    /// The elements of the firewall's sets and maps, where the program that lists them is
    /// installed. Tables and chains may be made before anything needs them.
    fn published_ports(&self) -> Vec<String> {
        let Some(program) = on_path("nft") else { return Vec::new() };
        let program = program.to_str().expect("a plain path");
        let output = self.namespace.command(program).args(["list", "ruleset"]).output();
        let rules = String::from_utf8_lossy(&output.expect("nft runs").stdout).into_owned();
        let lists = rules.split("elements = {").skip(1).filter_map(|rest| rest.split('}').next());
        lists.flat_map(|list| list.split(',')).map(|element| element.trim().to_owned()).collect()
    }

    /// All that can be seen of the daemon's work from outside, but the records themselves.
    pub fn traces(&self) -> BTreeSet<String> {
        let mut traces: BTreeSet<String> = self.leaks().into_iter().collect();
        // Their names are made up, and how many are kept ready is a matter of time.
        traces.retain(|trace| !trace.starts_with("interface") && !trace.starts_with("supervisor"));
        if self.veths().len() > SPARES_MAX + self.shims().len() {
            traces.insert(format!("interfaces: {:?}", self.veths()));
        }
        for (root, depth) in [(self.data_root(), 2), (self.exec_root(), 3)] {
            let mut paths = leaks::paths_below(&root, depth);
            // Two files, the second of which comes with the number of events.
            paths.retain(|path| path.parent().is_none_or(|folder| !folder.ends_with("events")));
            traces.extend(paths.iter().map(|path| format!("path: {}", path.display())));
        }
        let processes = leaks::processes_of(self.folder.path());
        let programs = processes.iter().filter_map(|(_, line)| line.split(' ').next());
        let mut programs: Vec<_> = programs.collect();
        programs.sort_unstable();
        traces.insert(format!("processes: {programs:?}"));
        traces
    }

    /// Waits until the traces are these, or panics with the difference.
    #[track_caller]
    pub fn expect_traces(&self, expected: &BTreeSet<String>, after: &str) {
        if let Err(difference) = self.compare_traces(expected, LEAVING) {
            panic!("after {after}: {difference}");
        }
    }

    /// Waits until the traces are these; says what the difference is if they do not become so.
    pub(crate) fn compare_traces(
        &self,
        expected: &BTreeSet<String>,
        patience: Duration,
    ) -> Result<(), String> {
        let end = Instant::now() + patience;
        loop {
            let traces = self.traces();
            let more: Vec<_> = traces.difference(expected).collect();
            // What was being deleted may be gone, and so may a link that was one too many.
            let lasts = |trace: &&String| {
                !trace.contains("/unfinished/") && !trace.starts_with("interfaces: ")
            };
            let less: Vec<_> = expected.difference(&traces).filter(lasts).collect();
            if more.is_empty() && less.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("left behind {more:#?}, missing {less:#?}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until no run of a container has a folder or a supervisor.
    #[track_caller]
    pub fn await_no_run_folders(&self) {
        let folder = self.exec_root().join("containers");
        eventually("the run folders to go", || {
            (leaks::entries(&folder).is_empty() && self.shims().is_empty()).then_some(())
        });
    }

    /// What is left for longer than leaving takes: a supervisor's last steps, the kernel's
    /// own removal of a link after the network namespace that it led to.
    fn lasting_leaks(&self) -> Vec<String> {
        let end = Instant::now() + LEAVING;
        loop {
            let leaks = self.leaks();
            if leaks.is_empty() || Instant::now() > end {
                return leaks;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the daemon left of its containers, all of which are gone.
    fn leaks(&self) -> Vec<String> {
        let mut leaks = Vec::new();
        let found = |leaks: &mut Vec<String>, kind: &str, what: Vec<String>| {
            leaks.extend(what.into_iter().map(|what| format!("{kind}: {what}")));
        };
        let shown = |paths: Vec<PathBuf>| {
            paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        found(&mut leaks, "mount", shown(leaks::mounts_below(self.folder.path())));
        found(&mut leaks, "cgroup", shown(leaks::cgroups_below(&self.cgroup_parent())));
        found(&mut leaks, "supervisor", self.shims().iter().map(ToString::to_string).collect());
        found(
            &mut leaks,
            "run folder",
            shown(leaks::entries(&self.exec_root().join("containers"))),
        );
        found(
            &mut leaks,
            "container folder",
            shown(leaks::entries(&self.data_root().join("containers"))),
        );
        found(&mut leaks, "snapshot", shown(leaks::entries(&self.data_root().join("snapshots"))));
        if Rc::strong_count(&self.namespace) > 1 {
            // What is there may be the other host's.
            return leaks;
        }
        let links = self.veths();
        if links.len() > SPARES_MAX {
            found(&mut leaks, "interface", links);
        }
        found(&mut leaks, "published port", self.published_ports());
        leaks
    }

    /// Removes all containers, the way a user does.
    fn remove_containers(&self) -> Outcome {
        let mut outcome = self.docker("ps --all --quiet --no-trunc");
        if outcome.status == 0 && !outcome.stdout.is_empty() {
            outcome = self.docker(&format!("rm --force --volumes {}", outcome.stdout));
        }
        outcome
    }

    /// Ends what is left of the daemon and its containers, whatever it takes.
    fn sweep(&self) {
        if let Some(mut daemon) = self.daemon.borrow_mut().take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        let processes = leaks::processes_of(self.folder.path()).into_iter().map(|(pid, _)| pid);
        let inside = leaks::processes_below(&self.cgroup_parent());
        for pid in processes.chain(inside).filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
            // It may be gone by now.
            let _ = kill_process(pid, Signal::KILL);
        }
        for mount in leaks::mounts_below(self.folder.path()).iter().rev() {
            let flags = rustix::mount::UnmountFlags::DETACH;
            let _ = rustix::mount::unmount(mount, flags);
        }
        let end = Instant::now() + LEAVING;
        while !leaks::remove_cgroup(&self.cgroup_parent()) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the daemon's last words:\n{}", self.last_words());
            self.sweep();
            return;
        }
        if self.daemon.borrow().is_none() {
            self.start_daemon();
        }
        let removal = self.remove_containers();
        let mut leaks = Vec::new();
        if self.engine == Engine::Wharf {
            leaks = self.lasting_leaks();
        }
        self.stop_daemon();
        if self.engine == Engine::Wharf {
            let processes = leaks::processes_of(self.folder.path());
            leaks.extend(processes.iter().map(|(pid, line)| format!("process {pid}: {line}")));
        }
        let words = self.last_words();
        self.sweep();
        assert!(removal.status == 0, "the containers could not be removed\n{removal}\n{words}");
        assert!(leaks.is_empty(), "left behind: {leaks:#?}\nthe daemon's last words:\n{words}");
    }
}

fn socket_address(address: &str) -> SocketAddr {
    let address = address.replace("0.0.0.0:", "127.0.0.1:");
    address.parse().unwrap_or_else(|error| panic!("{address}: {error}"))
}
