//! Streams of progress messages: what `load`, `import` and `pull` show while they work.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, IsTerminal, Read, Write};

use docker_api::{ProgressDetail, ProgressMessage};

use super::units;
use crate::failure::Failure;

/// The columns of a bar between its brackets.
const BAR_WIDTH: usize = 50;

/// Shows the messages of a stream until it ends; a message that is an error ends it.
pub(crate) fn show(stream: impl Read, out: &mut (impl Write + AsTerminal)) -> Result<(), Failure> {
    let mut lines = Lines { places: HashMap::new(), is_terminal: AsTerminal::is_terminal(out) };
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        // A line may hold several messages.
        for message in serde_json::Deserializer::from_str(&line).into_iter::<ProgressMessage>() {
            let message = message?;
            if let Some(text) = refusal(&message) {
                return Err(Failure::new(text));
            }
            lines.show(&message, out)?;
        }
    }
}

/// Whether what is written goes to a person.
pub(crate) trait AsTerminal {
    fn is_terminal(&self) -> bool;
}

impl AsTerminal for io::Stdout {
    fn is_terminal(&self) -> bool {
        IsTerminal::is_terminal(self)
    }
}

impl AsTerminal for io::Stderr {
    fn is_terminal(&self) -> bool {
        IsTerminal::is_terminal(self)
    }
}

/// Where nobody looks.
impl AsTerminal for io::Sink {
    fn is_terminal(&self) -> bool {
        false
    }
}

/// For tests, and for whoever wants the text.
impl AsTerminal for Vec<u8> {
    fn is_terminal(&self) -> bool {
        false
    }
}

fn refusal(message: &ProgressMessage) -> Option<String> {
    match &message.error_detail {
        Some(detail) => Some(detail.message.clone()),
        None if message.error.is_empty() => None,
        None => Some(message.error.clone()),
    }
}

/// The lines on the terminal, each of which belongs to one thing in progress.
struct Lines {
    places: HashMap<String, usize>,
    is_terminal: bool,
}

impl Lines {
    fn show(&mut self, message: &ProgressMessage, out: &mut impl Write) -> io::Result<()> {
        let detail = message.progress_detail.as_ref();
        let has_progress = detail.is_some_and(|detail| detail.current > 0 || detail.total > 0);
        if !message.stream.is_empty() {
            return write!(out, "{}", message.stream);
        }
        if message.status.is_empty() {
            return Ok(());
        }
        if !self.is_terminal {
            // A bar is nothing without the one that it replaces.
            return if has_progress { Ok(()) } else { writeln!(out, "{}", plain(message)) };
        }
        if message.id.is_empty() {
            // What comes next stands below this line.
            self.places.clear();
            return writeln!(out, "{}", message.status);
        }
        self.go_to_line(&message.id, out, |out| {
            let bar = detail.filter(|_| has_progress).map(bar).unwrap_or_default();
            write!(out, "\x1b[2K\r{}: {} {bar}", message.id, message.status)
        })
    }

    fn go_to_line<W: Write>(
        &mut self,
        id: &str,
        out: &mut W,
        print: impl FnOnce(&mut W) -> io::Result<()>,
    ) -> io::Result<()> {
        let count = self.places.len();
        let place = *self.places.entry(id.to_owned()).or_insert_with(|| count);
        if place == count {
            writeln!(out)?;
        }
        let up = self.places.len() - place;
        write!(out, "\x1b[{up}A")?;
        print(out)?;
        write!(out, "\r\x1b[{up}B")?;
        out.flush()
    }
}

fn plain(message: &ProgressMessage) -> String {
    if message.id.is_empty() {
        message.status.clone()
    } else {
        format!("{}: {}", message.id, message.status)
    }
}

/// `[====>      ]  1.2MB/3.4MB`
fn bar(detail: &ProgressDetail) -> String {
    let current = units::size(detail.current as f64);
    if detail.total <= 0 {
        return current;
    }
    let done = (detail.current.min(detail.total) * BAR_WIDTH as i64 / detail.total) as usize;
    let head = if done < BAR_WIDTH { ">" } else { "" };
    let bar = format!("{}{head}", "=".repeat(done));
    format!("[{bar:BAR_WIDTH$}]  {current}/{}", units::size(detail.total as f64))
}

#[cfg(test)]
mod tests {
    use super::show;

    #[test]
    fn messages_are_lines_and_bars_are_left_out_without_a_terminal() {
        let stream = concat!(
            r#"{"status":"Loading layer","progressDetail":{"current":1,"total":2},"id":"abc"}"#,
            "\n",
            r#"{"stream":"Loaded image: a:latest\n"}"#,
            r#"{"status":"done","id":"abc"}"#,
        );
        let mut text = Vec::new();
        show(stream.as_bytes(), &mut text).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "Loaded image: a:latest\nabc: done\n");
    }

    #[test]
    fn an_error_ends_the_stream() {
        let stream = r#"{"errorDetail":{"message":"no space"},"error":"no space"}"#;
        let failure = show(stream.as_bytes(), &mut Vec::new()).unwrap_err();
        assert_eq!(failure.message, "no space");
    }
}
