//! A place for containers made by tests: a root with busybox in it, and a container's life in
//! a process of its own, since the library needs to be the only thread.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use oci::runtime::Spec;
use runtime::{
    ChangeRoot, Container, CreateError, CreateRequest, ExecRequest, Keyring, Root, Stdio,
};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use serde_json::{Value, json};

/// The static busybox that the tests' containers are made of.
const BUSYBOX: &str = "/bin/busybox";

/// What a container's program did.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Standard output and standard error, as they came.
    pub(crate) output: String,
    /// 128 and more: a signal.
    pub(crate) code: i32,
    pub(crate) warnings: Vec<String>,
}

/// A root file system and a configuration to change before running it.
pub(crate) struct Bundle {
    folder: tempfile::TempDir,
    pub(crate) spec: Value,
    pub(crate) id: String,
    pub(crate) user: Option<String>,
    pub(crate) additional_groups: Vec<String>,
    pub(crate) change_root: ChangeRoot,
    pub(crate) keyring: Keyring,
    pub(crate) preserved_descriptors: u32,
}

/// Why these tests cannot run here, if so. Printed by each test that is skipped for it.
pub(crate) fn obstacle() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    (!Path::new(BUSYBOX).exists()).then(|| format!("needs a static {BUSYBOX}"))
}

/// Leaves the test, saying why, where containers cannot be made.
#[macro_export]
macro_rules! require_containers {
    () => {
        if let Some(obstacle) = $crate::host::obstacle() {
            println!("skipped: {obstacle}");
            return;
        }
    };
}

/// Leaves the test, saying why, where user namespaces cannot be made.
#[macro_export]
macro_rules! require_user_namespaces {
    () => {
        if !$crate::host::can_make_user_namespace() {
            println!("skipped: this host, or a change of root above it, allows no user namespace");
            return;
        }
    };
}

pub(crate) fn can_make_user_namespace() -> bool {
    let code = linux::process::in_forked_process(|| {
        linux::namespaces::unshare(linux::namespaces::Namespaces::USER).map_or(1, |()| 0)
    });
    code.unwrap() == 0
}

/// Whether joining a mount namespace leads to where this process is: not so on a host that runs
/// from within a change of root.
pub(crate) fn is_root_lowest() -> bool {
    let identity = || rustix::fs::stat("/").map(|status| (status.st_dev, status.st_ino)).unwrap();
    let before = identity();
    let code = linux::process::in_forked_process(|| {
        let own = File::open("/proc/self/ns/mnt").unwrap();
        let kind = rustix::thread::LinkNameSpaceType::Mount;
        let fd = std::os::fd::AsFd::as_fd(&own);
        rustix::thread::move_into_link_name_space(fd, Some(kind)).unwrap();
        i32::from(identity() != before)
    });
    code.unwrap() == 0
}

