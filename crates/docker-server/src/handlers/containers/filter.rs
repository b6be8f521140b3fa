//! Which containers a list is about.

use std::collections::HashSet;
use std::sync::Arc;

use docker_api::Filters;
use engine::Engine;
use engine::containers::spec::NetworkMode;
use engine::containers::{Phase, View};
use images::ImageId;
use network::Protocol;
use regex_lite::Regex;

use crate::http::{ApiError, Request};
use crate::show::Summary;

const NAMES: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

const PHASES: &[&str] =
    &["created", "running", "paused", "restarting", "removing", "exited", "dead"];

const HEALTHS: &[&str] = &["none", "starting", "healthy", "unhealthy"];

/// What a list was asked for, checked.
#[derive(Debug)]
pub(super) struct Filter {
    filters: Filters,
    names: Vec<Pattern>,
    ids: Vec<Pattern>,
    exit_codes: Vec<i32>,
    /// Only those of the images that were named, or made from them.
    images: Option<HashSet<String>>,
    published: Vec<PortRange>,
    exposed: Vec<PortRange>,
    /// Ids of the containers that are the limits in time.
    before: Option<Arc<View>>,
    since: Option<Arc<View>>,
    is_task: Option<bool>,
    all: bool,
    limit: Option<usize>,
}

/// A regular expression; one that makes no sense fits nothing.
type Pattern = Option<Regex>;

type PortRange = (std::ops::RangeInclusive<u16>, Protocol);

impl Filter {
    pub(super) fn of(request: &Request) -> Result<Self, ApiError> {
        let engine = request.engine();
        let filters = request.filters(NAMES)?;
        check_words(&filters, "status", PHASES, "state")?;
        check_words(&filters, "health", HEALTHS, "health")?;
        let exit_codes = filters.get("exited").map(|text| {
            text.parse().map_err(|_| {
                ApiError::invalid(format!(
                    "invalid filter 'exited={text}': strconv.Atoi: parsing {text:?}: invalid syntax"
                ))
            })
        });
        let limit = request.query.integer("limit")?;
        let limit_in_time = |name: &str| -> Result<Option<Arc<View>>, ApiError> {
            let text = filters.get(name).last().unwrap_or_else(|| request.query.text(name));
            if text.is_empty() { Ok(None) } else { Ok(Some(engine.container(text)?)) }
        };
        let (before, since) = (limit_in_time("before")?, limit_in_time("since")?);
        Ok(Self {
            names: patterns(&filters, "name"),
            ids: patterns(&filters, "id"),
            exit_codes: exit_codes.collect::<Result<_, _>>()?,
            images: ancestors(engine, &filters),
            published: port_ranges(&filters, "publish")?,
            exposed: port_ranges(&filters, "expose")?,
            is_task: filters
                .get_bool("is-task")
                .map_err(|error| ApiError::invalid(error.to_string()))?,
            all: request.query.flag("all")
                || limit.is_some_and(|limit| limit > 0)
                || filters.contains("status"),
            limit: limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0),
            before,
            since,
            filters,
        })
    }

    pub(super) fn apply(&self, views: Vec<Arc<View>>) -> Vec<Arc<View>> {
        let fitting = views.into_iter().filter(|view| self.fits(view));
        fitting.take(self.limit.unwrap_or(usize::MAX)).collect()
    }

    fn fits(&self, view: &View) -> bool {
        (self.all || view.state.phase.is_live())
            && self.fits_identity(view)
            && self.fits_state(view)
            && self.fits_surroundings(view)
    }

    fn fits_identity(&self, view: &View) -> bool {
        let slashed = format!("/{}", view.name);
        let matches = |patterns: &[Pattern], texts: &[&str]| {
            let fits = |pattern: &Regex| texts.iter().any(|text| pattern.is_match(text));
            patterns.is_empty() || patterns.iter().flatten().any(fits)
        };
        matches(&self.names, &[&view.name, &slashed])
            && matches(&self.ids, &[view.id.as_str()])
            && self.filters.get("label").all(|label| has_label(view, label))
            && self.images.as_ref().is_none_or(|images| images.contains(&view.image_id))
            && self.before.as_ref().is_none_or(|other| view.created_at < other.created_at)
            && self.since.as_ref().is_none_or(|other| view.created_at > other.created_at)
    }

    fn fits_state(&self, view: &View) -> bool {
        let state = &view.state;
        let has_ended = state.phase == Phase::Exited && state.started_at.is_some();
        let any = |name: &str, word: &str| {
            !self.filters.contains(name) || self.filters.get(name).any(|value| value == word)
        };
        any("status", state.phase.name())
            && any("health", state.health.as_ref().map_or("none", |health| health.status.name()))
            && (self.exit_codes.is_empty()
                || has_ended && self.exit_codes.contains(&state.exit_code))
            // Tasks are a swarm's.
            && self.is_task != Some(true)
    }

    fn fits_surroundings(&self, view: &View) -> bool {
        let any = |name: &str, fits: &dyn Fn(&str) -> bool| {
            !self.filters.contains(name) || self.filters.get(name).any(fits)
        };
        any("volume", &|wanted| {
            view.mounts.iter().any(|mount| {
                let source = || mount.name.is_none() && mount.source.as_os_str() == wanted;
                mount.name.as_deref() == Some(wanted) || mount.target == wanted || source()
            })
        }) && any("network", &|wanted| is_on_network(view, wanted))
            && self.fits_ports(view)
    }

    fn fits_ports(&self, view: &View) -> bool {
        let published: Vec<_> = view
            .attachment
            .iter()
            .flat_map(|attachment| &attachment.ports)
            .map(|port| (port.host_port, port.protocol))
            .collect();
        let exposed = || -> Vec<(u16, Protocol)> {
            let ports = Summary::from_text(&view.document).exposed_ports;
            ports.iter().filter_map(|port| parse_port(port)).collect()
        };
        let fits = |wanted: &[PortRange], ports: &[(u16, Protocol)]| {
            wanted.is_empty()
                || ports.iter().any(|(port, protocol)| {
                    wanted.iter().any(|(range, own)| range.contains(port) && own == protocol)
                })
        };
        fits(&self.published, &published)
            && (self.exposed.is_empty() || fits(&self.exposed, &exposed()))
    }
}

