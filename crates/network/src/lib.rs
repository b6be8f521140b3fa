//! Connects containers: drivers, addresses, published ports, names.
//!
//! [`Networks`] is the handle. It knows the three networks that every host has: `bridge`,
//! `host` and `none`. Attaching a container to a bridge gives it a network namespace of its
//! own, a link into the bridge, an address, and host ports that lead to it.
//!
//! Everything here is synchronous and may be called from many threads at once. Nothing is
//! written to disk: what must survive the daemon is the [`AttachmentRecord`], which the
//! caller keeps and gives back through [`Networks::adopt`].
//!
//! The files that name things inside a container ([`hosts`], [`hostname`], [`resolv_conf`])
//! are pure functions from settings to text.

mod address;
mod attachment;
mod bridge;
mod errors;
mod info;
mod networks;
mod settings;
mod spares;

pub mod hostname;
pub mod hosts;
pub mod resolv_conf;

pub use self::errors::{
    AdoptError, AttachError, CleanUpError, DetachError, FindError, OpenError, PrepareError,
    PublishError,
};
pub use address::{AddressError, Cidr, MacAddress};
pub use attachment::{
    AttachRequest, Attachment, AttachmentRecord, PortRequest, Protocol, PublishedPort,
};
pub use bridge::new_namespace;
pub use info::{EndpointInfo, NetworkInfo};
pub use networks::Networks;
pub use settings::{Pool, Settings, default_pools};
