//! From words to flags and arguments, by the rules of Go's `flag` and of `urfave/cli`.

use super::{Flag, Kind, Values, numbers};

/// What is wrong with a command line, as Go's `flag` words it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// Every command's, and the program's own.
const HELP: Flag = Flag::switch("help", "show help").short("h");

/// Reads words up to the first that is no flag; what follows are arguments.
/// `has_flags_anywhere`: flags among the arguments are put before them first.
pub(crate) fn parse(
    flags: &'static [Flag],
    words: Vec<String>,
    has_flags_anywhere: bool,
) -> Result<Values, UsageError> {
    let words = if has_flags_anywhere { in_order(flags, words) } else { words };
    let mut values = Values { flags, given: Vec::new(), arguments: Vec::new(), wants_help: false };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let Some(rest) = flag_of(&word) else {
            values.arguments.push(word);
            break;
        };
        if word == "--" {
            break;
        }
        values.read_flag(&word, rest, &mut words)?;
    }
    values.arguments.extend(words);
    Ok(values)
}

/// The word without its dashes, if it is a flag at all.
fn flag_of(word: &str) -> Option<&str> {
    let rest = word.strip_prefix('-').filter(|rest| !rest.is_empty())?;
    Some(rest.strip_prefix('-').unwrap_or(rest))
}

fn find(flags: &'static [Flag], name: &str) -> Option<&'static Flag> {
    let is_meant = |flag: &&Flag| flag.name == name || flag.short == Some(name);
    flags.iter().chain(std::slice::from_ref(&HELP)).find(is_meant)
}

/// Puts what are flags before what are not. A word after a flag goes with it, which does no
/// harm if it is not the flag's: it is still the first of the arguments.
fn in_order(flags: &'static [Flag], words: Vec<String>) -> Vec<String> {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    let mut may_be_value = false;
    let mut words = words.into_iter();
    for word in words.by_ref() {
        let name = flag_of(&word).map(|rest| rest.split('=').next().unwrap_or(rest));
        let is_flag = name.is_some_and(|name| find(flags, name).is_some());
        if is_flag {
            may_be_value = !word.contains('=');
            first.push(word);
        } else if may_be_value {
            may_be_value = false;
            first.push(word);
        } else if word == "--" {
            last.insert(0, word);
            break;
        } else {
            last.push(word);
        }
    }
    first.extend(last);
    first.extend(words);
    first
}

impl Values {
    fn read_flag(
        &mut self,
        word: &str,
        rest: &str,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), UsageError> {
        if rest.is_empty() || rest.starts_with(['-', '=']) {
            return Err(UsageError(format!("bad flag syntax: {word}")));
        }
        let (name, value) = match rest.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (rest, None),
        };
        let flag = find(self.flags, name)
            .ok_or_else(|| UsageError(format!("flag provided but not defined: -{name}")))?;
        let value = match (value, flag.kind) {
            (Some(value), _) => value,
            (None, Kind::Switch) => "true".to_owned(),
            (None, _) => words
                .next()
                .ok_or_else(|| UsageError(format!("flag needs an argument: -{name}")))?,
        };
        let value = checked(flag, value).map_err(|(value, what)| {
            UsageError(format!("invalid {what} {value:?} for flag -{name}: parse error"))
        })?;
        if flag.name == HELP.name {
            self.wants_help = value == "true";
        }
        self.given.push((flag.name, value));
        Ok(())
    }
}

/// The value in its usual form, or itself and what it is not.
fn checked(flag: &Flag, value: String) -> Result<String, (String, &'static str)> {
    match flag.kind {
        Kind::Switch => match boolean(&value) {
            Some(is_on) => Ok(is_on.to_string()),
            None => Err((value, "boolean value")),
        },
        Kind::Number | Kind::Numbers if numbers::parse(&value).is_none() => Err((value, "value")),
        Kind::Duration if numbers::parse_duration(&value).is_none() => Err((value, "value")),
        _ => Ok(value),
    }
}

/// As Go reads truth values.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[
        Flag::text("bundle", "").short("b"),
        Flag::switch("detach", "").short("d"),
        Flag::number("preserve-fds", ""),
        Flag::texts("env", "").short("e"),
        Flag::numbers("additional-gids", "").short("g"),
        Flag::text("format", "").default("table"),
    ];

    fn words(line: &str) -> Vec<String> {
        line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    fn read(line: &str) -> Values {
        parse(FLAGS, words(line), true).unwrap()
    }

    #[test]
    fn one_dash_is_as_good_as_two() {
        for line in ["--bundle /b c1", "-bundle=/b c1", "-b /b c1", "--b=/b c1", "c1 --bundle /b"] {
            let values = read(line);
            assert_eq!(values.given("bundle"), Some("/b"), "{line}");
            assert_eq!(values.arguments, ["c1"], "{line}");
        }
    }

    #[test]
    fn switches_take_no_further_word() {
        let values = read("--detach c1 x");
        assert!(values.is_on("detach"));
        assert_eq!(values.arguments, ["c1", "x"]);
        assert!(!read("--detach=false c1").is_on("detach"));
        assert!(!read("c1").is_on("detach"));
    }

    #[test]
    fn values_may_be_given_again_and_again() {
        let values = read("-e A=1 --env=B=2 c1 -g 5 -g=7");
        assert_eq!(values.texts("env").collect::<Vec<_>>(), ["A=1", "B=2"]);
        assert_eq!(values.numbers("additional-gids").collect::<Vec<_>>(), [5, 7]);
        assert_eq!(values.text("format"), "table");
        assert_eq!(values.number("preserve-fds"), 0);
    }

    #[test]
    fn a_command_of_the_container_keeps_its_flags() {
        let values = parse(FLAGS, words("-d c1 ls -b --env"), false).unwrap();
        assert_eq!(values.arguments, ["c1", "ls", "-b", "--env"]);
        let values = read("c1 -- -d");
        assert!(!values.is_on("detach"));
        assert_eq!(values.arguments, ["c1", "-d"]);
    }

    #[test]
    fn help_can_be_asked_for_anywhere() {
        assert!(read("c1 --help").wants_help);
        assert!(read("-h").wants_help);
        assert!(!read("c1").wants_help);
    }

    #[test]
    fn errors_are_in_the_words_of_go() {
        #[track_caller]
        fn check(line: &str, error: &str) {
            let found = parse(FLAGS, words(line), true).unwrap_err();
            assert_eq!(found.to_string(), error);
        }
        check("--nope c1", "flag provided but not defined: -nope");
        check("--bundle", "flag needs an argument: -bundle");
        check("---d", "bad flag syntax: ---d");
        check("--preserve-fds x", "invalid value \"x\" for flag -preserve-fds: parse error");
        check("--detach=maybe", "invalid boolean value \"maybe\" for flag -detach: parse error");
    }
}
