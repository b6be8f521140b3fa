//! What is on disk of a container: enough to make it whole again after any crash.
//!
//! A running container's truth is with its shim; the record only has to say what the
//! container *is*, and how it ended last.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::spec::ContainerSpec;
use super::view::{MountView, Phase};

/// Raised when an older build could not read a record.
pub(crate) const VERSION: u32 = 1;

/// A container on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: u32,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
    pub(crate) image_id: String,
    pub(crate) image_name: String,
    pub(crate) spec: Arc<ContainerSpec>,
    pub(crate) document: Arc<str>,
    pub(crate) mounts: Arc<[MountView]>,
    /// Volumes that go with the container when `rm -v` (or `--rm`) asks for it.
    pub(crate) anonymous_volumes: Vec<String>,
    pub(crate) phase: RecordedPhase,
    /// Somebody stopped it: `unless-stopped` heeds that.
    pub(crate) was_stopped: bool,
    pub(crate) exit_code: i32,
    pub(crate) oom_killed: bool,
    #[serde(default)]
    pub(crate) log_entries_lost: u64,
    #[serde(default)]
    pub(crate) memory_peak: Option<u64>,
    pub(crate) error: String,
    #[serde(default)]
    pub(crate) error_hint: Option<String>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) restart_count: u32,
    /// The stop signal that its first process did not hear, so that it was killed at once.
    #[serde(default)]
    pub(crate) unheard_stop_signal: Option<i32>,
    /// What was last found, for a container that runs with a health check or has done so.
    #[serde(default)]
    pub(crate) health: Option<shim::health::Health>,
}

/// How far a container had come when it was recorded last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RecordedPhase {
    Created,
    /// It ran. Whether it still does is for its shim to say.
    Live,
    Exited,
    /// Its removal had begun, and goes on at the next start.
    Removing,
}

impl Record {
    /// A start that an earlier engine began may have failed, which its shim has noted.
    pub(crate) fn note_failed_start(&mut self, state: &shim::protocol::State) {
        if state.phase == shim::protocol::Phase::Exited {
            self.exit_code = state.exit_code.unwrap_or(self.exit_code);
            self.error = state.error.clone().unwrap_or_default();
            self.error_hint = None;
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record has string keys only")
    }
}

impl Record {
    /// Nobody looks at a container that is not there, and what nobody looks at counts as
    /// unhealthy: Docker's rule. Its shim sees to it, unless it could not.
    pub(crate) fn end_health(&mut self) {
        if let Some(health) = &mut self.health {
            health.status = shim::health::HealthStatus::Unhealthy;
        }
    }
}

impl From<RecordedPhase> for Phase {
    fn from(phase: RecordedPhase) -> Self {
        match phase {
            RecordedPhase::Created => Self::Created,
            // Whoever has met its shim says otherwise.
            RecordedPhase::Live | RecordedPhase::Exited => Self::Exited,
            RecordedPhase::Removing => Self::Dead,
        }
    }
}

impl Record {
    /// What every event about the container says of it.
    pub(crate) fn event_attributes(&self) -> BTreeMap<String, String> {
        let mut attributes = self.spec.labels.clone();
        attributes.insert("image".to_owned(), self.image_name.clone());
        attributes.insert("name".to_owned(), self.name.clone());
        attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record that the first build with containers to keep has written. Never changed: a new
    /// version gets a file of its own.
    const FIRST: &str = include_str!("samples/record-1.json");

    #[test]
    fn the_record_of_an_older_build_is_read_and_keeps_what_it_says() {
        let record: Record = serde_json::from_str(FIRST).unwrap();
        assert_eq!((record.name.as_str(), record.phase), ("full", RecordedPhase::Created));
        assert_eq!(record.spec.limits.memory, Some(100 << 20));
        assert_eq!(record.mounts.len(), 3);
        let old: serde_json::Value = serde_json::from_str(FIRST).unwrap();
        let new: serde_json::Value = serde_json::from_slice(&record.encode()).unwrap();
        for (name, value) in old["spec"].as_object().unwrap() {
            let kept = &new["spec"][name];
            // What was added since has its place inside.
            assert!(kept == value || kept.is_object() || kept.is_array(), "{name}: {kept}");
        }
    }
}
