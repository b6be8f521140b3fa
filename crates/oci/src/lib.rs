//! OCI's documents: runtime configuration, manifests, references, digests.

pub mod runtime;
