//! Layers and power cuts.
//!
//! Writing a layer's files to the disk for good takes longer than unpacking them, so nobody
//! waits for it. A new layer is recorded as unsettled, with the boot of the host that it was
//! made in. Some time later the file system is synchronised, and the record says so.
//!
//! A crash of the daemon loses nothing: the files are the kernel's by then. After a crash of
//! the host, an unsettled layer of another boot may have empty files in it. Such a layer is
//! not believed, and goes when the store is opened ([`mend`](crate::mend)).

use std::fs::{self, File};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use oci::Digest;

use crate::records::{Change, RecordsError};
use crate::store::Parts;

/// How long after the last new layer the file system is synchronised. Whoever loads an image
/// mostly runs it next, and should not have to share the disk with this.
const DELAY: Duration = Duration::from_secs(10);

/// Tells this boot of the host from every other.
pub(crate) fn this_boot() -> Digest {
    // Without `/proc` every boot looks the same, and layers are believed as they are.
    Digest::of(&fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default())
}

/// The thread that settles layers, while there is something to settle.
#[derive(Debug, Default)]
pub(crate) struct Settler(Mutex<Option<Sender<()>>>);

impl Settler {
    /// Settles the layers some time after the last call of this.
    pub(crate) fn settle_later(&self, parts: &Arc<Parts>) {
        if parts.layers.unsettled().is_empty() {
            return;
        }
        let mut requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.as_ref().is_some_and(|requests| requests.send(()).is_ok()) {
            return;
        }
        let (sender, receiver) = channel();
        let parts = Arc::downgrade(parts);
        let thread = thread::Builder::new().name("settler".to_owned()).stack_size(256 << 10);
        match thread.spawn(move || run(&receiver, &parts)) {
            Ok(_) => *requests = Some(sender),
            Err(error) => tracing::warn!(%error, "new layers are not settled yet"),
        }
    }
}

/// Waits for calm, settles, and ends. It ends at once if the store is closed.
fn run(requests: &Receiver<()>, parts: &Weak<Parts>) {
    loop {
        match requests.recv_timeout(DELAY) {
            Ok(()) => {}
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => break,
        }
    }
    let Some(parts) = parts.upgrade() else { return };
    if let Err(error) = settle(&parts) {
        // The layers stay unsettled; the next new one, or the next start, tries again.
        tracing::warn!(error = errors::chain(&error), "cannot settle new layers");
    }
}

/// Why layers were not settled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettleError {
    #[error("cannot synchronise the file system")]
    Synchronise(#[source] io::Error),
    #[error("cannot record it")]
    Records(#[source] RecordsError),
}

/// Synchronises the file system, and records that the layers which were there before it are
/// settled.
pub(crate) fn settle(parts: &Parts) -> Result<(), SettleError> {
    let unsettled = parts.layers.unsettled();
    let folder = File::open(parts.folders.layers()).map_err(SettleError::Synchronise)?;
    rustix::fs::syncfs(&folder).map_err(|error| SettleError::Synchronise(error.into()))?;
    parts.change(|catalog| {
        let mut changes = Vec::new();
        for chain_id in unsettled {
            // One that no image has is not recorded, or not any more.
            if catalog.uses_layer(&chain_id)
                && let Some(record) = parts.layers.mark_settled(&chain_id)
            {
                changes.push(Change::PutLayer(chain_id, record));
            }
        }
        parts.records.write(&changes).map_err(SettleError::Records)
    })
}
