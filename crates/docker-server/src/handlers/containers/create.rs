//! `POST /containers/create`

use std::sync::Arc;

use docker_api::containers::{CreateRequest, CreateResponse, HostConfig};
use engine::containers::CreateContainer;
use hyper::{Response, StatusCode};
use images::Platform;

use crate::Server;
use crate::create::{Refusal, check};
use crate::http::{Answer, ApiError, Request, json};
use crate::show::image_defaults;
use crate::versions;

pub(crate) async fn create(mut request: Request) -> Result<Response<Answer>, ApiError> {
    let mut document: CreateRequest = request.required_document().await?;
    if document == CreateRequest::default() {
        return Err(ApiError::invalid("config cannot be empty in order to create a container"));
    }
    let current = request.server.current();
    let circumstances = &current.circumstances;
    versions::create_request(request.version, &mut document, circumstances.cgroups.version)?;
    let host = document.host_config.get_or_insert_with(HostConfig::default);
    name_containers_by_id(&request.server, host);
    let image_name = document.config.image.clone();
    let checked = check(document, circumstances)?;
    let image = find_image(&request, &image_name).await?;
    let defaults = image.as_ref().map(|image| image_defaults(image)).unwrap_or_default();
    let planned = checked.plan(&defaults, circumstances)?;
    let Some(image) = image else {
        return Err(Refusal::unsupported("containers without an image").into());
    };
    let mut warnings = planned.warnings;
    warnings.extend(platform_warning(&request, &Platform::of(&image.config)));
    let created = request
        .engine()
        .create_container(CreateContainer {
            name: Some(request.query.text("name").to_owned()).filter(|name| !name.is_empty()),
            image_id: image.id.to_string(),
            image_name,
            spec: planned.spec,
            document: planned.document.to_text(),
        })
        .await?;
    warnings.extend(created.warnings);
    let answer = CreateResponse { id: created.id.to_string(), warnings: Some(warnings) };
    Ok(json(StatusCode::CREATED, &answer))
}

/// `container:name` becomes `container:id`, so that a rename changes nothing. A container that
/// is not there is for the engine to refuse.
fn name_containers_by_id(server: &Server, host: &mut HostConfig) {
    for mode in [&mut host.pid_mode, &mut host.ipc_mode, &mut host.network_mode] {
        let Some(name) = mode.strip_prefix("container:") else { continue };
        if let Ok(view) = server.engine.container(name) {
            *mode = format!("container:{}", view.id);
        }
    }
}

async fn find_image(request: &Request, name: &str) -> Result<Option<Arc<images::Image>>, ApiError> {
    if name.is_empty() {
        return Ok(None);
    }
    let store = request.engine().images().clone();
    let owned = name.to_owned();
    // Most are found at once; only the built-in one may have to be made.
    let image = match store.find(name) {
        Ok(image) => image,
        Err(_) => super::super::images::blocking(move || store.resolve(&owned)).await??,
    };
    check_platform(request, name, &image)?;
    Ok(Some(image))
}

/// An image for another platform than the one that was asked for is as good as none: that is
/// what makes clients pull.
fn check_platform(request: &Request, name: &str, image: &images::Image) -> Result<(), ApiError> {
    let wanted = request.query.text("platform");
    if wanted.is_empty() {
        return Ok(());
    }
    let wanted: Platform = wanted.parse()?;
    let own = Platform::of(&image.config);
    if wanted.accepts(&own) {
        return Ok(());
    }
    Err(ApiError::not_found(format!(
        "image with reference {name} was found but its platform ({own}) does not match the \
         specified platform ({wanted})"
    )))
}

fn platform_warning(request: &Request, own: &Platform) -> Option<String> {
    let host = Platform::host();
    let is_asked_for = !request.query.text("platform").is_empty();
    (!is_asked_for && !host.accepts(own)).then(|| {
        format!(
            "The requested image's platform ({own}) does not match the detected host platform \
             ({host}) and no specific platform was requested"
        )
    })
}
