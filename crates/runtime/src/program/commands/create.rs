//! `create` and `run`.

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use oci::runtime::Spec;
use runtime::{
    CgroupManager, CgroupNeed, ChangeRoot, Container, CreateRequest, Hierarchies, Keyring, Root,
};

use crate::command_line::{Call, Command, Flag, parse_boolean};
use crate::documents;
use crate::exit_code::ExitCode;
use crate::foreground;
use crate::record::{Folder, NewFolder, Record, start_ticks};
use crate::root::is_real_root;
use crate::sockets::Receiver;

const BUNDLE: Flag = Flag::text(
    "bundle",
    "path to the root of the bundle directory, defaults to the current directory",
)
.short("b");
const CONSOLE_SOCKET: Flag = Flag::text(
    "console-socket",
    "path to an AF_UNIX socket which will receive a file descriptor referencing the master end \
     of the console's pseudoterminal",
);
const PIDFD_SOCKET: Flag = Flag::text(
    "pidfd-socket",
    "path to an AF_UNIX socket which will receive a file descriptor referencing the init process",
);
const PID_FILE: Flag = Flag::text("pid-file", "specify the file to write the process id to");
const NO_PIVOT: Flag = Flag::switch(
    "no-pivot",
    "do not use pivot root to jail process inside rootfs.  This should be used whenever the \
     rootfs is on top of a ramdisk",
);
const NO_NEW_KEYRING: Flag = Flag::switch(
    "no-new-keyring",
    "do not create a new session keyring for the container.  This will cause the container to \
     inherit the calling processes session key",
);
const PRESERVE_FDS: Flag = Flag::number(
    "preserve-fds",
    "Pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total)",
);

pub(super) const CREATE: Command = Command {
    flags: &[
        BUNDLE,
        CONSOLE_SOCKET,
        PIDFD_SOCKET,
        PID_FILE,
        NO_PIVOT,
        NO_NEW_KEYRING,
        PRESERVE_FDS,
    ],
    meets_containers: true,
    ..Command::new("create", "create a container", create)
};

pub(super) const RUN: Command = Command {
    flags: &[
        BUNDLE,
        CONSOLE_SOCKET,
        PIDFD_SOCKET,
        Flag::switch("detach", "detach from the container's process").short("d"),
        Flag::switch("keep", "do not delete the container after it exits"),
        PID_FILE,
        Flag::switch(
            "no-subreaper",
            "disable the use of the subreaper used to reap reparented processes",
        ),
        NO_PIVOT,
        NO_NEW_KEYRING,
        PRESERVE_FDS,
    ],
    meets_containers: true,
    ..Command::new("run", "create and run a container", run)
};

fn create(call: &Call) -> anyhow::Result<ExitCode> {
    let result = Making::prepare(call, true).and_then(|making| making.create());
    result.map(|()| ExitCode::SUCCESS).context("create failed")
}

fn run(call: &Call) -> anyhow::Result<ExitCode> {
    let is_detached = call.values.is_on("detach");
    Making::prepare(call, is_detached)
        .and_then(|making| making.run(is_detached))
        .context("run failed")
}

/// A container to make, from a bundle that has been read.
struct Making<'a> {
    call: &'a Call,
    bundle: PathBuf,
    /// The configuration as it stands in the bundle, without what is overlooked in it.
    text: Vec<u8>,
    spec: Spec,
    console: Option<Receiver>,
    pidfd: Option<Receiver>,
}

