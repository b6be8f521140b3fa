//! Messages as bytes: framing, and the descriptors that travel with them.
//!
//! [`encode`] and [`FrameDecoder`] know no socket, so blocking code and an event loop use
//! the same ones. [`send`] and [`receive`] move bytes and descriptors through a Unix socket.
//!
//! The kernel passes at most 253 descriptors with one `sendmsg` (`SCM_MAX_FD`). More of them
//! are spread over the first bytes of the message, so a reader gathers descriptors until the
//! message is whole.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::protocol::MESSAGE_BYTES_MAX;

/// Bytes of a frame's length.
const LENGTH_BYTES: usize = 4;

/// Descriptors that one `sendmsg` carries: `SCM_MAX_FD` of the kernel.
const DESCRIPTORS_A_CALL: usize = 253;

/// What came in cannot be a message.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("a message of {bytes} bytes is larger than the {MESSAGE_BYTES_MAX} that are allowed")]
    TooLarge { bytes: usize },
    #[error("cannot understand a message")]
    Malformed { source: serde_json::Error },
}

/// A message with its length in front.
pub fn encode(message: &impl Serialize) -> Vec<u8> {
    let mut frame = vec![0; LENGTH_BYTES];
    serde_json::to_writer(&mut frame, message)
        .expect("messages have string keys and a vector takes every byte");
    let length = u32::try_from(frame.len() - LENGTH_BYTES).expect("messages are far below 4 GiB");
    frame[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    frame
}

/// Cuts a stream of bytes into messages.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
}

impl FrameDecoder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes as they arrive, whatever their boundaries.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message's JSON, if it has arrived.
    ///
    /// # Errors
    ///
    /// After [`FrameError::TooLarge`] the stream is of no more use.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let Some(length) = self.buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > MESSAGE_BYTES_MAX {
            return Err(FrameError::TooLarge { bytes: length });
        }
        let end = LENGTH_BYTES + length;
        if self.buffer.len() < end {
            return Ok(None);
        }
        let rest = self.buffer.split_off(end);
        let mut frame = std::mem::replace(&mut self.buffer, rest);
        frame.drain(..LENGTH_BYTES);
        Ok(Some(frame))
    }

    /// The next whole message, if it has arrived.
    ///
    /// # Errors
    ///
    /// After [`FrameError::Malformed`] the next message can still be read.
    pub fn next_message<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        self.next_frame()?
            .map(|frame| serde_json::from_slice(&frame))
            .transpose()
            .map_err(|source| FrameError::Malformed { source })
    }
}

/// Sends some of `bytes`, with all of `descriptors` on them; says how many bytes went.
///
/// With more descriptors than one call carries, several bytes are sent by as many calls.
pub fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut sent = 0;
    let mut groups = descriptors.chunks(DESCRIPTORS_A_CALL).peekable();
    while let Some(group) = groups.next() {
        // One byte for each group but the last, which takes all the rest.
        let end = if groups.peek().is_some() { sent + 1 } else { bytes.len() };
        sent += send_group(socket, &bytes[sent..end], group)?;
    }
    if descriptors.is_empty() {
        sent = send_group(socket, bytes, &[])?;
    }
    Ok(sent)
}

fn send_group(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_A_CALL))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let sent = rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)
    })?;
    Ok(sent)
}

/// Reads what is there into `buffer`, and the descriptors on it into `descriptors`. 0 is the
/// end of the stream.
pub fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_A_CALL))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(
            socket,
            &mut [IoSliceMut::new(buffer)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )
    })?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{Answer, Request};

    #[test]
    fn a_message_survives_any_cutting() {
        let mut stream = encode(&Request::State);
        stream.extend(encode(&Request::Signal { signal: 15, all: true, last_run: false }));
        let mut decoder = FrameDecoder::new();
        let mut seen = Vec::new();
        for byte in stream {
            decoder.feed(&[byte]);
            while let Some(request) = decoder.next_message::<Request>().unwrap() {
                seen.push(request);
            }
        }
        assert!(matches!(
            seen[..],
            [Request::State, Request::Signal { signal: 15, all: true, last_run: false }]
        ));
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_its_bytes_come() {
        let mut decoder = FrameDecoder::new();
        decoder.feed(&u32::MAX.to_be_bytes());
        assert!(matches!(decoder.next_frame(), Err(FrameError::TooLarge { .. })));
    }

    #[test]
    fn after_a_message_of_an_unknown_kind_the_next_one_is_read() {
        let mut decoder = FrameDecoder::new();
        decoder.feed(&encode(&serde_json::json!({"levitate": {"height": 3}})));
        decoder.feed(&encode(&Request::State));
        assert!(matches!(decoder.next_message::<Request>(), Err(FrameError::Malformed { .. })));
        assert!(matches!(decoder.next_message(), Ok(Some(Request::State))));
    }

    #[test]
    fn more_descriptors_than_one_call_carries_arrive_in_order() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let descriptors: Vec<_> = (0..600)
            .map(|number| if number == 599 { writer.as_fd() } else { reader.as_fd() })
            .collect();
        let frame = encode(&Answer::Done);
        assert_eq!(send(ours.as_fd(), &frame, &descriptors).unwrap(), frame.len());

        let mut decoder = FrameDecoder::new();
        let mut received = Vec::new();
        let mut buffer = [0; 1024];
        let answer = loop {
            let count = receive(theirs.as_fd(), &mut buffer, &mut received).unwrap();
            decoder.feed(&buffer[..count]);
            if let Some(answer) = decoder.next_message::<Answer>().unwrap() {
                break answer;
            }
        };
        assert!(matches!(answer, Answer::Done));
        assert_eq!(received.len(), 600);
        rustix::io::write(&received[599], b"x").unwrap();
        let mut byte = [0];
        rustix::io::read(&received[0], &mut byte).unwrap();
        assert_eq!(&byte, b"x");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..16)) {
            let mut decoder = FrameDecoder::new();
            for piece in pieces {
                decoder.feed(&piece);
                while let Ok(Some(_)) | Err(FrameError::Malformed { .. }) = decoder.next_message::<Request>() {}
            }
        }
    }
}
