//! What a server answers when it refuses.

use serde::{Deserialize, Serialize};

/// What a server answers when it refuses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorBody {
    pub message: String,
    /// What to do next. Wharf's own: Docker clients ignore members they do not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
