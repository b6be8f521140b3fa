//! The shape of the command line: commands, their flags, and what a user typed.
//!
//! Commands and flags are constant tables, so that starting costs nothing, whatever the
//! number of commands. The rules of parsing, the errors and the help texts are those of
//! Docker's own client (Go's `pflag` and `cobra`), to the letter, because people's
//! scripts and habits depend on them: `-it`, `-p=80`, `--rm=false`, flags after
//! arguments except where a command of the container follows.

mod flag;
pub(crate) mod help;
mod parse;
pub(crate) mod shells;

pub(crate) use flag::Flag;
pub(crate) use parse::{Outcome, Parsed, parse};

use crate::failure::Failure;
use crate::session::Session;

/// What a command does once its line is understood.
pub(crate) type Action = fn(&mut Session, &Parsed) -> Result<(), Failure>;

/// A word of the command line: something to do, or a group of such words.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// Other names for it in the same group.
    pub(crate) aliases: &'static [&'static str],
    /// Every full spelling, for the help text, where there is more than one.
    pub(crate) spellings: &'static [&'static str],
    /// What follows the name, as in `[OPTIONS] IMAGE [COMMAND] [ARG...]`.
    pub(crate) usage: &'static str,
    pub(crate) about: &'static str,
    /// What the command's own help says instead, where there is more to say.
    pub(crate) long_about: Option<&'static str>,
    pub(crate) flags: &'static [&'static [Flag]],
    pub(crate) positional: Positional,
    /// Whether flags may follow arguments.
    pub(crate) interspersed: bool,
    /// Whether it is for programs, and people are not told of it.
    pub(crate) is_hidden: bool,
    pub(crate) body: Body,
}

/// What is behind a word.
#[derive(Debug)]
pub(crate) enum Body {
    Action(Action),
    Group(&'static [&'static Command]),
}

/// How many arguments a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Positional {
    None,
    AtLeast(usize),
    AtMost(usize),
    Exactly(usize),
    Between(usize, usize),
}

impl Command {
    /// A command; its flags and arguments are added by the methods below.
    pub(crate) const fn new(name: &'static str, about: &'static str, action: Action) -> Self {
        Self {
            name,
            aliases: &[],
            spellings: &[],
            usage: "",
            about,
            long_about: None,
            flags: &[],
            positional: Positional::None,
            interspersed: true,
            is_hidden: false,
            body: Body::Action(action),
        }
    }

    /// A group of commands.
    pub(crate) const fn group(
        name: &'static str,
        about: &'static str,
        commands: &'static [&'static Self],
    ) -> Self {
        Self {
            name,
            aliases: &[],
            spellings: &[],
            usage: "",
            about,
            long_about: None,
            flags: &[],
            positional: Positional::None,
            interspersed: true,
            is_hidden: false,
            body: Body::Group(commands),
        }
    }

    pub(crate) const fn long_about(mut self, text: &'static str) -> Self {
        self.long_about = Some(text);
        self
    }

    pub(crate) const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(crate) const fn spellings(mut self, spellings: &'static [&'static str]) -> Self {
        self.spellings = spellings;
        self
    }

    pub(crate) const fn takes(mut self, positional: Positional, usage: &'static str) -> Self {
        self.positional = positional;
        self.usage = usage;
        self
    }

    pub(crate) const fn flags(mut self, flags: &'static [&'static [Flag]]) -> Self {
        self.flags = flags;
        self
    }

    /// Everything after the first argument belongs to that argument.
    pub(crate) const fn stops_at_first_argument(mut self) -> Self {
        self.interspersed = false;
        self
    }

    /// For programs only.
    pub(crate) const fn hidden(mut self) -> Self {
        self.is_hidden = true;
        self
    }

    /// Every flag, in no order.
    pub(crate) fn every_flag(&self) -> impl Iterator<Item = &'static Flag> {
        self.flags.iter().flat_map(|table| table.iter())
    }

    /// The command of this group that `word` names.
    pub(crate) fn child(&self, word: &str) -> Option<&'static Self> {
        let Body::Group(children) = self.body else { return None };
        children.iter().copied().find(|child| child.name == word || child.aliases.contains(&word))
    }

    /// Whether this word opens a group.
    pub(crate) const fn is_group(&self) -> bool {
        matches!(self.body, Body::Group(_))
    }
}

#[cfg(test)]
mod tests;
