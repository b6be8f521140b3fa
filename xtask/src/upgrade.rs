//! `cargo xtask upgrade`: an earlier build's containers under this build's daemon, and back.
//!
//! The earlier commit is built in a worktree of its own; the stories `upgrade` do the rest.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::machine::{self, BUSYBOX, NFT};
use crate::programs::{self, BuildArguments, cargo, run, workspace};

#[derive(Debug, Args)]
pub(crate) struct UpgradeArguments {
    /// The commit to upgrade from.
    #[arg(long, default_value = "HEAD~1", conflicts_with = "programs")]
    from: String,
    /// A folder with the four programs of an earlier build, in place of a commit.
    #[arg(long)]
    programs: Option<std::path::PathBuf>,
}

pub(crate) fn upgrade(arguments: &UpgradeArguments) -> Result<()> {
    machine::prepare(&[BUSYBOX, NFT])?;
    programs::build(&BuildArguments { release: false })?;
    if let Some(programs) = &arguments.programs {
        return tell(programs);
    }
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let tree = folder.path().join("earlier");
    run(git().args(["worktree", "add", "--detach"]).arg(&tree).arg(&arguments.from))?;
    let outcome = build(&tree).and_then(|programs| tell(&programs));
    // Whatever became of it.
    run(git().args(["worktree", "remove", "--force"]).arg(&tree))?;
    outcome
}

/// Builds the earlier commit; where its programs are.
fn build(tree: &Path) -> Result<std::path::PathBuf> {
    let mut command = Command::new(cargo().get_program());
    command.current_dir(tree).args(["build", "--target-dir"]).arg(tree.join("target"));
    run(&mut command)?;
    let output = Command::new("find")
        .arg(tree.join("target"))
        .args(["-maxdepth", "3", "-name", "wharfd", "-type", "f"])
        .output()
        .context("cannot look for the earlier programs")?;
    let found = String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned);
    let program = found.context("the earlier commit has no wharfd")?;
    Ok(Path::new(&program).parent().context("a program is in a folder")?.to_owned())
}

fn tell(programs: &Path) -> Result<()> {
    let programs = programs.canonicalize().context("there are no earlier programs")?;
    ensure!(programs.join("wharfd").exists(), "no wharfd in {}", programs.display());
    let filter = ["nextest", "run", "--package", "stories", "--no-fail-fast", "upgrade::"];
    run(cargo().args(filter).env("OLD_PROGRAMS", programs))
}

fn git() -> Command {
    let mut command = Command::new("git");
    command.current_dir(workspace());
    command
}
