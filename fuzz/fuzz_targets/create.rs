//! The body of `POST /containers/create`: a container's specification or a refusal, and never a
//! panic.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    docker_server::fuzzing::create(text);
});
