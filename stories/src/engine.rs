//! Which daemon and which client the stories are told about.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Which daemon the stories are told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Wharf,
    /// A stock dockerd: the reference.
    Dockerd,
}

impl Engine {
    /// The engine that `ENGINE` names.
    pub fn chosen() -> Self {
        match std::env::var("ENGINE").as_deref() {
            Err(_) | Ok("" | "wharf") => Self::Wharf,
            Ok("dockerd") => Self::Dockerd,
            Ok(other) => panic!("ENGINE is `wharf` or `dockerd`, not `{other}`"),
        }
    }

    /// The daemon's program.
    pub(crate) fn daemon(self) -> PathBuf {
        match self {
            Self::Wharf => wharf_program("wharfd"),
            Self::Dockerd => {
                let named = std::env::var_os("DOCKERD").map(PathBuf::from);
                named.or_else(|| on_path("dockerd")).expect("ENGINE=dockerd needs a dockerd")
            }
        }
    }

    /// The client's program: `CLIENT` chooses, and by default each engine has its own.
    pub(crate) fn client(self) -> PathBuf {
        let default = if self == Self::Wharf { "wharf" } else { "docker" };
        match std::env::var("CLIENT").as_deref().unwrap_or(default) {
            "wharf" => wharf_program("wharf"),
            "docker" => stock_client().expect("CLIENT=docker needs the docker client on PATH"),
            other => panic!("CLIENT is `wharf` or `docker`, not `{other}`"),
        }
    }
}

/// The stock docker client, if this machine has one.
pub(crate) fn stock_client() -> Option<PathBuf> {
    on_path("docker")
}

/// One of our programs: beside the test's own program, where Cargo puts them.
pub(crate) fn wharf_program(name: &str) -> PathBuf {
    let folder = std::env::var_os("WHARF_BIN_DIR").map_or_else(build_folder, PathBuf::from);
    let program = folder.join(name);
    assert!(program.exists(), "{} is not built: `cargo build` comes first", program.display());
    program
}

fn build_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    // target/<triple>/debug/deps/stories-0123456789abcdef
    let folder = test.parent().and_then(Path::parent).expect("Cargo's folders are this deep");
    folder.to_owned()
}

/// The first program called `name` on PATH.
pub(crate) fn on_path(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name.as_ref()))
        .find(|program| program.is_file())
}
