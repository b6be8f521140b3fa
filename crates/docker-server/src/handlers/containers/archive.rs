//! `HEAD`, `GET` and `PUT /containers/{name}/archive`: copying files out and in.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use docker_api::containers::{ALL_XATTRS, FileMode, PATH_STAT_HEADER, PathStat};
use engine::containers::{CopyIn, FilesError};
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use crate::handlers::download::download;
use crate::http::{Answer, ApiError, Frames, Request, drain, share_of_long_bodies, status_only};
use crate::show::time_text;

/// How long a file in a container is looked for. Longer than the engine waits for other copies.
const LOOKING_PATIENCE: Duration = Duration::from_secs(75);

pub(crate) async fn stat(request: Request) -> Result<Response<Answer>, ApiError> {
    let path = path(&request)?.to_owned();
    let (engine, name, shown) = (request.engine().clone(), request.name.clone(), path.clone());
    let looking = async move { engine.stat_path(&name, &path).await };
    let stat = in_time(LOOKING_PATIENCE, &request.name, &shown, looking).await?;
    let mut response = status_only(StatusCode::OK);
    tell(&mut response, &stat);
    Ok(response)
}

pub(crate) async fn read(request: Request) -> Result<Response<Answer>, ApiError> {
    let path = path(&request)?.to_owned();
    let (engine, name, shown) = (request.engine().clone(), request.name.clone(), path.clone());
    let looking = async move { engine.copy_out(&name, &path).await };
    let found = in_time(LOOKING_PATIENCE, &request.name, &shown, looking).await?;
    let found = found.with_all_xattrs(request.query.flag(ALL_XATTRS));
    let stat = found.stat.clone();
    let what = format!("cannot copy from {}", request.name);
    let mut response = download("application/x-tar", what, move |writer| found.write(writer));
    tell(&mut response, &stat);
    Ok(response)
}

pub(crate) async fn write(request: Request) -> Result<Response<Answer>, ApiError> {
    let options = CopyIn {
        to_container_user: request.query.flag("copyUIDGID"),
        keeps_kinds: request.query.flag("noOverwriteDirNonDir"),
    };
    let path = path(&request)?.to_owned();
    let engine = request.engine().clone();
    let frames = Frames::new(request.body.take());
    if let Err(refused) = frames.check_share() {
        drain(frames.into_body()).await;
        return Err(refused);
    }
    let body = Arc::new(Mutex::new(frames));
    let progress = Arc::new(Progress::default());
    let reader = Shared { body: Arc::clone(&body), progress: Arc::clone(&progress) };
    let (name, shown) = (request.name.clone(), path.clone());
    let copying = tokio::spawn(async move { engine.copy_in(&name, &path, options, reader).await });
    let Some(copied) = progress.watch(LOOKING_PATIENCE, copying).await else {
        return Err(no_answer(LOOKING_PATIENCE, &request.name, &shown));
    };
    let copied = copied.map_err(|error| ApiError::internal(error.to_string()))?;
    if copied.is_err()
        && let Some(body) = Arc::into_inner(body)
    {
        let frames = body.into_inner().unwrap_or_else(PoisonError::into_inner);
        drain(frames.into_body()).await;
    }
    copied?;
    Ok(status_only(StatusCode::OK))
}

/// Looks for something in a container, whose file systems may be its own programs (FUSE) or far
/// away, and need never answer. Whoever asked is told so after a while. The thread that waits
/// cannot be called back, so it keeps its share.
async fn in_time<T: Send + 'static>(
    patience: Duration,
    container: &str,
    path: &str,
    looking: impl Future<Output = Result<T, FilesError>> + Send + 'static,
) -> Result<T, ApiError> {
    let share = share_of_long_bodies()?;
    let looking = tokio::spawn(async move {
        let _share = share;
        looking.await
    });
    match tokio::time::timeout(patience, looking).await {
        Ok(Ok(found)) => Ok(found?),
        Ok(Err(error)) => Err(ApiError::internal(error.to_string())),
        Err(_) => Err(no_answer(patience, container, path)),
    }
}

