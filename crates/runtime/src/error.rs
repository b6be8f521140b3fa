//! Why a container's process did not come to run its program.

use std::io;

use errors::{Explain, Kind};

use crate::cgroups::CgroupError;

/// A container's first or further process could not be made, or not executed.
///
/// The wording of what scripts match on is runc's, to the letter: the docker client picks exit
/// code 127 or 126 from it.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The configuration makes no sense, or asks for what this runtime does not do.
    #[error("{field}: {reason}")]
    Invalid { field: String, reason: String },

    /// `process.args[0]` is not in the container.
    #[error("{0}")]
    ProgramNotFound(String),

    /// `process.args[0]` is there, and cannot be executed.
    #[error("{0}")]
    ProgramNotExecutable(String),

    /// The user or group is not in the container.
    #[error("{0}")]
    UserNotFound(String),

    /// A step of the recipe failed, in the new process.
    #[error("cannot {step}: {reason}")]
    Step { step: String, reason: String },

    #[error("the process ended before it could run its program ({how})")]
    Died { how: String },

    #[error("error running {point} hook #{number}: `{path}`: {reason}")]
    Hook { point: &'static str, number: usize, path: String, reason: String },

    #[error(transparent)]
    Cgroup(#[from] CgroupError),

    #[error("cannot {doing}")]
    System { doing: &'static str, source: io::Error },
}

impl ProcessError {
    pub(crate) fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), reason: reason.into() }
    }

    pub(crate) fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { doing, source }
    }
}

impl Explain for ProcessError {
    fn kind(&self) -> Kind {
        match self {
            Self::Invalid { .. } => Kind::Invalid,
            // Docker answers these with 400, and the client reads the text.
            Self::ProgramNotFound(_) | Self::ProgramNotExecutable(_) | Self::UserNotFound(_) => {
                Kind::Invalid
            }
            Self::Cgroup(error) => error.kind(),
            Self::Step { .. } | Self::Died { .. } | Self::Hook { .. } | Self::System { .. } => {
                Kind::Internal
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::ProgramNotFound(_) => {
                Some("check the spelling, and that the image contains the program".to_owned())
            }
            Self::Cgroup(error) => error.hint(),
            Self::Invalid { .. }
            | Self::ProgramNotExecutable(_)
            | Self::UserNotFound(_)
            | Self::Step { .. }
            | Self::Died { .. }
            | Self::Hook { .. }
            | Self::System { .. } => None,
        }
    }
}
