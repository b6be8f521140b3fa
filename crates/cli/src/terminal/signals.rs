//! Signals: sent on to the container, or the end of this program with the terminal restored.

use std::process;
use std::sync::Arc;
use std::thread;

use docker_api::client::{Client, Request, escape};
use signal_hook::consts::{
    SIGABRT, SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGPROF, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1,
    SIGUSR2, SIGVTALRM, SIGWINCH, SIGXCPU, SIGXFSZ,
};
use signal_hook::iterator::Signals;

use super::raw;
use super::size::Resize;

/// Signals that a container may care for, by the names of the API.
///
/// Not those that a program sends itself by its faults, not SIGCHLD and SIGPIPE, which
/// are about our own affairs, nor SIGTTIN and SIGTTOU: caught, they would let a
/// background job spin on a terminal that it may not use.
const FORWARDED: &[(i32, &str)] = &[
    (SIGHUP, "HUP"),
    (SIGINT, "INT"),
    (SIGQUIT, "QUIT"),
    (SIGABRT, "ABRT"),
    (SIGUSR1, "USR1"),
    (SIGUSR2, "USR2"),
    (SIGALRM, "ALRM"),
    (SIGTERM, "TERM"),
    (SIGCONT, "CONT"),
    (SIGTSTP, "TSTP"),
    (SIGXCPU, "XCPU"),
    (SIGXFSZ, "XFSZ"),
    (SIGVTALRM, "VTALRM"),
    (SIGPROF, "PROF"),
];
/// Signals that end this program when nobody else is told of them.
const ENDING: &[i32] = &[SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// Who is told of signals.
#[derive(Debug, Default)]
pub(crate) struct Proxy {
    /// The container that gets them.
    pub(crate) container: Option<String>,
    /// The terminal that follows ours.
    pub(crate) resize: Option<Resize>,
}

/// Handles signals from now on, until the program ends.
pub(crate) fn forward(client: Arc<Client>, proxy: Proxy) -> std::io::Result<()> {
    let mut caught: Vec<i32> = match proxy.container {
        Some(_) => FORWARDED.iter().map(|(signal, _)| *signal).collect(),
        None => ENDING.to_vec(),
    };
    if proxy.resize.is_some() {
        caught.push(SIGWINCH);
    }
    let mut signals = Signals::new(caught)?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            handle(signal, &client, &proxy);
        }
    })?;
    Ok(())
}

fn handle(signal: i32, client: &Client, proxy: &Proxy) {
    if signal == SIGWINCH {
        if let Some(resize) = &proxy.resize {
            resize.now(client);
        }
        return;
    }
    let Some(container) = &proxy.container else {
        raw::restore();
        process::exit(128 + signal);
    };
    if let Some((_, name)) = FORWARDED.iter().find(|(number, _)| *number == signal) {
        let path = format!("/containers/{}/kill", escape(container));
        // One that has just ended needs no signal any more.
        let _ = client.run(Request::post(path).query("signal", name));
    }
}
