//! A host to tell stories on: a daemon of its own, in a network of its own.
//!
//! A story is a promise of the product, told as a test from outside: it types commands
//! as a user would, and looks at what came out. [`Host`] hides everything that is not
//! the story: private folders, a private network namespace (so that port 8080 is always
//! free), a daemon of its own, an image with a shell, and the removal of all that, with
//! a look for what the daemon forgot.
//!
//! ```text
//! story ──▶ Host ──▶ client (wharf or docker) ──▶ daemon (wharfd or dockerd)
//!              │
//!              └─ Container, Client (one that is still running), TerminalClient
//! ```
//!
//! Three variables choose what a story is told about:
//!
//! - `ENGINE=dockerd` tells it to a stock dockerd (`DOCKERD` names the program). A story
//!   that fails there is a wrong story, unless it says that it is about Wharf only.
//! - `CLIENT=docker` types the commands into the stock client instead of `wharf`.
//! - `WHARF_BIN_DIR` is where the programs under test are, instead of the build's folder.

mod archive;
mod client;
mod container;
mod engine;
mod fail_points;
mod host;
mod http;
mod leaks;
mod network_namespace;
mod outcome;
mod patience;
mod skips;
mod storm;
mod terminal;
pub mod words;

pub use archive::{Entry, FileSystem, ImageArchive, digest_of, gzip, zstd};
pub use client::Client;
pub use container::Container;
pub use engine::Engine;
pub use fail_points::{FailPoint, FailPoints, Fault};
pub use host::{Host, HostBuilder};
pub use http::Answer;
pub use outcome::Outcome;
pub use patience::{PATIENCE, eventually};
pub use storm::{Storm, StormReport};
pub use terminal::TerminalClient;
