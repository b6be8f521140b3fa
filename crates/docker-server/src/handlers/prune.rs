//! The filters of prunes, the same for every kind of object.

use docker_api::Filters;
use engine::Engine;
use engine::containers::PruneFilter;
use engine::events::ObjectKind;

use crate::http::ApiError;
use crate::show::parse_time;

/// Turns `until`, `label` and `label!` into the engine's filter.
pub(super) fn filter(filters: &Filters) -> Result<PruneFilter, ApiError> {
    let until: Vec<&str> = filters.get("until").collect();
    let until = match until[..] {
        [] => None,
        [text] => Some(parse_time(text).ok_or_else(|| {
            ApiError::invalid(format!("failed to parse value as time or duration: {text:?}"))
                .with_hint("`until` takes a time (2026-01-31T12:00:00Z) or an age (24h)")
        })?),
        _ => return Err(ApiError::invalid("more than one until filter specified")),
    };
    Ok(PruneFilter {
        until,
        labels: labels(filters, "label"),
        labels_absent: labels(filters, "label!"),
    })
}

/// Tells everybody who listens how much a prune gave back.
pub(super) fn publish(engine: &Engine, object: ObjectKind, bytes: u64) {
    let attributes = [("reclaimed".to_owned(), bytes.to_string())];
    engine.publish_event(object, "prune", "", attributes.into());
}

/// `key` or `key=value`.
fn labels(filters: &Filters, name: &str) -> Vec<(String, Option<String>)> {
    filters
        .get(name)
        .map(|text| match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (text.to_owned(), None),
        })
        .collect()
}
