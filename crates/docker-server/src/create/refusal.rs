//! Why a container cannot be as it was asked for.

use errors::{Explain, Kind};

/// Why a container cannot be as it was asked for. The words are Docker's; there are a hundred
/// of them, and nobody tells them apart, so they are no enum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

impl Refusal {
    /// The request makes no sense.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { kind: Kind::Invalid, message: message.into(), hint: None }
    }

    /// Something that it names does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { kind: Kind::NotFound, ..Self::new(message) }
    }

    /// Docker can do this, and Wharf cannot yet. `what` is what the user asked for.
    pub(crate) fn unsupported(what: impl std::fmt::Display) -> Self {
        Self {
            kind: Kind::NotImplemented,
            message: format!("not implemented by Wharf yet: {what}"),
            hint: None,
        }
    }

    /// The same refusal, which Docker has no class for, so that it is answered as 500.
    pub(crate) fn unclassified(message: impl Into<String>) -> Self {
        Self { kind: Kind::Internal, ..Self::new(message) }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[cfg(test)]
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl Explain for Refusal {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}
