//! Network namespaces as descriptors, and working inside one.
//!
//! A thread that has moved to another namespace is of no use to anybody else, so the work
//! inside one is done by a thread of its own, which ends with it.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::panic::resume_unwind;
use std::thread;

use rustix::fs::{Mode, OFlags, open};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::namespaces::{Namespaces, unshare};

/// The stack of a thread that sends a few messages to the kernel.
const STACK_SIZE: usize = 128 * 1024;

/// The network namespace that this thread is in.
pub fn current() -> io::Result<OwnedFd> {
    Ok(open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Does some work in a new network namespace, in which `lo` is down.
///
/// The namespace goes when the work ends, unless the work returns a descriptor of it.
pub fn in_new<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    on_own_thread(|| {
        unshare(Namespaces::NETWORK)?;
        Ok(work())
    })
}

/// Does some work in an existing network namespace.
pub fn inside<T: Send>(
    namespace: BorrowedFd<'_>,
    work: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    on_own_thread(|| {
        move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?;
        Ok(work())
    })
}

fn on_own_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("network-namespace".to_owned())
            .stack_size(STACK_SIZE)
            .spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use rustix::fs::fstat;

    use super::{current, in_new, inside};

    #[test]
    fn work_is_done_in_the_namespace_and_nowhere_else() {
        let number = |namespace| fstat(namespace).unwrap().st_ino;
        let outer = number(current().unwrap());
        let inner = in_new(|| current().unwrap()).unwrap();
        let again = inside(inner.as_fd(), || current().unwrap()).unwrap();

        let inner = number(inner);
        assert_ne!(inner, outer);
        assert_eq!(number(again), inner);
        assert_eq!(number(current().unwrap()), outer);
    }
}
