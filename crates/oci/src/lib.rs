//! OCI's documents: runtime configuration, manifests, references, digests (over the
//! `oci-spec` crate).
//!
//! The documents themselves are re-exported as [`image`] and
//! [`runtime`]. What it leaves open is here: a [`Digest`] that can be checked, and a
//! [`Reference`] that reads and words image names as Docker does.

mod digest;
mod reference;

pub use oci_spec::{image, runtime};

pub use crate::digest::{Digest, DigestError, Hasher};
pub use crate::reference::{DEFAULT_TAG, Reference, ReferenceError};