impl Bundle {
    /// A container that runs a shell script.
    pub(crate) fn new(script: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = tempfile::tempdir().unwrap();
        make_root(&folder.path().join("rootfs"));
        Self {
            folder,
            spec: configuration(script),
            id: format!("test-{}-{number}", std::process::id()),
            user: None,
            additional_groups: Vec::new(),
            change_root: ChangeRoot::default(),
            keyring: Keyring::default(),
            preserved_descriptors: 0,
        }
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.folder.path().join("rootfs")
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the root file system.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.rootfs().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Creates the container and hands it to `body`, in a process of its own.
    pub(crate) fn with_container(
        &self,
        stdio: impl FnOnce() -> Stdio,
        body: impl FnOnce(Result<Container, CreateError>),
    ) {
        let code = linux::process::in_forked_process(|| {
            let spec: Spec = serde_json::from_value(self.spec.clone()).unwrap();
            let root = Root::Directory(self.rootfs());
            body(runtime::create(CreateRequest {
                user: self.user.as_deref(),
                additional_groups: &self.additional_groups,
                change_root: self.change_root,
                keyring: self.keyring,
                preserved_descriptors: self.preserved_descriptors,
                ..CreateRequest::new(&self.id, &spec, self.path(), root, stdio())
            }));
            0
        });
        assert_eq!(code.unwrap(), 0, "the process that made the container has failed");
    }

    /// Runs the container to its end, expecting that it can be run.
    pub(crate) fn run(&self) -> Outcome {
        self.try_run().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs the container to its end. `Err` is the error of creating or starting, in words.
    pub(crate) fn try_run(&self) -> Result<Outcome, String> {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let (result_reader, result_writer) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        self.with_container(
            || {
                let copy = || writer.try_clone().unwrap();
                let stdin = OwnedFd::from(File::open("/dev/null").unwrap());
                Stdio::Descriptors { stdin, stdout: copy(), stderr: copy() }
            },
            |container| {
                let result = container.and_then(|mut container| {
                    let started = container.start();
                    let code = started.map(|()| exit_code(&container));
                    let warnings = container.warnings().to_vec();
                    container.delete().unwrap();
                    code.map(|code| (code, warnings))
                });
                let result = result.map_err(|error| errors::chain(&error));
                let text = serde_json::to_vec(&result).unwrap();
                rustix::io::write(&result_writer, &text).unwrap();
            },
        );
        drop((writer, result_writer));
        let mut output = String::new();
        File::from(reader).read_to_string(&mut output).unwrap();
        let result: Result<(i32, Vec<String>), String> =
            serde_json::from_reader(File::from(result_reader)).unwrap();
        result.map(|(code, warnings)| Outcome { output, code, warnings })
    }
}

/// Streams of a container that nobody talks with.
pub(crate) fn null_streams() -> Stdio {
    let null = || OwnedFd::from(File::options().read(true).write(true).open("/dev/null").unwrap());
    Stdio::Descriptors { stdin: null(), stdout: null(), stderr: null() }
}

/// Waits for a container's first process.
pub(crate) fn exit_code(container: &Container) -> i32 {
    let status = waitid(WaitId::PidFd(container.pidfd()), WaitIdOptions::EXITED).unwrap().unwrap();
    status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0))
}

/// Runs a further process in the container: its output, and its exit code.
pub(crate) fn execute(container: &Container, process: &Value) -> Result<(String, i32), String> {
    execute_as(container, process, None)
}

/// The same as a user that is looked up in the container.
pub(crate) fn execute_as(
    container: &Container,
    process: &Value,
    user: Option<&str>,
) -> Result<(String, i32), String> {
    let process = serde_json::from_value(process.clone()).unwrap();
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let stdin: OwnedFd = File::open("/dev/null").unwrap().into();
    let stderr = writer.try_clone().unwrap();
    let stdio = Stdio::Descriptors { stdin, stdout: writer, stderr };
    let request = ExecRequest { user, ..ExecRequest::new(&process, stdio) };
    let process = container.exec(request).map_err(|error| error.to_string())?;
    let mut output = String::new();
    File::from(reader).read_to_string(&mut output).unwrap();
    let pidfd = std::os::fd::AsFd::as_fd(&process.pidfd);
    let status = waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED).unwrap().unwrap();
    Ok((output, status.exit_status().unwrap()))
}

fn make_root(root: &Path) {
    for folder in ["bin", "etc", "dev", "proc", "sys", "tmp", "root"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::hard_link(BUSYBOX, root.join("bin/busybox"))
        .or_else(|_| fs::copy(BUSYBOX, root.join("bin/busybox")).map(drop))
        .unwrap();
    for applet in [
        "sh", "true", "cat", "id", "ls", "mount", "hostname", "stat", "grep", "sleep", "touch",
        "mkdir", "echo", "dd", "kill", "readlink", "ps", "tty", "stty", "head", "env", "ulimit",
        "mknod", "wc", "test", "chmod", "umask", "sed", "pwd", "sysctl", "ip", "nproc", "seq",
        "tail",
    ] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/srv:\n")
        .unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nwheel:x:10:root,www\nwww:x:33:\n").unwrap();
}

fn configuration(script: &str) -> Value {
    let capabilities = json!([
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_KILL",
        "CAP_MKNOD",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SYS_CHROOT"
    ]);
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["sh", "-c", script],
            "env": ["PATH=/usr/bin:/bin", "LANG=C"],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
        },
        "root": {"path": "rootfs"},
        "hostname": "inside",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "mount"}, {"type": "cgroup"},
            ],
            "maskedPaths": ["/proc/kcore", "/proc/timer_list", "/sys/firmware", "/proc/scsi"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                              "/proc/sysrq-trigger"],
        },
    })
}
