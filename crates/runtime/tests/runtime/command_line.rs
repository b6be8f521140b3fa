//! The runtime as a program.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::host::Bundle;

/// A bundle on disk, and a root for the program's records.
pub(crate) struct Host {
    pub(crate) bundle: Bundle,
}

impl Host {
    pub(crate) fn new(script: &str) -> Self {
        Self::with(script, |_| {})
    }

    /// With a change of the configuration.
    pub(crate) fn with(script: &str, change: impl FnOnce(&mut Value)) -> Self {
        let mut bundle = Bundle::new(script);
        change(&mut bundle.spec);
        fs::write(bundle.path().join("config.json"), bundle.spec.to_string()).unwrap();
        Self { bundle }
    }

    pub(crate) fn id(&self) -> &str {
        &self.bundle.id
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf-runtime"));
        command.arg("--root").arg(self.root()).args(arguments).stdin(Stdio::null());
        command
    }

    pub(crate) fn root(&self) -> std::path::PathBuf {
        self.bundle.path().join("run")
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    #[track_caller]
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    pub(crate) fn fail(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Creates the container, whose streams must not be those that a test waits for.
    pub(crate) fn create(&self) -> std::path::PathBuf {
        let output = self.bundle.path().join("output");
        let file = File::create(&output).unwrap();
        let bundle = self.bundle.path().to_str().unwrap();
        let status = self
            .command(&["create", "--bundle", bundle, self.id()])
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .status();
        assert!(status.unwrap().success(), "{}", fs::read_to_string(&output).unwrap());
        output
    }

    pub(crate) fn status(&self) -> String {
        let state: Value = serde_json::from_str(&self.succeed(&["state", self.id()])).unwrap();
        state["status"].as_str().unwrap().to_owned()
    }

    /// Waits for the end of the container's first process, which is no child of the test's.
    pub(crate) fn await_end(&self, pid: i32) {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        let flags = rustix::process::PidfdFlags::empty();
        if let Ok(pidfd) = rustix::process::pidfd_open(pid, flags) {
            let events = rustix::event::PollFlags::IN;
            rustix::event::poll(&mut [rustix::event::PollFd::new(&pidfd, events)], None).unwrap();
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        let state: Value = serde_json::from_str(&self.succeed(&["state", self.id()])).unwrap();
        state["pid"].as_i64().unwrap().try_into().unwrap()
    }
}

#[test]
fn a_life_step_by_step() {
    require_containers!();
    let host = Host::new("echo started; trap 'exit 0' TERM; sleep 100 & wait");
    let output = host.create();
    assert_eq!(host.status(), "created");
    assert_eq!(fs::read_to_string(&output).unwrap(), "");
    host.succeed(&["start", host.id()]);
    assert_eq!(host.status(), "running");
    assert!(host.fail(&["start", host.id()]).contains("cannot start an already running container"));

    let exec = host.run(&["exec", host.id(), "sh", "-c", "echo further; exit 5"]);
    assert_eq!((exec.stdout.as_slice(), exec.status.code()), (&b"further\n"[..], Some(5)));
    let processes: Vec<i32> =
        serde_json::from_str(&host.succeed(&["ps", "--format", "json", host.id()])).unwrap();
    assert!(processes.contains(&host.pid()));

    host.succeed(&["pause", host.id()]);
    assert_eq!(host.status(), "paused");
    host.succeed(&["resume", host.id()]);
    assert!(host.fail(&["delete", host.id()]).contains("that is not stopped: running"));

    // On a busy machine its first word may not have come yet.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while fs::read_to_string(&output).unwrap() != "started\n" {
        assert!(std::time::Instant::now() < deadline, "it says nothing");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let pid = host.pid();
    host.succeed(&["kill", host.id(), "KILL"]);
    host.await_end(pid);
    assert_eq!(host.status(), "stopped");
    host.succeed(&["delete", host.id()]);
    assert!(host.fail(&["state", host.id()]).contains("container does not exist"));
}

#[test]
fn one_that_waits_to_be_started_can_be_ended_by_a_signal() {
    require_containers!();
    let host = Host::new("true");
    host.create();
    let pid = host.pid();
    host.succeed(&["kill", host.id(), "TERM"]);
    host.await_end(pid);
    assert_eq!(host.status(), "stopped");
    host.succeed(&["delete", host.id()]);
}

#[test]
fn with_a_cgroup_path_it_is_found_in_every_hierarchy() {
    require_containers!();
    if !Path::new("/sys/fs/cgroup/pids").exists() {
        println!("skipped: needs hierarchies of cgroup v1");
        return;
    }
    let path = format!("/wharf-tests/everywhere-{}", std::process::id());
    let script = "ls -d /sys/fs/cgroup/pids/cgroup.procs /sys/fs/cgroup/systemd/cgroup.procs";
    let host = Host::with(script, |spec| {
        spec["linux"]["cgroupsPath"] = path.clone().into();
        let namespaces = spec["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "cgroup");
        namespaces.push(serde_json::json!({"type": "cgroup"}));
        spec["mounts"].as_array_mut().unwrap().push(serde_json::json!(
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}));
    });
    let output = host.create();
    let places = fs::read_to_string(format!("/proc/{}/cgroup", host.pid())).unwrap();
    let is_elsewhere = |line: &&str| !line.ends_with(&path);
    assert_eq!(places.lines().find(is_elsewhere), None, "{places}");
    let pid = host.pid();
    host.succeed(&["start", host.id()]);
    host.await_end(pid);
    assert_eq!(fs::read_to_string(output).unwrap().lines().count(), 2);
    host.succeed(&["delete", host.id()]);
    for hierarchy in ["pids", "memory", "freezer", "systemd", "unified"] {
        assert!(!Path::new("/sys/fs/cgroup").join(hierarchy).join(&path[1..]).exists());
    }
}

/// On cgroup v1 the rules about devices come one by one, and the first denies everything.
#[test]
fn at_no_moment_is_a_device_denied_that_it_needs_to_start() {
    require_containers!();
    let path = format!("/wharf-tests/devices-{}", std::process::id());
    let host = Host::with("echo here", |spec| {
        spec["process"]["terminal"] = true.into();
        spec["linux"]["cgroupsPath"] = path.into();
    });
    let bundle = host.bundle.path().to_str().unwrap();
    for _ in 0..20 {
        assert_eq!(host.succeed(&["run", "--bundle", bundle, host.id()]), "here\n");
    }
}

#[test]
fn lines_of_a_terminal_end_plainly_where_nobody_is_at_one() {
    require_containers!();
    let host = Host::with("echo one; echo two", |spec| spec["process"]["terminal"] = true.into());
    let bundle = host.bundle.path().to_str().unwrap();
    assert_eq!(host.succeed(&["run", "--bundle", bundle, host.id()]), "one\ntwo\n");
}

#[test]
fn what_others_overlook_in_a_document_is_overlooked() {
    require_containers!();
    let host = Host::with("sleep 100", |spec| {
        let capabilities = &mut spec["process"]["capabilities"];
        capabilities["bounding"] = serde_json::json!(["CAP_KILL", "CAP_OF_TOMORROW"]);
    });
    let output = fs::read_to_string(host.create()).unwrap();
    assert!(output.contains("ignoring unknown or unavailable capabilities: [CAP_OF_TOMORROW]"));
    host.succeed(&["start", host.id()]);
    let process = host.bundle.path().join("process.json");
    fs::write(&process, r#"{"args": ["/bin/id", "-u"], "cwd": "/"}"#).unwrap();
    let process = process.to_str().unwrap();
    assert_eq!(host.succeed(&["exec", "--process", process, host.id()]), "0\n");
    host.succeed(&["delete", "--force", host.id()]);
}

#[test]
fn run_is_as_if_the_program_were_run() {
    require_containers!();
    let host = Host::new("echo hello; echo oops >&2; exit 9");
    let bundle = host.bundle.path().to_str().unwrap();
    let output = host.run(&["run", "--bundle", bundle, host.id()]);
    assert_eq!(output.stdout, b"hello\n");
    assert_eq!(output.stderr, b"oops\n");
    assert_eq!(output.status.code(), Some(9));
    assert_eq!(host.succeed(&["list", "--quiet"]), "");
}

#[test]
fn errors_are_logged_as_engines_read_them() {
    require_containers!();
    let mut host = Host::new("true");
    host.bundle.spec["process"]["args"] = serde_json::json!(["nope"]);
    fs::write(host.bundle.path().join("config.json"), host.bundle.spec.to_string()).unwrap();
    let log = host.bundle.path().join("log.json");
    let status = Command::new(env!("CARGO_BIN_EXE_wharf-runtime"))
        .arg("--root")
        .arg(host.root())
        .arg("--log")
        .arg(&log)
        .args(["--log-format", "json", "create", "--bundle"])
        .arg(host.bundle.path())
        .arg(host.id())
        .stderr(Stdio::null())
        .status();
    assert_eq!(status.unwrap().code(), Some(1));
    let line: Value = serde_json::from_str(fs::read_to_string(log).unwrap().trim()).unwrap();
    assert_eq!(line["level"], "error");
    assert_eq!(
        line["msg"],
        "create failed: unable to start container process: \
         exec: \"nope\": executable file not found in $PATH"
    );
    assert!(!host.root().join(host.id()).exists());
}

#[test]
fn a_forced_delete_ends_whatever_there_is() {
    require_containers!();
    let host = Host::new("sleep 100");
    host.create();
    host.succeed(&["start", host.id()]);
    host.succeed(&["delete", "--force", host.id()]);
    host.succeed(&["delete", "--force", host.id()]);
    assert_eq!(host.succeed(&["list", "--quiet"]), "");
}

#[test]
fn an_id_cannot_lead_out_of_the_root() {
    let host = Host::new("true");
    assert!(host.fail(&["state", ""]).contains("container id cannot be empty"));
    for id in ["../x", "..", "a/b"] {
        assert!(host.fail(&["state", id]).contains("invalid container ID format"), "{id}");
    }
}

#[test]
fn the_configuration_to_start_from_works() {
    require_containers!();
    let host = Host::new("");
    let folder = host.bundle.path().join("fresh");
    fs::create_dir(&folder).unwrap();
    fs::rename(host.bundle.rootfs(), folder.join("rootfs")).unwrap();
    let folder_name = folder.to_str().unwrap();
    host.succeed(&["spec", "--bundle", folder_name]);
    let path = folder.join("config.json");
    let mut spec: Value = read_json(&path);
    spec["process"]["terminal"] = false.into();
    spec["process"]["args"] = serde_json::json!(["hostname"]);
    fs::write(&path, spec.to_string()).unwrap();
    assert_eq!(host.succeed(&["run", "--bundle", folder_name, host.id()]), "wharf\n");
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// CVE-2019-5736: a container that makes us execute ourselves in it must not reach our file.
#[test]
fn a_container_cannot_write_to_the_runtimes_program() {
    crate::require_containers!();
    let host = Host::new("sleep 1000");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        host.bundle.rootfs().join("config.json"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let output = host.create();
    host.succeed(&["start", host.id()]);

    // Runs the runtime's program in the container, where it waits for its configuration.
    let pid_file = host.bundle.path().join("pid");
    let arguments = ["exec", "--detach", "--pid-file", pid_file.to_str().unwrap(), host.id()];
    let status = host
        .command(&arguments)
        .args(["/proc/self/exe", "--root", "/tmp", "run", "--bundle", "/", "x"])
        .stdout(File::options().append(true).open(&output).unwrap())
        .stderr(File::options().append(true).open(&output).unwrap())
        .status();
    assert!(status.unwrap().success(), "{}", fs::read_to_string(&output).unwrap());
    let pid: i32 = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    // As an attacker does: keep a handle, wait until nobody executes the file, write.
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let mode = rustix::fs::Mode::empty();
    let handle = rustix::fs::open(format!("/proc/{pid}/exe"), flags, mode)
        .unwrap_or_else(|_| panic!("it ended: {}", fs::read_to_string(&output).unwrap()));
    host.succeed(&["delete", "--force", host.id()]);
    host.await_end(pid);
    let handle = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&handle));
    let try_to_write = || File::options().write(true).open(&handle).unwrap_err().kind();
    // Other tests execute the same file, which keeps it from being written to as well.
    while try_to_write() == std::io::ErrorKind::ExecutableFileBusy {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }

    assert_eq!(try_to_write(), std::io::ErrorKind::ReadOnlyFilesystem);
}

#[test]
fn flags_are_understood_as_engines_spell_them() {
    require_containers!();
    let host = Host::new("true");
    let bundle = host.bundle.path().to_str().unwrap().to_owned();
    let log = format!("--log={bundle}/log");
    for arguments in [
        &["run", "-bundle", &bundle, host.id()][..],
        &["run", host.id(), "-b", &bundle],
        &[
            "-log-format",
            "json",
            &log,
            "--systemd-cgroup=false",
            "run",
            &format!("-b={bundle}"),
            host.id(),
        ],
        &[
            "--rootless=false",
            "--criu",
            "x",
            "run",
            "--no-subreaper",
            "--bundle",
            &bundle,
            host.id(),
        ],
    ] {
        host.succeed(arguments);
    }
    assert_eq!(fs::read_to_string(format!("{bundle}/log")).unwrap(), "");
}

#[test]
fn a_wrong_command_line_is_refused_in_runc_words() {
    let host = Host::new("true");
    for (arguments, error) in [
        (&["create"][..], "\"create\" requires exactly 1 argument(s)"),
        (&["kill", "a", "b", "c"], "\"kill\" requires a maximum of 2 argument(s)"),
        (&["nope"], "No help topic for 'nope'"),
        (&["run", "--nope", "x"], "flag provided but not defined: -nope"),
        (&["--log-format", "xml", "list"], "invalid log-format: xml"),
        (&["run", "--preserve-fds", "5", "x"], "unable to stat preserved-fd 0 (of 5)"),
        (&["checkpoint", "x"], "checkpoints of running containers are not supported"),
    ] {
        let output = host.run(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.replace("\\\"", "\"").contains(error), "{arguments:?}: {text}");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    }
    assert!(host.succeed(&["--help"]).contains("   delete      delete any resources held"));
    assert!(host.succeed(&["exec", "-h"]).contains("--user value, -u value"));
    assert!(host.succeed(&["-v"]).starts_with("wharf-runtime version "));
}

#[test]
fn what_a_killed_maker_has_left_is_in_nobodys_way() {
    require_containers!();
    let host = Host::new("true");
    let bundle = host.bundle.path().to_str().unwrap();
    let folder = host.root().join(host.id());
    let leave = || {
        fs::create_dir_all(&folder).unwrap();
        fs::copy(host.bundle.path().join("config.json"), folder.join("config.json")).unwrap();
        fs::write(folder.join("start.sock"), "").unwrap();
    };
    leave();
    assert_eq!(host.succeed(&["list", "--quiet"]), "");
    host.succeed(&["run", "--bundle", bundle, host.id()]);
    leave();
    assert!(host.fail(&["delete", host.id()]).contains("container does not exist"));
    assert!(!folder.exists());
    leave();
    host.succeed(&["delete", "--force", host.id()]);
    assert!(!folder.exists());
}

/// Killed at any moment, `create` leaves no process, and a name that can be used again.
#[test]
fn a_killed_maker_takes_its_container_along() {
    require_containers!();
    let host = Host::new("true");
    let bundle = host.bundle.path().to_str().unwrap();
    for microseconds in [500, 1000, 2000, 3000, 5000, 8000, 20_000] {
        let mut maker = host
            .command(&["create", "--bundle", bundle, host.id()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_micros(microseconds));
        maker.kill().unwrap();
        maker.wait().unwrap();
        host.succeed(&["delete", "--force", host.id()]);
        assert!(!host.root().join(host.id()).exists());
    }
    host.succeed(&["run", "--bundle", bundle, host.id()]);
}

#[test]
fn a_created_container_can_be_deleted() {
    require_containers!();
    let host = Host::new("true");
    host.create();
    let pid = host.pid();
    let bundle = host.bundle.path().to_str().unwrap();
    let error = host.fail(&["create", "--bundle", bundle, host.id()]);
    assert!(error.contains("container with given ID already exists"), "{error}");
    host.succeed(&["delete", host.id()]);
    assert!(!Path::new(&format!("/proc/{pid}/root")).exists());
    assert_eq!(host.succeed(&["list", "--quiet"]), "");
}

#[test]
fn states_and_lists_have_runcs_fields() {
    require_containers!();
    let mut host = Host::new("sleep 100");
    host.bundle.spec["annotations"] = serde_json::json!({"a": "b"});
    fs::write(host.bundle.path().join("config.json"), host.bundle.spec.to_string()).unwrap();
    host.create();
    let state: Value = serde_json::from_str(&host.succeed(&["state", host.id()])).unwrap();
    let fields: Vec<&str> = state.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        [
            "ociVersion",
            "id",
            "pid",
            "status",
            "bundle",
            "rootfs",
            "created",
            "annotations",
            "owner"
        ]
    );
    assert_eq!(state["annotations"]["a"], "b");
    let list: Value = serde_json::from_str(&host.succeed(&["list", "-f", "json"])).unwrap();
    assert_eq!(list[0]["owner"], "root");
    assert_eq!(list[0]["pid"], state["pid"]);
    let table = host.succeed(&["list"]);
    let (head, row) = table.split_once('\n').unwrap();
    let words: Vec<&str> = head.split_whitespace().collect();
    assert_eq!(words, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    // The columns are below their titles.
    assert_eq!(head.find("STATUS"), row.find("created"));
    host.succeed(&["delete", host.id()]);
}

#[test]
fn a_failed_exec_is_told_from_the_programs_end() {
    require_containers!();
    let host = Host::new("sleep 100");
    host.create();
    host.succeed(&["start", host.id()]);
    for (arguments, error) in [
        (
            &["nope"][..],
            "exec failed: unable to start container process: exec: \"nope\": executable",
        ),
        (&[], "exec failed: exec args cannot be empty"),
    ] {
        let output = host.run(&[&["exec", host.id()], arguments].concat());
        let text = String::from_utf8(output.stderr).unwrap().replace("\\\"", "\"");
        assert!(text.contains(error), "{text}");
        assert_eq!(output.status.code(), Some(255));
    }
    let killed = host.run(&["exec", host.id(), "sh", "-c", "kill -9 $$"]);
    assert_eq!(killed.status.code(), Some(128 + 9));
    let user = ["exec", "-u", "33:5", "-g", "7", "-e", "A=b", "--cwd", "/tmp", host.id()];
    let output = host.run(&[&user[..], &["sh", "-c", "id -u; id -G; echo $A; pwd"]].concat());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "33\n5 7\nb\n/tmp\n");
    host.succeed(&["delete", "--force", host.id()]);
}

/// A process in the background may keep the terminal open for longer than anybody waits.
#[test]
fn a_terminal_is_left_when_the_program_ends() {
    require_containers!();
    let host = Host::new("sleep 100");
    host.create();
    host.succeed(&["start", host.id()]);
    let script = "trap '' HUP; sleep 50 & echo shown; exit 3";
    let started = std::time::Instant::now();
    let output = host.run(&["exec", "-t", host.id(), "sh", "-c", script]);
    assert!(started.elapsed() < std::time::Duration::from_secs(40));
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "shown\n");
    host.succeed(&["delete", "--force", host.id()]);
}

#[test]
fn a_pidfd_is_handed_over() {
    require_containers!();
    let host = Host::new("true");
    let socket = host.bundle.path().join("pidfd.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let bundle = host.bundle.path().to_str().unwrap();
    let socket = socket.to_str().unwrap();
    host.succeed(&["run", "--keep", "--pidfd-socket", socket, "--bundle", bundle, host.id()]);
    let (stream, _) = listener.accept().unwrap();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = rustix::net::RecvAncillaryBuffer::new(&mut space);
    let mut name = [0; 64];
    let length = {
        let mut parts = [std::io::IoSliceMut::new(&mut name)];
        let flags = rustix::net::RecvFlags::empty();
        rustix::net::recvmsg(&stream, &mut parts, &mut ancillary, flags).unwrap().bytes
    };
    assert_eq!(&name[..length], b"standard");
    assert_eq!(ancillary.drain().count(), 1);
    assert_eq!(host.status(), "stopped");
    assert!(host.fail(&["kill", host.id()]).contains("container not running"));
    assert!(host.fail(&["start", host.id()]).contains("cannot start a container that has stopped"));
    host.succeed(&["kill", "--all", host.id()]);
    host.succeed(&["delete", host.id()]);
}

#[test]
fn a_configuration_is_not_written_over_another() {
    let host = Host::new("true");
    let bundle = host.bundle.path().to_str().unwrap();
    let error = host.fail(&["spec", "--bundle", bundle]);
    assert!(error.contains("File config.json exists. Remove it first"), "{error}");
}

#[test]
fn a_terminal_needs_somebody_to_serve_it() {
    require_containers!();
    let mut host = Host::new("true");
    let bundle = host.bundle.path().to_str().unwrap().to_owned();
    let error = host.fail(&["create", "--console-socket", "/x", "-b", &bundle, host.id()]);
    assert!(error.contains("cannot use console socket if runc will not detach"), "{error}");
    host.bundle.spec["process"]["terminal"] = true.into();
    fs::write(host.bundle.path().join("config.json"), host.bundle.spec.to_string()).unwrap();
    let error = host.fail(&["create", "-b", &bundle, host.id()]);
    assert!(error.contains("cannot allocate tty if runc will detach without"), "{error}");
    assert!(!host.root().join(host.id()).exists());
}

#[test]
fn sockets_that_listen_are_handed_on() {
    require_containers!();
    let host = Host::new("echo $LISTEN_FDS $LISTEN_PID; cat <&3");
    let bundle = host.bundle.path().to_str().unwrap();
    let program = env!("CARGO_BIN_EXE_wharf-runtime");
    let root = host.root();
    let script = format!(
        "exec 3</etc/passwd; LISTEN_FDS=1 LISTEN_PID=$$ exec {program} --root {} run -b {bundle} {}",
        root.display(),
        host.id()
    );
    let output = Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = format!("1 1\n{}", fs::read_to_string("/etc/passwd").unwrap());
    assert_eq!(text, expected, "{:?}", output.stderr);
}

#[test]
fn a_paused_container_can_be_killed_and_deleted() {
    require_containers!();
    let host = Host::new("sleep 100");
    host.create();
    host.succeed(&["start", host.id()]);
    host.succeed(&["kill", host.id(), "0"]);
    host.succeed(&["pause", host.id()]);
    assert!(host.fail(&["delete", host.id()]).contains("that is not stopped: paused"));
    let pid = host.pid();
    host.succeed(&["kill", host.id(), "SIGKILL"]);
    host.await_end(pid);
    assert_eq!(host.status(), "stopped");
    host.succeed(&["delete", host.id()]);

    host.create();
    host.succeed(&["start", host.id()]);
    host.succeed(&["pause", host.id()]);
    host.succeed(&["delete", "--force", host.id()]);
}

#[test]
fn a_process_that_nobody_was_told_of_does_not_stay() {
    require_containers!();
    let host = Host::new("sleep 100");
    host.create();
    host.succeed(&["start", host.id()]);
    let nowhere = host.bundle.path().join("nowhere/pid");
    let pid_file = nowhere.to_str().unwrap();
    let exec = ["exec", "-d", "--pid-file", pid_file, host.id(), "sleep", "1000"];
    // Not through a pipe, which what is left behind would keep open.
    let status = host.command(&exec).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert_eq!(status.unwrap().code(), Some(255));
    let has_gone =
        || !host.succeed(&["ps", host.id()]).lines().any(|line| line.ends_with("sleep 1000"));
    assert!((0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        has_gone()
    }));
    host.succeed(&["delete", "--force", host.id()]);
}

#[test]
fn what_is_kept_of_a_container_is_its_makers_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    require_containers!();
    let host = Host::new("true");
    // As daemons have it.
    rustix::process::umask(rustix::fs::Mode::empty());
    host.create();
    for name in ["config.json", "state.json", "start.sock"] {
        let file = host.root().join(host.id()).join(name);
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    host.succeed(&["delete", host.id()]);
}

/// A stream that is closed must not become a file of the runtime's, nor lose what is said.
#[test]
fn closed_streams_are_in_nobodys_way() {
    crate::require_containers!();
    let host = Host::new("echo out; echo err >&2");
    let bundle = host.bundle.path().to_str().unwrap();
    let program = env!("CARGO_BIN_EXE_wharf-runtime");
    let root = host.root();
    let script = format!(
        "{program} --root {} run --bundle {bundle} {} <&- >&- 2>&-",
        root.display(),
        host.id()
    );
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    assert_eq!(host.succeed(&["list", "--quiet"]), "");

    // Nobody reads: an error, and no death by a signal.
    let script = format!("{{ sleep 0.2; {program} features; echo $? >&2; }} | true");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.ends_with("141\n"), "SIGPIPE has ended it: {said}");
    assert!(!said.ends_with("\n0\n") && said != "0\n", "it has not noticed: {said}");
}
