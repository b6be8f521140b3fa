//! `/volumes/…`

use docker_api::Filters;
use docker_api::volumes::{VolumeCreateRequest, VolumeList, VolumePruneReport};
use engine::Engine;
use engine::events::ObjectKind;
use engine::volumes::{CreateVolume, VolumeView};
use hyper::{Response, StatusCode};
use regex_lite::Regex;

use super::prune as prune_filters;
use crate::http::{Answer, ApiError, Request, empty, json};
use crate::show;
use crate::versions;

const NAMES: &[&str] = &["dangling", "driver", "label", "name"];

/// The driver of volumes that name none.
const LOCAL_DRIVER: &str = "local";

/// `GET /volumes`
pub(crate) async fn list(request: Request) -> Result<Response<Answer>, ApiError> {
    let filters = request.filters(NAMES)?;
    let engine = request.engine();
    let dangling =
        filters.get_bool("dangling").map_err(|error| ApiError::invalid(error.to_string()))?;
    let names: Vec<Regex> = filters
        .get("name")
        .map(|text| {
            Regex::new(text).map_err(|_| ApiError::invalid(format!("invalid filter 'name={text}'")))
        })
        .collect::<Result<_, _>>()?;
    let volumes = engine.volumes().into_iter().filter(|volume| {
        fits(volume, &filters)
            && (names.is_empty() || names.iter().any(|name| name.is_match(&volume.name)))
            && dangling.is_none_or(|wanted| is_dangling(engine, volume) == wanted)
    });
    let volumes = volumes.map(|volume| show::volume(&volume, None)).collect();
    Ok(json(StatusCode::OK, &VolumeList { volumes: Some(volumes), warnings: None }))
}

fn fits(volume: &VolumeView, filters: &Filters) -> bool {
    let labels = show::volume(volume, None).labels.unwrap_or_default();
    let has_label = |wanted: &str| match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|own| own == value),
        None => labels.contains_key(wanted),
    };
    (!filters.contains("driver") || filters.get("driver").any(|driver| driver == volume.driver))
        && filters.get("label").all(has_label)
}

fn is_dangling(engine: &Engine, volume: &VolumeView) -> bool {
    engine.volume_users(&volume.name).is_empty()
}

/// `GET /volumes/{name}`
pub(crate) async fn inspect(request: Request) -> Result<Response<Answer>, ApiError> {
    let volume = request.engine().volume(&request.name)?;
    Ok(json(StatusCode::OK, &show::volume(&volume, None)))
}

/// `POST /volumes/create`
pub(crate) async fn create(mut request: Request) -> Result<Response<Answer>, ApiError> {
    let document: VolumeCreateRequest = request.document().await?;
    if document.cluster_volume_spec.is_some() {
        return Err(ApiError::not_implemented("cluster volumes"));
    }
    let driver = match document.driver {
        driver if driver.is_empty() || driver == "default" => LOCAL_DRIVER.to_owned(),
        driver => driver,
    };
    let volume = CreateVolume {
        name: Some(document.name).filter(|name| !name.is_empty()),
        driver,
        options: document.driver_opts.unwrap_or_default(),
        labels: document.labels.unwrap_or_default(),
    };
    let created = request.engine().create_volume(volume).await?;
    Ok(json(StatusCode::CREATED, &show::volume(&created, None)))
}

/// `DELETE /volumes/{name}`
pub(crate) async fn remove(request: Request) -> Result<Response<Answer>, ApiError> {
    request.engine().remove_volume(&request.name, request.query.flag("force")).await?;
    Ok(empty())
}

/// `POST /volumes/prune`
pub(crate) async fn prune(request: Request) -> Result<Response<Answer>, ApiError> {
    let filters = request.filters(&["all", "label", "label!"])?;
    let all = filters.get_bool("all").map_err(|error| ApiError::invalid(error.to_string()))?;
    // Anonymous ones only, but for clients of old.
    let all = all.unwrap_or(!versions::prunes_anonymous_volumes_only(request.version));
    let filter = prune_filters::filter(&filters)?;
    let pruned = request.engine().prune_volumes(all, filter).await;
    prune_filters::publish(request.engine(), ObjectKind::Volume, pruned.bytes);
    let report =
        VolumePruneReport { volumes_deleted: Some(pruned.names), space_reclaimed: pruned.bytes };
    Ok(json(StatusCode::OK, &report))
}
