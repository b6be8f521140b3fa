//! Waiting: for containers' ends, for what shims tell, for shims themselves.

use std::io;

use shim::protocol::Event;
use shim::wire::{FrameDecoder, FrameError};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

use super::handle::{Container, Snapshot};
use super::requests::{WaitCondition, WaitResult};
use super::view::Phase;

/// Bytes read from a shim at once. Most of its events fit.
const READ_BYTES: usize = 2048;

/// Waits for a container's end. What counts as the next end is decided now, not when the
/// future is first polled.
pub(crate) fn wait_for(
    container: &Container,
    condition: WaitCondition,
) -> impl Future<Output = WaitResult> + Send + use<> {
    let mut snapshot = container.snapshot();
    let ends_before = snapshot.borrow().ends;
    async move {
        let is_over = |now: &Snapshot| {
            now.is_gone
                || match condition {
                    WaitCondition::NotRunning => {
                        !now.view.state.phase.is_live() || now.ends > ends_before
                    }
                    WaitCondition::NextExit => now.ends > ends_before,
                    // As far as it will go.
                    WaitCondition::Removed => now.view.state.phase == Phase::Dead,
                }
        };
        // An error means that the container's owner is gone, and so is the container.
        let _ = snapshot.wait_for(is_over).await;
        let view = std::sync::Arc::clone(&snapshot.borrow().view);
        // A start that failed is told to whoever asked for the start. Here it counts only that
        // the container could not be removed.
        let error = (view.state.phase == Phase::Dead).then(|| view.state.error.clone());
        WaitResult { exit_code: view.state.exit_code, error }
    }
}

/// The events of a shim, as they come.
pub(super) struct ShimEvents {
    stream: UnixStream,
    decoder: FrameDecoder,
}

impl ShimEvents {
    /// Must be called on the runtime.
    pub(super) fn new(watch: shim::client::Watch) -> io::Result<Self> {
        let (stream, decoder) = watch.into_parts();
        stream.set_nonblocking(true)?;
        Ok(Self { stream: UnixStream::from_std(stream)?, decoder })
    }

    /// The next event; `None` once the shim is gone.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            match self.decoder.next_message() {
                Ok(Some(event)) => return Some(event),
                Ok(None) => {}
                // A newer build's. It has been passed over, and its state comes with the next.
                Err(error @ FrameError::Malformed { .. }) => {
                    tracing::warn!(%error, "a supervisor told what this build does not know");
                    continue;
                }
                Err(error) => {
                    tracing::error!(%error, "a supervisor sent what is no event");
                    return None;
                }
            }
            let mut buffer = [0; READ_BYTES];
            match self.stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.decoder.feed(&buffer[..count]),
            }
        }
    }
}
