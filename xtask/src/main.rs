//! `cargo xtask`: everything that is done to the project, in one place.

mod bench;
mod check;
mod demo;
mod fail_points;
mod install;
mod machine;
mod programs;
mod storm;
mod upgrade;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Everything that is done to the project")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Builds the four programs.
    Build(programs::BuildArguments),
    /// Installs the programs, the systemd units and the shell completions.
    Install(install::InstallArguments),
    /// Shows on this machine what Wharf does, with a daemon of its own.
    Demo,
    /// Checks everything: format, lints, tests, stories.
    Test(check::TestArguments),
    /// Makes each step of a container's life fail, wait and die, and looks for what is left.
    FailPoints,
    /// Kills the daemon again and again under many clients, and looks for what was lost.
    Storm(storm::StormArguments),
    /// Runs an earlier build's containers under this build's daemon, and the other way round.
    Upgrade(upgrade::UpgradeArguments),
    /// Measures speed and size against peers and the kernel's own floor.
    Bench(bench::BenchArguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Build(arguments) => programs::build(&arguments).map(drop),
        Task::Install(arguments) => install::install(&arguments),
        Task::Demo => demo::demo(),
        Task::Test(arguments) => check::test(&arguments),
        Task::FailPoints => fail_points::fail_points(),
        Task::Storm(arguments) => storm::storm(&arguments),
        Task::Upgrade(arguments) => upgrade::upgrade(&arguments),
        Task::Bench(arguments) => bench::bench(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
