//! A storm: many clients at work, while the daemon is killed again and again.
//!
//! Each client lives through one container after the other ([`lives`]): it creates, starts,
//! attaches, follows logs, executes, stops and removes over the API, and checks everything that
//! it is told. When its connection breaks it looks where things stand and goes on, as a careful
//! client does ([`caller`]). Meanwhile the daemon is killed (`SIGKILL`) at a fixed interval, and
//! started again at once. In the end nothing may be lost, doubled, wrong, stuck or left behind.

mod caller;
mod evidence;
mod lives;
mod report;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::host::Host;
use crate::patience::PATIENCE;

use caller::Caller;
pub use report::StormReport;
use report::Tally;

/// How a storm blows.
#[derive(Debug, Clone, Copy)]
pub struct Storm {
    pub duration: Duration,
    pub clients: u32,
    /// Between one death of the daemon and the next.
    pub interval: Duration,
    /// What the clients do follows from it; when the daemon dies meanwhile does not.
    pub seed: u64,
}

/// Problems after which a storm is broken off: more of them say nothing new.
const PROBLEMS_MAX: usize = 20;

impl Storm {
    /// Lets it blow over `host`, which has no containers, and tells what happened.
    pub fn blow(&self, host: &Host) -> StormReport {
        // Whatever is made at the first use and stays.
        host.docker("run --rm busybox true").succeeds();
        host.await_no_run_folders();
        let before = host.traces();
        let tally = Mutex::new(Tally::default());
        let is_over = AtomicBool::new(false);
        let clients_left = AtomicU64::new(self.clients.into());
        let began = Instant::now();
        let run_folders = &host.exec_root().join("containers");
        let (mut kills, mut problems) = (0, Vec::new());
        std::thread::scope(|scope| {
            for number in 0..self.clients {
                let caller = Caller::new(host.socket(), number, self.seed);
                let (is_over, tally, clients_left) = (&is_over, &tally, &clients_left);
                scope.spawn(move || {
                    let own = live(run_folders, caller, is_over);
                    tally.lock().expect("no client panics with it").add(own);
                    clients_left.fetch_sub(1, Ordering::SeqCst);
                });
            }
            while began.elapsed() < self.duration && clients_left.load(Ordering::SeqCst) > 0 {
                std::thread::sleep(self.interval);
                if let Err(problem) = host.kill_and_launch_daemon() {
                    problems.push(problem);
                    break;
                }
                kills += 1;
            }
            is_over.store(true, Ordering::SeqCst);
        });
        let duration = began.elapsed();
        host.await_daemon();
        let mut tally = tally.into_inner().expect("no client panicked with it");
        tally.problems.append(&mut problems);
        let left = host.answer("ps --all --quiet");
        if !left.is_empty() {
            tally.problems.push(format!("containers are left: {left}"));
        } else if let Err(difference) = host.compare_traces(&before, PATIENCE) {
            tally.problems.push(difference);
        }
        StormReport { duration, kills, clients: self.clients, tally }
    }
}

/// One life after the other.
fn live(run_folders: &Path, mut caller: Caller, is_over: &AtomicBool) -> Tally {
    while !is_over.load(Ordering::SeqCst) && caller.tally.problems.len() < PROBLEMS_MAX {
        if let Err(problem) = lives::one(&mut caller) {
            let evidence = evidence::of_last_container(run_folders, &mut caller);
            caller.tally.problems.push(format!("{problem}\n  {evidence}"));
        }
        caller.tally.lives += 1;
    }
    caller.tally
}