impl<'a> Making<'a> {
    /// Reads and checks what can be before anything is made. `is_detached`: this program does
    /// not stay with the container.
    fn prepare(call: &'a Call, is_detached: bool) -> anyhow::Result<Self> {
        let values = &call.values;
        let path = values.path("bundle").unwrap_or_else(|| PathBuf::from("."));
        let bundle =
            fs::canonicalize(&path).with_context(|| format!("chdir {}", path.display()))?;
        let name = bundle.join("config.json");
        let mut text = match fs::read(&name) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                bail!("JSON specification file config.json not found")
            }
            result => result.with_context(|| format!("cannot read `{}`", name.display()))?,
        };
        let mut spec: Spec = documents::configuration(&mut text, &call.log)
            .with_context(|| format!("`{}` makes no sense", name.display()))?;
        hand_on_listening(&mut spec, super::listening());
        let console = values.given("console-socket");
        foreground::check_terminal(has_terminal(&spec), is_detached, console.is_some())?;
        Ok(Self {
            call,
            bundle,
            text,
            spec,
            console: Receiver::connect("console-socket", console)?,
            pidfd: Receiver::connect("pidfd-socket", values.given("pidfd-socket"))?,
        })
    }

    fn create(&self) -> anyhow::Result<()> {
        let new = self.new_folder()?;
        let socket = new.folder.make_start_socket();
        let made = socket.and_then(|socket| self.make(&new.folder, Some(socket), true));
        let handed_over = made.and_then(|mut container| {
            let done = self.hand_over(&mut container).and_then(|()| Ok(container.release()?));
            done.inspect_err(|_| {
                // The first error is the one to tell.
                let _ = container.delete();
            })
        });
        undo_unless(handed_over, &new.folder)
    }

    fn run(&self, is_detached: bool) -> anyhow::Result<ExitCode> {
        let new = self.new_folder()?;
        if !is_detached {
            foreground::keep_signals(!self.call.values.is_on("no-subreaper"))?;
        }
        let container = undo_unless(self.make(&new.folder, None, is_detached), &new.folder)?;
        // It is recorded: nobody takes it for a half-made one any more.
        let NewFolder { folder, lock } = new;
        drop(lock);
        let is_kept = is_detached || self.call.values.is_on("keep");
        let result = self.run_made(container, is_detached, is_kept);
        if result.is_err() || !is_kept {
            let removed = folder.remove();
            return result.and_then(|code| removed.map(|()| code));
        }
        result
    }

    fn new_folder(&self) -> anyhow::Result<NewFolder> {
        let new = NewFolder::create(&self.call.root, self.call.id())?;
        undo_unless(new.folder.save_spec(&self.text), &new.folder)?;
        Ok(new)
    }

    /// Makes the container and notes it down.
    fn make(
        &self,
        folder: &Folder,
        start_socket: Option<OwnedFd>,
        is_detached: bool,
    ) -> anyhow::Result<Container> {
        let root = self.spec.root().as_ref().context("root: is missing")?;
        let rootfs = self.bundle.join(root.path());
        let stdio = foreground::streams(has_terminal(&self.spec), is_detached)?;
        let id = self.call.id();
        self.call.log.debug(|| format!("creating container {id} of `{}`", self.bundle.display()));
        let root = Root::Directory(rootfs.clone());
        let container = runtime::create(CreateRequest {
            start_socket,
            change_root: self.change_root(),
            keyring: self.keyring(),
            cgroup_need: self.cgroup_need()?,
            hierarchies: self.hierarchies(),
            cgroup_manager: self.cgroup_manager(),
            preserved_descriptors: super::preserved(&self.call.values)?,
            ..CreateRequest::new(id, &self.spec, &self.bundle, root, stdio)
        })
        .map_err(foreground::in_runc_words)?;
        let pid = container.pid().as_raw_nonzero().get();
        self.call.log.debug(|| format!("its first process is {pid}"));
        if let Some(flags) = container.filter_flags() {
            self.call.log.debug(|| format!("seccomp filter flags: {flags}"));
        }
        match self.record(&container, rootfs).and_then(|record| folder.save(&record)) {
            Ok(()) => Ok(container),
            Err(error) => {
                container.delete()?;
                Err(error)
            }
        }
    }

    fn change_root(&self) -> ChangeRoot {
        if self.call.values.is_on("no-pivot") { ChangeRoot::Chroot } else { ChangeRoot::Pivot }
    }

    fn cgroup_need(&self) -> anyhow::Result<CgroupNeed> {
        let is_rootless = match self.call.global.text("rootless").to_ascii_lowercase().as_str() {
            "auto" => !is_real_root(),
            word => parse_boolean(word)
                .with_context(|| format!("--rootless={word}: neither true nor false"))?,
        };
        Ok(if is_rootless { CgroupNeed::IfAllowed } else { CgroupNeed::Always })
    }

    /// Who names a path looks there for what the container uses, in hierarchies without a limit
    /// too. Who does not is spared what that costs.
    fn hierarchies(&self) -> Hierarchies {
        let linux = self.spec.linux().as_ref();
        let path = linux.and_then(|linux| linux.cgroups_path().as_ref());
        let is_named = path.is_some_and(|path| !path.as_os_str().is_empty());
        if is_named { Hierarchies::All } else { Hierarchies::Needed }
    }

    fn cgroup_manager(&self) -> CgroupManager {
        match self.call.global.is_on("systemd-cgroup") {
            true => CgroupManager::Systemd,
            false => CgroupManager::Files,
        }
    }

    fn keyring(&self) -> Keyring {
        if self.call.values.is_on("no-new-keyring") { Keyring::Inherited } else { Keyring::New }
    }

    fn record(&self, container: &Container, rootfs: PathBuf) -> anyhow::Result<Record> {
        let pid = container.pid().as_raw_nonzero().get();
        let (_, start_ticks) = start_ticks(pid).context("the container has ended at once")?;
        Ok(Record {
            id: self.call.id().to_owned(),
            pid,
            start_ticks,
            bundle: self.bundle.clone(),
            rootfs,
            created: jiff::Timestamp::now().to_string(),
            cgroup: container.cgroup().location().clone(),
            root: container.root(),
            spec: Record::essence(&self.spec),
        })
    }

    /// Tells those who asked about the process and its terminal.
    fn hand_over(&self, container: &mut Container) -> anyhow::Result<()> {
        if let (Some(console), Some(terminal)) = (&self.console, container.take_terminal()) {
            console.send(terminal.as_fd(), "/dev/ptmx")?;
        }
        self.tell(container)
    }

    fn tell(&self, container: &Container) -> anyhow::Result<()> {
        if let Some(receiver) = &self.pidfd {
            receiver.send(container.pidfd(), "standard")?;
        }
        self.pass_on(container.warnings());
        super::write_pid_file(&self.call.values, container.pid())
    }

    fn pass_on(&self, warnings: &[String]) {
        warnings.iter().for_each(|warning| self.call.log.warning(warning));
    }

    fn run_made(
        &self,
        mut container: Container,
        is_detached: bool,
        is_kept: bool,
    ) -> anyhow::Result<ExitCode> {
        let told = if is_detached { self.hand_over(&mut container) } else { self.tell(&container) };
        let count = container.warnings().len();
        let started = told.and_then(|()| container.start().map_err(foreground::in_runc_words));
        self.pass_on(&container.warnings()[count..]);
        if let Err(error) = started {
            // The first error is the one to tell.
            let _ = container.delete();
            return Err(error);
        }
        if is_detached {
            return Ok(ExitCode::SUCCESS);
        }
        let terminal = container.take_terminal();
        let code = foreground::wait(container.pidfd(), terminal);
        // Without anybody to serve it, it is not left behind either.
        if !is_kept || code.is_err() {
            let deleted = container.delete();
            return code.and_then(|code| deleted.map(|_| code).map_err(Into::into));
        }
        code
    }
}

/// The program finds sockets in its first descriptors if these words say so.
fn hand_on_listening(spec: &mut Spec, count: u32) {
    if let Some(process) = spec.process_mut().as_mut().filter(|_| count > 0) {
        let mut environment = process.env().clone().unwrap_or_default();
        environment.extend([format!("LISTEN_FDS={count}"), "LISTEN_PID=1".to_owned()]);
        process.set_env(Some(environment));
    }
}

fn has_terminal(spec: &Spec) -> bool {
    spec.process().as_ref().is_some_and(|process| process.terminal() == Some(true))
}

/// Removes the folder if what it was made for has failed.
fn undo_unless<T>(result: anyhow::Result<T>, folder: &Folder) -> anyhow::Result<T> {
    result.inspect_err(|_| {
        // The first error is the one to tell.
        let _ = folder.remove();
    })
}
