//! What a caller asks for, beside the OCI configuration.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use oci::runtime::{Process, Spec};

use crate::cgroups::{CgroupManager, SubCgroup};

/// A container to create.
#[derive(Debug)]
pub struct CreateRequest<'a> {
    pub id: &'a str,
    pub spec: &'a Spec,
    /// Where relative paths of the configuration start.
    pub bundle: &'a Path,
    /// The container's root file system; takes the place of the configuration's `root.path`.
    pub root: Root,
    pub stdio: Stdio,
    /// Takes the place of the configuration's network namespace.
    pub network_namespace: Option<BorrowedFd<'a>>,
    /// `name[:group]` or `uid[:gid]` to look up in the container's own user database. Takes
    /// the place of the ids in `process.user`. Empty is the same as root.
    pub user: Option<&'a str>,
    /// Groups, by name or number, that the process has besides.
    pub additional_groups: &'a [String],
    /// A listening socket on which the container waits to be started, in case this
    /// process is gone by then. `None`: [`Container::start`] starts it.
    ///
    /// [`Container::start`]: crate::Container::start
    pub start_socket: Option<OwnedFd>,
    pub change_root: ChangeRoot,
    pub keyring: Keyring,
    pub cgroup_need: CgroupNeed,
    pub hierarchies: Hierarchies,
    /// How many of this process's descriptors, from 3 on, stay open in the program. All of
    /// them have to be open.
    pub preserved_descriptors: u32,
    pub cgroup_manager: CgroupManager,
}

impl<'a> CreateRequest<'a> {
    /// With everything else as the configuration alone has it.
    pub fn new(id: &'a str, spec: &'a Spec, bundle: &'a Path, root: Root, stdio: Stdio) -> Self {
        Self {
            id,
            spec,
            bundle,
            root,
            stdio,
            network_namespace: None,
            user: None,
            additional_groups: &[],
            start_socket: None,
            change_root: ChangeRoot::default(),
            keyring: Keyring::default(),
            cgroup_need: CgroupNeed::default(),
            hierarchies: Hierarchies::default(),
            preserved_descriptors: 0,
            cgroup_manager: CgroupManager::default(),
        }
    }
}

/// A further process for a running container. One for a paused container waits until that is
/// resumed, and its caller with it.
#[derive(Debug)]
pub struct ExecRequest<'a> {
    /// Without `rlimits`, those of the container's own process hold. Everything else is taken as
    /// it is: no capability and no environment comes from elsewhere.
    pub process: &'a Process,
    pub stdio: Stdio,
    /// As in [`CreateRequest::user`].
    pub user: Option<&'a str>,
    /// As in [`CreateRequest::additional_groups`].
    pub additional_groups: &'a [String],
    /// [`Keyring::New`] is the container's own, which its first process has made.
    pub keyring: Keyring,
    /// As in [`CreateRequest::preserved_descriptors`].
    pub preserved_descriptors: u32,
    pub sub_cgroup: SubCgroup,
    /// How long the process may take for each step on its way to its program. One that is born
    /// into a frozen container takes for ever.
    pub patience: Option<Duration>,
}

impl<'a> ExecRequest<'a> {
    /// With everything else as `process` alone has it.
    pub fn new(process: &'a Process, stdio: Stdio) -> Self {
        Self {
            process,
            stdio,
            user: None,
            additional_groups: &[],
            keyring: Keyring::default(),
            preserved_descriptors: 0,
            sub_cgroup: SubCgroup::Default,
            patience: None,
        }
    }
}

/// How the container's root becomes the root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ChangeRoot {
    /// By `pivot_root(2)`: the host's mounts are gone from the container's namespace.
    #[default]
    Pivot,
    /// By moving the root's mount over `/` and `chroot(2)`, for a host whose root is an initial
    /// file system, which cannot be pivoted. The host's mounts stay below, out of sight only.
    Chroot,
}

/// In which hierarchies of cgroup v1 a container is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hierarchies {
    /// Where something is limited.
    #[default]
    Needed,
    /// Everywhere: for callers that look for the container's cgroup, or count its use, in a
    /// hierarchy that has nothing to limit.
    All,
}

/// Whether a container can do without a cgroup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CgroupNeed {
    #[default]
    Always,
    /// It has none where this process may not make one, unless something is to be limited: as
    /// for the containers of ordinary users.
    IfAllowed,
}

/// The kernel's session keyring, in which programs keep secrets: see `keyrings(7)`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keyring {
    /// One for the container.
    #[default]
    New,
    /// That of this process.
    Inherited,
}

/// Where a container's root file system comes from.
#[derive(Debug, Clone)]
pub enum Root {
    /// A folder that is there already.
    Directory(PathBuf),
    /// An overlay that the container mounts in its own mount namespace.
    Overlay {
        /// Read-only layers, the topmost first.
        lowers: Vec<PathBuf>,
        upper: PathBuf,
        work: PathBuf,
        /// Never wait for the disk: right for a container that is removed at its end.
        volatile: bool,
    },
}

/// What a process reads from and writes to.
#[derive(Debug)]
pub enum Stdio {
    Descriptors {
        stdin: OwnedFd,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
    /// A terminal of the container's own `devpts`; its master side comes back.
    Terminal {
        /// Rows and columns; `process.consoleSize` otherwise.
        size: Option<(u16, u16)>,
        newlines: Newlines,
    },
}

/// What a terminal makes of the end of a line that a program writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Newlines {
    /// A carriage return goes before it, as the kernel's terminals do.
    #[default]
    Translated,
    /// Nothing: the terminal that shows it in the end does that.
    Plain,
}
