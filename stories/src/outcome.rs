//! What a command did: its exit status and its output.

/// What a command did. Its methods are claims, and panic when they are not true.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub command: String,
    /// The exit status, or 128 + n for a client that signal n ended.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// The command exited with 0.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.fails_with(0)
    }

    /// The command exited with `status`.
    #[track_caller]
    pub fn fails_with(self, status: i32) -> Self {
        assert!(self.status == status, "expected exit status {status}\n{self}");
        self
    }

    /// The command exited with anything but 0.
    #[track_caller]
    pub fn fails(self) -> Self {
        assert!(self.status != 0, "expected a failure\n{self}");
        self
    }

    /// The command wrote exactly `expected` to its standard output.
    #[track_caller]
    pub fn prints(self, expected: &str) -> Self {
        assert!(self.stdout == expected, "expected the output {expected:?}\n{self}");
        self
    }

    /// The command wrote exactly `expected` to its standard error.
    #[track_caller]
    pub fn complains(self, expected: &str) -> Self {
        assert!(self.stderr == expected, "expected the complaint {expected:?}\n{self}");
        self
    }

    /// The standard output contains `part`.
    #[track_caller]
    pub fn stdout_has(self, part: &str) -> Self {
        assert!(self.stdout.contains(part), "expected {part:?} in the output\n{self}");
        self
    }

    /// The standard output does not contain `part`.
    #[track_caller]
    pub fn stdout_lacks(self, part: &str) -> Self {
        assert!(!self.stdout.contains(part), "expected no {part:?} in the output\n{self}");
        self
    }

    /// The standard error contains `part`.
    #[track_caller]
    pub fn stderr_has(self, part: &str) -> Self {
        assert!(self.stderr.contains(part), "expected {part:?} in the complaint\n{self}");
        self
    }

    /// The standard error contains `part`, whatever the letters' case.
    ///
    /// Docker's client changed the case of some of its messages over the years.
    #[track_caller]
    pub fn stderr_says(self, part: &str) -> Self {
        let has = self.stderr.to_lowercase().contains(&part.to_lowercase());
        assert!(has, "expected {part:?} in the complaint\n{self}");
        self
    }

    /// The standard output without white space around it.
    pub fn text(&self) -> &str {
        self.stdout.trim()
    }

    /// The lines of the standard output.
    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "    command: {}", self.command)?;
        writeln!(f, "    exit status: {}", self.status)?;
        writeln!(f, "    stdout: {:?}", self.stdout)?;
        write!(f, "    stderr: {:?}", self.stderr)
    }
}
