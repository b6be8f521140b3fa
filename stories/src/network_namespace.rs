//! A network namespace of a host's own, so that every port is free.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::{Command, Stdio};

use rustix::thread::LinkNameSpaceType;

/// A network namespace. It lives as long as this does, and whoever is inside.
#[derive(Debug)]
pub(crate) struct NetworkNamespace {
    file: File,
}

impl NetworkNamespace {
    /// Makes one with a working loopback interface.
    pub(crate) fn new() -> Self {
        // A short-lived process makes it: `unshare(2)` in the story's own thread would
        // take the thread along. It says when it is ready and then waits to be told
        // that its namespace was opened.
        let script = "busybox ip link set lo up && echo ready && read _";
        let mut maker = Command::new("unshare")
            .args(["--net", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare (util-linux) can be run");
        let mut ready = [0_u8; 6];
        maker
            .stdout
            .take()
            .expect("stdout is a pipe")
            .read_exact(&mut ready)
            .expect("a network namespace can be made: stories run as root, with busybox-static");
        let namespace = Self::of(maker.id());
        drop(maker.stdin.take());
        maker.wait().expect("it is our child");
        namespace
    }

    /// The one that the process `pid` is in.
    pub(crate) fn of(pid: u32) -> Self {
        let file = File::open(format!("/proc/{pid}/ns/net")).expect("the process is running");
        Self { file }
    }

    /// A path that names this namespace, for programs that enter it themselves.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// A command that will run inside.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path())).arg("--").arg(program);
        command
    }

    /// Runs `work` in a thread that is inside.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                rustix::thread::move_into_link_name_space(
                    self.file.as_fd(),
                    Some(LinkNameSpaceType::Network),
                )
                .expect("root may enter a network namespace");
                work()
            });
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// The names of the interfaces inside, but `lo`.
    pub(crate) fn interfaces(&self) -> Vec<String> {
        let table = self.inside(|| std::fs::read_to_string("/proc/thread-self/net/dev"));
        let table = table.expect("the kernel lists its interfaces");
        let names = table.lines().filter_map(|line| line.split_once(':'));
        names.map(|(name, _)| name.trim().to_owned()).filter(|name| name != "lo").collect()
    }
}
