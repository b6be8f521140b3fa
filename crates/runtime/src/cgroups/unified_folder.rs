//! A folder in version 2's hierarchy, with what it can do even without any controller:
//! list, freeze and kill processes, and decide about devices.

use std::cell::{OnceCell, RefCell};
use std::fs::File;
use std::io::Seek as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oci::runtime::LinuxDeviceCgroup;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;

use super::device_rules::DeviceRules;
use super::{CgroupError, files, removal, sub_cgroup};

/// How long a cgroup may take to come to rest. A process in an uninterruptible wait (a dead
/// network file system, say) can hold it up for ever.
pub(super) const FREEZE_SECONDS_MAX: u64 = 10;

#[derive(Debug)]
pub(super) struct UnifiedFolder {
    pub(super) path: PathBuf,
    /// Opened where somebody is to be born in it.
    folder: OnceCell<OwnedFd>,
    /// The device program that this process has attached.
    program: RefCell<Option<OwnedFd>>,
}

impl UnifiedFolder {
    pub(super) fn create(path: PathBuf) -> Result<Self, CgroupError> {
        files::create(&path)?;
        let folder = sub_cgroup::open(&path)?;
        Ok(Self { path, folder: folder.into(), program: RefCell::new(None) })
    }

    /// A folder that is there already, or was.
    pub(super) fn of(path: PathBuf) -> Self {
        Self { path, folder: OnceCell::new(), program: RefCell::new(None) }
    }

    pub(super) fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        self.folder.get().map(OwnedFd::as_fd)
    }

    /// Every process, also in cgroups that the container has made below.
    pub(super) fn processes(&self) -> Result<Vec<Pid>, CgroupError> {
        files::processes_below(&self.path)
    }

    /// Replaces the device rules.
    pub(super) fn set_device_rules(&self, list: &[LinuxDeviceCgroup]) -> Result<(), CgroupError> {
        let rules = DeviceRules::new(list);
        let error = |source| CgroupError::DeviceRules { path: self.path.clone(), source };
        let mut attached = self.program.borrow_mut();
        let new = if rules.allow_everything() {
            None
        } else {
            // Attaching takes a descriptor that is open for reading.
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let folder = rustix::fs::open(&self.path, flags, Mode::empty())
                .map_err(|source| error(source.into()))?;
            let program = linux::bpf::load_device_program(&rules.program()).map_err(error)?;
            linux::bpf::attach_device_program(folder.as_fd(), program.as_fd()).map_err(error)?;
            Some(program)
        };
        // The old one goes last, so that there is no moment without rules.
        if let Some(old) = attached.take() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let folder = rustix::fs::open(&self.path, flags, Mode::empty())
                .map_err(|source| error(source.into()))?;
            linux::bpf::detach_device_program(folder.as_fd(), old.as_fd()).map_err(error)?;
        }
        *attached = new;
        Ok(())
    }

    pub(super) fn freeze(&self) -> Result<(), CgroupError> {
        files::write(&self.path, "cgroup.freeze", 1)?;
        self.await_frozen()
    }

    pub(super) fn thaw(&self) -> Result<(), CgroupError> {
        files::write(&self.path, "cgroup.freeze", 0)
    }

    pub(super) fn is_frozen(&self) -> Result<bool, CgroupError> {
        Ok(files::read(&self.path, "cgroup.freeze")?.trim() == "1")
    }

    /// Waits until the kernel says that every process has stopped.
    fn await_frozen(&self) -> Result<(), CgroupError> {
        let name = self.path.join("cgroup.events");
        let error = |source| CgroupError::Read { file: name.clone(), source };
        let mut events = File::open(&name).map_err(error)?;
        let deadline = Instant::now() + Duration::from_secs(FREEZE_SECONDS_MAX);
        loop {
            events.rewind().map_err(error)?;
            let text = std::io::read_to_string(&events).map_err(error)?;
            if files::value_of(&text, "frozen") == Some(1) {
                return Ok(());
            }
            // The file wakes those who wait for its priority event at each change.
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).expect("ten seconds are a short time");
            let mut waiting = [PollFd::new(&events, PollFlags::PRI)];
            match poll(&mut waiting, Some(&left)) {
                Ok(0) => {
                    let path = self.path.clone();
                    return Err(CgroupError::NotFrozen { path, seconds: FREEZE_SECONDS_MAX });
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(source) => return Err(error(source.into())),
            }
        }
    }

    /// Kills every process at once. Needs Linux 5.14 for `cgroup.kill`; before that, what is
    /// frozen cannot fork away from the signal.
    pub(super) fn kill_all(&self) -> Result<(), CgroupError> {
        if files::write(&self.path, "cgroup.kill", 1).is_ok() {
            return Ok(());
        }
        self.freeze()?;
        kill(&self.processes()?);
        self.thaw()
    }

    pub(super) fn remove(&self) -> Result<(), CgroupError> {
        removal::remove(&self.path)
    }
}

/// Sends SIGKILL to each process that is still there.
pub(super) fn kill(processes: &[Pid]) {
    for process in processes {
        // It may have ended by itself since it was listed.
        let _ = rustix::process::kill_process(*process, rustix::process::Signal::KILL);
    }
}

/// The folder `path` of the hierarchy mounted at `mount_point`.
pub(super) fn folder_path(mount_point: &str, path: &Path) -> PathBuf {
    Path::new(mount_point).join(path)
}
