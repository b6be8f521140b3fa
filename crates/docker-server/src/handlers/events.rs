//! `GET /events`

use std::sync::Arc;

use bytes::Bytes;
use docker_api::{ApiVersion, Filters};
use engine::events::{Event, ObjectKind, Past, Subscription};
use futures_util::stream as streams;
use hyper::Response;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::http::{Answer, ApiError, Request, stream as answer_stream};
use crate::show::{event_message, parse_seconds};

/// The first version that tells of images being made.
const IMAGE_CREATE: ApiVersion = ApiVersion::new(46);

/// Filters that name an object, by what Docker calls its kind.
const OBJECTS: [&str; 9] =
    ["daemon", "container", "plugin", "volume", "network", "node", "service", "secret", "config"];

/// Actions that are followed by further words (`exec_create: sh`) and found without them.
const ACTIONS_WITH_WORDS: [&str; 3] = ["health_status", "exec_create", "exec_start"];

/// Which events a client wants, and what it has not got yet.
struct Listening {
    subscription: Subscription,
    filter: Filter,
    end: End,
    has_begun: bool,
}

/// When to stop.
#[derive(Clone, Copy)]
enum End {
    Never,
    At(Instant),
    /// With the last event that has been told.
    Now,
}

struct Filter {
    filters: Filters,
    until: Option<Timestamp>,
    version: ApiVersion,
}

pub(crate) async fn stream(request: Request) -> Result<Response<Answer>, ApiError> {
    let (since, until) = (time(&request, "since")?, time(&request, "until")?);
    if since.zip(until).is_some_and(|(since, until)| since > until) {
        return Err(ApiError::invalid(format!(
            "`since` time ({}) cannot be after `until` time ({})",
            request.query.text("since"),
            request.query.text("until")
        )));
    }
    // Names that nobody knows choose nothing, and leave nothing out.
    let filters = request.any_filters()?;
    let past = match (since, until) {
        (None, None) => Past::Nothing,
        (since, _) => Past::Since(since.unwrap_or(Timestamp::UNIX_EPOCH)),
    };
    let listening = Listening {
        subscription: request.engine().events(past),
        filter: Filter { filters, until, version: request.version },
        end: until.map_or(End::Never, end),
        has_begun: false,
    };
    let pieces = streams::unfold(listening, async |mut listening| {
        listening.next().await.map(|piece| (piece, listening))
    });
    Ok(answer_stream("application/json", pieces))
}

fn end(until: Timestamp) -> End {
    let left = until.duration_since(Timestamp::now());
    if left.is_positive() { End::At(Instant::now() + left.unsigned_abs()) } else { End::Now }
}

/// Nothing and -1 are no limit, as in Docker.
fn time(request: &Request, name: &str) -> Result<Option<Timestamp>, ApiError> {
    match request.query.text(name) {
        "" | "-1" => Ok(None),
        text => parse_seconds(text).map(Some).map_err(ApiError::internal),
    }
}

impl Listening {
    async fn next(&mut self) -> Option<Bytes> {
        // Clients wait for the head before they do what they want to hear of.
        if !std::mem::replace(&mut self.has_begun, true) {
            return Some(Bytes::new());
        }
        loop {
            let event = self.wait().await?;
            if self.filter.fits(&event) {
                let mut line = serde_json::to_vec(&event_message(&event)).ok()?;
                line.push(b'\n');
                return Some(line.into());
            }
        }
    }

    /// The next event, unless it is time to stop.
    async fn wait(&mut self) -> Option<Arc<Event>> {
        match self.end {
            End::Now => self.subscription.next_past().await,
            End::Never => self.subscription.next().await,
            End::At(end) => tokio::time::timeout_at(end, self.subscription.next()).await.ok()?,
        }
    }
}

impl Filter {
    fn fits(&self, event: &Event) -> bool {
        let is_too_new = self.version < IMAGE_CREATE
            && event.object == ObjectKind::Image
            && event.action == "create";
        !is_too_new
            && self.until.is_none_or(|until| event.at <= until)
            && self.any("type", |wanted| wanted == event.object.name())
            && self.any("scope", |wanted| wanted == "local")
            && self.fits_action(event)
            && OBJECTS.iter().all(|name| self.fits_object(name, event))
            && self.fits_image(event)
            && self.filters.get("label").all(|label| has_label(event, label))
    }

    /// Whether one of a filter's values fits, if there are any.
    fn any(&self, name: &str, fits: impl Fn(&str) -> bool) -> bool {
        !self.filters.contains(name) || self.filters.get(name).any(fits)
    }

    fn fits_action(&self, event: &Event) -> bool {
        let is_loose = self.filters.get("event").any(|name| ACTIONS_WITH_WORDS.contains(&name));
        self.any("event", |wanted| match is_loose {
            true => event.action.starts_with(wanted),
            false => event.action == wanted,
        })
    }

    /// Objects are named by the beginning of an id or of a name, as in Docker of whatever
    /// kind: what happens to a container's network is found by the network's name only.
    fn fits_object(&self, filter: &str, event: &Event) -> bool {
        let name = event.attributes.get("name").map_or("", String::as_str);
        self.any(filter, |wanted| event.id.starts_with(wanted) || name.starts_with(wanted))
    }

    /// An image is meant with and without its tag, and so are containers made from it.
    fn fits_image(&self, event: &Event) -> bool {
        let attribute = if event.object == ObjectKind::Image { "name" } else { "image" };
        let name = event.attributes.get(attribute).map_or("", String::as_str);
        self.any("image", |wanted| {
            [event.id.as_str(), name].iter().any(|own| *own == wanted || without_tag(own) == wanted)
        })
    }
}

fn without_tag(name: &str) -> &str {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => path,
        _ => name,
    }
}

fn has_label(event: &Event, wanted: &str) -> bool {
    let (key, value) = wanted.split_once('=').map_or((wanted, None), |(k, v)| (k, Some(v)));
    event.attributes.get(key).is_some_and(|own| value.is_none_or(|value| own == value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_found_without_its_tag() {
        assert_eq!(without_tag("busybox:1.36"), "busybox");
        assert_eq!(without_tag("localhost:5000/busybox"), "localhost:5000/busybox");
        assert_eq!(without_tag("localhost:5000/busybox:1@sha256:00"), "localhost:5000/busybox");
    }
}
