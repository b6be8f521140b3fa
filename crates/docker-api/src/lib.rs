//! Docker's wire types, and a client for them.
//!
//! Every type is one JSON document of the Docker Engine API 1.51, with the fields in the
//! order and the spelling in which a Docker engine writes them: `docker inspect` prints what
//! it gets, and people diff that.
//!
//! Go tells a list that is absent (`null`) from one that is empty (`[]`), and so do we: a list
//! or map that Go may leave out is an `Option`. Reading is as lenient as Go's: names match
//! whatever their case, `null` is the zero value, unknown names are ignored. That is
//! [`lenient::from_slice`]; clients that read a server's answer may use plain `serde_json`.
//!
//! Old API versions are not here: they are the server's business, which rewrites them from and
//! to these types.

pub mod client;
pub mod containers;
mod error;
pub mod events;
pub mod exec;
mod filters;
mod go_json;
pub mod images;
pub mod lenient;
pub mod mounts;
pub mod networks;
mod progress;
pub mod system;
mod version;
pub mod volumes;

pub use error::ErrorBody;
pub use filters::{Filters, FiltersError};
pub use go_json::EmptyObject;
pub use progress::{ProgressDetail, ProgressError, ProgressMessage};
pub use version::{ApiVersion, VersionError};

/// A stream of raw bytes: what a container with a terminal speaks.
pub const MEDIA_TYPE_RAW_STREAM: &str = "application/vnd.docker.raw-stream";
/// A stream of frames: what a container without a terminal speaks.
pub const MEDIA_TYPE_MULTIPLEXED_STREAM: &str = "application/vnd.docker.multiplexed-stream";

/// Where an answer without a body says what else the user should know. Wharf's own.
pub const NOTICE_HEADER: &str = "wharf-notice";

#[cfg(test)]
mod samples;
