//! The command line, read as dockerd reads its own: `--flag value`, `--flag=value`, `-D`,
//! `-l debug`, `-ldebug`.

use crate::options::{self, Kind, OptionRow, Support};
use crate::values::{Value, Values};

/// What a command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Invocation {
    Help,
    Version,
    Run(RunInvocation),
}

/// Options from the command line.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct RunInvocation {
    pub(crate) values: Values,
    /// Where the configuration is, if that was said.
    pub(crate) config_file: Option<String>,
    /// Only check it.
    pub(crate) validate: bool,
}

/// A command line that makes no sense. Docker's words, where it has some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommandLineError {
    #[error("unknown flag: --{flag} (see `wharfd --help`)")]
    UnknownFlag { flag: String },
    #[error("unknown shorthand flag: '{short}' in -{argument} (see `wharfd --help`)")]
    UnknownShort { short: char, argument: String },
    #[error("flag needs an argument: --{flag}")]
    NoValue { flag: &'static str },
    #[error("invalid argument {value:?} for \"--{flag}\" flag: {reason}")]
    InvalidValue { flag: &'static str, value: String, reason: &'static str },
    #[error("--{flag} is not implemented by Wharf yet")]
    Missing { flag: &'static str },
    #[error("\"wharfd\" accepts no arguments (see `wharfd --help`): {argument}")]
    Argument { argument: String },
}

/// Reads a command line, without the program's name.
pub(crate) fn parse(
    arguments: impl Iterator<Item = String>,
) -> Result<Invocation, CommandLineError> {
    let mut arguments = arguments;
    let mut values = Values::default();
    while let Some(argument) = arguments.next() {
        if let Some(long) = argument.strip_prefix("--") {
            let (name, given) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let row = options::by_flag(name)
                .ok_or_else(|| CommandLineError::UnknownFlag { flag: name.to_owned() })?;
            let value = value_text(row, given, &mut arguments)?;
            set(&mut values, row, &value)?;
        } else if argument.len() > 1 && argument.starts_with('-') {
            parse_short(&argument[1..], &mut arguments, &mut values)?;
        } else {
            return Err(CommandLineError::Argument { argument });
        }
    }
    Ok(invocation(values))
}

fn invocation(values: Values) -> Invocation {
    if values.flag("help") == Some(true) {
        return Invocation::Help;
    }
    if values.flag("version") == Some(true) {
        return Invocation::Version;
    }
    Invocation::Run(RunInvocation {
        config_file: values.text("config-file").map(str::to_owned),
        validate: values.flag("validate") == Some(true),
        values,
    })
}

/// Single letters may follow each other; the last may have its value behind it.
fn parse_short(
    letters: &str,
    arguments: &mut impl Iterator<Item = String>,
    values: &mut Values,
) -> Result<(), CommandLineError> {
    for (index, short) in letters.char_indices() {
        let row = options::by_short(short).ok_or_else(|| CommandLineError::UnknownShort {
            short,
            argument: letters.to_owned(),
        })?;
        let rest = &letters[index + short.len_utf8()..];
        if row.kind == Kind::Flag && !rest.starts_with('=') {
            set(values, row, "true")?;
            continue;
        }
        let given = (!rest.is_empty()).then(|| rest.strip_prefix('=').unwrap_or(rest).to_owned());
        let value = value_text(row, given, arguments)?;
        return set(values, row, &value);
    }
    Ok(())
}

fn value_text(
    row: &'static OptionRow,
    given: Option<String>,
    arguments: &mut impl Iterator<Item = String>,
) -> Result<String, CommandLineError> {
    match given {
        Some(value) => Ok(value),
        None if row.kind == Kind::Flag => Ok("true".to_owned()),
        None => arguments.next().ok_or(CommandLineError::NoValue { flag: row.flag }),
    }
}

fn set(values: &mut Values, row: &'static OptionRow, text: &str) -> Result<(), CommandLineError> {
    if row.support == Support::Missing {
        return Err(CommandLineError::Missing { flag: row.flag });
    }
    let invalid =
        |reason| CommandLineError::InvalidValue { flag: row.flag, value: text.to_owned(), reason };
    let value = match row.kind {
        Kind::Flag => Value::Flag(parse_flag(text).ok_or_else(|| invalid("it is true or false"))?),
        Kind::Number => Value::Number(text.parse().map_err(|_| invalid("it is a whole number"))?),
        Kind::Text => Value::Text(text.to_owned()),
        Kind::List => {
            let mut list = values.list(row.name()).to_vec();
            list.push(text.to_owned());
            Value::List(list)
        }
        Kind::Map => {
            let mut map = values.map(row.name());
            let (name, value) = text.split_once('=').ok_or_else(|| match row.name() {
                "runtimes" => invalid("invalid runtime argument"),
                _ => invalid("it looks like name=value"),
            })?;
            map.insert(name.to_owned(), value.to_owned());
            Value::Map(map)
        }
    };
    values.set(row.name(), value);
    Ok(())
}

/// What Go takes for a boolean.
fn parse_flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Invocation, CommandLineError> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[track_caller]
    fn refused(line: &str, words: &str) {
        assert_eq!(parsed(line).unwrap_err().to_string(), words);
    }

    #[test]
    fn flags_are_read_in_every_spelling() {
        let Ok(Invocation::Run(run)) =
            parsed("-D -ldebug --host unix:///a -H=tcp://b --icc=false --log-opt max-size=1m")
        else {
            panic!("refused");
        };
        assert_eq!(run.values.flag("debug"), Some(true));
        assert_eq!(run.values.text("log-level"), Some("debug"));
        assert_eq!(run.values.list("hosts"), ["unix:///a", "tcp://b"]);
        assert_eq!(run.values.flag("icc"), Some(false));
        assert_eq!(run.values.map("log-opts")["max-size"], "1m");
        assert_eq!(parsed("--version"), Ok(Invocation::Version));
        assert_eq!(parsed("-h"), Ok(Invocation::Help));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        refused("--foo", "unknown flag: --foo (see `wharfd --help`)");
        refused("-z", "unknown shorthand flag: 'z' in -z (see `wharfd --help`)");
        refused("--mtu", "flag needs an argument: --mtu");
        refused("--debug=x", "invalid argument \"x\" for \"--debug\" flag: it is true or false");
        refused("--userns-remap default", "--userns-remap is not implemented by Wharf yet");
        refused("run", "\"wharfd\" accepts no arguments (see `wharfd --help`): run");
    }
}
