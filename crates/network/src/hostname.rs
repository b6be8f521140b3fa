//! `/etc/hostname`.

/// The file's text for a container with this name.
pub fn build(hostname: &str) -> String {
    format!("{hostname}\n")
}
