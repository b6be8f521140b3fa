//! Edits of an image's configuration, as `import --change` and `commit --change` take them.

/// One edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Cmd(Command),
    Entrypoint(Command),
    /// Names and values.
    Env(Vec<(String, String)>),
    Expose(Vec<String>),
    HealthCheck(crate::image::HealthCheck),
    Label(Vec<(String, String)>),
    OnBuild(String),
    StopSignal(String),
    User(String),
    Volume(Vec<String>),
    WorkingDirectory(String),
}

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A program and its arguments.
    Exec(Vec<String>),
    /// A line for the shell.
    Shell(String),
}

/// Why a text is not an edit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    #[error("{instruction} is not a valid change command")]
    NotAllowed { instruction: String },
}

/// Reads one instruction of a Dockerfile.
pub fn parse_change(text: &str) -> Result<Change, ChangeError> {
    Err(ChangeError::NotAllowed { instruction: text.to_owned() })
}
