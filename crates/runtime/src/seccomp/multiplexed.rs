//! Calls that have two entrances.
//!
//! Older architectures have one call for all of sockets and one for all of System V's IPC,
//! whose first argument says which call is meant. A rule for `socket` has to hold for
//! `socketcall(SYS_SOCKET, …)` too, or a program would walk around it. The other arguments are
//! in memory there, where a filter cannot look.

/// A call whose first argument says which call is meant.
#[derive(Debug)]
pub(super) struct Multiplexer {
    pub(super) name: &'static str,
    /// The bits of the first argument that the kernel looks at.
    pub(super) mask: u64,
    pub(super) calls: &'static [(&'static str, u64)],
}

/// The kernel's numbers are in `linux/net.h` and `linux/ipc.h`.
pub(super) const MULTIPLEXERS: [Multiplexer; 2] = [
    Multiplexer {
        name: "socketcall",
        mask: 0xffff_ffff,
        calls: &[
            ("socket", 1),
            ("bind", 2),
            ("connect", 3),
            ("listen", 4),
            ("accept", 5),
            ("getsockname", 6),
            ("getpeername", 7),
            ("socketpair", 8),
            ("send", 9),
            ("recv", 10),
            ("sendto", 11),
            ("recvfrom", 12),
            ("shutdown", 13),
            ("setsockopt", 14),
            ("getsockopt", 15),
            ("sendmsg", 16),
            ("recvmsg", 17),
            ("accept4", 18),
            ("recvmmsg", 19),
            ("sendmmsg", 20),
        ],
    },
    Multiplexer {
        name: "ipc",
        // Above is a version, which chooses between layouts of the other arguments.
        mask: 0xffff,
        calls: &[
            ("semop", 1),
            ("semget", 2),
            ("semctl", 3),
            ("semtimedop", 4),
            ("msgsnd", 11),
            ("msgrcv", 12),
            ("msgget", 13),
            ("msgctl", 14),
            ("shmat", 21),
            ("shmdt", 22),
            ("shmget", 23),
            ("shmctl", 24),
        ],
    },
];
