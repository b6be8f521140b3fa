//! `GET /images/json`

use std::collections::HashMap;
use std::sync::Arc;

use docker_api::Filters;
use docker_api::images::ImageSummary;
use engine::Engine;
use hyper::{Response, StatusCode};
use images::Image;
use jiff::Timestamp;
use oci::Reference;

use crate::http::{Answer, ApiError, Request, json};
use crate::show::{familiar_names, image_config, image_summary, parse_time};
use crate::versions;

const NAMES: &[&str] = &["before", "dangling", "label", "label!", "reference", "since", "until"];

pub(crate) async fn list(request: Request) -> Result<Response<Answer>, ApiError> {
    let mut filters = request.filters(NAMES)?;
    // How old clients ask for names.
    let pattern = request.query.text("filter");
    if !pattern.is_empty() {
        filters.add("reference", pattern);
    }
    let engine = request.engine();
    let filter = Filter::of(engine, &filters, request.query.flag("all"))?;
    let mut images =
        summaries(engine, request.query.flag("shared-size"), |image| filter.fits(engine, image));
    if filters.contains("reference") {
        keep_matching_names(&mut images, &filters);
    }
    versions::image_list(request.version, &mut images);
    Ok(json(StatusCode::OK, &images))
}

/// Shows images in short, newest first.
pub(in crate::handlers) fn summaries(
    engine: &Engine,
    with_shared_sizes: bool,
    fits: impl Fn(&Image) -> bool,
) -> Vec<ImageSummary> {
    let store = engine.images();
    let mut users: HashMap<String, i64> = HashMap::new();
    for view in engine.containers() {
        *users.entry(view.image_id.clone()).or_default() += 1;
    }
    let images = store.images().into_iter().filter(|image| fits(image));
    images
        .map(|image: Arc<Image>| {
            let shared = match with_shared_sizes {
                true => i64::try_from(store.shared_size(&image)).unwrap_or(i64::MAX),
                false => -1,
            };
            let containers = users.get(&image.id.to_string()).copied().unwrap_or_default();
            image_summary(&image, containers, shared)
        })
        .collect()
}

/// What a list was asked for, checked.
#[derive(Debug)]
struct Filter<'a> {
    filters: &'a Filters,
    all: bool,
    dangling: Option<bool>,
    before: Option<Timestamp>,
    since: Option<Timestamp>,
}

impl<'a> Filter<'a> {
    fn of(engine: &Engine, filters: &'a Filters, all: bool) -> Result<Self, ApiError> {
        let dangling =
            filters.get_bool("dangling").map_err(|error| ApiError::invalid(error.to_string()))?;
        let created = |name: &str| -> Result<Option<Timestamp>, ApiError> {
            let image = filters.get(name).last().map(|text| engine.images().find(text));
            Ok(image.transpose()?.and_then(|image| image.created))
        };
        let until = match filters.get("until").last() {
            None => None,
            Some(text) => Some(
                parse_time(text)
                    .ok_or_else(|| ApiError::invalid(format!("invalid filter 'until={text}'")))?,
            ),
        };
        let before = created("before")?;
        Ok(Self {
            filters,
            all,
            dangling,
            before: [before, until].into_iter().flatten().min(),
            since: created("since")?,
        })
    }

    fn fits(&self, engine: &Engine, image: &Image) -> bool {
        let labels = image_config(image).labels.unwrap_or_default();
        let has_label = |wanted: &str| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|own| own == value),
            None => labels.contains_key(wanted),
        };
        self.fits_names(engine, image)
            && self.before.is_none_or(|limit| image.created.is_some_and(|at| at < limit))
            && self.since.is_none_or(|limit| image.created.is_some_and(|at| at > limit))
            && self.filters.get("label").all(has_label)
            && !self.filters.get("label!").any(has_label)
    }

    fn fits_names(&self, engine: &Engine, image: &Image) -> bool {
        if self.filters.contains("reference") && !has_matching_name(image, self.filters) {
            return false;
        }
        if !image.is_dangling() {
            return self.dangling != Some(true);
        }
        // What has no name is shown unless it is only a step on the way to another.
        self.dangling != Some(false) && (self.all || engine.images().children(&image.id).is_empty())
    }
}

fn has_matching_name(image: &Image, filters: &Filters) -> bool {
    let names = image.references.iter().chain(&image.digests);
    names.into_iter().any(|name| matches_any(name, filters))
}

fn matches_any(name: &Reference, filters: &Filters) -> bool {
    let (whole, bare) = (name.familiar(), name.familiar_name());
    filters.get("reference").any(|pattern| {
        glob(pattern.as_bytes(), whole.as_bytes()) || glob(pattern.as_bytes(), bare.as_bytes())
    })
}

/// Of an image's names, a list shows those that were asked for.
fn keep_matching_names(images: &mut [ImageSummary], filters: &Filters) {
    let keep = |names: &mut Option<Vec<String>>| {
        let kept: Vec<Reference> = names
            .iter()
            .flatten()
            .filter_map(|name| name.parse().ok())
            .filter(|name| matches_any(name, filters))
            .collect();
        *names = Some(familiar_names(&kept));
    };
    for image in images {
        keep(&mut image.repo_tags);
        keep(&mut image.repo_digests);
    }
}

/// Whether a text matches a pattern with `*` and `?`, which stop at slashes, and `[a-z]`.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => {
            let reach = text.iter().take_while(|byte| **byte != b'/').count();
            (0..=reach).any(|skipped| glob(rest, &text[skipped..]))
        }
        [b'?', rest @ ..] => {
            matches!(text, [first, after @ ..] if *first != b'/' && glob(rest, after))
        }
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
            let [first, after @ ..] = text else { return false };
            in_class(&rest[..end], *first) && glob(&rest[end + 1..], after)
        }
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => {
            matches!(text, [first, after @ ..] if first == literal && glob(rest, after))
        }
    }
}

fn in_class(class: &[u8], byte: u8) -> bool {
    let (is_negated, mut class) = match class {
        [b'^', rest @ ..] => (true, rest),
        class => (false, class),
    };
    let mut is_in = false;
    while let Some((&first, rest)) = class.split_first() {
        class = rest;
        let mut last = first;
        if let [b'-', end, rest @ ..] = class {
            last = *end;
            class = rest;
        }
        is_in |= (first..=last).contains(&byte);
    }
    is_in != is_negated
}

#[cfg(test)]
mod tests {
    #[test]
    fn patterns_stop_at_slashes() {
        let glob = |pattern: &str, text: &str| super::glob(pattern.as_bytes(), text.as_bytes());
        assert!(glob("busy*:latest", "busybox:latest"));
        assert!(glob("b?sybox", "busybox"));
        assert!(glob("[a-c]usybox", "busybox"));
        assert!(!glob("[^a-c]usybox", "busybox"));
        assert!(glob("*/*", "a/b"));
        assert!(!glob("*", "a/b"));
        assert!(!glob("busybox", "busybox:latest"));
    }
}
