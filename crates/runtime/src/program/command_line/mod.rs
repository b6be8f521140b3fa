//! The shape of the command line: commands, their flags, and what a caller has typed.
//!
//! Commands and flags are constant tables, so that starting costs nothing, whatever the number
//! of commands. The rules of parsing, the errors and the help texts are those of runc (Go's
//! `flag` and `urfave/cli`), because engines depend on them: `--log=x` and `-log x`, flags
//! after arguments except where a command of the container's follows.

mod help;
mod numbers;
mod parse;

use std::path::PathBuf;
use std::time::Duration;

use crate::exit_code::ExitCode;
use crate::log::Log;

pub(crate) use help::{of_command, of_program};
pub(crate) use parse::{boolean as parse_boolean, parse};

/// Something to do.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// What follows the name and the flags, for the help.
    pub(crate) usage: &'static str,
    pub(crate) about: &'static str,
    /// What the command's own help says besides.
    pub(crate) details: &'static str,
    pub(crate) flags: &'static [Flag],
    pub(crate) arguments: Count,
    /// Whether flags may follow arguments. Not where those are a command of the container's.
    pub(crate) has_flags_anywhere: bool,
    /// Whether a process of this program may come near a container.
    pub(crate) meets_containers: bool,
    /// The exit code of a failure.
    pub(crate) failure: u8,
    pub(crate) run: fn(&Call) -> anyhow::Result<ExitCode>,
}

impl Command {
    /// A command about one container, to change where it is another.
    pub(crate) const fn new(
        name: &'static str,
        about: &'static str,
        run: fn(&Call) -> anyhow::Result<ExitCode>,
    ) -> Self {
        Self {
            name,
            usage: "<container-id>",
            about,
            details: "",
            flags: &[],
            arguments: Count::Exactly(1),
            has_flags_anywhere: true,
            meets_containers: false,
            failure: 1,
            run,
        }
    }
}

/// How many arguments a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    Exactly(usize),
    AtLeast(usize),
    Between(usize, usize),
}

/// A flag of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag {
    /// The name that values are kept under.
    pub(crate) name: &'static str,
    pub(crate) short: Option<&'static str>,
    pub(crate) kind: Kind,
    /// What the flag is worth when it is not given.
    pub(crate) default: &'static str,
    pub(crate) about: &'static str,
    /// Works, but the help does not speak of it.
    pub(crate) is_hidden: bool,
}

/// What a flag's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Switch,
    Text,
    Number,
    Duration,
    /// Any number of texts.
    Texts,
    /// Any number of numbers.
    Numbers,
}

impl Flag {
    const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, short: None, kind, default: "", about, is_hidden: false }
    }

    pub(crate) const fn switch(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Switch, about)
    }

    pub(crate) const fn text(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Text, about)
    }

    pub(crate) const fn number(name: &'static str, about: &'static str) -> Self {
        let mut flag = Self::new(name, Kind::Number, about);
        flag.default = "0";
        flag
    }

    /// In Go's words: `1m30s`.
    pub(crate) const fn duration(
        name: &'static str,
        default: &'static str,
        about: &'static str,
    ) -> Self {
        let mut flag = Self::new(name, Kind::Duration, about);
        flag.default = default;
        flag
    }

    pub(crate) const fn texts(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Texts, about)
    }

    pub(crate) const fn numbers(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Numbers, about)
    }

    pub(crate) const fn short(mut self, short: &'static str) -> Self {
        self.short = Some(short);
        self
    }

    pub(crate) const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    pub(crate) const fn hidden(mut self) -> Self {
        self.is_hidden = true;
        self
    }
}

/// Flags and arguments, understood.
#[derive(Debug)]
pub(crate) struct Values {
    flags: &'static [Flag],
    given: Vec<(&'static str, String)>,
    pub(crate) arguments: Vec<String>,
    pub(crate) wants_help: bool,
}

impl Values {
    /// The flag's value where it was given, and is not empty.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        let given = self.given.iter().rev().find(|(key, _)| *key == name);
        given.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The flag's value: the last one given, or its default.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.given(name).unwrap_or_else(|| {
            let flag = self.flags.iter().find(|flag| flag.name == name);
            flag.map_or("", |flag| flag.default)
        })
    }

    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.given(name).map(PathBuf::from)
    }

    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    /// The flag's value as a number. The parser has let nothing else through.
    pub(crate) fn number(&self, name: &str) -> i64 {
        numbers::parse(self.text(name)).unwrap_or_default()
    }

    pub(crate) fn duration(&self, name: &str) -> Duration {
        numbers::parse_duration(self.text(name)).unwrap_or_default()
    }

    /// Every value given, in order.
    pub(crate) fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let given = self.given.iter().filter(move |(key, _)| *key == name);
        given.map(|(_, value)| value.as_str())
    }

    /// Every value given, as numbers.
    pub(crate) fn numbers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = i64> {
        self.texts(name).map(|text| numbers::parse(text).unwrap_or_default())
    }
}

/// A command to run.
#[derive(Debug)]
pub(crate) struct Call {
    /// Where containers are recorded.
    pub(crate) root: PathBuf,
    pub(crate) log: Log,
    /// What was given before the command.
    pub(crate) global: Values,
    /// What was given after it.
    pub(crate) values: Values,
}

impl Call {
    /// The container that the command is about.
    pub(crate) fn id(&self) -> &str {
        self.values.arguments.first().map_or("", String::as_str)
    }
}
