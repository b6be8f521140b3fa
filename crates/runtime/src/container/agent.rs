//! The seccomp agent: the program that answers what a filter asks (`SCMP_ACT_NOTIFY`).
//!
//! The kernel makes a descriptor for the questions in the process that installs the filter. That
//! process cannot send it anywhere: to send may be one of the things to ask about. So its maker
//! takes a copy of it, and sends that on with the process's state, as the specification has it.

use std::collections::HashMap;
use std::io::{self, IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, RawFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};

use oci::runtime::Spec;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Pid, PidfdGetfdFlags, pidfd_getfd};
use serde_json::{Value, json};

use crate::error::ProcessError;

/// Where the agent is, and what it is to be told.
#[derive(Debug)]
pub(super) struct Agent {
    path: PathBuf,
    metadata: String,
    annotations: HashMap<String, String>,
}

/// A process that has just installed the filter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Newcomer<'a> {
    pub(super) pid: Pid,
    pub(super) pidfd: BorrowedFd<'a>,
    /// The number of its descriptor.
    pub(super) listener: RawFd,
}

impl Agent {
    pub(super) fn of(spec: &Spec) -> Option<Self> {
        let seccomp = spec.linux().as_ref()?.seccomp().as_ref()?;
        Some(Self {
            path: seccomp.listener_path().clone()?,
            metadata: seccomp.listener_metadata().clone().unwrap_or_default(),
            annotations: spec.annotations().clone().unwrap_or_default(),
        })
    }

    /// Tells the agent of a process. `state` is the container's.
    pub(super) fn tell(&self, newcomer: Newcomer<'_>, state: Value) -> Result<(), ProcessError> {
        let number = newcomer.listener;
        let listener = pidfd_getfd(newcomer.pidfd, number, PidfdGetfdFlags::empty())
            .map_err(|error| ProcessError::system("take the filter's listener")(error.into()))?;
        let text = self.message(newcomer.pid, state).to_string();
        // runc's words, which tests and people look for.
        let error = |doing: &str, error: io::Error| {
            let reason = format!("{doing}: `{}`: {error}", self.path.display());
            ProcessError::invalid("linux.seccomp.listenerPath", reason)
        };
        let agent = connect(&self.path).map_err(|source| {
            error("failed to connect with seccomp agent specified in the seccomp profile", source)
        })?;
        send(agent, text.as_bytes(), listener.as_fd())
            .map_err(|source| error("cannot send seccomp fd", source))
    }

    /// The specification's `ContainerProcessState`.
    fn message(&self, pid: Pid, mut state: Value) -> Value {
        if !self.annotations.is_empty() {
            state["annotations"] = json!(self.annotations);
        }
        let mut message = json!({
            "ociVersion": state["ociVersion"],
            "fds": ["seccompFd"],
            "pid": pid.as_raw_nonzero().get(),
        });
        if !self.metadata.is_empty() {
            message["metadata"] = json!(self.metadata);
        }
        message["state"] = state;
        message
    }
}

/// A name that begins with `@` is in no file system, as Go has it.
fn connect(path: &Path) -> io::Result<UnixStream> {
    match path.as_os_str().as_bytes() {
        [b'@', name @ ..] => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?),
        _ => UnixStream::connect(path),
    }
}

fn send(mut agent: UnixStream, text: &[u8], listener: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [listener];
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    let sent = rustix::io::retry_on_intr(|| {
        sendmsg(&agent, &[IoSlice::new(text)], &mut ancillary, SendFlags::NOSIGNAL)
    })?;
    // The descriptor went with the first byte.
    agent.write_all(&text[sent..])
}
