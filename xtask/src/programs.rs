//! The four programs, and where the build puts them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

/// The programs that make up Wharf.
pub(crate) const PROGRAMS: [&str; 4] = ["wharf", "wharfd", "wharf-shim", "wharf-runtime"];

/// The crates that they come from.
const CRATES: [&str; 4] = ["cli", "daemon", "shim", "runtime"];

#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    /// Build for use rather than for development.
    #[arg(long)]
    pub(crate) release: bool,
}

/// Builds the four programs and returns the folder that they are in.
pub(crate) fn build(arguments: &BuildArguments) -> Result<PathBuf> {
    let mut command = cargo();
    command.arg("build").args(CRATES.iter().flat_map(|name| ["--package", name]));
    command.args(arguments.release.then_some("--release"));
    run(&mut command)?;
    folder(arguments.release)
}

/// Where the build puts programs: beside this one's own folder.
fn folder(is_release: bool) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program")?;
    // target/<triple>/debug/xtask
    let profiles = own.ancestors().nth(2).context("this program is not in a build folder")?;
    Ok(profiles.join(if is_release { "release" } else { "debug" }))
}

/// Cargo, in the workspace's folder.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.current_dir(workspace());
    command
}

/// The workspace's folder.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the workspace")
}

/// Runs `command` to a good end.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let shown = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let status = command.status().with_context(|| format!("cannot run `{shown}`"))?;
    ensure!(status.success(), "`{shown}` failed: {status}");
    Ok(())
}
