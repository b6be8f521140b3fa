//! Listening to many containers at once: a thread for each, and one for who comes and goes.
//!
//! The threads are nobody's: they wait for the daemon, and end with the program.

use std::io::{BufRead as _, BufReader};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use docker_api::Filters;
use docker_api::client::{Client, Request};
use docker_api::containers::StatsResponse;
use docker_api::events::EventMessage;

use super::entry::Entry;
use crate::commands::container_path;
use crate::failure::Failure;

/// How old figures may be and still be shown.
const AGE_MAX: Duration = Duration::from_secs(2);

/// A thread that reads lines and parses small documents.
const STACK_BYTES: usize = 256 << 10;

/// Everything that is listened to.
pub(super) struct Watch {
    client: Arc<Client>,
    /// Every container there is, and not those that were named.
    follows: bool,
    all: bool,
    state: Mutex<State>,
    has_changed: Condvar,
}

#[derive(Default)]
struct State {
    containers: Vec<Watched>,
    /// The daemon has gone, or has refused.
    end: Option<Result<(), String>>,
}

struct Watched {
    entry: Entry,
    heard_at: Instant,
    has_been_heard: bool,
    failure: Option<Failure>,
}

impl Watch {
    /// Returns once something is known of each container, or is not in time.
    pub(super) fn start(
        client: &Arc<Client>,
        names: &[String],
        all: bool,
    ) -> Result<Arc<Self>, Failure> {
        let watch = Arc::new(Self {
            client: Arc::clone(client),
            follows: names.is_empty(),
            all,
            state: Mutex::default(),
            has_changed: Condvar::new(),
        });
        if names.is_empty() {
            // Before the list is asked for, so that nobody is missed between the two.
            watch.follow_events()?;
            for id in super::running(client, all)? {
                watch.add(&id)?;
            }
        }
        for name in names {
            watch.add(name)?;
        }
        watch.await_first();
        if watch.follows { Ok(watch) } else { watch.refuse_failed().map(|()| watch) }
    }

    /// What is known now.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let mut state = self.lock();
        for watched in &mut state.containers {
            if watched.heard_at.elapsed() > AGE_MAX || watched.failure.is_some() {
                watched.entry.forget();
            }
        }
        state.containers.iter().map(|watched| watched.entry.clone()).collect()
    }

    /// Whether there is nothing more to come, and why.
    pub(super) fn end(&self) -> Option<Result<(), Failure>> {
        let state = self.lock();
        let is_empty = state.containers.is_empty() && !self.follows;
        let told = state.end.clone().map(|end| end.map_err(Failure::new));
        told.or(is_empty.then_some(Ok(())))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn await_first(&self) {
        let state = self.lock();
        let is_waiting = |state: &mut State| {
            state.end.is_none() && state.containers.iter().any(|watched| !watched.has_been_heard)
        };
        let _ = self.has_changed.wait_timeout_while(state, AGE_MAX, is_waiting);
    }

    /// What was asked for by name has to be there.
    fn refuse_failed(&self) -> Result<(), Failure> {
        let mut state = self.lock();
        let failures = state.containers.iter_mut().filter_map(|watched| watched.failure.take());
        Failure::join(failures.collect())
    }

    /// Listens to a container, unless it is listened to already.
    fn add(self: &Arc<Self>, name: &str) -> Result<(), Failure> {
        let mut state = self.lock();
        if state.containers.iter().any(|watched| watched.entry.asked_for == name) {
            return Ok(());
        }
        state.containers.push(Watched {
            entry: Entry::new(name),
            heard_at: Instant::now(),
            has_been_heard: false,
            failure: None,
        });
        drop(state);
        let (watch, name) = (Arc::clone(self), name.to_owned());
        spawn(move || {
            let failure = watch.listen(&name).err();
            watch.update(&name, |watched| {
                watched.failure = failure.or_else(|| Some(Failure::new("EOF")));
            });
        })
    }

    fn remove(&self, name: &str) {
        self.lock().containers.retain(|watched| watched.entry.asked_for != name);
    }

    fn update(&self, name: &str, change: impl FnOnce(&mut Watched)) {
        let mut state = self.lock();
        let mut containers = state.containers.iter_mut();
        if let Some(watched) = containers.find(|watched| watched.entry.asked_for == name) {
            change(watched);
            watched.has_been_heard = true;
        }
        self.has_changed.notify_all();
    }

    fn listen(&self, name: &str) -> Result<(), Failure> {
        let request = Request::get(container_path(name, "/stats")).query("stream", "1");
        let mut reader = BufReader::new(self.client.send(request)?.into_body());
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 {
            let stats: StatsResponse = serde_json::from_str(&line)?;
            self.update(name, |watched| {
                watched.entry = Entry::of(name, &stats);
                watched.heard_at = Instant::now();
            });
            line.clear();
        }
        Ok(())
    }

    /// Adds who starts, and removes who ends.
    fn follow_events(self: &Arc<Self>) -> Result<(), Failure> {
        let mut filters = Filters::default();
        filters.add("type", "container");
        let request = Request::get("/events").query("filters", &filters.to_json());
        let client = Arc::clone(&self.client);
        let body = client.send(request)?.into_body();
        let watch = Arc::clone(self);
        spawn(move || {
            let mut reader = BufReader::new(body);
            let mut line = String::new();
            // A daemon that goes, even in the middle of a line, is no failure of this command.
            while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
                if let Ok(event) = serde_json::from_str::<EventMessage>(&line) {
                    watch.heed(&event);
                }
                line.clear();
            }
            watch.lock().end = Some(Ok(()));
            watch.has_changed.notify_all();
        })
    }

    fn heed(self: &Arc<Self>, event: &EventMessage) {
        let id = &event.actor.id;
        let added = match event.action.as_str() {
            "create" if self.all => self.add(id),
            "start" => self.add(id),
            "die" if !self.all => return self.remove(id),
            "destroy" => return self.remove(id),
            _ => return,
        };
        if let Err(failure) = added {
            self.lock().end = Some(Err(failure.message));
        }
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let thread = thread::Builder::new().name("stats".to_owned()).stack_size(STACK_BYTES);
    thread.spawn(work)?;
    Ok(())
}
