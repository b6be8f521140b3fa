//! Lines as people type them, and what is said to those that are wrong.

use expect_test::{Expect, expect};

use super::{Command, Flag, Outcome, Positional, help, parse};
use crate::options::sizes;

static COMMAND: Command = Command::new("cook", "Cook a dish", |_, _| Ok(()))
    .spellings(&["kitchen cook", "cook"])
    .takes(Positional::AtLeast(1), "[OPTIONS] DISH [SIDE...]")
    .flags(&[FLAGS]);
static OUTER: Command = Command::new("serve", "Serve a dish", |_, _| Ok(()))
    .takes(Positional::Exactly(1), "DISH [ARG...]")
    .flags(&[FLAGS])
    .stops_at_first_argument();

const FLAGS: &[Flag] = &[
    Flag::switch("hot", "Heat it before it is served, which takes as long as the stove takes")
        .short('t'),
    Flag::switch("spicy", "Spice it").short('i').default("true"),
    Flag::text("name", "Call it something").short('n'),
    Flag::int("guests", "How many there are").default("-1"),
    Flag::list("with", "Add something").short('w'),
    Flag::list("and", "Add something").same_as("with").hidden(),
    Flag::other("oil", "bytes", "Amount of oil", sizes::check).short('o'),
    Flag::switch("boil", "Boil it").deprecated("use --hot instead"),
    Flag::switch("flambe", "Set it on fire").refused(),
];

fn line(command: &'static Command, words: &str) -> Result<Outcome, String> {
    let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
    parse(command, "wharf cook".to_owned(), &words).map_err(|error| error.0)
}

#[track_caller]
fn check(words: &str, expected: &Expect) {
    let Ok(Outcome::Ready(parsed)) = line(&COMMAND, words) else { panic!("{words}") };
    let shown = format!(
        "hot={} spicy={} name={:?} guests={} with={:?} oil={} {:?} {:?}",
        parsed.switch("hot"),
        parsed.switch("spicy"),
        parsed.text("name"),
        parsed.int("guests"),
        parsed.list("with"),
        parsed.int("oil"),
        parsed.arguments,
        parsed.notices,
    );
    expected.assert_eq(&shown);
}

#[test]
fn flags_have_many_spellings() {
    check(
        "soup",
        &expect![[r#"hot=false spicy=true name="" guests=-1 with=[] oil=0 ["soup"] []"#]],
    );
    check(
        "-ti -n x soup --with=a -wb --and c",
        &expect![[
            r#"hot=true spicy=true name="x" guests=-1 with=["a", "b", "c"] oil=0 ["soup"] []"#
        ]],
    );
    check(
        "-tn=x --spicy=false --guests 0x10 -o 4k -- soup -t",
        &expect![[r#"hot=true spicy=false name="x" guests=16 with=[] oil=4096 ["soup", "-t"] []"#]],
    );
    check(
        "--boil - soup",
        &expect![[
            r#"hot=false spicy=true name="" guests=-1 with=[] oil=0 ["-", "soup"] ["Flag --boil has been deprecated, use --hot instead"]"#
        ]],
    );
}

#[test]
fn a_command_within_keeps_its_own_flags() {
    let Ok(Outcome::Ready(parsed)) = line(&OUTER, "-t soup -t --unknown") else { panic!() };
    assert_eq!(parsed.arguments, ["soup", "-t", "--unknown"]);
}

#[test]
fn help_is_asked_for_in_two_ways() {
    assert!(matches!(
        line(&COMMAND, "soup --help"),
        Ok(Outcome::Help { deprecated_shorthand: false })
    ));
    assert!(matches!(line(&COMMAND, "-th"), Ok(Outcome::Help { deprecated_shorthand: true })));
}

#[test]
fn what_is_wrong_is_told_in_dockers_words() {
    for (words, error) in [
        ("--foo", "unknown flag: --foo"),
        ("-tz", "unknown shorthand flag: 'z' in -z"),
        ("--name", "flag needs an argument: --name"),
        ("-tn", "flag needs an argument: 'n' in -n"),
        ("--=x", "bad flag syntax: --=x"),
        ("-o x", "invalid argument \"x\" for \"-o, --oil\" flag: invalid size: 'x'"),
        (
            "--guests=x",
            "invalid argument \"x\" for \"--guests\" flag: strconv.ParseInt: parsing \"x\": \
             invalid syntax",
        ),
        ("--flambe", "--flambe is not supported by wharf yet"),
    ] {
        assert_eq!(line(&COMMAND, words).err().as_deref(), Some(error), "{words}");
    }
}

#[test]
fn missing_arguments_are_told_with_the_usage() {
    let Ok(Outcome::Ready(parsed)) = line(&COMMAND, "-t") else { panic!() };
    expect![[r#"
        wharf: 'wharf cook' requires at least 1 argument

        Usage:  wharf cook [OPTIONS] DISH [SIDE...]

        See 'wharf cook --help' for more information"#]]
    .assert_eq(&parsed.check_arguments().unwrap_err());
}

#[test]
fn the_help_is_laid_out_as_dockers() {
    expect![[r#"
        Usage:  wharf cook [OPTIONS] DISH [SIDE...]

        Cook a dish

        Aliases:
          wharf kitchen cook, wharf cook

        Options:
              --guests int    How many there are (default -1)
          -t, --hot           Heat it before it is served, which takes as long as
                              the stove takes
          -n, --name string   Call it something
          -o, --oil bytes     Amount of oil
          -i, --spicy         Spice it (default true)
          -w, --with list     Add something
    "#]]
    .assert_eq(&help::text_in(&COMMAND, "wharf cook", 80));
}
