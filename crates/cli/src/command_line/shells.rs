//! Completion scripts, made by `clap_complete` from our tables.

use clap::{Arg, ArgAction};
use clap_complete::{Shell, generate};

use super::flag::{Flag, Kind, Visibility};
use super::{Body, Command};
use crate::commands;

/// The script for a shell, if we have one.
pub(crate) fn script(shell: &str) -> Option<String> {
    let shell = match shell {
        "bash" => Shell::Bash,
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => return None,
    };
    let mut script = Vec::new();
    generate(shell, &mut program(), "wharf", &mut script);
    String::from_utf8(script).ok()
}

fn program() -> clap::Command {
    let globals = commands::GLOBAL.every_flag().filter(is_shown).map(argument);
    let children = commands::top_level().map(command);
    clap::Command::new("wharf").disable_help_subcommand(true).args(globals).subcommands(children)
}

fn command(command: &'static Command) -> clap::Command {
    let described = clap::Command::new(command.name)
        .about(command.about)
        .visible_aliases(command.aliases)
        .disable_help_subcommand(true)
        .disable_help_flag(command.every_flag().any(|flag| flag.long == "help"))
        .args(command.every_flag().filter(is_shown).map(argument));
    match command.body {
        Body::Action(_) => described,
        Body::Group(children) => {
            let shown = children.iter().copied().filter(|command| !command.is_hidden);
            described.subcommands(shown.map(self::command))
        }
    }
}

fn is_shown(flag: &&'static Flag) -> bool {
    flag.visibility == Visibility::Shown
}

fn argument(flag: &'static Flag) -> Arg {
    let about = flag.about.lines().next().unwrap_or_default();
    let argument = Arg::new(flag.long).long(flag.long).help(about);
    let argument = match flag.short {
        Some(short) => argument.short(short),
        None => argument,
    };
    match flag.kind {
        Kind::Switch => argument.action(ArgAction::SetTrue),
        _ => argument.action(ArgAction::Append),
    }
}
