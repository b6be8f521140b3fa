//! `/images/…`: images, as Docker clients see them.

mod import;
mod inspect;
mod list;
mod load;
mod remove;

pub(crate) use import::create;
pub(crate) use inspect::{history, inspect};
pub(crate) use list::list;
pub(crate) use load::{load, save};
pub(crate) use remove::{prune, remove, tag};

pub(super) use list::summaries;
pub(super) use remove::named;

use crate::http::ApiError;

/// Runs what waits for the disk where it keeps nobody from being answered.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ApiError::internal(format!("a thread of the daemon's failed: {error}")))
}
