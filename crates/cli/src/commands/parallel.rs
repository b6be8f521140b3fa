//! The same request for several objects, side by side, told in the order they were named.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use docker_api::client::Client;

use crate::failure::Failure;
use crate::output;

/// How many requests are under way at once.
const PARALLEL_MAX: usize = 50;

/// Does `work` for each name and prints those for which it succeeded.
pub(crate) fn for_each(
    client: &Arc<Client>,
    names: &[String],
    work: impl Fn(&Client, &str) -> Result<(), Failure> + Sync,
) -> Result<(), Failure> {
    let mut failures = Vec::new();
    for (name, result) in names.iter().zip(all(client, names, work)) {
        match result {
            Ok(()) => output::print(&format!("{name}\n"))?,
            Err(failure) => failures.push(failure),
        }
    }
    super::finish(failures)
}

/// Does `work` for each name and gives what came of it, in their order.
pub(crate) fn all<T: Send>(
    client: &Arc<Client>,
    names: &[String],
    work: impl Fn(&Client, &str) -> Result<T, Failure> + Sync,
) -> Vec<Result<T, Failure>> {
    // One needs no thread.
    if let [name] = names {
        return vec![work(client, name)];
    }
    let next = AtomicUsize::new(0);
    let (client, work, next) = (&**client, &work, &next);
    let worker = move || {
        let mut results = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(name) = names.get(index) else { return results };
            results.push((index, work(client, name)));
        }
    };
    let mut results = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..names.len().min(PARALLEL_MAX)).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("a panic ends the whole program"))
            .collect::<Vec<_>>()
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
