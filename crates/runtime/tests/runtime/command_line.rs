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
        let bundle = Bundle::new(script);
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

    let pid = host.pid();
    host.succeed(&["kill", host.id(), "KILL"]);
    host.await_end(pid);
    assert_eq!(host.status(), "stopped");
    host.succeed(&["delete", host.id()]);
    assert!(host.fail(&["state", host.id()]).contains("container does not exist"));
    assert_eq!(fs::read_to_string(&output).unwrap(), "started\n");
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
    let error = File::options().write(true).open(handle).unwrap_err();

    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
}
