//! Each expectation here was taken from Docker 28.5: `docker import --change … -`.

use serde_json::{Map, Value};

use crate::change::{apply, parse_change, parse_changes};

#[track_caller]
fn check(text: &str, expected: &str) {
    let change = parse_change(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut config = Map::new();
    apply(&[change], &mut config);
    let expected: Value = serde_json::from_str(expected).unwrap();
    assert_eq!(Value::Object(config), expected, "{text}");
}

#[track_caller]
fn check_refused(text: &str, message: &str) {
    assert_eq!(parse_change(text).unwrap_err().to_string(), message, "{text}");
}

#[test]
fn commands_come_as_json_and_as_lines_for_the_shell() {
    check("CMD echo hi", r#"{"Cmd":["/bin/sh","-c","echo hi"]}"#);
    check("cmd x", r#"{"Cmd":["/bin/sh","-c","x"]}"#);
    check(r#"CMD ["a", "b"]"#, r#"{"Cmd":["a","b"]}"#);
    check("CMD ['a']", r#"{"Cmd":["/bin/sh","-c","['a']"]}"#);
    check("CMD", r#"{"Cmd":["/bin/sh","-c"]}"#);
    check(r#"ENTRYPOINT ["x"]"#, r#"{"Entrypoint":["x"]}"#);
    check_refused(
        "CMD [1]",
        "when using JSON array syntax, arrays must be comprised of strings only",
    );
}

#[test]
fn variables_and_labels_come_as_pairs() {
    check("ENV a b c", r#"{"Env":["a=b c"]}"#);
    check(r#"ENV a=b c="d e" f=g\ h"#, r#"{"Env":["a=b","c=d e","f=g h"]}"#);
    check("ENV a=$b", r#"{"Env":["a="]}"#);
    check("ENV PATH=$PATH:/x", r#"{"Env":["PATH=:/x"]}"#);
    check(r#"LABEL a=b "c d"="e f""#, r#"{"Labels":{"a":"b","c d":"e f"}}"#);
    check("LABEL a b", r#"{"Labels":{"a":"b"}}"#);
    check_refused("ENV", "ENV requires at least one argument");
    check_refused("ENV a", "ENV must have two arguments");
    check_refused("LABEL a", "LABEL must have two arguments");
    check_refused("ENV =b", "ENV names can not be blank");
    check_refused("LABEL =b", "LABEL names can not be blank");
    check_refused(
        "ENV a=b c",
        "Syntax error - can't find = in \"c\". Must be of the form: name=value",
    );
    check_refused(
        "ENV a=\"b",
        "failed to process \"\"b\": unexpected end of statement while looking for matching double-quote",
    );
}

#[test]
fn ports_have_protocols_and_ranges() {
    check(
        "EXPOSE 80 81/udp 90-92",
        r#"{"ExposedPorts":{"80/tcp":{},"81/udp":{},"90/tcp":{},"91/tcp":{},"92/tcp":{}}}"#,
    );
    check("EXPOSE 8080:80", r#"{"ExposedPorts":{"80/tcp":{}}}"#);
    check_refused("EXPOSE", "EXPOSE requires at least one argument");
    check_refused("EXPOSE a", "Invalid containerPort: a");
    check_refused("EXPOSE 80/foo", "Invalid proto: foo");
}

#[test]
fn the_rest_of_a_process_can_be_set() {
    check("USER a b", r#"{"User":"a b"}"#);
    check("VOLUME /a /b", r#"{"Volumes":{"/a":{},"/b":{}}}"#);
    check(r#"VOLUME ["/c"]"#, r#"{"Volumes":{"/c":{}}}"#);
    check("WORKDIR a", r#"{"WorkingDir":"/a"}"#);
    check("WORKDIR $x/y", r#"{"WorkingDir":"/y"}"#);
    check("STOPSIGNAL 9", r#"{"StopSignal":"9"}"#);
    check("STOPSIGNAL SIGRTMIN+3", r#"{"StopSignal":"SIGRTMIN+3"}"#);
    check("ONBUILD RUN x", r#"{"OnBuild":["RUN x"]}"#);
    check_refused("USER", "USER requires exactly one argument");
    check_refused("VOLUME", "VOLUME requires at least one argument");
    check_refused("STOPSIGNAL FOO", "invalid signal: FOO");
    check_refused("STOPSIGNAL", "STOPSIGNAL requires exactly one argument");
    check_refused("ONBUILD", "ONBUILD requires at least one argument");
    check_refused("ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    check_refused("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger");
}

#[test]
fn health_checks_have_their_flags() {
    check("HEALTHCHECK NONE", r#"{"Healthcheck":{"Test":["NONE"]}}"#);
    check(
        "HEALTHCHECK --interval=5s CMD foo bar",
        r#"{"Healthcheck":{"Test":["CMD-SHELL","foo bar"],"Interval":5000000000}}"#,
    );
    check(
        r#"HEALTHCHECK --interval=5s --retries=3 --start-interval=1s --timeout=2s --start-period=3s CMD ["x","y"]"#,
        r#"{"Healthcheck":{"Test":["CMD","x","y"],"Interval":5000000000,"Timeout":2000000000,
            "StartPeriod":3000000000,"StartInterval":1000000000,"Retries":3}}"#,
    );
    check("HEALTHCHECK --retries=0 CMD a", r#"{"Healthcheck":{"Test":["CMD-SHELL","a"]}}"#);
    check_refused("HEALTHCHECK", "HEALTHCHECK requires at least one argument");
    check_refused("HEALTHCHECK FOO", "Unknown type \"FOO\" in HEALTHCHECK (try CMD)");
    check_refused("HEALTHCHECK --interval=x CMD a", "time: invalid duration \"x\"");
    check_refused("HEALTHCHECK --foo=1 CMD a", "unknown flag: --foo");
    check_refused("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD");
    check_refused("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments");
    check_refused(
        "HEALTHCHECK --interval=1us CMD a",
        "Interval \"interval\" cannot be less than 1ms",
    );
}

#[test]
fn what_changes_more_than_the_configuration_is_refused() {
    check_refused("RUN x", "RUN is not a valid change command");
    check_refused("FOO bar", "FOO is not a valid change command");
    check_refused("", "file with no instructions");
    check_refused("# c", "file with no instructions");
}

#[test]
fn a_later_edit_sees_what_earlier_ones_set() {
    let texts = ["ENV a=1", "ENV b=${a}2 c=${x:-d}", "WORKDIR /w", "WORKDIR $b", "ENV a=3"];
    let changes = parse_changes(&texts.map(str::to_owned), &["x=".to_owned()]).unwrap();
    let mut config = Map::new();
    apply(&changes, &mut config);
    let expected = r#"{"Env":["a=3","b=12","c=d"],"WorkingDir":"/w/12"}"#;
    assert_eq!(Value::Object(config), serde_json::from_str::<Value>(expected).unwrap());
}

#[test]
fn a_new_entrypoint_drops_a_command_that_was_not_set_with_it() {
    let config = |texts: &[&str]| {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        let mut config = Map::from_iter([("Cmd".to_owned(), Value::from(vec!["old"]))]);
        apply(&parse_changes(&texts, &[]).unwrap(), &mut config);
        Value::Object(config).to_string()
    };
    assert_eq!(config(&[r#"ENTRYPOINT ["e"]"#]), r#"{"Entrypoint":["e"]}"#);
    let both = config(&[r#"CMD ["c"]"#, r#"ENTRYPOINT ["e"]"#]);
    assert_eq!(both, r#"{"Cmd":["c"],"Entrypoint":["e"]}"#);
}
