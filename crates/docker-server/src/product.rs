//! What this server calls itself.

/// The version that clients are told: that of the Docker engine whose API this is, since
/// scripts and tools compare it, with our own as its build.
pub(crate) const VERSION: &str = concat!("28.5.2+wharf.", env!("CARGO_PKG_VERSION"));

/// The same in the `Server` header.
pub(crate) const SERVER_HEADER: &str =
    concat!("Docker/28.5.2+wharf.", env!("CARGO_PKG_VERSION"), " (linux)");

/// Our own version.
pub(crate) const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The newest API version, as text. The same as [`docker_api::ApiVersion::MAX`].
pub(crate) const API_VERSION: &str = "1.51";
