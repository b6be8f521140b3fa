//! Which handler answers which path.
//!
//! A path may begin with `/v1.N`. The rest is a row of [`ROUTES`], of which the first that fits
//! is taken; `{name}` stands for anything, slashes included, since images have them in their
//! names.

use std::pin::Pin;

use docker_api::ApiVersion;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Method, Response, StatusCode};

use crate::Server;
use crate::handlers::{containers, events, exec, images, missing, networks, system, volumes};
use crate::http::{
    Answer, ApiError, Hijacker, Query, Request, Unread, drain, percent_decode, plain, status_only,
};
use crate::product::{API_VERSION, SERVER_HEADER};
use crate::versions;

type Handled = Pin<Box<dyn Future<Output = Result<Response<Answer>, ApiError>> + Send>>;

/// One row: what a request looks like, and who answers it.
struct Route {
    method: Method,
    /// The path up to `{name}`, or all of it.
    prefix: &'static str,
    /// The path after `{name}`, if there is one.
    suffix: Option<&'static str>,
    run: Run,
    handler: fn(Request) -> Handled,
}

/// What happens to a handler whose client goes away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    /// It is dropped: nobody needs what it would say. Also for handlers that take the
    /// connection, which drops them.
    WithClient,
    /// It goes on: half a removal helps nobody.
    ToTheEnd,
}

macro_rules! route {
    ($method:ident, $run:ident, $prefix:literal, $handler:path) => {
        route!(@ $method, $run, $prefix, None, $handler)
    };
    ($method:ident, $run:ident, $prefix:literal * $suffix:literal, $handler:path) => {
        route!(@ $method, $run, $prefix, Some($suffix), $handler)
    };
    (@ $method:ident, $run:ident, $prefix:literal, $suffix:expr, $handler:path) => {
        Route {
            method: Method::$method,
            prefix: $prefix,
            suffix: $suffix,
            run: Run::$run,
            handler: |request| Box::pin($handler(request)),
        }
    };
}

/// Every path that is served. `*` stands for `{name}`.
static ROUTES: &[Route] = &[
    route!(GET, WithClient, "/_ping", system::ping),
    route!(HEAD, WithClient, "/_ping", system::ping),
    route!(GET, WithClient, "/info", system::info),
    route!(GET, WithClient, "/version", system::version),
    route!(GET, WithClient, "/system/df", system::disk_usage),
    route!(GET, WithClient, "/events", events::stream),
    route!(POST, WithClient, "/auth", system::authenticate),
    route!(GET, WithClient, "/containers/json", containers::list),
    route!(POST, ToTheEnd, "/containers/create", containers::create),
    route!(POST, ToTheEnd, "/containers/prune", containers::prune),
    route!(GET, WithClient, "/containers/" * "/json", containers::inspect),
    route!(GET, WithClient, "/containers/" * "/top", containers::top),
    route!(GET, WithClient, "/containers/" * "/logs", containers::logs),
    route!(GET, WithClient, "/containers/" * "/attach/ws", containers::attach_by_websocket),
    route!(GET, WithClient, "/containers/" * "/changes", containers::changes),
    route!(GET, WithClient, "/containers/" * "/export", containers::export),
    route!(POST, ToTheEnd, "/commit", containers::commit),
    route!(HEAD, WithClient, "/containers/" * "/archive", containers::stat_archive),
    route!(GET, WithClient, "/containers/" * "/archive", containers::read_archive),
    route!(PUT, ToTheEnd, "/containers/" * "/archive", containers::write_archive),
    route!(GET, WithClient, "/containers/" * "/stats", containers::stats),
    route!(POST, ToTheEnd, "/containers/" * "/start", containers::start),
    route!(POST, ToTheEnd, "/containers/" * "/stop", containers::stop),
    route!(POST, ToTheEnd, "/containers/" * "/restart", containers::restart),
    route!(POST, ToTheEnd, "/containers/" * "/kill", containers::kill),
    route!(POST, ToTheEnd, "/containers/" * "/rename", containers::rename),
    route!(POST, ToTheEnd, "/containers/" * "/pause", containers::pause),
    route!(POST, ToTheEnd, "/containers/" * "/unpause", containers::unpause),
    route!(POST, ToTheEnd, "/containers/" * "/resize", containers::resize),
    route!(POST, ToTheEnd, "/containers/" * "/update", containers::update),
    route!(POST, WithClient, "/containers/" * "/attach", containers::attach),
    route!(POST, WithClient, "/containers/" * "/wait", containers::wait),
    route!(POST, ToTheEnd, "/containers/" * "/exec", exec::create),
    route!(DELETE, ToTheEnd, "/containers/" * "", containers::remove),
    route!(POST, WithClient, "/exec/" * "/start", exec::start),
    route!(POST, ToTheEnd, "/exec/" * "/resize", exec::resize),
    route!(GET, WithClient, "/exec/" * "/json", exec::inspect),
    route!(GET, WithClient, "/images/json", images::list),
    route!(POST, ToTheEnd, "/images/create", images::create),
    route!(POST, ToTheEnd, "/images/load", images::load),
    route!(POST, ToTheEnd, "/images/prune", images::prune),
    route!(GET, WithClient, "/images/get", images::save),
    route!(GET, WithClient, "/images/" * "/get", images::save),
    route!(GET, WithClient, "/images/" * "/json", images::inspect),
    route!(GET, WithClient, "/images/" * "/history", images::history),
    route!(POST, ToTheEnd, "/images/" * "/tag", images::tag),
    route!(DELETE, ToTheEnd, "/images/" * "", images::remove),
    route!(GET, WithClient, "/volumes", volumes::list),
    route!(POST, ToTheEnd, "/volumes/create", volumes::create),
    route!(POST, ToTheEnd, "/volumes/prune", volumes::prune),
    route!(GET, WithClient, "/volumes/" * "", volumes::inspect),
    route!(DELETE, ToTheEnd, "/volumes/" * "", volumes::remove),
    route!(GET, WithClient, "/networks", networks::list),
    route!(GET, WithClient, "/networks/", networks::list),
    route!(POST, WithClient, "/networks/create", networks::create),
    route!(POST, WithClient, "/networks/prune", networks::prune),
    route!(GET, WithClient, "/networks/" * "", networks::inspect),
    route!(DELETE, WithClient, "/networks/" * "", networks::remove),
    route!(GET, WithClient, "/plugins", system::plugins),
    route!(GET, WithClient, "/plugins/" * "/json", system::inspect_plugin),
    route!(POST, WithClient, "/build/prune", system::prune_build_cache),
];

