//! A container's `config.json`: accepted or refused, and never a panic.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    runtime::fuzzing::configuration(text);
});
