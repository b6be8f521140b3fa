//! The tables of commands against those of Docker's client.

use std::collections::BTreeSet;

use super::{GLOBAL, REFUSED, top_level};
use crate::command_line::{Body, Command};

/// Each line: spellings of one command, a colon, and its flags as `s/long` or `long`.
const DOCKER: &str = include_str!("docker_flags.txt");

fn find(path: &str) -> Option<&'static Command> {
    if path == "." {
        return Some(&GLOBAL);
    }
    let mut words = path.split(' ');
    let first = words.next()?;
    let mut command = top_level().find(|command| command.name == first)?;
    for word in words {
        command = command.child(word)?;
    }
    Some(command)
}

fn known_flags(command: &Command) -> BTreeSet<String> {
    command
        .every_flag()
        .map(|flag| match flag.short {
            Some(short) => format!("{short}/{}", flag.long),
            None => flag.long.to_owned(),
        })
        .collect()
}

#[test]
fn every_flag_of_dockers_is_known() {
    for line in DOCKER.lines().filter(|line| !line.starts_with('#')) {
        let (paths, flags) = line.split_once(':').unwrap();
        for path in paths.split(", ") {
            let Some(command) = find(path) else {
                assert!(REFUSED.contains(&path), "`{path}` is neither done nor refused by name");
                continue;
            };
            let known = known_flags(command);
            for flag in flags.split_whitespace() {
                assert!(known.contains(flag), "`{path}` does not know --{flag}");
            }
        }
    }
}

fn each_command(commands: &[&'static Command], path: &str, visit: &mut impl FnMut(&str, &Command)) {
    for command in commands {
        let path = format!("{path} {}", command.name);
        visit(&path, command);
        if let Body::Group(children) = command.body {
            each_command(children, &path, visit);
        }
    }
}

#[test]
fn no_command_has_a_flag_twice() {
    let all: Vec<_> = top_level().collect();
    each_command(&all, "wharf", &mut |path, command| {
        let mut seen = BTreeSet::new();
        for flag in command.every_flag() {
            assert!(seen.insert(flag.long.to_owned()), "{path}: --{}", flag.long);
            if let Some(short) = flag.short {
                assert!(seen.insert(short.to_string()), "{path}: -{short}");
            }
            if let Some(other) = flag.same_as {
                assert!(command.every_flag().any(|flag| flag.long == other), "{path}: --{other}");
            }
        }
    });
}

#[test]
fn every_shell_has_a_script() {
    for shell in ["bash", "zsh", "fish"] {
        let script = crate::command_line::shells::script(shell).unwrap();
        for word in ["wharf", "container", "detach-keys"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(crate::command_line::shells::script("tcsh"), None);
}
