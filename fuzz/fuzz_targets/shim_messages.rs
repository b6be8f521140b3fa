//! What a daemon and a shim send each other: any bytes, cut anywhere.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeOwned;
use shim::protocol::{Answer, Born, Event, Launch, Request, State};
use shim::wire::{FrameDecoder, FrameError, encode};

/// Reads all messages of a stream that comes in pieces of `piece` bytes.
fn read<T: DeserializeOwned + serde::Serialize>(stream: &[u8], piece: usize) {
    let mut decoder = FrameDecoder::new();
    for piece in stream.chunks(piece.max(1)) {
        decoder.feed(piece);
        loop {
            match decoder.next_message::<T>() {
                Ok(Some(message)) => drop(encode(&message)),
                Err(FrameError::Malformed { .. }) => {}
                Ok(None) => break,
                Err(FrameError::TooLarge { .. }) => return,
            }
        }
    }
}

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (piece, bytes) = input;
    read::<Request>(&bytes, usize::from(piece));
    // The text of one message, with the right length in front, is what a fuzzer would not find.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let frame = [&length.to_be_bytes(), bytes.as_slice()].concat();
    read::<Request>(&frame, usize::from(piece));
    read::<Answer>(&frame, usize::from(piece));
    read::<Event>(&frame, usize::from(piece));
    let _ = serde_json::from_slice::<Launch>(&bytes);
    let _ = serde_json::from_slice::<State>(&bytes);
    let _ = serde_json::from_slice::<Born>(&bytes);
});
