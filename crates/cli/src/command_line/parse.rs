//! From words to flags and arguments, by the rules of Go's `pflag`.

use crate::options::{booleans, csv, durations, numbers};

use super::flag::{Flag, Kind, Visibility};
use super::{Command, Positional, help};

/// What the words after a command's name came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    Ready(Parsed),
    /// Help was asked for, in the deprecated short form or not.
    Help {
        deprecated_shorthand: bool,
    },
}

/// A command line that was understood.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The command with its groups, as it was typed: `wharf container ls`.
    pub(crate) path: String,
    pub(crate) arguments: Vec<String>,
    values: Vec<(&'static str, String)>,
    /// The defaults of the command's flags.
    command: &'static Command,
    /// What to tell the user before going on.
    pub(crate) notices: Vec<String>,
}

/// What is wrong with a command line, as `pflag` words it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UsageError(pub(crate) String);

/// Reads the words after the name of `command`.
///
/// Stops at the first thing it does not understand, as the user then gets one clear
/// message instead of the consequences of a guess.
pub(crate) fn parse(
    command: &'static Command,
    path: String,
    words: &[String],
) -> Result<Outcome, UsageError> {
    let mut parsed =
        Parsed { path, arguments: Vec::new(), values: Vec::new(), command, notices: Vec::new() };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            parsed.arguments.extend(words.cloned());
            break;
        }
        if let Some(rest) = word.strip_prefix("--") {
            if let Some(help) = parsed.long(rest, &mut words)? {
                return Ok(help);
            }
        } else if let Some(rest) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            if let Some(help) = parsed.shorts(rest, &mut words)? {
                return Ok(help);
            }
        } else {
            parsed.arguments.push(word.clone());
            if !command.interspersed {
                parsed.arguments.extend(words.cloned());
                break;
            }
        }
    }
    Ok(Outcome::Ready(parsed))
}

type Words<'a> = std::slice::Iter<'a, String>;

