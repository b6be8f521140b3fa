//! A container that a story talks about.

use serde_json::Value;

use crate::host::Host;
use crate::network_namespace::NetworkNamespace;
use crate::outcome::Outcome;
use crate::patience::eventually;

/// A container that a story talks about.
#[derive(Debug)]
pub struct Container<'host> {
    host: &'host Host,
    /// Its full id, or the name by which the story knows it.
    pub id: String,
}

impl<'host> Container<'host> {
    pub(crate) fn new(host: &'host Host, id: impl Into<String>) -> Self {
        Self { host, id: id.into() }
    }

    /// Everything that `inspect` tells.
    #[track_caller]
    pub fn inspect(&self) -> Value {
        let text = self.host.answer(&format!("container inspect {}", self.id));
        let mut list: Value = serde_json::from_str(&text).expect("inspect prints JSON");
        list[0].take()
    }

    /// One part of what `inspect` tells, by its JSON pointer: `/State/Status`.
    #[track_caller]
    pub fn at(&self, pointer: &str) -> Value {
        let document = self.inspect();
        let part = document.pointer(pointer).cloned();
        part.unwrap_or_else(|| panic!("inspect tells no {pointer}: {document:#}"))
    }

    #[track_caller]
    pub fn status(&self) -> String {
        self.at("/State/Status").as_str().expect("a status is a string").to_owned()
    }

    #[track_caller]
    pub fn exit_code(&self) -> i64 {
        self.at("/State/ExitCode").as_i64().expect("an exit code is a number")
    }

    /// The process id of its first process on the host.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        let pid = self.at("/State/Pid").as_u64().expect("a process id is a number");
        u32::try_from(pid).expect("a process id is small")
    }

    /// Its address on the default bridge.
    #[track_caller]
    pub fn address(&self) -> String {
        let address = self.at("/NetworkSettings/Networks/bridge/IPAddress");
        address.as_str().expect("an address is a string").to_owned()
    }

    /// The number of its link's end on the host.
    #[track_caller]
    pub fn link(&self) -> u32 {
        let number = self.exec("cat /sys/class/net/eth0/iflink").succeeds();
        number.text().parse().expect("a link has a number")
    }

    /// Where its TCP port `port` is published: `0.0.0.0:8080`.
    #[track_caller]
    pub fn published(&self, port: u16) -> String {
        let ports = self.host.answer(&format!("port {} {port}/tcp", self.id));
        ports.lines().next().expect("the port is published").to_owned()
    }

    /// Waits until its status is `status`.
    #[track_caller]
    pub fn becomes(&self, status: &str) -> &Self {
        eventually(&format!("the container to be {status}"), || {
            (self.status() == status).then_some(())
        });
        self
    }

    /// Waits until its log contains `part`.
    #[track_caller]
    pub fn logs_eventually(&self, part: &str) -> &Self {
        eventually(&format!("{part:?} in the log"), || {
            let outcome = self.host.docker(&format!("logs {}", self.id)).succeeds();
            (outcome.stdout.contains(part) || outcome.stderr.contains(part)).then_some(())
        });
        self
    }

    /// What it wrote to its standard output.
    #[track_caller]
    pub fn log(&self) -> String {
        self.host.docker(&format!("logs {}", self.id)).succeeds().stdout
    }

    /// Runs a command in it.
    #[track_caller]
    pub fn exec(&self, line: &str) -> Outcome {
        self.host.docker(&format!("exec {} {line}", self.id))
    }

    /// Makes a file that it waits for. The container may end before `touch` does, which goes
    /// with it, so nothing is said of how that ended.
    pub fn touch(&self, path: &str) {
        let _ = self.exec(&format!("touch {path}"));
    }

    /// Waits for its end, and returns its exit code.
    #[track_caller]
    pub fn wait(&self) -> i32 {
        let code = self.host.answer(&format!("wait {}", self.id));
        code.parse().expect("wait prints a number")
    }

    /// Does something in its network.
    #[track_caller]
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        NetworkNamespace::of(self.pid()).inside(work)
    }

    #[track_caller]
    pub fn remove_by_force(&self) {
        self.host.docker(&format!("rm --force {}", self.id)).succeeds();
    }
}
