//! `HEAD`, `GET` and `PUT /containers/{name}/archive`: copying files out and in.

use std::io::{self, Read, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use docker_api::containers::{ALL_XATTRS, FileMode, PATH_STAT_HEADER, PathStat};
use engine::containers::CopyIn;
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};

use crate::handlers::streams;
use crate::http::{
    Answer, ApiError, Frames, Request, blocking_writer, drain, status_only, stream as answer_stream,
};
use crate::show::time_text;

pub(crate) async fn stat(request: Request) -> Result<Response<Answer>, ApiError> {
    let stat = request.engine().stat_path(&request.name, path(&request)?).await?;
    let mut response = status_only(StatusCode::OK);
    tell(&mut response, &stat);
    Ok(response)
}

pub(crate) async fn read(request: Request) -> Result<Response<Answer>, ApiError> {
    let found = request.engine().copy_out(&request.name, path(&request)?).await?;
    let found = found.with_all_xattrs(request.query.flag(ALL_XATTRS));
    let (mut writer, pieces) = blocking_writer();
    let mut response = answer_stream("application/x-tar", pieces);
    tell(&mut response, &found.stat);
    let name = request.name;
    tokio::task::spawn_blocking(move || {
        let written = found.write(&mut writer);
        // If this fails, the client has gone.
        let _ = writer.flush();
        if let Err(error) = written
            && !streams::reader_has_gone(&error)
        {
            tracing::warn!("cannot copy from {name}: {}", errors::chain(&error));
        }
    });
    Ok(response)
}

pub(crate) async fn write(request: Request) -> Result<Response<Answer>, ApiError> {
    let options = CopyIn {
        to_container_user: request.query.flag("copyUIDGID"),
        keeps_kinds: request.query.flag("noOverwriteDirNonDir"),
    };
    let path = path(&request)?.to_owned();
    let engine = request.engine().clone();
    let body = Arc::new(Mutex::new(Frames::new(request.body)));
    let copied = engine.copy_in(&request.name, &path, options, Shared(Arc::clone(&body))).await;
    if copied.is_err()
        && let Some(body) = Arc::into_inner(body)
    {
        let frames = body.into_inner().unwrap_or_else(PoisonError::into_inner);
        drain(frames.into_body()).await;
    }
    copied?;
    Ok(status_only(StatusCode::OK))
}

/// A body that is read by one, and drained by another if the first gives up.
struct Shared(Arc<Mutex<Frames>>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read(buffer)
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
