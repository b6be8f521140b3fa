//! What can be asked of the engine about containers.

use std::os::fd::OwnedFd;
use std::time::Duration;

use super::ContainerId;
use super::spec::{ContainerSpec, Limits, RestartPolicy};

/// A container to make.
#[derive(Debug)]
pub struct CreateContainer {
    /// `None`: one is made up.
    pub name: Option<String>,
    /// The image's id, resolved.
    pub image_id: String,
    /// The image as the user named it.
    pub image_name: String,
    pub spec: ContainerSpec,
    /// What the front door wants back with each [`View`](super::View). Opaque to the engine.
    pub document: String,
}

/// A container was made.
#[derive(Debug, Clone)]
pub struct Created {
    pub id: ContainerId,
    pub warnings: Vec<String>,
}

/// What came of a request that may have nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Changed,
    /// It was where the caller wants it already.
    AlreadyThere,
}

/// What came of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    pub outcome: Outcome,
    /// The signal that its first process could not hear, so that it was killed at once.
    pub unheard_signal: Option<i32>,
}

/// How to stop.
#[derive(Debug, Clone, Default)]
pub struct StopOptions {
    /// Instead of the container's own stop signal: a number.
    pub signal: Option<i32>,
    /// Instead of the container's own; `Duration::MAX`: wait for ever.
    pub grace: Option<Duration>,
}

/// How to remove.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Kill it first if it runs.
    pub force: bool,
    /// Its anonymous volumes as well.
    pub volumes: bool,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitCondition {
    /// Back at once if it does not run.
    NotRunning,
    NextExit,
    Removed,
}

/// The end that was waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitResult {
    pub exit_code: i32,
    pub error: Option<String>,
}

/// A client's raw connection, whose front door has one thing left to say on it.
#[derive(Debug)]
pub struct ClientStream {
    pub socket: OwnedFd,
    /// What the client is waiting for before it goes on. It is told once the stream has its
    /// place: a client that goes on sooner could start the container before anybody listens.
    pub greeting: Vec<u8>,
    /// What the client sent before the connection was handed over.
    pub early_input: Vec<u8>,
}

impl ClientStream {
    /// Says what the client waits for. It is the first on the connection and far smaller than
    /// its buffer, so this either works at once or the client has gone, which whoever writes
    /// next finds out.
    pub(crate) fn greet(&self) {
        let _ = rustix::io::write(&self.socket, &self.greeting);
    }
}

/// Which streams a client wants, and how.
#[derive(Debug, Clone, Default)]
pub struct AttachStreams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// `None`: Docker's ctrl-p ctrl-q. In Docker's spelling: `ctrl-x,a`.
    pub detach_keys: Option<String>,
    /// First send what was logged so far.
    pub logs: bool,
    /// Stay attached after that.
    pub stream: bool,
}

/// What to change in a live container.
#[derive(Debug, Clone, Default)]
pub struct UpdateContainer {
    /// Fields that are `None` stay as they are.
    pub limits: Limits,
    pub restart: Option<RestartPolicy>,
    /// The document as it is after the change.
    pub document: Option<String>,
}

/// Processes of a container, as `ps` shows them.
#[derive(Debug, Clone)]
pub struct ProcessTable {
    pub titles: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// What a prune took away.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    pub names: Vec<String>,
    pub bytes: u64,
}

/// Which objects a prune is about.
#[derive(Debug, Clone, Default)]
pub struct PruneFilter {
    /// Only what was made before this.
    pub until: Option<jiff::Timestamp>,
    /// Only with these labels: key, and value if it matters.
    pub labels: Vec<(String, Option<String>)>,
    /// Not with these.
    pub labels_absent: Vec<(String, Option<String>)>,
}

impl PruneFilter {
    /// Whether an object with these labels is meant.
    pub(crate) fn has_labels<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let matches = |(key, wanted): &(String, Option<String>)| {
            label(key).is_some_and(|value| wanted.as_deref().is_none_or(|wanted| wanted == value))
        };
        self.labels.iter().all(matches) && !self.labels_absent.iter().any(matches)
    }
}

/// The keys that detach a client from a terminal unless somebody says otherwise: ctrl-p,
/// ctrl-q.
const DEFAULT_DETACH_KEYS: &[u8] = &[16, 17];

/// The bytes of a sequence in Docker's spelling: single characters and `ctrl-x`, separated by
/// commas. Without a terminal nothing detaches. What is no sequence is given back.
pub(crate) fn detach_keys(text: Option<&str>, has_terminal: bool) -> Result<Vec<u8>, String> {
    let keys = match text {
        None | Some("") => Ok(DEFAULT_DETACH_KEYS.to_vec()),
        Some(text) => parse_keys(text).ok_or_else(|| text.to_owned()),
    }?;
    Ok(if has_terminal { keys } else { Vec::new() })
}

/// The bytes of a sequence in Docker's spelling; `None` if it is none.
pub fn parse_keys(text: &str) -> Option<Vec<u8>> {
    text.split(',').map(key).collect()
}

fn key(text: &str) -> Option<u8> {
    if let Some(letter) = text.strip_prefix("ctrl-") {
        return match letter.as_bytes() {
            [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
            b"@" => Some(0),
            b"[" => Some(27),
            b"\\" => Some(28),
            b"]" => Some(29),
            b"^" => Some(30),
            b"_" => Some(31),
            _ => None,
        };
    }
    match text.as_bytes() {
        [one] => Some(*one),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::detach_keys;

    #[test]
    fn detach_keys_have_dockers_spelling() {
        assert_eq!(detach_keys(None, true).unwrap(), [16, 17]);
        assert_eq!(detach_keys(Some("ctrl-x,a,ctrl-["), true).unwrap(), [24, b'a', 27]);
        assert!(detach_keys(Some("ctrl-x,a"), false).unwrap().is_empty());
        assert!(detach_keys(Some("ctrl-xx"), true).is_err());
    }
}