impl Parsed {
    fn long(&mut self, rest: &str, words: &mut Words<'_>) -> Result<Option<Outcome>, UsageError> {
        if rest.starts_with('=') || rest.starts_with('-') {
            return Err(UsageError(format!("bad flag syntax: --{rest}")));
        }
        let (name, value) = match rest.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (rest, None),
        };
        let Some(flag) = self.command.every_flag().find(|flag| flag.long == name) else {
            if name == "help" {
                return Ok(Some(Outcome::Help { deprecated_shorthand: false }));
            }
            return Err(UsageError(format!("unknown flag: --{name}")));
        };
        let value = match (value, flag.kind) {
            (Some(value), _) => value.to_owned(),
            (None, Kind::Switch) => "true".to_owned(),
            (None, _) => words
                .next()
                .cloned()
                .ok_or_else(|| UsageError(format!("flag needs an argument: --{name}")))?,
        };
        self.set(flag, &value)?;
        Ok(None)
    }

    fn shorts(
        &mut self,
        group: &str,
        words: &mut Words<'_>,
    ) -> Result<Option<Outcome>, UsageError> {
        let mut rest = group;
        while let Some(letter) = rest.chars().next() {
            let after = &rest[letter.len_utf8()..];
            let Some(flag) = self.command.every_flag().find(|flag| flag.short == Some(letter))
            else {
                if letter == 'h' {
                    return Ok(Some(Outcome::Help { deprecated_shorthand: true }));
                }
                return Err(UsageError(format!("unknown shorthand flag: '{letter}' in -{rest}")));
            };
            // `-a=b` always gives a value; `-ab` does unless `a` is a switch.
            if let Some(value) = after.strip_prefix('=').filter(|_| after.len() > 1) {
                self.set(flag, value)?;
                return Ok(None);
            }
            if flag.kind == Kind::Switch {
                self.set(flag, "true")?;
                rest = after;
                continue;
            }
            let value = if after.is_empty() {
                words.next().cloned().ok_or_else(|| {
                    UsageError(format!("flag needs an argument: '{letter}' in -{rest}"))
                })?
            } else {
                after.to_owned()
            };
            self.set(flag, &value)?;
            return Ok(None);
        }
        Ok(None)
    }

    fn set(&mut self, flag: &'static Flag, value: &str) -> Result<(), UsageError> {
        match flag.visibility {
            Visibility::Refused => {
                return Err(UsageError(format!("--{} is not supported by wharf yet", flag.long)));
            }
            Visibility::Deprecated(advice) => {
                self.notices.push(format!("Flag --{} has been deprecated, {advice}", flag.long));
            }
            Visibility::Shown | Visibility::Hidden => {}
        }
        let value = checked(flag, value).map_err(|reason| {
            UsageError(format!(
                "invalid argument {} for \"{}\" flag: {reason}",
                crate::output::quote::quote(value),
                flag.display_name()
            ))
        })?;
        self.values.push((flag.key(), value));
        Ok(())
    }

    /// Whether the user gave this flag.
    pub(crate) fn is_set(&self, long: &str) -> bool {
        self.values.iter().any(|(key, _)| *key == long)
    }

    /// The flag's value: the last one given, or its default.
    pub(crate) fn text(&self, long: &str) -> &str {
        let given = self.values.iter().rev().find(|(key, _)| *key == long);
        match given {
            Some((_, value)) => value,
            None => {
                let flag = self.command.every_flag().find(|flag| flag.long == long);
                flag.map_or("", |flag| flag.default)
            }
        }
    }

    /// The flag's value where it was given.
    pub(crate) fn given(&self, long: &str) -> Option<&str> {
        self.is_set(long).then(|| self.text(long))
    }

    pub(crate) fn switch(&self, long: &str) -> bool {
        self.text(long) == "true"
    }

    /// The flag's value as a number. The parser has let nothing else through.
    pub(crate) fn int(&self, long: &str) -> i64 {
        numbers::parse_int(self.text(long)).unwrap_or_default()
    }

    /// Every value given, in order.
    pub(crate) fn list(&self, long: &str) -> Vec<String> {
        self.values.iter().filter(|(key, _)| *key == long).map(|(_, value)| value.clone()).collect()
    }

    /// Every value given, also those between commas.
    pub(crate) fn comma_list(&self, long: &str) -> Vec<String> {
        let fields = |value: &String| csv::split(value).unwrap_or_else(|_| vec![value.clone()]);
        self.list(long).iter().flat_map(fields).collect()
    }

    /// Checks the number of arguments, in Docker's words.
    pub(crate) fn check_arguments(&self) -> Result<(), String> {
        let count = self.arguments.len();
        let wanted = match self.command.positional {
            Positional::None if count > 0 => {
                return Err(self.arguments_error("accepts no arguments", "Run"));
            }
            Positional::AtLeast(least) if count < least => {
                let text = format!("requires at least {}", arguments(least));
                return Err(self.arguments_error(&text, "See"));
            }
            Positional::AtMost(most) if count > most => {
                format!("requires at most {}", arguments(most))
            }
            Positional::Exactly(exact) if count != exact => {
                format!("requires {}", arguments(exact))
            }
            Positional::Between(least, most) if count < least || count > most => {
                format!("requires at least {least} and at most {}", arguments(most))
            }
            Positional::None
            | Positional::AtLeast(_)
            | Positional::AtMost(_)
            | Positional::Exactly(_)
            | Positional::Between(..) => return Ok(()),
        };
        Err(self.arguments_error(&wanted, "Run"))
    }

    fn arguments_error(&self, what: &str, verb: &str) -> String {
        format!(
            "wharf: '{path}' {what}\n\nUsage:  {usage}\n\n{verb} '{path} --help' for more information",
            path = self.path,
            usage = help::usage_line(self.command, &self.path),
        )
    }
}

fn arguments(count: usize) -> String {
    if count == 1 { "1 argument".to_owned() } else { format!("{count} arguments") }
}

/// The value in its usual form, or why it is none.
fn checked(flag: &Flag, value: &str) -> Result<String, String> {
    if let Some(check) = flag.check {
        return check(value);
    }
    match flag.kind {
        Kind::Switch => booleans::parse(value).map(|value| value.to_string()),
        Kind::Int => numbers::parse_int(value).map(|value| value.to_string()),
        Kind::Uint => numbers::parse_uint(value, u64::MAX).map(|value| value.to_string()),
        Kind::Uint16 => {
            numbers::parse_uint(value, u64::from(u16::MAX)).map(|value| value.to_string())
        }
        Kind::Duration => durations::parse(value).map(|_| value.to_owned()),
        Kind::Text | Kind::List | Kind::Strings | Kind::Other(_) => Ok(value.to_owned()),
    }
}
