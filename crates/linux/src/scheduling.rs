//! How the kernel shares the processors, the disks and the memory's nodes with a process.
//!
//! The processors that it may use are rustix's `sched_setaffinity`.

use std::io;

/// `struct sched_attr` with the clamps of the processor's use, as the kernel reads it.
///
/// See `sched_setattr(2)`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchedulerAttributes {
    /// Filled in when it is handed over.
    pub size: u32,
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    /// In nanoseconds, as the next two.
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
    pub use_min: u32,
    pub use_max: u32,
}

/// Sets how this process is scheduled. See `sched_setattr(2)`.
pub fn set_scheduler(attributes: SchedulerAttributes) -> io::Result<()> {
    let size = u32::try_from(size_of::<SchedulerAttributes>()).expect("it is a small structure");
    let attributes = SchedulerAttributes { size, ..attributes };
    // SAFETY: the kernel reads `attributes`, of the size stated in it, during the call.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The classes of `ioprio_set(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoClass {
    RealTime = 1,
    BestEffort = 2,
    Idle = 3,
}

/// Sets in which turn this process gets to a disk: `level` is 0 (first) to 7.
///
/// See `ioprio_set(2)`.
pub fn set_io_priority(class: IoClass, level: u8) -> io::Result<()> {
    const WHO_PROCESS: libc::c_int = 1;
    const CLASS_SHIFT: u32 = 13;
    let priority = ((class as libc::c_int) << CLASS_SHIFT) | libc::c_int::from(level);
    // SAFETY: plain numbers; process 0 is this one.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, priority) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets from which nodes this process gets its memory. Bit 0 of the first word of `nodes` is
/// node 0.
///
/// See `set_mempolicy(2)`.
pub fn set_memory_policy(mode: i32, nodes: &[libc::c_ulong]) -> io::Result<()> {
    // The kernel takes one off the number of bits.
    let bits = if nodes.is_empty() { 0 } else { nodes.len() * libc::c_ulong::BITS as usize + 1 };
    let mask = if nodes.is_empty() { std::ptr::null() } else { nodes.as_ptr() };
    // SAFETY: the kernel reads as many bits as stated, less one, from `mask` during the call:
    // the whole of `nodes`; none from a null pointer.
    let result = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes this process, and what it executes, see the kernel as another one: see
/// `personality(2)`.
pub fn set_personality(personality: u32) -> io::Result<()> {
    // SAFETY: a plain number, which changes no memory of ours.
    let result = unsafe { libc::personality(libc::c_ulong::from(personality)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{exit, in_forked_process};

    #[test]
    fn a_process_can_be_treated_otherwise() {
        let code = in_forked_process(|| {
            let nice = SchedulerAttributes { policy: 3, nice: 7, ..Default::default() };
            set_scheduler(nice).unwrap();
            set_io_priority(IoClass::Idle, 0).unwrap();
            set_personality(8).unwrap();
            let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
            let nice = stat.split(' ').nth(18).unwrap();
            assert_eq!(nice, "7");
            assert_eq!(std::fs::read_to_string("/proc/self/personality").unwrap(), "00000008\n");
            exit(0);
        });
        assert_eq!(code.unwrap(), 0);
    }
}
