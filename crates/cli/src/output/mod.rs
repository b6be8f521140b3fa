//! From the engine's answers to text: tables, templates, sizes, times.

pub(crate) mod ellipsis;
pub(crate) mod go_json;
pub(crate) mod inspect;
pub(crate) mod natural;
pub(crate) mod ports;
pub(crate) mod progress;
pub(crate) mod quote;
pub(crate) mod rows;
pub(crate) mod table;
pub(crate) mod template;
pub(crate) mod times;
pub(crate) mod typed;
pub(crate) mod units;

use std::io::{self, Write as _};

/// Prints a whole text at once. A reader who has left is nobody's failure.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints a line to the standard error stream, as far as that can be done.
pub(crate) fn warn(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
