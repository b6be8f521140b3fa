//! `GET /containers/{name}/json` and `/top`

use docker_api::containers::TopResponse;
use hyper::{Response, StatusCode};

use super::list::network_ids;
use crate::http::{Answer, ApiError, Request, json};
use crate::show::{container_inspect, fill_in_network_ids};
use crate::versions;

pub(crate) async fn inspect(request: Request) -> Result<Response<Answer>, ApiError> {
    let view = request.engine().current_container(&request.name).await?;
    let sizes = match request.query.flag("size") {
        true => Some(request.engine().container_size(view.id.as_str()).await?),
        false => None,
    };
    let mut container = container_inspect(&view, sizes);
    if let Some(networks) = &mut container.network_settings.networks {
        fill_in_network_ids(networks, &view, &network_ids(request.engine()));
    }
    if let Some(data) = &mut container.graph_driver.data {
        let layers = request.engine().container_layers(&view).await;
        let layers: Vec<_> = layers.iter().map(|layer| layer.display().to_string()).collect();
        data.insert("LowerDir".to_owned(), layers.join(":"));
    }
    let links = request.engine().links_of(&view).into_iter();
    let links: Vec<_> =
        links.map(|(name, alias)| format!("/{name}:/{}/{alias}", view.name)).collect();
    container.host_config.links = Some(links).filter(|links| !links.is_empty());
    versions::container_inspect(request.version, &mut container);
    Ok(json(StatusCode::OK, &container))
}

pub(crate) async fn top(request: Request) -> Result<Response<Answer>, ApiError> {
    let arguments = request.query.text("ps_args");
    let table = request.engine().container_processes(&request.name, arguments).await?;
    let answer = TopResponse { processes: table.rows, titles: table.titles };
    Ok(json(StatusCode::OK, &answer))
}