/// Answers one request.
pub(crate) async fn answer(
    server: Server,
    request: hyper::Request<Incoming>,
    hijacker: Hijacker,
) -> Response<Answer> {
    let is_for_reading_by_people = is_older_than_json_errors(request.uri().path());
    let mut response = match dispatch(server, request, hijacker).await {
        Ok(response) => response,
        // These clients show the body as it is.
        Err(error) if is_for_reading_by_people => {
            plain(error.status(), format!("{}\n", error.message()))
        }
        Err(error) => error.into_response(),
    };
    add_server_headers(&mut response);
    response
}

async fn dispatch(
    server: Server,
    request: hyper::Request<Incoming>,
    hijacker: Hijacker,
) -> Result<Response<Answer>, ApiError> {
    let (head, body) = request.into_parts();
    if head.method == Method::OPTIONS {
        return Ok(status_only(StatusCode::OK));
    }
    let path = percent_decode(head.uri.path());
    let (version, path) = versions::take(&path)?;
    let Some((route, name)) = find(&head.method, path) else {
        drain(body).await;
        return Err(missing::explain(&head.method, path));
    };
    let version = versions::check(version)?;
    let query = Query::parse(head.uri.query().unwrap_or_default());
    let request = Request {
        server,
        version,
        name: name.to_owned(),
        query,
        head,
        body: Unread::new(body),
        hijacker,
    };
    let handled = (route.handler)(request);
    match route.run {
        Run::WithClient => handled.await,
        Run::ToTheEnd => match tokio::spawn(handled).await {
            Ok(result) => result,
            Err(error) => Err(ApiError::internal(format!("the request's handler failed: {error}"))),
        },
    }
}

fn find<'path>(method: &Method, path: &'path str) -> Option<(&'static Route, &'path str)> {
    ROUTES.iter().filter(|route| route.method == *method).find_map(|route| {
        let name = route.matches(path)?;
        Some((route, name))
    })
}

impl Route {
    /// What stands for `{name}`, if the path fits.
    fn matches<'path>(&self, path: &'path str) -> Option<&'path str> {
        match self.suffix {
            None => (path == self.prefix).then_some(""),
            Some(suffix) => {
                path.strip_prefix(self.prefix)?.strip_suffix(suffix).filter(|name| !name.is_empty())
            }
        }
    }
}

/// Before API 1.24 errors were plain text, so that is how these clients are told that they
/// are too old.
fn is_older_than_json_errors(path: &str) -> bool {
    matches!(versions::take(path), Ok((Some(version), _)) if version < ApiVersion::MIN)
}

fn add_server_headers(response: &mut Response<Answer>) {
    let headers = response.headers_mut();
    headers.insert("Api-Version", HeaderValue::from_static(API_VERSION));
    headers.insert("Docker-Experimental", HeaderValue::from_static("false"));
    headers.insert("Ostype", HeaderValue::from_static("linux"));
    headers.insert("Server", HeaderValue::from_static(SERVER_HEADER));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &Method, path: &str, prefix: &str, name: &str) {
        let (route, found) = find(method, path).unwrap();
        assert_eq!((route.prefix, found), (prefix, name));
    }

    #[test]
    fn names_may_contain_slashes() {
        check(
            &Method::GET,
            "/images/localhost:5000/a/b:c/json",
            "/images/",
            "localhost:5000/a/b:c",
        );
        check(&Method::GET, "/images/json", "/images/json", "");
        check(&Method::GET, "/images/json/json", "/images/", "json");
        check(&Method::DELETE, "/images/a/b", "/images/", "a/b");
    }

    #[test]
    fn what_is_no_route_is_none() {
        for path in ["/", "/containers", "/containers/", "/containers//json", "/x"] {
            assert!(find(&Method::GET, path).is_none(), "{path}");
        }
        assert!(find(&Method::PUT, "/containers/json").is_none());
    }
}
