//! Saying what happens: on standard error, or in the file that a caller wants it in.
//!
//! Engines read that file's lines to tell their users what has gone wrong; so the formats are
//! those of runc (Go's `logrus`).

use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::Context as _;

#[derive(Debug, Default)]
pub(crate) struct Log {
    file: Option<File>,
    format: Format,
    is_detailed: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Format {
    #[default]
    Text,
    Json,
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Debug,
    Warning,
    Error,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Log {
    /// To `file`, or to standard error. `is_detailed`: with what is only for debugging.
    pub(crate) fn open(
        file: Option<&Path>,
        format: &str,
        is_detailed: bool,
    ) -> anyhow::Result<Self> {
        let format = match format {
            "" | "text" => Format::Text,
            "json" => Format::Json,
            other => anyhow::bail!("invalid log-format: {other}"),
        };
        let open = |path: &Path| {
            let file = File::options().create(true).append(true).open(path);
            file.with_context(|| format!("open {}", path.display()))
        };
        Ok(Self { file: file.map(open).transpose()?, format, is_detailed })
    }

    /// Says what has failed. On standard error in any case.
    pub(crate) fn error(&self, message: &str) {
        self.write(Level::Error, message);
        if self.file.is_some() {
            eprintln!("{message}");
        }
    }

    /// Says what was done only in part.
    pub(crate) fn warning(&self, message: &str) {
        self.write(Level::Warning, message);
    }

    /// Says what is being done, to those who want to know.
    pub(crate) fn debug(&self, message: impl FnOnce() -> String) {
        if self.is_detailed {
            self.write(Level::Debug, &message());
        }
    }

    fn write(&self, level: Level, message: &str) {
        // If the log cannot be written, there is nobody to be told.
        let _ = match self.file.as_ref() {
            Some(mut file) => file.write_all(self.line(level, message).as_bytes()),
            None if std::io::stderr().is_terminal() && self.format == Format::Text => {
                writeln!(std::io::stderr(), "{}: {message}", level.as_str())
            }
            None => std::io::stderr().write_all(self.line(level, message).as_bytes()),
        };
    }

    fn line(&self, level: Level, message: &str) -> String {
        let (time, level) = (now(), level.as_str());
        match self.format {
            Format::Json => {
                let message = serde_json::Value::from(message);
                format!("{{\"level\":\"{level}\",\"msg\":{message},\"time\":\"{time}\"}}\n")
            }
            Format::Text => format!("time=\"{time}\" level={level} msg={}\n", quoted(message)),
        }
    }
}

/// To the second, in the form of RFC 3339.
fn now() -> String {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

/// As `logrus` does it: in quotation marks only if something in it needs them.
fn quoted(message: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-._/@^+".contains(letter);
    if !message.is_empty() && message.chars().all(is_plain) {
        return message.to_owned();
    }
    format!("{message:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_runc() {
        let line = |format| Log { format, ..Log::default() }.line(Level::Error, "no \"x\" here");
        let text = line(Format::Text);
        assert!(text.starts_with("time=\"20"), "{text}");
        assert!(text.ends_with("Z\" level=error msg=\"no \\\"x\\\" here\"\n"), "{text}");
        let json = line(Format::Json);
        assert!(json.starts_with("{\"level\":\"error\",\"msg\":\"no \\\"x\\\" here\",\"time\":"));
        assert_eq!(quoted("plain/one"), "plain/one");
    }
}
