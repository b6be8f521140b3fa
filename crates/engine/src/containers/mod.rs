//! Containers: what they are, what may happen to them, and who makes it happen.
//!
//! [`lifecycle`] decides, [`supervisor`] acts, [`record`] is what is on disk, and [`View`]
//! is what everybody else sees.

mod bundle;
mod changes;
mod create;
mod draft;
pub mod errors;
pub(crate) mod files;
pub(crate) mod handle;
pub mod health;
pub mod lifecycle;
pub(crate) mod links;
mod missed;
mod mounts;
mod prune;
pub(crate) mod record;
pub(crate) mod registry;
mod remove;
pub mod requests;
mod restore;
mod size;
pub mod spec;
mod start;
mod start_order;
mod stuck;
pub(crate) mod supervisor;
mod top;
mod users;
pub mod view;
mod wait;
mod warnings;

pub use changes::{Export, ReadChangesError};
pub(crate) use changes::{commit, export, list as list_changes, resume_after_crash};
pub(crate) use create::create;
pub use errors::*;
pub use files::{CopyIn, CopyOut, FilesError, PathStat};
pub use health::{HealthAction, HealthSpec, HealthStatus, HealthTest, HealthView};
pub use links::UnlinkError;
pub(crate) use prune::{prune, summary};
pub use requests::*;
pub(crate) use restore::restore;
pub(crate) use size::size;
pub use spec::ContainerSpec;
pub use view::{MountView, Phase, StateView, View};
pub(crate) use wait::wait_for;

pub(crate) use handle::{Container, Snapshot};
pub(crate) use size::of_folder as folder_size;
pub(crate) use supervisor::blocking;

use std::fmt;

/// A container's id: 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId(std::sync::Arc<str>);

impl ContainerId {
    /// Makes a new one at random.
    pub(crate) fn random() -> Self {
        Self(random_id().into())
    }

    /// Takes an id that this engine wrote earlier.
    pub(crate) fn from_record(text: &str) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, as shown to people.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

/// 64 random hexadecimal digits whose first twelve are never a decimal number: those would be
/// host names that some resolvers take for addresses.
pub(crate) fn random_id() -> String {
    loop {
        let bytes: [u8; 32] = rand::random();
        let text = hex::encode(bytes);
        if text[..12].bytes().any(|byte| !byte.is_ascii_digit()) {
            return text;
        }
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContainerId({})", self.short())
    }
}
