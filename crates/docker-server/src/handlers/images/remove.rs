//! `DELETE /images/{name}`, `POST /images/prune`, `POST /images/{name}/tag`

use docker_api::images::{ImageDeleteItem, ImagePruneReport};
use engine::events::ObjectKind;
use engine::images::{RemoveImage, Removed};
use hyper::{Response, StatusCode};
use oci::Reference;

use super::blocking;
use crate::handlers::prune as prune_filters;
use crate::http::{Answer, ApiError, Request, json, status_only};

pub(crate) async fn remove(request: Request) -> Result<Response<Answer>, ApiError> {
    if request.name.trim().is_empty() {
        return Err(ApiError::invalid("image name cannot be blank"));
    }
    if request.query.has("platforms") {
        return Err(ApiError::not_implemented("removing single platforms of an image"));
    }
    let options =
        RemoveImage { force: request.query.flag("force"), no_prune: request.query.flag("noprune") };
    let removed = request.engine().remove_image(&request.name, options).await?;
    Ok(json(StatusCode::OK, &items(removed)))
}

pub(crate) async fn prune(request: Request) -> Result<Response<Answer>, ApiError> {
    let filters = request.filters(&["dangling", "until", "label", "label!"])?;
    let dangling =
        filters.get_bool("dangling").map_err(|error| ApiError::invalid(error.to_string()))?;
    let filter = prune_filters::filter(&filters)?;
    let (removed, bytes) = request.engine().prune_images(dangling == Some(false), filter).await;
    prune_filters::publish(request.engine(), ObjectKind::Image, bytes);
    let report = ImagePruneReport {
        images_deleted: Some(items(removed)).filter(|items| !items.is_empty()),
        space_reclaimed: bytes,
    };
    Ok(json(StatusCode::OK, &report))
}

fn items(removed: Vec<Removed>) -> Vec<ImageDeleteItem> {
    removed
        .into_iter()
        .map(|removed| match removed {
            Removed::Untagged(untagged) => ImageDeleteItem { untagged, ..Default::default() },
            Removed::Deleted(deleted) => ImageDeleteItem { deleted, ..Default::default() },
        })
        .collect()
}

pub(crate) async fn tag(request: Request) -> Result<Response<Answer>, ApiError> {
    let store = request.engine().images().clone();
    let reference = named(request.query.text("repo"), request.query.text("tag"))?;
    let name = request.name.clone();
    let familiar = reference.familiar();
    let id = blocking(move || -> Result<_, ApiError> {
        let image = store.resolve(&name)?;
        store.tag(&image.id, &reference)?;
        Ok(image.id)
    })
    .await??;
    request.engine().publish_image_event("tag", &id, &familiar);
    Ok(status_only(StatusCode::CREATED))
}

/// A name from its two parts. Without a tag, or with an empty one, it is the newest.
pub(in crate::handlers) fn named(repository: &str, tag: &str) -> Result<Reference, ApiError> {
    let reference: Reference = repository.parse()?;
    if reference.digest().is_some() {
        return Err(ApiError::invalid("refusing to create a tag with a digest reference"));
    }
    match tag {
        "" => Ok(reference.or_latest()),
        tag => reference.with_tag(tag).map_err(|_| ApiError::invalid("invalid tag format")),
    }
}
