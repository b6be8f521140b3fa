//! Something that happened.

use docker_api::events::{Actor, EventMessage};
use engine::events::{Event, ObjectKind};

pub(crate) fn message(event: &Event) -> EventMessage {
    let mut message = EventMessage {
        kind: event.object.name().to_owned(),
        action: event.action.clone(),
        actor: Actor { id: event.id.clone(), attributes: event.attributes.clone() },
        scope: "local".to_owned(),
        time: event.at.as_second(),
        time_nano: i64::try_from(event.at.as_nanosecond()).unwrap_or_default(),
        ..EventMessage::default()
    };
    // Clients of old know containers and images only, and look for them elsewhere.
    if matches!(event.object, ObjectKind::Container | ObjectKind::Image) {
        message.status.clone_from(&event.action);
        message.id.clone_from(&event.id);
    }
    if event.object == ObjectKind::Container {
        message.from = event.attributes.get("image").cloned().unwrap_or_default();
    }
    message
}
