//! Handing a descriptor to whoever listens at a socket.

use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;

use anyhow::Context as _;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// Somebody who waits for a descriptor.
#[derive(Debug)]
pub(crate) struct Receiver {
    stream: UnixStream,
}

impl Receiver {
    /// Connects to the socket that `flag` names, if it was given.
    pub(crate) fn connect(flag: &str, path: Option<&str>) -> anyhow::Result<Option<Self>> {
        let Some(path) = path else { return Ok(None) };
        let stream = UnixStream::connect(path)
            .with_context(|| format!("cannot connect to --{flag} `{path}`"))?;
        Ok(Some(Self { stream }))
    }

    /// Hands over `descriptor`. The name is for people.
    pub(crate) fn send(&self, descriptor: BorrowedFd<'_>, name: &str) -> anyhow::Result<()> {
        let descriptors = [descriptor];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        let text = [IoSlice::new(name.as_bytes())];
        sendmsg(&self.stream, &text, &mut ancillary, SendFlags::NOSIGNAL)
            .with_context(|| format!("cannot hand over `{name}`"))?;
        Ok(())
    }
}
