//! Which runtime runs the container.

use engine::Runtimes;

use super::Refusal;

/// Refuses a name that means nothing. Names of containerd's own kind are let through: what they
/// mean turns out at the start.
pub(super) fn check(runtimes: &Runtimes, name: &str) -> Result<(), Refusal> {
    if runtimes.find(Some(name).filter(|name| !name.is_empty())).is_some() {
        return Ok(());
    }
    let known = runtimes.programs.keys().map(String::as_str).chain(["runc"]);
    let known: Vec<_> = known.collect();
    Err(Refusal::new(format!("unknown or invalid runtime name: {name}")).with_hint(format!(
        "there are {}; `runtimes` in daemon.json adds others",
        known.join(", ")
    )))
}
