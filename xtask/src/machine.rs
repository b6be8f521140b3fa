//! What a machine must have, and getting it where the machine is a Debian.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail, ensure};

use crate::programs::run;

/// A program that is needed, or a file by its whole path, and the Debian package that brings it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
    pub(crate) why: &'static str,
}

/// A shell for images, as one static file.
pub(crate) const BUSYBOX: Need =
    Need { program: "busybox", package: "busybox-static", why: "images with a shell" };

/// Lists firewall rules, to see whether any was left behind.
pub(crate) const NFT: Need =
    Need { program: "nft", package: "nftables", why: "a look for rules left behind" };

/// Makes interface pairs, for a network behind the host.
pub(crate) const IP: Need =
    Need { program: "ip", package: "iproute2", why: "a network behind the test's host" };

/// Compiles system call filters, as other runtimes have it done.
pub(crate) const LIBSECCOMP: Need = Need {
    program: "/usr/include/seccomp.h",
    package: "libseccomp-dev",
    why: "a second opinion on system call filters",
};

/// Gives ordinary users numbers of their own in user namespaces.
pub(crate) const NEWUIDMAP: Need =
    Need { program: "newuidmap", package: "uidmap", why: "containers of ordinary users" };

/// Other runtimes, which containers can be run by.
pub(crate) const RUNC: Need =
    Need { program: "runc", package: "runc", why: "containers of another runtime" };
pub(crate) const CRUN: Need =
    Need { program: "crun", package: "crun", why: "containers of yet another runtime" };

/// Installs what is missing.
pub(crate) fn prepare(needs: &[Need]) -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "containers need root: run this as root");
    let missing: Vec<_> = needs.iter().filter(|need| find(need.program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        println!("installing {} (for {})", need.package, need.why);
    }
    if find("apt-get").is_none() {
        let packages: Vec<_> = missing.iter().map(|need| need.program).collect();
        bail!("please install {}: this machine has no apt-get", packages.join(", "));
    }
    let packages = missing.iter().map(|need| need.package);
    let mut install = apt_get();
    install.args(["install", "--yes", "--no-install-recommends"]).args(packages.clone());
    if run(&mut install).is_err() {
        // The lists of a fresh machine may be empty or old.
        run(apt_get().arg("update"))?;
        let mut again = apt_get();
        run(again.args(["install", "--yes", "--no-install-recommends"]).args(packages))?;
    }
    Ok(())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.arg("--quiet").env("DEBIAN_FRONTEND", "noninteractive");
    command.stdin(std::process::Stdio::null());
    command
}

/// The first program called `name` on PATH, or where only root looks.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}
