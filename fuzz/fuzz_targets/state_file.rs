//! What `wharf-runtime` keeps of a container between two calls, after somebody had it.

#![no_main]
#![allow(dead_code, reason = "the record is looked at, and nothing is made of it")]

#[path = "../../crates/runtime/src/program/record.rs"]
mod record;

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

use record::Known;

/// In memory: this writes a file thousands of times a second.
static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = PathBuf::from(format!("/dev/shm/wharf-fuzz-{}", std::process::id()));
    fs::create_dir_all(root.join("fuzzed")).expect("it can be made");
    root
});

fuzz_target!(|text: &[u8]| {
    fs::write(ROOT.join("fuzzed/state.json"), text).expect("it can be written");
    let Ok(mut known) = Known::open(&ROOT, "fuzzed") else { return };
    let _ = known.status();
    // As if its process lived: this one.
    let own = i32::try_from(std::process::id()).expect("process ids are small");
    if let Some((_, ticks)) = record::start_ticks(own) {
        (known.record.pid, known.record.start_ticks) = (own, ticks);
        let _ = known.status();
    }
    let _ = serde_json::to_vec(&known.record);
});
