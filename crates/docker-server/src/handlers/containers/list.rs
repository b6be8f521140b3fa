//! `GET /containers/json`

use std::sync::Arc;

use docker_api::containers::ContainerSummary;
use engine::Engine;
use engine::containers::View;
use hyper::{Response, StatusCode};
use jiff::Timestamp;

use super::filter::Filter;
use crate::http::{Answer, ApiError, Request, json};
use crate::show::container_summary;
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
    for view in views {
        let sizes = match with_sizes {
            // A container that went meanwhile has none.
            true => engine.container_size(view.id.as_str()).await.ok(),
            false => None,
        };
        containers.push(container_summary(view, image_name(engine, view), sizes, now));
    }
    containers
}

/// The image as the user named it, unless that name has gone to another one since.
fn image_name(engine: &Engine, view: &View) -> String {
    let is_still_its_name = engine
        .images()
        .find(&view.image_name)
        .is_ok_and(|image| image.id.to_string() == view.image_id);
    if is_still_its_name { view.image_name.clone() } else { view.image_id.clone() }
}
