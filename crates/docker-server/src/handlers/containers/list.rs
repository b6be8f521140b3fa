//! `GET /containers/json`

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use docker_api::containers::ContainerSummary;
use engine::Engine;
use engine::containers::View;
use hyper::{Response, StatusCode};
use jiff::Timestamp;

use super::filter::Filter;
use crate::http::{Answer, ApiError, Request, json};
use crate::show::{container_summary, fill_in_network_ids};
use crate::versions;

pub(crate) async fn list(request: Request) -> Result<Response<Answer>, ApiError> {
    let engine = request.engine();
    let filter = Filter::of(&request)?;
    let views = filter.apply(engine.containers());
    let mut containers = summaries(engine, &views, request.query.flag("size")).await;
    versions::container_list(request.version, &mut containers);
    Ok(json(StatusCode::OK, &containers))
}

/// Shows containers in short, with their sizes if wanted: these take a look at every file.
pub(in crate::handlers) async fn summaries(
    engine: &Engine,
    views: &[Arc<View>],
    with_sizes: bool,
) -> Vec<ContainerSummary> {
    let now = Timestamp::now();
    let mut containers = Vec::with_capacity(views.len());
    let mut names = ImageNames { engine, known: HashMap::new() };
    let ids = network_ids(engine);
    let mut linked = engine.linked_names(&engine.containers());
    for view in views {
        let sizes = match with_sizes {
            // A container that went meanwhile has none.
            true => engine.container_size(view.id.as_str()).await.ok(),
            false => None,
        };
        let mut summary = container_summary(view, names.of(view), sizes, now);
        if let Some(settings) = &mut summary.network_settings
            && let Some(networks) = &mut settings.networks
        {
            fill_in_network_ids(networks, view, &ids);
        }
        for name in linked.remove(view.id.as_str()).into_iter().flatten() {
            summary.names.push(format!("/{name}"));
        }
        containers.push(summary);
    }
    containers
}

/// The ids of networks, by their names.
pub(super) fn network_ids(engine: &Engine) -> BTreeMap<String, String> {
    engine.networks().list().into_iter().map(|network| (network.name, network.id)).collect()
}

/// What to call the images of containers, of which many have the same.
struct ImageNames<'a> {
    engine: &'a Engine,
    /// The image that each name means now.
    known: HashMap<String, Option<String>>,
}

impl ImageNames<'_> {
    /// The image as the user named it, unless that name has gone to another one since.
    fn of(&mut self, view: &View) -> String {
        let meant = self.known.entry(view.image_name.clone()).or_insert_with(|| {
            let image = self.engine.images().find(&view.image_name).ok()?;
            Some(image.id.to_string())
        });
        if meant.as_ref() == Some(&view.image_id) {
            view.image_name.clone()
        } else {
            view.image_id.clone()
        }
    }
}
