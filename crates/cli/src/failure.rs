//! Why a command did not succeed: what to say, and with which status to leave.

use std::io;

use docker_api::client::ClientError;

/// The exit status when nobody reads our output any more: that of a program which the
/// signal for it has ended, and which says nothing either.
const STATUS_NO_READER: i32 = 141;

/// A command's failure. The text may be empty: then the status says it all, as when it
/// is that of a container's process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) message: String,
    /// What the user can do next, if the daemon had an idea.
    pub(crate) hint: Option<String>,
    pub(crate) status: i32,
    pub(crate) is_not_found: bool,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, status: 1, is_not_found: false }
    }

    /// Leaves with the status of something that ran.
    pub(crate) fn silent(status: i32) -> Self {
        Self { status, ..Self::new("") }
    }

    pub(crate) fn with_status(mut self, status: i32) -> Self {
        self.status = status;
        self
    }

    /// Several failures as one: their messages on a line each.
    pub(crate) fn join(failures: Vec<Self>) -> Result<(), Self> {
        let Some(first) = failures.first() else { return Ok(()) };
        let mut joined = Self::new("");
        joined.status = first.status;
        joined.message =
            failures.iter().map(|failure| failure.message.as_str()).collect::<Vec<_>>().join("\n");
        joined.hint = failures.into_iter().find_map(|failure| failure.hint);
        Err(joined)
    }

    /// The message with the hint below it, as the user sees it.
    pub(crate) fn text(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}\n\nhint: {hint}", self.message),
            None => self.message.clone(),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let is_not_found = error.status() == Some(404);
        let hint = error.hint().map(str::to_owned);
        Self { message: error.to_string(), hint, status: 1, is_not_found }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::silent(STATUS_NO_READER);
        }
        Self::new(go_message(&error))
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// A system error in lower case and without its number, as scripts know it from Docker:
/// `no such file or directory`.
pub(crate) fn go_message(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    if error.raw_os_error().is_none() {
        return text.to_owned();
    }
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().collect::<String>() + letters.as_str()
    })
}
