//! What a person sees of a copy while it goes on.

use std::io::{self, IsTerminal as _, Read, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::output::units;

/// How often the number changes. Docker's.
const PERIOD: Duration = Duration::from_millis(75);

/// Terminal control: remember the place, go back there, clear the line, and hide or show the
/// cursor meanwhile.
const SAVE: &str = "\x1b[s";
const RESTORE: &str = "\x1b[u";
const CLEAR_LINE: &str = "\x1b[2K";
const CLEAR_REST: &str = "\x1b[0K";
const HIDE: &str = "\x1b[?25l";
const SHOW: &str = "\x1b[?25h";

/// A copy that is shown, if anybody is there to see it.
pub(super) struct Progress {
    bytes: Arc<AtomicU64>,
    painter: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Begins to show it. `header` is before the number.
    pub(super) fn begin(is_quiet: bool, header: &'static str) -> Self {
        let bytes = Arc::new(AtomicU64::new(0));
        let painter = (!is_quiet && io::stderr().is_terminal()).then(|| {
            let (sender, ended) = channel();
            let counted = Arc::clone(&bytes);
            let paint = move || {
                let mut last = 0;
                // Most copies are done before anybody could read a number.
                if ended.recv_timeout(PERIOD) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                show(&format!(
                    "{SAVE}Preparing to copy...{HIDE}{RESTORE}{CLEAR_LINE}{header}{}",
                    size(last)
                ));
                while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                    let now = counted.load(Ordering::Relaxed);
                    if now != last {
                        last = now;
                        let column = header.len() + 1;
                        show(&format!("\x1b[{column}G{CLEAR_REST}{}", size(now)));
                    }
                }
                show(&format!("{RESTORE}{CLEAR_LINE}{SHOW}"));
            };
            (sender, std::thread::spawn(paint))
        });
        Self { bytes, painter }
    }

    /// Counts what goes through.
    pub(super) fn count<R: Read>(&self, input: R) -> Counted<R> {
        Counted { input, bytes: Arc::clone(&self.bytes) }
    }

    /// Takes the number away, and says what was copied unless nobody wants to know.
    pub(super) fn end(self, is_quiet: bool, destination: &str) {
        if let Some((sender, painter)) = self.painter {
            drop(sender);
            // Should it have panicked, it has said so.
            let _ = painter.join();
        }
        if !is_quiet {
            let bytes = size(self.bytes.load(Ordering::Relaxed));
            show(&format!("Successfully copied {bytes} to {destination}\n"));
        }
    }
}

/// An input that is counted.
pub(super) struct Counted<R> {
    input: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

fn size(bytes: u64) -> String {
    units::short_size(bytes as f64)
}

fn show(text: &str) {
    // Whoever has closed this does not want to see it.
    let _ = io::stderr().write_all(text.as_bytes());
}
