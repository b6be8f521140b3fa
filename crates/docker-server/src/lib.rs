//! Serves Docker's HTTP API over the engine.
//!
//! A request goes through here in this order:
//!
//! 1. [`http`]: a connection is read, and a request with it.
//! 2. [`routes`]: the version is taken off its path and checked, and the handler found.
//! 3. [`versions`]: what older clients say and hear differently is rewritten. Handlers see one
//!    version.
//! 4. [`handlers`]: parse, one call into the engine, word the answer. [`create`] turns Docker's
//!    documents into the engine's specification of a container, and [`show`] turns the engine's
//!    views into Docker's documents.
//!
//! Where Docker's status or wording is not what it should be, [`quirks`] says so.

mod create;
pub mod fuzzing;
mod handlers;
mod host;
mod http;
mod product;
mod quirks;
mod routes;
mod server;
mod show;
mod versions;

pub use http::{Listener, Stream};
pub use server::{About, Reloadable, Server};
