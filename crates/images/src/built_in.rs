//! The image that is built into the program.

use std::sync::Arc;

use crate::catalog::ResolveError;
use crate::image::Image;
use crate::store::Parts;

/// Resolves a name; if it means the built-in image, makes it first.
pub(crate) fn resolve(parts: &Parts, name: &str) -> Result<Arc<Image>, ResolveError> {
    parts.catalog().resolve(name).cloned()
}
