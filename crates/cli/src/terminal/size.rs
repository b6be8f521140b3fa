//! The terminal's size, told to the container's.

use std::io::{self, IsTerminal as _};
use std::thread;
use std::time::Duration;

use docker_api::client::{Client, Request, escape};

/// Attempts to set the size of a terminal that may not be there yet.
const ATTEMPTS_MAX: u32 = 10;
/// How much longer than the last one each pause between attempts is.
const PAUSE_STEP: Duration = Duration::from_millis(10);

/// Rows and columns of the terminal that output goes to; nothing if it is none.
pub(crate) fn console_size() -> [u32; 2] {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return [0, 0];
    }
    rustix::termios::tcgetwinsize(&stdout)
        .map_or([0, 0], |size| [u32::from(size.ws_row), u32::from(size.ws_col)])
}

/// What has a terminal whose size follows ours.
#[derive(Debug, Clone)]
pub(crate) struct Resize {
    /// `/containers/x/resize` or `/exec/x/resize`.
    path: String,
}

impl Resize {
    pub(crate) fn container(id: &str) -> Self {
        Self { path: format!("/containers/{}/resize", escape(id)) }
    }

    pub(crate) fn exec(id: &str) -> Self {
        Self { path: format!("/exec/{}/resize", escape(id)) }
    }

    /// Sets the size to ours.
    pub(crate) fn now(&self, client: &Client) -> bool {
        let [rows, columns] = console_size();
        self.to(client, rows, columns)
    }

    /// Sets the size one off and then right, so that whoever draws on that terminal
    /// draws again, as somebody who has just attached sees nothing yet.
    pub(crate) fn redraw(&self, client: &Client) {
        let [rows, columns] = console_size();
        if [rows, columns] != [0, 0] {
            self.to(client, rows + 1, columns + 1);
        }
    }

    /// Sets the size as soon as there is something to set.
    pub(crate) fn soon(&self, client: &Client) {
        for attempt in 1..=ATTEMPTS_MAX {
            if self.now(client) {
                return;
            }
            thread::sleep(PAUSE_STEP * attempt);
        }
        crate::output::warn("failed to resize tty, using default size");
    }

    fn to(&self, client: &Client, rows: u32, columns: u32) -> bool {
        if (rows, columns) == (0, 0) {
            return true;
        }
        let request = Request::post(self.path.clone())
            .query("h", &rows.to_string())
            .query("w", &columns.to_string());
        client.run(request).is_ok()
    }
}
