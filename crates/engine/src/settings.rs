//! What an engine is told once, when it is opened.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::containers::spec::{LogConfig, Ulimit};

/// What an engine is told once, when it is opened.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What must survive a reboot.
    pub data_root: PathBuf,
    /// What must not: sockets, one folder for each running container.
    pub exec_root: PathBuf,
    /// The `wharf-shim` program.
    pub shim_program: PathBuf,
    pub network: network::Settings,
    /// Name servers, search domains and options of containers that name none.
    pub dns: Vec<IpAddr>,
    pub dns_search: Vec<String>,
    pub dns_options: Vec<String>,
    /// Limits of containers that name none, by their name (`nofile`).
    pub default_ulimits: BTreeMap<String, Ulimit>,
    pub default_log: LogConfig,
    /// Run `init` in every container that does not say otherwise.
    pub default_init: bool,
    /// The program that `--init` puts before the user's: `None` for our own.
    pub init_program: Option<PathBuf>,
    /// The cgroup under which containers' cgroups are made, as in `/docker`.
    pub cgroup_parent: String,
    /// The daemon's labels.
    pub labels: Vec<String>,
}
