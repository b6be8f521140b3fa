//! `GET /images/{name}/json` and `/history`

use docker_api::images::HistoryItem;
use hyper::{Response, StatusCode};

use super::blocking;
use crate::http::{Answer, ApiError, Request, json};
use crate::show::{familiar_names, image_inspect};
use crate::versions;

/// What a step is called whose image is not on this host.
const MISSING_IMAGE: &str = "<missing>";

pub(crate) async fn inspect(request: Request) -> Result<Response<Answer>, ApiError> {
    let image = request.engine().images().find(&request.name)?;
    let mut document = serde_json::to_value(image_inspect(&image))
        .map_err(|error| ApiError::internal(format!("cannot show image {}: {error}", image.id)))?;
    versions::image_inspect(request.version, &mut document);
    Ok(json(StatusCode::OK, &document))
}

pub(crate) async fn history(request: Request) -> Result<Response<Answer>, ApiError> {
    let store = request.engine().images().clone();
    let image = store.find(&request.name)?;
    let entries = blocking(move || store.history(&image.id)).await??;
    let items: Vec<HistoryItem> = entries
        .into_iter()
        .map(|entry| HistoryItem {
            comment: entry.comment,
            created: entry.created.map_or(0, jiff::Timestamp::as_second),
            created_by: entry.created_by,
            id: entry.id.map_or_else(|| MISSING_IMAGE.to_owned(), |id| id.to_string()),
            size: i64::try_from(entry.size).unwrap_or(i64::MAX),
            tags: Some(familiar_names(&entry.tags)).filter(|tags| !tags.is_empty()),
        })
        .collect();
    Ok(json(StatusCode::OK, &items))
}
