//! From the words of the command line to the command that they name.

use crate::command_line::{Action, Body, Command, Outcome, Parsed, help, parse};
use crate::commands;
use crate::failure::Failure;
use crate::output;
use crate::session::{GlobalOptions, Session};

/// The exit status for a line that is not understood.
const STATUS_USAGE: i32 = 125;
const NAME: &str = "wharf";

/// Does what the words say.
pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    let globals = match parse_globals(words)? {
        Some(globals) => globals,
        None => return Ok(()),
    };
    let options = global_options(&globals)?;
    let words = &globals.arguments;
    let Some((name, rest)) = words.split_first() else {
        output::warn(help::overview(&commands::OVERVIEW).trim_end());
        return Ok(());
    };
    if name == "help" {
        return show_help(rest);
    }
    let command = top_level(name)?;
    let (command, path, rest) = descend(command, NAME, rest)?;
    match command.body {
        Body::Group(_) => group(command, &path, rest),
        Body::Action(action) => act(command, action, &path, rest, options),
    }
}

/// The flags before the command. `None`: all is said already.
fn parse_globals(words: &[String]) -> Result<Option<Parsed>, Failure> {
    let parsed = match parse(&commands::GLOBAL, NAME.to_owned(), words) {
        Err(error) => return Err(usage_failure(&commands::GLOBAL, NAME, &error.0)),
        Ok(Outcome::Help { .. }) => {
            output::print(&help::overview(&commands::OVERVIEW))?;
            return Ok(None);
        }
        Ok(Outcome::Ready(parsed)) => parsed,
    };
    if parsed.switch("version") {
        output::print(&format!("Wharf version {}\n", env!("CARGO_PKG_VERSION")))?;
        return Ok(None);
    }
    Ok(Some(parsed))
}

fn global_options(globals: &Parsed) -> Result<GlobalOptions, Failure> {
    let level = globals.text("log-level");
    if !matches!(
        level.to_lowercase().as_str(),
        "panic" | "fatal" | "error" | "warn" | "warning" | "info" | "debug" | "trace"
    ) {
        return Err(Failure::new(format!("Unable to parse logging level: {level}")));
    }
    let hosts = globals.list("host");
    let context = globals.given("context").map(str::to_owned);
    if context.as_deref().is_some_and(|name| !name.is_empty()) && !hosts.is_empty() {
        return Err(Failure::new("conflicting options: cannot specify both --host and --context"));
    }
    Ok(GlobalOptions {
        hosts,
        context,
        configuration_folder: globals.given("config").map(str::to_owned),
        is_debug: globals.switch("debug"),
    })
}

fn top_level(name: &str) -> Result<&'static Command, Failure> {
    let found = commands::top_level().find(|command| {
        command.name == name || (command.is_group() && command.aliases.contains(&name))
    });
    found.ok_or_else(|| {
        if commands::REFUSED.contains(&name) {
            return Failure::new(format!("wharf: 'wharf {name}' is not supported by wharf yet"));
        }
        Failure::new(format!(
            "wharf: unknown command: wharf {name}\n\nRun 'wharf --help' for more information"
        ))
    })
}

type Found<'a> = (&'static Command, String, &'a [String]);

/// Follows the words through groups, as far as they name something.
fn descend<'a>(
    mut command: &'static Command,
    path: &str,
    mut words: &'a [String],
) -> Result<Found<'a>, Failure> {
    let mut path = format!("{path} {}", command.name);
    while command.is_group() {
        let Some((word, rest)) = words.split_first() else { break };
        if word.starts_with('-') {
            break;
        }
        let Some(child) = command.child(word) else {
            return Err(unknown_child(command, &path, word));
        };
        path = format!("{path} {}", child.name);
        (command, words) = (child, rest);
    }
    Ok((command, path, words))
}

fn unknown_child(command: &Command, path: &str, word: &str) -> Failure {
    let full = format!("{path} {word}");
    if full.strip_prefix("wharf ").is_some_and(|name| commands::REFUSED.contains(&name)) {
        return Failure::new(format!("wharf: '{full}' is not supported by wharf yet"));
    }
    Failure::new(format!(
        "wharf: unknown command: {path} {word}\n\nUsage:  {}\n\nRun '{path} --help' for more \
         information",
        help::usage_line(command, path)
    ))
}

/// A group alone shows what it has.
fn group(command: &'static Command, path: &str, words: &[String]) -> Result<(), Failure> {
    match parse(command, path.to_owned(), words) {
        Err(error) => Err(usage_failure(command, path, &error.0)),
        Ok(Outcome::Help { deprecated_shorthand }) => {
            print_help(command, path, deprecated_shorthand)
        }
        Ok(Outcome::Ready(_)) => {
            output::warn(help::text(command, path).trim_end());
            Ok(())
        }
    }
}

fn act(
    command: &'static Command,
    action: Action,
    path: &str,
    words: &[String],
    options: GlobalOptions,
) -> Result<(), Failure> {
    let parsed = match parse(command, path.to_owned(), words) {
        Err(error) => return Err(usage_failure(command, path, &error.0)),
        Ok(Outcome::Help { deprecated_shorthand }) => {
            return print_help(command, path, deprecated_shorthand);
        }
        Ok(Outcome::Ready(parsed)) => parsed,
    };
    // `run` and `create` have a flag of their own, as `-h` is the host's name there.
    if command.every_flag().any(|flag| flag.long == "help") && parsed.switch("help") {
        return print_help(command, path, false);
    }
    for notice in &parsed.notices {
        output::print(&format!("{notice}\n"))?;
    }
    parsed.check_arguments().map_err(Failure::new)?;
    action(&mut Session::new(options), &parsed)
}

fn print_help(command: &Command, path: &str, deprecated_shorthand: bool) -> Result<(), Failure> {
    let notice = if deprecated_shorthand {
        "Flag shorthand -h has been deprecated, use --help\n"
    } else {
        ""
    };
    output::print(&format!("{notice}{}", help::text(command, path)))?;
    Ok(())
}

/// `wharf help COMMAND`
fn show_help(words: &[String]) -> Result<(), Failure> {
    let Some((name, rest)) = words.split_first() else {
        output::print(&help::overview(&commands::OVERVIEW))?;
        return Ok(());
    };
    let unknown = || Failure::new(format!("unknown help topic: {}", words.join(" ")));
    let command = top_level(name).map_err(|_| unknown())?;
    let (command, path, rest) = descend(command, NAME, rest).map_err(|_| unknown())?;
    if !rest.is_empty() {
        return Err(unknown());
    }
    print_help(command, &path, false)
}

fn usage_failure(command: &Command, path: &str, reason: &str) -> Failure {
    Failure::new(format!(
        "{reason}\n\nUsage:  {}\n\nRun '{path} --help' for more information",
        help::usage_line(command, path)
    ))
    .with_status(STATUS_USAGE)
}
