//! Endpoints made in advance.
//!
//! Making a namespace and a link costs the kernel a millisecond, and ten when it is taking
//! another one apart, as both need the same lock. Nobody has to wait for that: a thread
//! makes a few while nothing else is to be done, and attaching takes one of them.
//!
//! A spare is held by nothing but a descriptor of this process, so none outlives it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::Bridge;
use super::endpoint::Plan;

/// How much less than others the maker wants to run: a container that is starting comes
/// first. See `nice(2)`.
const NICE: i32 = 10;

/// An endpoint that nobody has yet.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) plan: Plan,
    pub(super) netns: OwnedFd,
}

#[derive(Debug, Default)]
pub(super) struct Spares {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ready: BTreeMap<Ipv4Addr, Spare>,
    /// How many are attaching now. None is made meanwhile, so as not to be in their way.
    attaching: usize,
    /// One is being made. It has its address already.
    is_making: bool,
    /// The last one could not be made. It is tried again after the next attachment.
    has_failed: bool,
    is_closed: bool,
}

impl State {
    /// Whether one should be made now.
    fn is_short_of(&self, target: usize) -> bool {
        self.ready.len() < target && self.attaching == 0 && !self.has_failed
    }
}

impl Spares {
    /// Takes the one with the lowest address.
    pub(super) fn take(&self) -> Option<Spare> {
        self.lock().ready.pop_first().map(|(_, spare)| spare)
    }

    /// Takes one, after the one that is being made is done.
    pub(super) fn take_finished(&self) -> Option<Spare> {
        let mut state = self
            .changed
            .wait_while(self.lock(), |state| state.is_making)
            .unwrap_or_else(PoisonError::into_inner);
        state.ready.pop_first().map(|(_, spare)| spare)
    }

    /// Nothing is made until the guard goes.
    pub(super) fn pause(&self) -> Pause<'_> {
        self.lock().attaching += 1;
        Pause(self)
    }

    /// Notes what became of the one that was being made.
    fn finish(&self, spare: Option<Spare>) {
        let mut state = self.lock();
        state.is_making = false;
        state.has_failed = spare.is_none();
        state.ready.extend(spare.map(|spare| (spare.plan.address, spare)));
        self.changed.notify_all();
    }

    /// Waits until there are fewer than `target`, and begins one. `false`: it is time to leave.
    fn begin(&self, target: usize) -> bool {
        let mut state = self
            .changed
            .wait_while(self.lock(), |state| !state.is_closed && !state.is_short_of(target))
            .unwrap_or_else(PoisonError::into_inner);
        state.is_making = !state.is_closed;
        state.is_making
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is one step that leaves the state consistent, whoever panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attachment is being made.
#[derive(Debug)]
pub(super) struct Pause<'a>(&'a Spares);

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.attaching -= 1;
        state.has_failed = false;
        if state.attaching == 0 {
            self.0.changed.notify_all();
        }
    }
}

/// The thread that makes them. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Maker {
    bridge: Arc<Bridge>,
    /// Without it, every endpoint is made when it is needed.
    thread: Option<JoinHandle<()>>,
}

impl Maker {
    pub(crate) fn start(bridge: Arc<Bridge>, target: usize) -> Self {
        let worker = Arc::clone(&bridge);
        let thread = thread::Builder::new()
            .name("network-spares".to_owned())
            .spawn(move || make(&worker, target))
            .inspect_err(|error| tracing::debug!(%error, "no thread for spare endpoints"))
            .ok();
        Self { bridge, thread }
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.bridge.spares.close();
        if let Some(thread) = self.thread.take() {
            // It panicked if it does not end well, and has said so.
            let _ = thread.join();
        }
    }
}

fn make(bridge: &Bridge, target: usize) {
    // It would only be politer. Of Linux's threads each has a niceness of its own.
    let _ = rustix::process::setpriority_process(None, NICE);
    while bridge.spares.begin(target) {
        bridge.spares.finish(bridge.make_spare());
    }
}
