//! Makes one OCI container from a bundle. A library, and runc's command line over it.
//!
//! ```text
//!  create ──▶ Container, set up completely and waiting right before execve
//!               │ start            │ exec (as often as you like)
//!               ▼                  ▼
//!             running ──▶ ended ──▶ delete
//! ```
//!
//! [`create`] clones the container's first process straight from the calling process, without
//! a program in between. The caller must therefore have **one thread only**; it is the
//! container's parent, and waits for it by its pidfd.
//!
//! What the OCI configuration cannot say is in [`CreateRequest`] and [`ExecRequest`]:
//!
//! - The root may be a stack of overlay layers ([`Root::Overlay`]), which the container mounts
//!   in its own mount namespace, so that nothing of it can be left behind on the host.
//! - `user` is `name[:group]` or `uid[:gid]`, looked up by the container's own first process in
//!   the container's own `/etc/passwd` and `/etc/group`, since before that nobody has the root
//!   mounted. It takes the place of `process.user`'s ids, additional groups as Docker gives
//!   them included. `additional_groups` are looked up the same way.
//! - `HOME` is added to the environment if it is not there, from `/etc/passwd`.
//!
//! What could be done only in part (a resource limit above what this host allows) is not an
//! error: see [`Container::warnings`].

mod request;

mod container;
mod init;
mod plan;

mod cgroups;
mod channel;
mod error;
mod hooks;
mod mount_options;
mod resctrl;
mod seccomp;

#[doc(hidden)]
pub mod fuzzing;

pub use cgroups::{
    BlockStatistics, BusError, Cgroup, CgroupError, CgroupLocation, CgroupManager, CpuStatistics,
    CpusetStatistics, HugePageStatistics, MemoryStatistics, MemoryUse, OutOfMemoryEvents, Pressure,
    Statistics, SubCgroup, Waiting,
};
pub use container::{
    Container, CreateError, DeleteError, ExecError, ExecProcess, StartError, clean_up, create,
    processes_left,
};
pub use error::ProcessError;
pub use init::{UserIds, find_user};
pub use mount_options::mount_option_names;
pub use request::{
    CgroupNeed, ChangeRoot, CreateRequest, ExecRequest, Hierarchies, Keyring, Newlines, Root, Stdio,
};
