//! `/networks/…`. The three networks that every host has; making others: not yet.

use docker_api::networks::{Network, NetworkCreateRequest, NetworkPruneReport};
use engine::events::ObjectKind;
use hyper::{Response, StatusCode};
use network::NetworkInfo;
use regex_lite::Regex;

use super::prune as prune_filters;
use crate::http::{Answer, ApiError, Request, json};
use crate::show::network_inspect;

const NAMES: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];

/// Names that are taken for ever.
const PREDEFINED: &[&str] = &["bridge", "host", "none", "default"];

/// `GET /networks`
pub(crate) async fn list(request: Request) -> Result<Response<Answer>, ApiError> {
    let filters = request.filters(NAMES)?;
    let dangling =
        filters.get_bool("dangling").map_err(|error| ApiError::invalid(error.to_string()))?;
    let pattern = |name: &str| -> Result<Vec<Regex>, ApiError> {
        let patterns = filters.get(name).map(|text| {
            Regex::new(text)
                .map_err(|_| ApiError::invalid(format!("invalid filter '{name}={text}'")))
        });
        patterns.collect()
    };
    if let Some(kind) = filters.get("type").find(|kind| !matches!(*kind, "builtin" | "custom")) {
        return Err(ApiError::invalid(format!("invalid filter: 'type'='{kind}'")));
    }
    let (names, ids) = (pattern("name")?, pattern("id")?);
    let any = |name: &str, value: &str| {
        !filters.contains(name) || filters.get(name).any(|wanted| wanted == value)
    };
    let fits = |info: &NetworkInfo| {
        let matches = |patterns: &[Regex], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.is_match(text))
        };
        matches(&names, &info.name)
            && matches(&ids, &info.id)
            && any("driver", &info.driver)
            && any("scope", &info.scope)
            && any("type", "builtin")
            && !filters.contains("label")
            // The ones that are always there are never in the way.
            && dangling != Some(true)
    };
    let infos = request.engine().networks().list();
    // Who is connected is told in the details only.
    let networks: Vec<Network> =
        infos.iter().filter(|info| fits(info)).map(without_containers).collect();
    Ok(json(StatusCode::OK, &networks))
}

fn without_containers(info: &NetworkInfo) -> Network {
    Network { containers: Some(Default::default()), ..network_inspect(info) }
}

/// `GET /networks/{name}`
pub(crate) async fn inspect(request: Request) -> Result<Response<Answer>, ApiError> {
    let info = request.engine().networks().get(&request.name)?;
    Ok(json(StatusCode::OK, &network_inspect(&info)))
}

/// `POST /networks/create`
pub(crate) async fn create(mut request: Request) -> Result<Response<Answer>, ApiError> {
    let document: NetworkCreateRequest = request.document().await?;
    if PREDEFINED.contains(&document.name.as_str()) {
        return Err(ApiError::forbidden(format!(
            // The space at the end is Docker's.
            "operation is not permitted on predefined {} network ",
            document.name
        )));
    }
    Err(ApiError::not_implemented(format!("making networks ({})", document.name)))
}

/// `DELETE /networks/{name}`
pub(crate) async fn remove(request: Request) -> Result<Response<Answer>, ApiError> {
    let info = request.engine().networks().get(&request.name)?;
    Err(ApiError::forbidden(format!(
        "{} is a pre-defined network and cannot be removed",
        info.name
    )))
}

/// `POST /networks/prune`: the ones that are always there are never pruned.
pub(crate) async fn prune(request: Request) -> Result<Response<Answer>, ApiError> {
    request.filters(&["until", "label", "label!"])?;
    prune_filters::publish(request.engine(), ObjectKind::Network, 0);
    Ok(json(StatusCode::OK, &NetworkPruneReport::default()))
}
