//! Named folders that outlive containers.

mod changes;
mod fill;
mod mounted;
mod names;
mod store;
mod unfinished;

use std::collections::BTreeMap;
use std::path::PathBuf;

use errors::{Explain, Kind};
use jiff::Timestamp;

pub(crate) use changes::{create, create_for, prune, remove, remove_own};
pub(crate) use fill::fill_from_image;
pub(crate) use names::Reservation;
pub(crate) use store::Volumes;
pub(crate) use unfinished::{collect, finish, finish_when_recorded, resume_removals};

/// A volume as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeView {
    pub name: String,
    pub driver: String,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    pub created_at: Timestamp,
    /// Where its content is on the host.
    pub mountpoint: PathBuf,
    /// Made for one container, without a name of the user's.
    pub is_anonymous: bool,
}

/// A volume to make.
#[derive(Debug, Clone, Default)]
pub struct CreateVolume {
    /// `None`: an anonymous one.
    pub name: Option<String>,
    pub driver: String,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

/// Why something about a volume failed.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    #[error("get {name}: no such volume")]
    NotFound { name: String },
    #[error(
        "create {name}: \"{name}\" includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, \
         use absolute path"
    )]
    InvalidName { name: String },
    #[error(
        "create {name}: volume name is too short, names should be at least two alphanumeric \
         characters"
    )]
    NameTooShort { name: String },
    #[error(
        "create {name}: error looking up volume plugin {driver}: plugin \"{driver}\" not found"
    )]
    UnknownDriver { name: String, driver: String },
    #[error("create {name}: invalid option: \"{option}\"")]
    InvalidOption { name: String, option: String },
    #[error("create {name}: missing required option: \"{option}\"")]
    MissingOption { name: String, option: &'static str },
    #[error("create {name}: quota size requested but no quota support")]
    NoQuota { name: String },
    #[error("error while mounting volume '{}': failed to mount local volume: {reason}", path.display())]
    Mount { path: PathBuf, reason: String },
    #[error("remove {name}: volume is in use - [{}]", containers.join(", "))]
    InUse { name: String, containers: Vec<String> },
    #[error("remove {name}: volume is in use by a container that is being made")]
    Reserved { name: String },
    #[error("cannot {doing} volume {name}")]
    Files { doing: &'static str, name: String, source: std::io::Error },
    #[error("cannot record volume {name}")]
    Record { name: String, source: crate::metadata::MetadataError },
}

impl Explain for VolumeError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } | Self::UnknownDriver { .. } => Kind::NotFound,
            Self::InvalidName { .. }
            | Self::NameTooShort { .. }
            | Self::InvalidOption { .. }
            | Self::MissingOption { .. }
            | Self::NoQuota { .. } => Kind::Invalid,
            Self::InUse { .. } | Self::Reserved { .. } => Kind::Conflict,
            Self::Files { .. } | Self::Record { .. } | Self::Mount { .. } => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::InUse { containers, .. } => Some(format!(
                "remove the container that uses it first: {}",
                containers.iter().map(|id| &id[..id.len().min(12)]).collect::<Vec<_>>().join(", ")
            )),
            Self::Mount { .. } => Some(
                "`docker volume inspect` shows the options that the volume was made with"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}
