//! Paths that Docker serves and Wharf does not yet: refused by name.

use hyper::Method;

use crate::http::ApiError;

/// The beginning (and the end) of a path, and what it is for.
const MISSING: &[(&str, &str, &str)] = &[
    ("/build", "", "building images"),
    ("/session", "", "building images (BuildKit's sessions)"),
    ("/grpc", "", "building images (BuildKit's gRPC)"),
    ("/images/search", "", "searching registries"),
    ("/images/", "/push", "pushing images: there are no registries yet"),
    ("/distribution/", "/json", "asking registries about images"),
    ("/containers/", "/checkpoints", "checkpoints"),
    ("/networks/", "/connect", "connecting containers to networks"),
    ("/networks/", "/disconnect", "disconnecting containers from networks"),
    ("/plugins/", "", "plugins"),
    ("/swarm", "", "swarm mode"),
];

/// Paths that make sense on a manager of a swarm only.
const SWARM: &[&str] = &["/nodes", "/services", "/tasks", "/secrets", "/configs"];

/// Why a path has no handler.
pub(crate) fn explain(method: &Method, path: &str) -> ApiError {
    let begins = |prefix: &str| {
        path == prefix
            || path.starts_with(prefix)
                && (prefix.ends_with('/') || path[prefix.len()..].starts_with('/'))
    };
    if path == "/swarm" && *method == Method::GET || SWARM.iter().any(|prefix| begins(prefix)) {
        return ApiError::unavailable(
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" \
             to connect this node to swarm and try again.",
        )
        .with_hint("Wharf has no swarm mode yet");
    }
    let missing =
        MISSING.iter().find(|(prefix, suffix, _)| begins(prefix) && path.ends_with(suffix));
    match missing {
        Some((.., what)) => ApiError::not_implemented(what),
        None => ApiError::not_found("page not found"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, status: u16, words: &str) {
        let error = explain(&Method::POST, path);
        assert_eq!(error.status().as_u16(), status, "{path}");
        assert!(error.message().contains(words), "{}", error.message());
    }

    #[test]
    fn what_is_missing_is_named() {
        check("/build", 501, "building images");
        check("/build/cancel", 501, "building images");
        check("/swarm/init", 501, "swarm mode");
        check("/services/create", 503, "not a swarm manager");
        check("/builder", 404, "page not found");
        check("/containers/x/nonsense", 404, "page not found");
    }
}
