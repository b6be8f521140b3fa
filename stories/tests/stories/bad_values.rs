//! What makes no sense is refused in Docker's words, with Docker's status.

use serde_json::Value;
use stories::Host;

/// Method, path, body, status and words.
const REFUSED: &[(&str, &str, Option<&str>, u16, &str)] = &[
    ("GET", "/containers/json?limit=x", None, 500, r#"strconv.Atoi: parsing "x": invalid syntax"#),
    (
        "GET",
        "/containers/json?limit=99999999999999999999",
        None,
        500,
        r#"strconv.Atoi: parsing "99999999999999999999": value out of range"#,
    ),
    ("GET", "/containers/json?filters=%7B", None, 400, "invalid filter"),
    (
        "GET",
        "/containers/json?filters=%7B%22bogus%22:[%22x%22]%7D",
        None,
        400,
        "invalid filter 'bogus'",
    ),
    (
        "GET",
        "/containers/json?filters=%7B%22publish%22:[%22x%22]%7D",
        None,
        500,
        r#"error while looking up for publish x: strconv.ParseUint: parsing "x": invalid syntax"#,
    ),
    (
        "POST",
        "/containers/prune?filters=%7B%22until%22:[%22soon%22]%7D",
        None,
        400,
        r#"failed to parse value as time or duration: "soon""#,
    ),
    (
        "GET",
        "/containers/box/logs?stdout=1&since=xyz",
        None,
        500,
        r#"strconv.ParseInt: parsing "xyz": invalid syntax"#,
    ),
    (
        "GET",
        "/containers/box/logs?stdout=1&until=10m",
        None,
        500,
        r#"strconv.ParseInt: parsing "10m": invalid syntax"#,
    ),
    (
        "GET",
        "/containers/box/logs",
        None,
        400,
        "Bad parameters: you must choose at least one stream",
    ),
    (
        "GET",
        "/events?until=1&since=xyz",
        None,
        500,
        r#"strconv.ParseInt: parsing "xyz": invalid syntax"#,
    ),
    ("POST", "/containers/box/stop?t=x", None, 500, r#"strconv.Atoi: parsing "x": invalid syntax"#),
    (
        "POST",
        "/containers/box/stop?signal=BOGUS",
        None,
        500,
        "cannot stop container: box: invalid signal: BOGUS",
    ),
    (
        "POST",
        "/containers/box/restart?signal=BOGUS",
        None,
        500,
        "Cannot restart container box: invalid signal: BOGUS",
    ),
    (
        "POST",
        "/containers/box/kill?signal=BOGUS",
        None,
        400,
        "cannot kill container: box: invalid signal: BOGUS",
    ),
    (
        "POST",
        "/containers/box/kill?signal=65",
        None,
        400,
        "cannot kill container: box: the linux daemon does not support signal 65",
    ),
    (
        "POST",
        "/containers/box/resize?h=x&w=1",
        None,
        400,
        r#"invalid resize height "x": invalid syntax"#,
    ),
    (
        "POST",
        "/containers/box/resize?h=-1&w=1",
        None,
        400,
        r#"invalid resize height "-1": value out of range"#,
    ),
    (
        "GET",
        "/containers/box/top?ps_args=-o+cmd",
        None,
        500,
        "Couldn't find PID field in ps output",
    ),
    ("POST", "/containers/box/exec", Some("{"), 400, "invalid JSON: unexpected EOF"),
    (
        "POST",
        "/containers/box/exec",
        Some(r#"{"Cmd":["true"]} x"#),
        400,
        "unexpected content after JSON",
    ),
    (
        "POST",
        "/containers/box/exec",
        Some(r#"{"Cmd":["true"],"DetachKeys":"bogus-q"}"#),
        500,
        "Invalid escape keys (bogus-q) provided",
    ),
    (
        "POST",
        "/containers/create?platform=a/b/c/d",
        Some(r#"{"Image":"busybox"}"#),
        400,
        r#""a/b/c/d": cannot parse platform specifier: invalid argument"#,
    ),
];

#[test]
fn a_bad_value_is_refused_in_dockers_words() {
    let host = Host::start();
    host.run("--name box busybox sleep 1000");
    for (method, path, body, status, words) in REFUSED {
        let answer = host.api(method, &format!("/v1.51{path}"), *body);
        let told: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        assert_eq!((answer.status, told["message"].as_str()), (*status, Some(*words)), "{path}");
    }
    assert_eq!(host.container("box").status(), "running");
}

#[test]
fn who_attaches_with_bad_keys_is_told_before_the_stream_begins() {
    let host = Host::start();
    host.run("--name box busybox sleep 1000");
    let path = "/v1.51/containers/box/attach?stream=1&stdout=1&detachKeys=bogus-x";
    let answer = host.api("POST", path, None);
    assert_eq!((answer.status, &*answer.body), (400, "Invalid detach keys (bogus-x) provided\r\n"));
}

#[test]
fn a_stop_of_what_does_not_run_asks_for_no_signal() {
    let host = Host::start();
    host.create("--name made busybox sleep 1000");
    assert_eq!(host.api("POST", "/v1.51/containers/made/stop?signal=BOGUS", None).status, 304);
    assert_eq!(host.api("POST", "/v1.51/containers/nobody/stop?signal=BOGUS", None).status, 404);
}
