//! Installing: programs, systemd units, shell completions.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::programs::{self, BuildArguments, PROGRAMS};

#[derive(Debug, Args)]
pub(crate) struct InstallArguments {
    /// The folder to install below.
    #[arg(long, default_value = "/usr/local")]
    prefix: PathBuf,
    /// A folder that stands for `/`, for those who make packages.
    #[arg(long)]
    destdir: Option<PathBuf>,
}

/// A shell, and the file below the prefix in which it looks for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/wharf"),
    ("zsh", "share/zsh/site-functions/_wharf"),
    ("fish", "share/fish/vendor_completions.d/wharf.fish"),
];

/// The units, which name the programs by `@bindir@`.
const UNITS: [(&str, &str); 2] = [
    ("wharf.service", include_str!("../../packaging/wharf.service")),
    ("wharf.socket", include_str!("../../packaging/wharf.socket")),
];

pub(crate) fn install(arguments: &InstallArguments) -> Result<()> {
    let folder = programs::build(&BuildArguments { release: true })?;
    let prefix = std::path::absolute(&arguments.prefix).context("the prefix is no path")?;
    let target = Target { prefix, root: arguments.destdir.clone() };
    for program in PROGRAMS {
        let content = fs::read(folder.join(program)).with_context(|| format!("no {program}"))?;
        target.write(&format!("bin/{program}"), &content, 0o755)?;
    }
    let programs = target.prefix.join("bin");
    for (unit, text) in UNITS {
        let text = text.replace("@bindir@", &programs.display().to_string());
        target.write(&format!("lib/systemd/system/{unit}"), text.as_bytes(), 0o644)?;
    }
    for (shell, path) in COMPLETIONS {
        target.write(path, &completions(&folder.join("wharf"), shell)?, 0o644)?;
    }
    println!("start it with: systemctl daemon-reload && systemctl enable --now wharf.socket");
    Ok(())
}

/// Where to install.
#[derive(Debug)]
struct Target {
    prefix: PathBuf,
    root: Option<PathBuf>,
}

impl Target {
    /// Writes one file, so that a program that is running now is replaced, not changed.
    fn write(&self, path: &str, content: &[u8], mode: u32) -> Result<()> {
        let mut file = self.prefix.join(path);
        if let Some(root) = &self.root {
            let below = file.strip_prefix("/").expect("the prefix is absolute");
            file = root.join(below);
        }
        let folder = file.parent().expect("a file is in a folder");
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let fresh = file.with_extension("new");
        fs::write(&fresh, content)
            .and_then(|()| fs::set_permissions(&fresh, fs::Permissions::from_mode(mode)))
            .and_then(|()| fs::rename(&fresh, &file))
            .with_context(|| format!("cannot write {}", file.display()))?;
        println!("{}", file.display());
        Ok(())
    }
}

fn completions(wharf: &Path, shell: &str) -> Result<Vec<u8>> {
    let output = Command::new(wharf).args(["completion", shell]).output();
    let output = output.with_context(|| format!("cannot run {}", wharf.display()))?;
    ensure!(output.status.success(), "`wharf completion {shell}` failed");
    Ok(output.stdout)
}
