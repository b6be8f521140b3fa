//! Keeps content and file systems on this host: blobs, snapshots, names, garbage collection.
//!
//! A [`Store`] is all there is from outside. Its calls block, so that an async caller hands
//! them to a thread, and none of them waits for another's disk: reads answer from a snapshot
//! of the [`catalog`].
//!
//! ```text
//! <root>/content/blobs/sha256/<id>     images' configurations, as they came
//!        layers/<chain id>/fs/         a layer's tree, an overlay's lower directory
//!                         /recipe.zst  what else was in its archive, so that it can be given back
//!        snapshots/<name>/{fs,work}    a container's own changes, an overlay's upper directory
//!        unfinished/                   what arrives or goes: emptied when the store is opened
//! ```
//!
//! Names and what belongs to whom are records in the daemon's database. A record is written
//! after what it speaks of is in its place, and removed before that is taken away: so
//! whatever a crash leaves has no record, and [`Store::open`] removes it.

mod built_in;
mod catalog;
mod change;
mod changes;
mod commit;
mod compression;
#[cfg(test)]
mod crash_tests;
mod folders;
mod history;
mod image;
mod import;
mod keep;
mod layers;
mod load;
mod mend;
mod names;
mod pipeline;
mod platform;
mod records;
mod removal;
mod remove;
mod save;
mod settle;
mod snapshots;
mod store;
#[cfg(test)]
mod testing;
mod view;

pub use crate::catalog::ResolveError;
pub use crate::change::{
    Change, ChangeError, Command, apply as apply_changes, parse_change, parse_changes,
};
pub use crate::changes::{ChangeKind, ChangesError, FileChange};
pub use crate::commit::{CommitError, CommitOptions};
pub use crate::compression::decompress;
pub use crate::history::HistoryEntry;
pub use crate::image::{Extras, HealthCheck, Image, ImageId, Layer, ProcessExtras};
pub use crate::import::{ImportError, ImportOptions};
pub use crate::layers::ArchiveError;
pub use crate::load::{LoadError, LoadProgress, Loaded};
pub use crate::names::{TagError, Tagged, UntagError};
pub use crate::platform::{Platform, PlatformError};
pub use crate::records::RecordsError;
pub use crate::removal::remove_tree;
pub use crate::remove::{DeleteError, Deleted};
pub use crate::save::SaveError;
pub use crate::snapshots::{Snapshot, SnapshotError};
pub use crate::store::{OpenError, Store, Usage};
pub use crate::view::open_merged;
pub use archive::TarError;
