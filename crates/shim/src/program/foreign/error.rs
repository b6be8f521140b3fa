//! What a program's errors are called.

use shim::protocol::{Failure, FailureKind};

/// What went wrong, in the program's words.
#[derive(Debug)]
pub(crate) struct ProgramError {
    message: String,
}

impl ProgramError {
    pub(super) fn new(message: String) -> Self {
        Self { message }
    }

    /// The failure that a client hears of.
    pub(crate) fn with_prefix(self, prefix: &str) -> Failure {
        Failure { kind: self.kind(), message: format!("{prefix}{}", self.message) }
    }

    /// Which it is can only be told by the words; so does Docker.
    fn kind(&self) -> FailureKind {
        let has = |words: &str| self.message.contains(words);
        if has("unable to retrieve OCI runtime error") {
            FailureKind::Internal
        } else if has("executable file not found")
            || has("executable file `")
            || (has("exec: ") && has("no such file or directory"))
        {
            FailureKind::ProgramNotFound
        } else if has("permission denied") || has("is a directory") {
            FailureKind::ProgramNotExecutable
        } else {
            FailureKind::Internal
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expected: FailureKind) {
        let error = ProgramError { message: message.to_owned() };
        assert_eq!(error.kind(), expected, "{message}");
    }

    #[test]
    fn words_say_what_went_wrong() {
        let start = "runc create failed: unable to start container process: exec: ";
        check(
            &format!("{start}\"nope\": executable file not found in $PATH"),
            FailureKind::ProgramNotFound,
        );
        check(
            &format!("{start}\"/nope\": stat /nope: no such file or directory"),
            FailureKind::ProgramNotFound,
        );
        check(&format!("{start}\"/etc\": permission denied"), FailureKind::ProgramNotExecutable);
        check("executable file `nope` not found in $PATH", FailureKind::ProgramNotFound);
        check("cannot set up namespace `/x`", FailureKind::Internal);
    }
}
