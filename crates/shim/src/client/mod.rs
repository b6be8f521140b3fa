//! A daemon's end of the talk with shims: blocking, with a deadline on every wait.
//!
//! [`launch`] makes a shim, [`connect`] finds one again, [`clean_up`] does what a shim that
//! was killed could not do any more. An event loop takes a [`Watch`] apart
//! ([`Watch::into_parts`]) and goes on by itself.

mod cleanup;
mod connection;
mod kill;
mod launch;
mod lock;
mod nursery;

use std::io;
use std::path::Path;

pub use cleanup::{CleanUpError, CleanedUp, clean_up};
pub use connection::{CallError, ConnectError, Connection, Watch, connect, connect_within};
pub use kill::kill;
pub use launch::{LAUNCH_DEADLINE, LaunchError, Launched, Program, StartDescriptors, launch};
pub use lock::is_held as is_alive;
pub use nursery::Shim;

use crate::protocol::{State, files};

/// What the shim of `folder`, which has gone, knew last. `None` when there never was one, or it
/// died before it had a container.
pub fn last_state(folder: &Path) -> io::Result<Option<State>> {
    let text = match std::fs::read(folder.join(files::STATE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if text.is_empty() {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&text)?))
}
