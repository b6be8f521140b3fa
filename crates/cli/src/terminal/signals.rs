//! Signals: sent on to the container, or the end of this program with the terminal restored.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
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

/// How many of them may be on their way to a container at once. If its engine does not take even
/// these, the next one ends this program; it does so, too, once one could not be sent.
const UNDELIVERED_MAX: u32 = 2;

/// Who is told of signals.
#[derive(Debug, Clone, Default)]
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
    let (sender, to_send) = mpsc::channel();
    let undelivered = Arc::new(AtomicU32::new(0));
    {
        let (proxy, undelivered) = (proxy.clone(), Arc::clone(&undelivered));
        // By itself: an engine that does not answer must not keep the next signal from being seen.
        thread::Builder::new().name("signals-sent".to_owned()).spawn(move || {
            for signal in to_send {
                send(signal, &client, &proxy, &undelivered);
            }
        })?;
    }
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            heed(signal, &proxy, &undelivered);
            // Whoever sends them lives as long as this program.
            let _ = sender.send(signal);
        }
    })?;
    Ok(())
}

/// Ends this program, if that is what the signal has to do: nobody else is told of it, or nobody
/// was of so many before.
fn heed(signal: i32, proxy: &Proxy, undelivered: &AtomicU32) {
    if !ENDING.contains(&signal) {
        return;
    }
    let before = undelivered.fetch_add(1, Ordering::SeqCst);
    if proxy.container.is_none() || before >= UNDELIVERED_MAX {
        raw::restore();
        process::exit(128 + signal);
    }
}

fn send(signal: i32, client: &Client, proxy: &Proxy, undelivered: &AtomicU32) {
    if signal == SIGWINCH {
        if let Some(resize) = &proxy.resize {
            resize.now(client);
        }
        return;
    }
    let Some(container) = &proxy.container else { return };
    let Some((_, name)) = FORWARDED.iter().find(|(number, _)| *number == signal) else { return };
    let path = format!("/containers/{}/kill", escape(container));
    match client.run(Request::post(path).query("signal", name)) {
        Err(error) if error.status().is_none() => {
            undelivered.store(UNDELIVERED_MAX, Ordering::SeqCst);
            eprint!(
                "cannot send SIG{name} to container {container}: {error}\r\n\
                 It runs on. Another signal ends this client alone.\r\n"
            );
        }
        // One that has just ended needs no signal any more.
        Ok(()) | Err(_) => undelivered.store(0, Ordering::SeqCst),
    }
}
