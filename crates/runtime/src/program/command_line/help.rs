//! Help texts, laid out as runc's.

use std::fmt::Write as _;

use super::{Command, Flag, Kind};

/// What this program is called in its texts.
const NAME: &str = "wharf-runtime";

const ABOUT: &str = "\
Open Container Initiative runtime

Runs applications packaged according to the Open Container Initiative (OCI) format: a bundle
is a folder with a file \"config.json\" and a root file system. Takes the place of runc below
an engine, or works on its own:

    # wharf-runtime run [ -b bundle ] <container-id>

where \"<container-id>\" is a name of your choice that no other container here has. Without
\"-b\", the bundle is the working folder.";

/// The help of the program itself.
pub(crate) fn of_program(version: &str, commands: &[&Command], flags: &[Flag]) -> String {
    let mut text = format!(
        "NAME:\n   {NAME} - {ABOUT}\n\nUSAGE:\n   {NAME} [global options] command [command \
         options] [arguments...]\n\nVERSION:\n   {version}\n\nCOMMANDS:\n"
    );
    let mut lines: Vec<_> = commands
        .iter()
        .map(|command| (command.name.to_owned(), command.about.to_owned()))
        .collect();
    let help = "Shows a list of commands or help for one command";
    lines.push(("help, h".to_owned(), help.to_owned()));
    columns(&mut text, &lines);
    text.push_str("\nGLOBAL OPTIONS:\n");
    options(&mut text, flags, &[("--version, -v", "print the version")]);
    text
}

/// The help of one command.
pub(crate) fn of_command(command: &Command) -> String {
    let mut text = format!("NAME:\n   {NAME} {} - {}\n\n", command.name, command.about);
    let has_flags = if command.flags.is_empty() { "" } else { " [command options]" };
    let _ = writeln!(text, "USAGE:\n   {NAME} {}{has_flags} {}", command.name, command.usage);
    if !command.details.is_empty() {
        let _ = writeln!(text, "\nDESCRIPTION:\n   {}", command.details);
    }
    text.push_str("\nOPTIONS:\n");
    options(&mut text, command.flags, &[]);
    text
}

fn options(text: &mut String, flags: &[Flag], further: &[(&str, &str)]) {
    let shown = flags.iter().filter(|flag| !flag.is_hidden);
    let mut lines: Vec<_> = shown.map(|flag| (head(flag), about(flag))).collect();
    for (head, about) in [("--help, -h", "show help")].iter().chain(further) {
        lines.push(((*head).to_owned(), (*about).to_owned()));
    }
    columns(text, &lines);
}

fn about(flag: &Flag) -> String {
    match (flag.default, flag.kind) {
        ("", _) => flag.about.to_owned(),
        (default, Kind::Text) => format!("{} (default: \"{default}\")", flag.about),
        (default, _) => format!("{} (default: {default})", flag.about),
    }
}

fn head(flag: &Flag) -> String {
    let value = if flag.kind == Kind::Switch { "" } else { " value" };
    match flag.short {
        Some(short) => format!("--{}{value}, -{short}{value}", flag.name),
        None => format!("--{}{value}", flag.name),
    }
}

fn columns(text: &mut String, lines: &[(String, String)]) {
    let width = lines.iter().map(|(head, _)| head.len()).max().unwrap_or(0) + 2;
    for (head, about) in lines {
        let _ = writeln!(text, "   {head:width$}{about}");
    }
}
