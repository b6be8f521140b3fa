//! The command line, as runc has it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Runs OCI containers.
#[derive(Debug, Parser)]
#[command(name = "wharf-runtime", disable_version_flag = true, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What goes before the command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Where containers are recorded; not on a disk, so that they do not outlive the host's run
    #[arg(long, default_value = "/run/wharf-runtime")]
    pub(crate) root: PathBuf,
    /// A file for errors, beside standard error
    #[arg(long)]
    pub(crate) log: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// Accepted for compatibility; there is no more to say
    #[arg(long)]
    pub(crate) debug: bool,
    /// Not supported: cgroups are made by file
    #[arg(long)]
    pub(crate) systemd_cgroup: bool,
    /// Accepted for compatibility if it says `false` or `auto`
    #[arg(long, default_value = "auto")]
    pub(crate) rootless: String,
    /// Print the version
    #[arg(short = 'v', long)]
    pub(crate) version: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a container
    Create(Create),
    /// Start the program of a created container
    Start { id: String },
    /// Create a container, run its program, and delete it
    Run(Run),
    /// Print a container's state
    State { id: String },
    /// Send a signal to a container's first process
    Kill(Kill),
    /// Delete what a container holds
    Delete(Delete),
    /// Run a further process in a container
    Exec(Exec),
    /// List the containers below the root
    List(List),
    /// Show a container's processes
    Ps(Ps),
    /// Stop all processes of a container where they stand
    Pause { id: String },
    /// Let a paused container go on
    Resume { id: String },
    /// Write a configuration to start from
    Spec(Spec),
    /// Print what this runtime can do
    Features,
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    pub(crate) id: String,
    /// The folder with `config.json` [default: the working folder]
    #[arg(short, long)]
    pub(crate) bundle: Option<PathBuf>,
    /// A socket to send the terminal's master side to
    #[arg(long)]
    pub(crate) console_socket: Option<PathBuf>,
    /// A file for the process id
    #[arg(long)]
    pub(crate) pid_file: Option<PathBuf>,
    /// Not supported
    #[arg(long)]
    pub(crate) no_pivot: bool,
    /// Accepted for compatibility: a container always gets a keyring of its own
    #[arg(long)]
    pub(crate) no_new_keyring: bool,
    /// Not supported, unless 0
    #[arg(long, default_value_t = 0)]
    pub(crate) preserve_fds: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) create: Create,
    /// Do not wait for the program
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Do not delete the container when its program ends
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Kill {
    /// To every process of the container
    #[arg(short, long)]
    pub(crate) all: bool,
    pub(crate) id: String,
    /// A name or a number
    #[arg(default_value = "SIGTERM")]
    pub(crate) signal: String,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Kill it first if it still runs
    #[arg(short, long)]
    pub(crate) force: bool,
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct Exec {
    #[arg(long)]
    pub(crate) console_socket: Option<PathBuf>,
    #[arg(long)]
    pub(crate) cwd: Option<PathBuf>,
    /// `NAME=value`
    #[arg(short, long)]
    pub(crate) env: Vec<String>,
    /// With a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// `uid[:gid]`
    #[arg(short, long)]
    pub(crate) user: Option<String>,
    #[arg(short = 'g', long)]
    pub(crate) additional_gids: Vec<u32>,
    /// A file with the process, in place of arguments
    #[arg(short, long)]
    pub(crate) process: Option<PathBuf>,
    /// Do not wait for it
    #[arg(short, long)]
    pub(crate) detach: bool,
    #[arg(long)]
    pub(crate) pid_file: Option<PathBuf>,
    #[arg(long)]
    pub(crate) no_new_privs: bool,
    /// Add a capability
    #[arg(short, long)]
    pub(crate) cap: Vec<String>,
    /// Not supported, unless 0
    #[arg(long, default_value_t = 0)]
    pub(crate) preserve_fds: u32,
    pub(crate) id: String,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) format: Format,
    /// Ids only
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Ps {
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) format: Format,
    pub(crate) id: String,
    /// For `ps` [default: -ef]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) options: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Spec {
    #[arg(short, long)]
    pub(crate) bundle: Option<PathBuf>,
}
