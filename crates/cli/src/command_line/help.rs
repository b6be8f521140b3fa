//! Help texts, laid out as Docker's client lays them out.

use std::fmt::Write as _;

use super::flag::{Flag, Visibility};
use super::{Body, Command};

/// Where text is wrapped when the terminal's width is not known.
const WIDTH_DEFAULT: usize = 80;
/// Columns for the names of commands, with two spaces after the longest.
const NAME_WIDTH: usize = 11;
/// The least room in which text is wrapped at all.
const WRAP_WIDTH_MIN: usize = 24;
/// How far a last line may go on, rather than leave a short orphan word.
const SLOP: usize = 5;

/// The command with its usage: `wharf run [OPTIONS] IMAGE [COMMAND] [ARG...]`.
pub(crate) fn usage_line(command: &Command, path: &str) -> String {
    if command.usage.is_empty() { path.to_owned() } else { format!("{path} {}", command.usage) }
}

/// The whole help text of a command or a group, as wide as the terminal.
pub(crate) fn text(command: &Command, path: &str) -> String {
    text_in(command, path, terminal_width())
}

/// The same in so many columns.
pub(crate) fn text_in(command: &Command, path: &str, width: usize) -> String {
    let mut text = String::new();
    let usage =
        if command.is_group() { format!("{path} COMMAND") } else { usage_line(command, path) };
    let _ = writeln!(text, "Usage:  {usage}\n\n{}", command.long_about.unwrap_or(command.about));
    if !command.spellings.is_empty() {
        let _ = writeln!(text, "\nAliases:\n  {}", spellings(command.spellings));
    }
    let options = flag_usages(command, width);
    if !options.is_empty() {
        let _ = writeln!(text, "\nOptions:\n{options}");
    }
    if let Body::Group(children) = command.body {
        list(&mut text, "Commands", children);
        let _ = writeln!(text, "\nRun '{path} COMMAND --help' for more information on a command.");
    }
    text
}

/// The sections of the program's own help.
#[derive(Debug)]
pub(crate) struct Overview {
    pub(crate) about: &'static str,
    pub(crate) common: &'static [&'static Command],
    pub(crate) management: &'static [&'static Command],
    pub(crate) commands: &'static [&'static Command],
    pub(crate) global: &'static Command,
}

/// The help text of the program itself.
pub(crate) fn overview(overview: &Overview) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "Usage:  wharf [OPTIONS] COMMAND\n\n{}", overview.about);
    list(&mut text, "Common Commands", overview.common);
    list(&mut text, "Management Commands", overview.management);
    list(&mut text, "Commands", overview.commands);
    let _ = writeln!(text, "\nGlobal Options:\n{}", flag_usages(overview.global, terminal_width()));
    text.push_str("\nRun 'wharf COMMAND --help' for more information on a command.\n");
    text
}

fn list(text: &mut String, title: &str, commands: &[&Command]) {
    let _ = writeln!(text, "\n{title}:");
    for command in commands.iter().filter(|command| !command.is_hidden) {
        let _ = writeln!(text, "  {:NAME_WIDTH$} {}", command.name, command.about);
    }
}

fn spellings(spellings: &[&str]) -> String {
    let full: Vec<_> = spellings.iter().map(|spelling| format!("wharf {spelling}")).collect();
    full.join(", ")
}

/// One line a flag, sorted, wrapped to the terminal.
fn flag_usages(command: &Command, width: usize) -> String {
    let mut flags: Vec<_> =
        command.every_flag().filter(|flag| flag.visibility == Visibility::Shown).collect();
    flags.sort_by_key(|flag| flag.long);
    let heads: Vec<_> = flags.iter().map(|flag| head(flag)).collect();
    let Some(longest) = heads.iter().map(String::len).max() else { return String::new() };
    let column = longest + 3;
    let width = width.saturating_sub(1);
    let lines = flags.iter().zip(&heads).map(|(flag, head)| {
        let about = match flag.default_shown {
            Some(default) if flag.value_name() == Some("string") => {
                format!("{} (default \"{default}\")", flag.about)
            }
            Some(default) => format!("{} (default {default})", flag.about),
            None => flag.about.to_owned(),
        };
        let line = format!("{head:column$}{}", wrap(column, width, &about));
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn head(flag: &Flag) -> String {
    let mut head = match flag.short {
        Some(short) => format!("  -{short}, --{}", flag.long),
        None => format!("      --{}", flag.long),
    };
    if let Some(name) = flag.value_name() {
        let _ = write!(head, " {name}");
    }
    head
}

fn terminal_width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdin());
    size.ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|&width| width > 0)
        .unwrap_or(WIDTH_DEFAULT)
}

/// Wraps `text` to `width`, each line but the first behind `indent` spaces.
fn wrap(indent: usize, width: usize, text: &str) -> String {
    let mut indent = indent;
    let mut room = width.saturating_sub(indent);
    let mut wrapped = String::new();
    // Too narrow to be readable beside the flags: goes below them.
    if room < WRAP_WIDTH_MIN {
        indent = 16;
        room = width.saturating_sub(indent);
        wrapped = format!("\n{}", " ".repeat(indent));
    }
    if room < WRAP_WIDTH_MIN {
        return text.replace('\n', &wrapped);
    }
    let margin = format!("\n{}", " ".repeat(indent));
    let mut rest = Some(text);
    let mut first = true;
    while let Some(text) = rest {
        let (line, remaining) = split_line(room - SLOP, text);
        if !first {
            wrapped.push_str(&margin);
        }
        first = false;
        wrapped.push_str(&line.replace('\n', &margin));
        rest = remaining.filter(|remaining| !remaining.is_empty());
    }
    wrapped
}

/// The first line of `text` and what is left.
fn split_line(room: usize, text: &str) -> (&str, Option<&str>) {
    if room + SLOP > text.len() {
        return (text, None);
    }
    let head = &text[..room];
    let Some(space) = head.rfind([' ', '\t', '\n']).filter(|&space| space > 0) else {
        return (text, None);
    };
    match head.rfind('\n').filter(|&newline| newline > 0 && newline < space) {
        Some(newline) => (&text[..newline], Some(&text[newline + 1..])),
        None => (&text[..space], Some(&text[space + 1..])),
    }
}
