//! What an engine is told once, when it is opened.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::containers::ContainerId;
use crate::containers::spec::{LogConfig, Ulimit};
use crate::logs::LogPaths;
use crate::runtimes::Runtimes;

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
    /// Those of the beginning: an engine may be told of others.
    pub runtimes: Runtimes,
}

impl Settings {
    /// What a container has on the disk beside its file system.
    pub(crate) fn container_folder(&self, id: &ContainerId) -> PathBuf {
        self.data_root.join("containers").join(id.as_str())
    }

    pub(crate) fn log_paths(&self, id: &ContainerId) -> LogPaths {
        LogPaths::new(&self.container_folder(id), id.as_str())
    }

    /// What a running container has in memory.
    pub(crate) fn run_folder(&self, id: &ContainerId) -> PathBuf {
        self.exec_root.join("containers").join(id.as_str())
    }

    /// The program that `--init` puts before the user's. Ours is handed into containers as a
    /// copy: the payload must never be able to reach the programs that we run.
    pub(crate) fn init_program(&self) -> io::Result<PathBuf> {
        if let Some(program) = &self.init_program {
            return Ok(program.clone());
        }
        let copy = self.exec_root.join("docker-init");
        let own = self.shim_program.with_file_name("wharf-runtime");
        // An older daemon may have left one of its own.
        if !is_newer(&copy, &own)? {
            let new = self.exec_root.join(format!("docker-init.{}", std::process::id()));
            std::fs::copy(own, &new)?;
            std::fs::rename(&new, &copy)?;
        }
        Ok(copy)
    }
}

/// Whether `copy` is there, and was made after `original` was last changed.
fn is_newer(copy: &Path, original: &Path) -> io::Result<bool> {
    let original = std::fs::metadata(original)?.modified()?;
    match std::fs::metadata(copy) {
        Ok(copy) => Ok(copy.modified()? > original),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