fn no_answer(patience: Duration, container: &str, path: &str) -> ApiError {
    ApiError::unavailable(format!(
        "the file system that {path} of container {container} is on has not answered for {} s",
        patience.as_secs()
    ))
}

/// A body that is read by one, and drained by another if the first gives up.
struct Shared {
    body: Arc<Mutex<Frames>>,
    progress: Arc<Progress>,
}

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        self.progress.of_client(|| body.read(buffer))
    }
}

/// Since when what was uploaded is being written; nothing while the client is waited for, which
/// has a patience of its own.
struct Progress(Mutex<Option<Instant>>);

impl Default for Progress {
    fn default() -> Self {
        Self(Mutex::new(Some(Instant::now())))
    }
}

impl Progress {
    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn of_client<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.set(None);
        let done = wait();
        self.set(Some(Instant::now()));
        done
    }

    /// Waits until something is written, but not if for as long as `patience` no step of it comes
    /// to an end. The thread that writes cannot be called back: it keeps what it has.
    async fn watch<T>(
        &self,
        patience: Duration,
        mut writing: JoinHandle<T>,
    ) -> Option<Result<T, JoinError>> {
        loop {
            let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let until = since.unwrap_or_else(Instant::now) + patience;
            if since.is_some() && until <= Instant::now() {
                return None;
            }
            if let Ok(written) = tokio::time::timeout_at(until, &mut writing).await {
                return Some(written);
            }
        }
    }
}

fn path(request: &Request) -> Result<&str, ApiError> {
    match request.query.text("path") {
        // Docker's words, with the space that they lack.
        "" => Err(ApiError::invalid("bad parameter: pathcannot be empty")
            .with_hint("say which file or folder: CONTAINER:PATH")),
        path => Ok(path),
    }
}

fn tell(response: &mut Response<Answer>, stat: &engine::containers::PathStat) {
    let stat = PathStat {
        name: stat.name.clone(),
        size: i64::try_from(stat.size).unwrap_or(i64::MAX),
        mode: FileMode::from_unix(stat.mode),
        mtime: time_text(stat.modified),
        link_target: stat.link_target.clone(),
    };
    let document = serde_json::to_vec(&stat).expect("it is made of texts and numbers");
    let text = BASE64_STANDARD.encode(document);
    let value = HeaderValue::from_str(&text).expect("base 64 is ASCII");
    response.headers_mut().insert(PATH_STAT_HEADER, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_writes_has_to_come_along_and_who_sends_may_take_its_time() {
        let patience = Duration::from_millis(10);
        let progress = Progress::default();
        let stuck = tokio::spawn(std::future::pending::<()>());
        assert!(progress.watch(patience, stuck).await.is_none());

        // Now the client is waited for, which takes longer.
        progress.set(None);
        let slow = tokio::spawn(tokio::time::sleep(10 * patience));
        assert!(progress.watch(patience, slow).await.is_some());

        // And then what it sent is written again.
        progress.of_client(|| assert!(progress.0.lock().unwrap().is_none()));
        let stuck = tokio::spawn(std::future::pending::<()>());
        assert!(progress.watch(patience, stuck).await.is_none());
    }

    #[tokio::test]
    async fn a_file_system_that_does_not_answer_costs_a_share_and_not_the_asker() {
        let (answer, answered) = tokio::sync::oneshot::channel::<()>();
        let looking = async move {
            // Whether it ever comes.
            let _ = answered.await;
            Ok::<_, FilesError>(())
        };
        let refused = in_time(Duration::from_millis(1), "box", "/fuse/file", looking).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.message().contains("/fuse/file of container box"));
        let mut shares = Vec::new();
        while let Ok(share) = share_of_long_bodies() {
            shares.push(share);
        }
        let others = shares.len();
        let unasked = in_time(LOOKING_PATIENCE, "box", "/", async { Ok(()) }).await;
        assert_eq!(unasked.unwrap_err().status(), StatusCode::SERVICE_UNAVAILABLE);
        answer.send(()).unwrap();
        // It comes back with the answer.
        while share_of_long_bodies().map(|share| shares.push(share)).is_err() {
            tokio::task::yield_now().await;
        }
        assert_eq!(shares.len(), others + 1);
    }
}
