//! `POST /images/create`: an image from an archive of a file system. (From a registry: not yet.)

use docker_api::ProgressMessage;
use futures_util::stream;
use hyper::{Response, StatusCode};
use images::{ImageId, ImportOptions, Store, parse_change};

use super::blocking;
use super::remove::named;
use crate::http::{Answer, ApiError, Frames, Request, json_stream};

/// The source that stands for the request's own body.
const BODY: &str = "-";

pub(crate) async fn create(request: Request) -> Result<Response<Answer>, ApiError> {
    let image = request.query.text("fromImage");
    if !image.is_empty() {
        return Err(pull(image, request.query.text("tag")));
    }
    match request.query.text("fromSrc") {
        BODY => import(request).await,
        "" => Err(ApiError::invalid("neither fromImage nor fromSrc is given")),
        source => Err(ApiError::not_implemented(format!("importing from {source}"))
            .with_hint("download it, and import the file")),
    }
}

fn pull(image: &str, tag: &str) -> ApiError {
    let name = if tag.is_empty() { image.to_owned() } else { format!("{image}:{tag}") };
    ApiError::not_implemented(format!("pulling {name}: there are no registries yet")).with_hint(
        "load images from a file with `docker load -i FILE`, or import a file system with \
         `docker import FILE NAME`",
    )
}

async fn import(request: Request) -> Result<Response<Answer>, ApiError> {
    let options = options(&request)?;
    let name = options.reference.as_ref().map(oci::Reference::familiar);
    let engine = request.engine().clone();
    let (store, body) = (engine.images().clone(), Frames::new(request.body.take()));
    // The answer's head is sent at its end: nothing is told before, and so errors can have
    // their own status.
    let id = blocking(move || run(&store, body, options)).await??;
    let id_text = id.to_string();
    if let Some(name) = &name {
        engine.publish_image_event("tag", &id, name);
    }
    engine.publish_image_event("import", &id, &id_text);
    let mut response = json_stream(stream::iter([ProgressMessage::status(id_text)]));
    *response.status_mut() = StatusCode::OK;
    Ok(response)
}

fn options(request: &Request) -> Result<ImportOptions, ApiError> {
    let query = &request.query;
    let (repository, tag) = (query.text("repo"), query.text("tag"));
    let changes = query.all("changes").filter(|change| !change.trim().is_empty()).map(|change| {
        parse_change(change).map_err(|error| ApiError::invalid(errors::chain(&error)))
    });
    Ok(ImportOptions {
        reference: if repository.is_empty() { None } else { Some(named(repository, tag)?) },
        message: match query.text("message") {
            "" => "Imported from -".to_owned(),
            message => message.to_owned(),
        },
        changes: changes.collect::<Result<_, _>>()?,
        platform: Some(query.text("platform").to_owned()).filter(|platform| !platform.is_empty()),
    })
}

fn run(store: &Store, mut body: Frames, options: ImportOptions) -> Result<ImageId, ApiError> {
    Ok(store.import(&mut body, options)?)
}
