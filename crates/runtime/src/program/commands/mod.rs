//! One file a command, and the way to it.

mod checkpoint;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod kill;
mod list;
mod pause;
mod ps;
mod sizes;
mod spec;
mod start;
mod state;
mod update;

use std::ffi::OsString;
use std::path::Path;

use anyhow::Context as _;
use rustix::process::Pid;

use crate::command_line::{self, Call, Command, Count, Flag, Values};
use crate::exit_code::ExitCode;
use crate::log::Log;
use crate::{out_of_reach, root};

/// Every command, in the order of the help.
const COMMANDS: &[&Command] = &[
    &checkpoint::CHECKPOINT,
    &create::CREATE,
    &delete::COMMAND,
    &events::COMMAND,
    &exec::COMMAND,
    &kill::COMMAND,
    &list::COMMAND,
    &pause::PAUSE,
    &ps::COMMAND,
    &checkpoint::RESTORE,
    &pause::RESUME,
    &create::RUN,
    &spec::COMMAND,
    &start::COMMAND,
    &state::COMMAND,
    &update::COMMAND,
    &features::COMMAND,
];

/// What goes before the command.
const GLOBAL: &[Flag] = &[
    Flag::switch("debug", "enable debug logging"),
    Flag::text("log", "set the log file to write logs to (default is '/dev/stderr')"),
    Flag::text("log-format", "set the log format ('text' (default), or 'json')").default("text"),
    Flag::text(
        "root",
        "root directory for storage of container state (this should be located in tmpfs)",
    )
    .default(root::DEFAULT),
    Flag::text("criu", "(not used)").hidden(),
    Flag::switch(
        "systemd-cgroup",
        "enable systemd cgroup support, expects cgroupsPath to be of form \"slice:prefix:name\"",
    ),
    Flag::text("rootless", "ignore cgroup permission errors ('true', 'false', or 'auto')")
        .default("auto"),
    Flag::switch("version", "").short("v").hidden(),
];

