//! `GET /events`

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use docker_api::{ApiVersion, Filters};
use engine::events::{Event, ObjectKind};
use futures_util::stream as streams;
use hyper::Response;
use jiff::Timestamp;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::http::{Answer, ApiError, Request, stream as answer_stream};
use crate::show::{event_message, parse_time};

const NAMES: &[&str] = &[
    "config",
    "container",
    "daemon",
    "event",
    "id",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// The first version that tells of images being made.
const IMAGE_CREATE: ApiVersion = ApiVersion::new(46);

/// Which events a client wants, and what it has not got yet.
struct Listening {
    past: VecDeque<Arc<Event>>,
    future: Receiver<Arc<Event>>,
    filter: Filter,
    /// When to stop.
    until: Option<Instant>,
    has_begun: bool,
}

struct Filter {
    filters: Filters,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    version: ApiVersion,
}

pub(crate) async fn stream(request: Request) -> Result<Response<Answer>, ApiError> {
    let filter = Filter {
        filters: request.filters(NAMES)?,
        since: time(&request, "since")?,
        until: time(&request, "until")?,
        version: request.version,
    };
    if filter.since.zip(filter.until).is_some_and(|(since, until)| since > until) {
        return Err(ApiError::invalid("`since` time cannot be after `until` time"));
    }
    let subscription = request.engine().events();
    let past = match filter.since.is_some() || filter.until.is_some_and(|at| at < Timestamp::now())
    {
        true => subscription.past.into(),
        false => VecDeque::new(),
    };
    let until = filter.until.map(|at| {
        let left = at.duration_since(Timestamp::now());
        Instant::now() + left.unsigned_abs() * u32::from(left.is_positive())
    });
    let listening =
        Listening { past, future: subscription.future, filter, until, has_begun: false };
    let pieces = streams::unfold(listening, async |mut listening| {
        listening.next().await.map(|piece| (piece, listening))
    });
    Ok(answer_stream("application/json", pieces))
}

fn time(request: &Request, name: &str) -> Result<Option<Timestamp>, ApiError> {
    match request.query.text(name) {
        "" | "0" => Ok(None),
        text => parse_time(text)
            .map(Some)
            .ok_or_else(|| ApiError::invalid(format!("invalid value for {name:?}: {text:?}"))),
    }
}

impl Listening {
    async fn next(&mut self) -> Option<Bytes> {
        // Clients wait for the head before they do what they want to hear of.
        if !std::mem::replace(&mut self.has_begun, true) {
            return Some(Bytes::new());
        }
        loop {
            let event = match self.past.pop_front() {
                Some(event) => event,
                None => self.wait().await?,
            };
            if self.filter.fits(&event) {
                let mut line = serde_json::to_vec(&event_message(&event)).ok()?;
                line.push(b'\n');
                return Some(line.into());
            }
        }
    }

    /// The next event, unless it is time to stop.
    async fn wait(&mut self) -> Option<Arc<Event>> {
        loop {
            let received = match self.until {
                None => self.future.recv().await,
                Some(until) => tokio::time::timeout_at(until, self.future.recv()).await.ok()?,
            };
            match received {
                Ok(event) => return Some(event),
                // The client was too slow to hear of everything. It goes on with what there is.
                Err(RecvError::Lagged(lost)) => tracing::warn!(lost, "a client lost events"),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

impl Filter {
    fn fits(&self, event: &Event) -> bool {
        let is_too_new = self.version < IMAGE_CREATE
            && event.object == ObjectKind::Image
            && event.action == "create";
        !is_too_new
            && self.since.is_none_or(|since| event.at >= since)
            && self.until.is_none_or(|until| event.at <= until)
            && self.fits_what(event)
            && self.fits_object(event)
            && self.filters.get("label").all(|label| has_label(event, label))
    }

    fn fits_what(&self, event: &Event) -> bool {
        let any = |name: &str, fits: &dyn Fn(&str) -> bool| {
            !self.filters.contains(name) || self.filters.get(name).any(fits)
        };
        // `exec_create: sh` is found as `exec_create`.
        any("event", &|wanted| {
            event.action == wanted
                || event.action.strip_prefix(wanted).is_some_and(|rest| rest.starts_with(':'))
        }) && any("type", &|wanted| wanted == event.object.name())
            && any("scope", &|wanted| wanted == "local")
            && any("id", &|wanted| event.id == wanted)
    }

    /// Objects are named by id, the beginning of one, or name. Naming one of a kind leaves out
    /// every other kind.
    fn fits_object(&self, event: &Event) -> bool {
        let kinds = [
            ObjectKind::Container,
            ObjectKind::Image,
            ObjectKind::Network,
            ObjectKind::Volume,
            ObjectKind::Daemon,
        ];
        let named = kinds.iter().filter(|kind| self.filters.contains(kind.name()));
        let others = ["config", "node", "plugin", "secret", "service"];
        named.into_iter().all(|kind| {
            let is_image_of = *kind == ObjectKind::Image && event.object == ObjectKind::Container;
            self.filters.get(kind.name()).any(|wanted| {
                if is_image_of {
                    return is_image(event.attributes.get("image"), wanted);
                }
                event.object == *kind && is_object(event, wanted)
            })
        }) && !others.iter().any(|name| self.filters.contains(name))
    }
}

fn is_object(event: &Event, wanted: &str) -> bool {
    let name = event.attributes.get("name");
    event.id == wanted
        || event.id.starts_with(wanted) && event.object == ObjectKind::Container
        || name.is_some_and(|name| name == wanted)
        || event.object == ObjectKind::Image
            && (is_image(name, wanted) || is_image(Some(&event.id), wanted))
}

/// An image is meant with and without its tag.
fn is_image(own: Option<&String>, wanted: &str) -> bool {
    let without_tag = |name: &str| match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => path.to_owned(),
        _ => name.to_owned(),
    };
    own.is_some_and(|own| own == wanted || without_tag(own) == wanted)
}

fn has_label(event: &Event, wanted: &str) -> bool {
    let (key, value) = wanted.split_once('=').map_or((wanted, None), |(k, v)| (k, Some(v)));
    event.attributes.get(key).is_some_and(|own| value.is_none_or(|value| own == value))
}
