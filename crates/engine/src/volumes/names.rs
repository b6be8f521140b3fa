//! Who has a volume's name.
//!
//! One at a time makes or removes what a name stands for ([`Turn`]). What a container that is
//! being made has taken is in use, although the container is not there yet ([`Reservation`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::engine::Parts;

/// The names that somebody has.
#[derive(Debug, Default)]
pub(crate) struct Names {
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    reserved: Mutex<HashMap<String, usize>>,
}

impl Names {
    /// Waits until nobody else changes what the name stands for.
    pub(super) async fn turn(&self, name: &str) -> Turn<'_> {
        let lock = Arc::clone(held(&self.turns).entry(name.to_owned()).or_default());
        Turn { names: self, name: name.to_owned(), held: Some(lock.lock_owned().await) }
    }

    /// Whether a container that is being made has taken it.
    pub(crate) fn is_reserved(&self, name: &str) -> bool {
        held(&self.reserved).contains_key(name)
    }
}

/// The right to change what a name stands for, until this is dropped.
pub(super) struct Turn<'a> {
    names: &'a Names,
    name: String,
    held: Option<OwnedMutexGuard<()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.held = None;
        let mut turns = held(&self.names.turns);
        // Nobody waits for it.
        if turns.get(&self.name).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            turns.remove(&self.name);
        }
    }
}

/// A volume that a container which is being made has taken, until this is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    parts: Arc<Parts>,
    name: String,
}

impl Reservation {
    pub(crate) fn of(parts: &Arc<Parts>, name: &str) -> Self {
        let mut reserved = held(&parts.volumes.names.reserved);
        *reserved.entry(name.to_owned()).or_default() += 1;
        Self { parts: Arc::clone(parts), name: name.to_owned() }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut reserved = held(&self.parts.volumes.names.reserved);
        if let Some(count) = reserved.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                reserved.remove(&self.name);
            }
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_one_persons_at_a_time() {
        let names = Names::default();
        let first = names.turn("data").await;
        let other = names.turn("other").await;
        let mut second = Box::pin(names.turn("data"));
        let is_waiting = tokio::time::timeout(std::time::Duration::ZERO, &mut second).await;
        assert!(is_waiting.is_err());
        drop(first);
        drop(second.await);
        drop(other);
        assert!(held(&names.turns).is_empty(), "nobody has any");
    }
}