/// Runs what the words ask for. `name` is what this program was called as.
pub(crate) fn main(name: &str, words: impl Iterator<Item = OsString>) -> ExitCode {
    let asked = words
        .map(|word| word.into_string().map_err(|word| format!("{word:?} is not valid UTF-8")))
        .collect::<Result<Vec<_>, _>>()
        .and_then(|words| understand(name, words));
    match asked {
        Ok(Asked::Text(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Ok(Asked::Run(command, call)) => run(command, &call),
        Err(error) => {
            Log::default().error(&error);
            ExitCode::FAILURE
        }
    }
}

/// What the words came to.
enum Asked {
    Text(String),
    Run(&'static Command, Call),
}

fn understand(name: &str, words: Vec<String>) -> Result<Asked, String> {
    let help = || command_line::of_program(&version(), COMMANDS, GLOBAL);
    let mut global = command_line::parse(GLOBAL, words, false).map_err(|error| {
        println!("Incorrect Usage. {error}\n\n{}", help());
        error.to_string()
    })?;
    if global.is_on("version") {
        return Ok(Asked::Text(format!("wharf-runtime version {}", version())));
    }
    let words = std::mem::take(&mut global.arguments);
    let mut words = words.into_iter();
    let word = match words.next() {
        Some(word) if !global.wants_help => word,
        _ => return Ok(Asked::Text(help())),
    };
    if matches!(word.as_str(), "help" | "h") {
        return match words.next() {
            Some(word) => Ok(Asked::Text(command_line::of_command(find(&word)?))),
            None => Ok(Asked::Text(help())),
        };
    }
    let command = find(&word)?;
    let values = command_line::parse(command.flags, words.collect(), command.has_flags_anywhere)
        .map_err(|error| {
            println!("Incorrect Usage: {error}\n\n{}", command_line::of_command(command));
            error.to_string()
        })?;
    if values.wants_help {
        return Ok(Asked::Text(command_line::of_command(command)));
    }
    check_count(name, command, &values)?;
    let call = call(global, values).map_err(|error| format!("{error:#}"))?;
    Ok(Asked::Run(command, call))
}

fn find(word: &str) -> Result<&'static Command, String> {
    let command = COMMANDS.iter().find(|command| command.name == word);
    command.copied().ok_or_else(|| format!("No help topic for '{word}'"))
}

fn version() -> String {
    format!("{}\nspec: {}\n", env!("CARGO_PKG_VERSION"), features::VERSION_NEWEST)
}

fn check_count(name: &str, command: &Command, values: &Values) -> Result<(), String> {
    let count = values.arguments.len();
    let wanted = match command.arguments {
        Count::Exactly(exact) if count != exact => format!("exactly {exact}"),
        Count::AtLeast(least) | Count::Between(least, _) if count < least => {
            format!("a minimum of {least}")
        }
        Count::Between(_, most) if count > most => format!("a maximum of {most}"),
        Count::Exactly(_) | Count::AtLeast(_) | Count::Between(..) => return Ok(()),
    };
    println!("Incorrect Usage.\n\n{}", command_line::of_command(command));
    Err(format!("{name}: {:?} requires {wanted} argument(s)", command.name))
}

fn call(global: Values, values: Values) -> anyhow::Result<Call> {
    check_preserved(&values)?;
    let log = global.path("log");
    let log = Log::open(log.as_deref(), global.text("log-format"), global.is_on("debug"))?;
    let root = root::choose(global.path("root").as_deref())?;
    Ok(Call { root, log, global, values })
}

/// Before this program opens anything itself, which could come to have their numbers.
fn check_preserved(values: &Values) -> anyhow::Result<()> {
    let count = preserved(values)?;
    match linux::process::first_closed_descriptor(FIRST_PRESERVED, FIRST_PRESERVED + count) {
        Some(closed) => anyhow::bail!(
            "unable to stat preserved-fd {} (of {count}): no such file or directory",
            closed - FIRST_PRESERVED
        ),
        None => Ok(()),
    }
}

/// The descriptor after the standard streams.
const FIRST_PRESERVED: u32 = 3;

/// How many descriptors the caller wants the program to have.
fn preserved(values: &Values) -> anyhow::Result<u32> {
    const PRESERVED_MAX: u32 = 1 << 20;
    let count = values.number("preserve-fds");
    u32::try_from(count)
        .ok()
        .filter(|count| *count <= PRESERVED_MAX)
        .map(|count| count + listening())
        .with_context(|| format!("--preserve-fds: {count} makes no sense"))
}

/// How many sockets whoever started this program has opened for it, or rather for the
/// container's program: see `sd_listen_fds(3)`.
fn listening() -> u32 {
    const LISTENING_MAX: u32 = 1 << 16;
    let variable = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    let is_meant = variable("LISTEN_PID") == Some(std::process::id());
    let count = variable("LISTEN_FDS").filter(|_| is_meant).unwrap_or(0);
    if count <= LISTENING_MAX { count } else { 0 }
}

/// Runs a command. The exit code may be a container's.
fn run(command: &Command, call: &Call) -> ExitCode {
    let is_safe = if command.meets_containers { out_of_reach::get_out_of_reach() } else { Ok(()) };
    match is_safe.and_then(|()| (command.run)(call)) {
        Ok(code) => code,
        Err(error) => {
            call.log.error(&format!("{error:#}"));
            ExitCode::from(command.failure)
        }
    }
}

/// Writes a process id to a file that somebody waits for: it appears as a whole.
fn write_pid_file(values: &Values, process: Pid) -> anyhow::Result<()> {
    let Some(file) = values.path("pid-file") else { return Ok(()) };
    let name = file.file_name().with_context(|| format!("--pid-file `{}`", file.display()))?;
    let new = file.with_file_name(format!(".{}", name.to_string_lossy()));
    write_new(&new, &process.as_raw_nonzero().to_string())
        .and_then(|()| std::fs::rename(&new, &file))
        .with_context(|| format!("cannot write `{}`", file.display()))
}

/// What was left over from a call that was killed is in nobody's way.
fn write_new(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let _ = std::fs::remove_file(file);
    std::fs::File::create_new(file)?.write_all(text.as_bytes())
}