fn check_words(filters: &Filters, name: &str, words: &[&str], what: &str) -> Result<(), ApiError> {
    match filters.get(name).find(|word| !words.contains(word)) {
        None => Ok(()),
        Some(word) => Err(ApiError::invalid(format!(
            "invalid filter '{name}={word}': invalid value for {what} ({word}): must be one of {}",
            words.join(", ")
        ))),
    }
}

/// Names and ids are matched as regular expressions.
fn patterns(filters: &Filters, name: &str) -> Vec<Pattern> {
    filters.get(name).map(|text| Regex::new(text).ok()).collect()
}

/// `key` or `key=value`.
fn has_label(view: &View, wanted: &str) -> bool {
    let (key, value) = wanted.split_once('=').map_or((wanted, None), |(k, v)| (k, Some(v)));
    view.spec.labels.get(key).is_some_and(|own| value.is_none_or(|value| own == value))
}

fn is_on_network(view: &View, wanted: &str) -> bool {
    let name = match &view.spec.network.mode {
        NetworkMode::None => "none",
        NetworkMode::Host => "host",
        NetworkMode::Network(name) => name,
        NetworkMode::Container(_) => return false,
    };
    let attachment = view.attachment.as_ref();
    name == wanted
        || attachment.is_some_and(|attachment| {
            attachment.network_name == wanted || attachment.network_id.starts_with(wanted)
        })
}

/// The images that were named, and all that were made from them. An unknown one has none.
fn ancestors(engine: &Engine, filters: &Filters) -> Option<HashSet<String>> {
    if !filters.contains("ancestor") {
        return None;
    }
    let store = engine.images();
    let mut waiting: Vec<ImageId> = filters
        .get("ancestor")
        .filter_map(|name| store.find(name).ok())
        .map(|image| image.id)
        .collect();
    let mut found = HashSet::new();
    while let Some(id) = waiting.pop() {
        if found.insert(id.to_string()) {
            waiting.extend(store.children(&id));
        }
    }
    Some(found)
}

/// `80`, `80/udp`, `8000-8010/tcp`. A protocol that nobody knows fits nothing.
fn port_ranges(filters: &Filters, name: &str) -> Result<Vec<PortRange>, ApiError> {
    let range = |text: &str| {
        if text.contains(':') {
            let words = format!("filter for '{name}' should not contain ':': {text}");
            return Err(ApiError::invalid(words));
        }
        let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        // Docker has no class for this one.
        let numbers = port_range(numbers).map_err(|error| {
            ApiError::internal(format!("error while looking up for {name} {text}: {error}"))
        })?;
        Ok(protocol.parse().ok().map(|protocol| (numbers, protocol)))
    };
    let ranges: Vec<_> = filters.get(name).map(range).collect::<Result<_, _>>()?;
    // A list that is left empty would fit everything. No port has this number.
    let nothing = (0..=0, Protocol::Tcp);
    Ok(ranges.into_iter().map(|range| range.unwrap_or_else(|| nothing.clone())).collect())
}

/// In the words of the library that Docker reads ports with.
fn port_range(text: &str) -> Result<std::ops::RangeInclusive<u16>, String> {
    if text.is_empty() {
        return Err("empty string specified for ports".to_owned());
    }
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().map_err(|_| {
            let reason = if digits { "value out of range" } else { "invalid syntax" };
            format!("strconv.ParseUint: parsing {text:?}: {reason}")
        })
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (start, end) = (number(first)?, number(last)?);
    if start > end {
        return Err(format!("invalid range specified for port: {text}"));
    }
    Ok(start..=end)
}

fn parse_port(text: &str) -> Option<(u16, Protocol)> {
    let (number, protocol) = text.split_once('/')?;
    Some((number.parse().ok()?, protocol.parse().ok()?))
}
