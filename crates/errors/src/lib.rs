//! What every error can say of itself: its kind, and a hint.
//!
//! An operation's error enum implements [`Explain`]. The front doors turn the kind into
//! a status of their protocol, print the [`chain`] of causes, and pass the hint on. No
//! crate below them knows how an error is shown.

use std::error::Error;

/// What kind of failure an error is, whatever protocol it will be told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request makes no sense, whatever the state of things.
    Invalid,
    /// The object that it names does not exist.
    NotFound,
    /// The object's present state does not allow it.
    Conflict,
    /// The caller may not.
    Forbidden,
    /// It may work later, without anybody changing the request.
    Unavailable,
    /// This engine does not do that.
    NotImplemented,
    /// Our fault, or the host's.
    Internal,
}

/// An error that can be shown to a user.
pub trait Explain: Error + Send + Sync + 'static {
    /// What kind of failure this is.
    fn kind(&self) -> Kind;

    /// What the user can do next, as a sentence without a full stop.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// The error and its causes on one line: `outer: inner: innermost`.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests {
    use std::io;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("cannot open `x`")
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn causes_follow_the_error_on_one_line() {
        let error = Outer(io::Error::other("disk on fire"));
        assert_eq!(super::chain(&error), "cannot open `x`: disk on fire");
    }
}
