//! A client in a terminal, as a person would use it.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::client::Stream;
use crate::patience::eventually;

/// A client whose input and output is a terminal. It is killed when dropped.
#[derive(Debug)]
pub struct TerminalClient {
    command: String,
    child: Child,
    master: File,
    screen: Stream,
}

impl TerminalClient {
    /// Starts a client in a new terminal of 24 rows and 80 columns.
    pub(crate) fn start(client: &Command, shown: &str) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there is a ptmx");
        grantpt(&master).expect("it is our terminal");
        unlockpt(&master).expect("it is our terminal");
        resize(&master, 24, 80);
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        let name = name.to_str().expect("terminals have plain names");
        let slave = OpenOptions::new().read(true).write(true).open(name).expect("it exists");
        let copy = || Stdio::from(slave.try_clone().expect("a descriptor can be copied"));

        // `setsid --ctty` makes it the controlling terminal, so that the client is told
        // of its resizing and the keys send their signals.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg("--").arg(client.get_program()).args(client.get_args());
        for (name, value) in client.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(copy()).stdout(copy()).stderr(copy());
        let child = command.spawn().expect("setsid (util-linux) can be run");

        let master = File::from(master);
        let screen = Stream::read(master.try_clone().expect("a descriptor can be copied"));
        Self { command: shown.to_owned(), child, master, screen }
    }

    /// Waits until the screen has shown `part`.
    #[track_caller]
    pub fn shows(&self, part: &str) -> &Self {
        eventually(&format!("{part:?} on the screen of `{}`", self.command), || {
            let screen = self.screen.text();
            let ended = self.screen.is_over();
            assert!(
                screen.contains(part) || !ended,
                "`{}` ended without {part:?}; it showed {screen:?}",
                self.command
            );
            screen.contains(part).then_some(())
        });
        self
    }

    /// Everything that was on the screen so far.
    pub fn screen(&self) -> String {
        self.screen.text()
    }

    /// Presses keys. `\x03` is Ctrl-C, `\x10\x11` is Ctrl-P Ctrl-Q.
    pub fn types(&mut self, keys: &str) -> &mut Self {
        self.master.write_all(keys.as_bytes()).expect("a terminal takes keys");
        self
    }

    /// Makes the window another size, as pulling at its corner does.
    pub fn resizes(&mut self, rows: u16, columns: u16) -> &mut Self {
        resize(&self.master, rows, columns);
        self
    }

    /// Waits for the client to end by itself, and returns its exit status.
    #[track_caller]
    pub fn finish(mut self) -> i32 {
        let what = format!("the end of `{}`", self.command);
        let status = eventually(&what, || self.child.try_wait().expect("it is our child"));
        status.code().expect("a client in a terminal exits by itself")
    }
}

impl Drop for TerminalClient {
    fn drop(&mut self) {
        // It may have ended by itself, which is all that is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: impl std::os::fd::AsFd, rows: u16, columns: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).expect("it is a terminal");
}
