//! Netlink: how the kernel is told about links, addresses, routes and packet filters.
//!
//! A request is a header, a fixed struct and a list of attributes, which may nest. This
//! module knows that much; what the messages mean is in [`route`](crate::route) and
//! [`nftables`](crate::nftables). Calls are synchronous: the kernel has done the work, or
//! refused, when [`Socket::run`] returns.
//!
//! See `netlink(7)`.

mod answer;
mod request;
mod socket;

pub use answer::{Answer, Attributes};
pub use request::{Body, Requests};
pub use socket::{Error, Family, Socket};
