//! The kernel as safe Rust: namespaces, mounts, cgroups, netlink, nftables, capabilities,
//! seccomp, ttys. The only crate with `unsafe`.
//!
//! It knows nothing of containers: each function is one use of
//! one system call, owned descriptors and typed flags in, `io::Result` out. What rustix
//! already offers safely is used from there and not wrapped again.

pub mod allocator;
pub mod bpf;
pub mod conntrack;
pub mod entry;
pub mod inherited;
pub mod local_time;
pub mod loopback;
pub mod mounts;
pub mod namespaces;
pub mod netlink;
pub mod network_namespace;
pub mod nftables;
pub mod overlay;
pub mod process;
pub mod resident;
pub mod route;
pub mod scheduling;
pub mod seccomp;
pub mod signals;
