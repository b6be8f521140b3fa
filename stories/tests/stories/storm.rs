//! A storm: clients at work while the daemon dies again and again. The long one is
//! `cargo xtask storm`.

use std::time::Duration;

use stories::{Host, Storm};

#[test]
fn nothing_is_lost_in_a_storm() {
    if !Host::is_wharf_or_skips("a stock dockerd is not killed for this") {
        return;
    }
    let host = Host::start();
    // A debug build on a busy machine takes its time to take containers over.
    let storm = Storm {
        duration: Duration::from_secs(12),
        clients: 8,
        interval: Duration::from_millis(600),
        seed: 4,
    };
    let report = storm.blow(&host);
    println!("{report}");
    assert!(report.problems().is_empty(), "{report}");
    assert!(report.is_telling(), "{report}");
}
