//! `POST /images/load`, `GET /images/get`, `GET /images/{name}/get`

use docker_api::{ProgressDetail, ProgressMessage};
use engine::Engine;
use futures_util::stream;
use hyper::Response;
use images::{LoadProgress, Loaded};
use tokio::sync::mpsc;

use super::blocking;
use crate::handlers::download::download;
use crate::http::{Answer, ApiError, Frames, Request, json_stream};

/// Messages that wait for a slow client before the work waits as well.
const MESSAGES_WAITING_MAX: usize = 64;

/// The characters between a progress bar's ends.
const BAR_WIDTH: u64 = 50;

pub(crate) async fn load(request: Request) -> Result<Response<Answer>, ApiError> {
    let is_quiet = request.query.flag_or("quiet", true);
    let platform = platform(&request)?;
    let engine = request.engine().clone();
    let body = Frames::new(request.body.take());
    let (sender, receiver) = mpsc::channel(MESSAGES_WAITING_MAX);
    // Ends with the client's body, or when the client goes: its body is an error then.
    tokio::task::spawn_blocking(move || {
        run(&engine, body, platform.as_deref(), is_quiet, &sender);
    });
    let messages = stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|message| (message, receiver))
    });
    Ok(json_stream(messages))
}

/// A platform is a document: `{"os":"linux","architecture":"amd64"}`.
fn platform(request: &Request) -> Result<Option<String>, ApiError> {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Platform {
        os: String,
        architecture: String,
        variant: String,
    }
    let mut texts = request.query.all("platform").filter(|text| !text.is_empty());
    let Some(text) = texts.next() else { return Ok(None) };
    if texts.next().is_some() {
        return Err(ApiError::invalid("multiple platform parameters not supported"));
    }
    let platform: Platform = docker_api::lenient::from_slice(text.as_bytes())
        .map_err(|error| ApiError::invalid(format!("failed to parse platform: {error}")))?;
    if platform.os.is_empty() || platform.architecture.is_empty() {
        return Err(ApiError::invalid("both OS and Architecture must be provided"));
    }
    let parts = [platform.os, platform.architecture, platform.variant];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    Ok(Some(parts.join("/")))
}

fn run(
    engine: &Engine,
    mut body: Frames,
    platform: Option<&str>,
    is_quiet: bool,
    sender: &mpsc::Sender<ProgressMessage>,
) {
    // If nobody listens any more, there is nobody to tell.
    let tell = |message| drop(sender.blocking_send(message));
    let mut progress = |progress: LoadProgress| {
        if !is_quiet {
            tell(progress_message(progress));
        }
    };
    match engine.images().load(&mut body, platform, &mut progress) {
        Ok(loaded) => {
            for image in &loaded {
                messages_of(image).into_iter().for_each(&tell);
                engine.publish_image_event("load", &image.image, &image.image.to_string());
            }
        }
        Err(error) => tell(ProgressMessage::error(ApiError::from(error).message())),
    }
}

fn messages_of(loaded: &Loaded) -> Vec<ProgressMessage> {
    let mut texts: Vec<String> = loaded
        .replaced
        .iter()
        .map(|(name, old)| {
            format!(
                "The image {} already exists, renaming the old one with ID {old} to empty \
                 string\n",
                name.familiar()
            )
        })
        .collect();
    if loaded.references.is_empty() {
        texts.push(format!("Loaded image ID: {}\n", loaded.image));
    }
    texts.extend(
        loaded.references.iter().map(|name| format!("Loaded image: {}\n", name.familiar())),
    );
    texts.into_iter().map(ProgressMessage::stream).collect()
}

fn progress_message(progress: LoadProgress) -> ProgressMessage {
    let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    ProgressMessage {
        progress: bar(progress.current, progress.total),
        progress_detail: Some(ProgressDetail {
            current: number(progress.current),
            total: number(progress.total),
        }),
        id: progress.layer,
        ..ProgressMessage::status("Loading layer")
    }
}

/// The bar as text, for clients that do not draw one.
fn bar(current: u64, total: u64) -> String {
    if total == 0 {
        return String::new();
    }
    let filled = usize::try_from(current.min(total) * BAR_WIDTH / total).unwrap_or_default();
    let width = usize::try_from(BAR_WIDTH).unwrap_or_default();
    format!("[{:<width$}] {current}B/{total}B", format!("{}>", "=".repeat(filled)))
}

pub(crate) async fn save(request: Request) -> Result<Response<Answer>, ApiError> {
    let mut names: Vec<String> = request.query.all("names").map(str::to_owned).collect();
    if !request.name.is_empty() {
        names = vec![request.name.clone()];
    }
    let store = request.engine().images().clone();
    if names.is_empty() {
        return Err(ApiError::invalid("no images to save are named"));
    }
    let resolved = names.clone();
    let ids = blocking(move || -> Result<Vec<_>, ApiError> {
        resolved.iter().map(|name| Ok(store.resolve(name)?.id)).collect()
    })
    .await??;
    for id in &ids {
        request.engine().publish_image_event("save", id, &id.to_string());
    }
    let store = request.engine().images().clone();
    let what = format!("cannot save {names:?}");
    Ok(download("application/x-tar", what, move |writer| store.save(&names, writer)))
}
