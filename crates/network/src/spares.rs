//! Things that are made in advance.
//!
//! Making a network namespace and a link costs the kernel a millisecond, and ten when it is
//! taking another one apart, as both need the same lock. Nobody has to wait for that: a
//! thread makes a few while nothing else is to be done, and a container takes one of them.
//!
//! A spare is held by nothing but descriptors of this process, so that none outlives it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// How much less than others the maker wants to run: a container that is starting comes
/// first. See `nice(2)`.
const NICE: i32 = 10;

/// What is ready.
#[derive(Debug)]
pub(crate) struct Spares<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    ready: VecDeque<T>,
    /// How many need one now. None is made meanwhile, so as not to be in their way.
    users: usize,
    is_making: bool,
    /// The last one could not be made. It is tried again after the next use.
    has_failed: bool,
    is_closed: bool,
}

impl<T> State<T> {
    /// Whether one should be made now.
    fn is_short_of(&self, target: usize) -> bool {
        self.ready.len() < target && self.users == 0 && !self.has_failed
    }
}

impl<T> Default for Spares<T> {
    fn default() -> Self {
        let state = State {
            ready: VecDeque::new(),
            users: 0,
            is_making: false,
            has_failed: false,
            is_closed: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl<T> Spares<T> {
    /// Takes one. It is replaced after the [`pause`](Self::pause) that it is taken in.
    pub(crate) fn take(&self) -> Option<T> {
        self.lock().ready.pop_front()
    }

    /// Takes one, after the one that is being made is done.
    pub(crate) fn take_finished(&self) -> Option<T> {
        let state = self.changed.wait_while(self.lock(), |state| state.is_making);
        state.unwrap_or_else(PoisonError::into_inner).ready.pop_front()
    }

    /// Nothing is begun until the guard goes.
    pub(crate) fn pause(&self) -> Pause<'_, T> {
        self.lock().users += 1;
        Pause(self)
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

    /// Notes what became of the one that was begun.
    fn finish(&self, spare: Option<T>) {
        let mut state = self.lock();
        state.is_making = false;
        state.has_failed = spare.is_none();
        state.ready.extend(spare);
        self.changed.notify_all();
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Every change is one step that leaves the state consistent, whoever panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody needs one now.
#[derive(Debug)]
pub(crate) struct Pause<'a, T>(&'a Spares<T>);

impl<T> Drop for Pause<'_, T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.users -= 1;
        state.has_failed = false;
        if state.users == 0 {
            self.0.changed.notify_all();
        }
    }
}

/// The thread that makes them. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Maker<T> {
    spares: Arc<Spares<T>>,
    /// Without it, each is made when it is needed.
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Maker<T> {
    /// Keeps `target` of them ready. What `make` cannot make it says itself.
    pub(crate) fn start(
        spares: Arc<Spares<T>>,
        target: usize,
        make: impl Fn() -> Option<T> + Send + 'static,
    ) -> Self {
        let stock = Arc::clone(&spares);
        let work = move || {
            // Not being polite does no harm. Each thread of Linux's has its own niceness.
            let _ = rustix::process::setpriority_process(None, NICE);
            while stock.begin(target) {
                stock.finish(make());
            }
        };
        let thread = thread::Builder::new()
            .name("network-spares".to_owned())
            .spawn(work)
            .inspect_err(|error| tracing::debug!(%error, "no thread to make spares"))
            .ok();
        Self { spares, thread }
    }
}

impl<T> Drop for Maker<T> {
    fn drop(&mut self) {
        self.spares.close();
        if let Some(thread) = self.thread.take() {
            // If it panicked, it has said so.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::{Maker, Spares};

    #[test]
    fn as_many_as_wanted_are_made() {
        let spares = Arc::new(Spares::default());
        let next = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&next);
        let make = move || Some(counter.fetch_add(1, Ordering::SeqCst));
        let maker = Maker::start(Arc::clone(&spares), 2, make);
        while next.load(Ordering::SeqCst) < 2 {
            std::thread::yield_now();
        }
        let pause = spares.pause();
        assert_eq!(spares.take_finished(), Some(0));
        drop(pause);
        while next.load(Ordering::SeqCst) < 3 {
            std::thread::yield_now();
        }
        drop(maker);
        assert_eq!([spares.take(), spares.take(), spares.take()], [Some(1), Some(2), None]);
    }

    #[test]
    fn none_is_begun_while_one_is_needed() {
        let spares = Arc::new(Spares::<u32>::default());
        let pause = spares.pause();
        let maker = Maker::start(Arc::clone(&spares), 1, || panic!("there is somebody in a hurry"));
        drop(maker);
        drop(pause);
        assert_eq!(spares.take(), None);
    }

    #[test]
    fn what_fails_is_tried_again_after_the_next_use() {
        let spares = Arc::new(Spares::<u32>::default());
        let tries = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&tries);
        let make = move || (counter.fetch_add(1, Ordering::SeqCst) > 0).then_some(7);
        let _maker = Maker::start(Arc::clone(&spares), 1, make);
        while tries.load(Ordering::SeqCst) < 1 {
            std::thread::yield_now();
        }
        assert_eq!(spares.take_finished(), None);
        drop(spares.pause());
        while tries.load(Ordering::SeqCst) < 2 {
            std::thread::yield_now();
        }
        assert_eq!(spares.take_finished(), Some(7));
    }
}
