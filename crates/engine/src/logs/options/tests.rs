//! What is refused, in Docker's words, and what the defaults are.

use super::*;

fn options(pairs: &[&str]) -> Options {
    let pairs = pairs.iter().map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[track_caller]
fn refused(driver: &str, pairs: &[&str], expected: &str) {
    assert_eq!(validate(driver, &options(pairs)), Err(expected.to_owned()), "{driver} {pairs:?}");
}

fn settings_of(driver: &str, pairs: &[&str]) -> Result<LogSettings, String> {
    let labels = [("tier", "front"), ("com.x", "1")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let environment = ["A=1".to_owned(), "B=2".to_owned()];
    let about = About {
        id: "0123456789abcdef",
        name: "web",
        image_id: "sha256:0",
        image_name: "busybox",
        arguments: &[],
        environment: &environment,
        labels: &labels,
        created_at: jiff::Timestamp::UNIX_EPOCH,
        hostname: "here",
    };
    let paths = Paths::new(Path::new("/x"), "0123456789abcdef");
    settings(driver, &options(pairs), &about, &paths)
}

#[track_caller]
fn refused_at_start(driver: &str, pairs: &[&str], expected: &str) {
    let given = settings_of(driver, pairs).map(drop);
    assert_eq!(given, Err(expected.to_owned()), "{driver} {pairs:?}");
}

#[test]
fn what_no_container_can_have_is_refused_when_one_is_made() {
    refused("json-file", &["x=1"], "unknown log opt 'x' for json-file log driver");
    refused("local", &["labels=a"], "unknown log opt 'labels' for log driver local");
    refused("syslog", &["x=1"], "unknown log opt 'x' for syslog log driver");
    refused("json-file", &["mode=x"], "logger: logging mode not supported: x");
    let mode = "logger: max-buffer-size option is only supported with 'mode=non-blocking'";
    refused("json-file", &["max-buffer-size=1m"], mode);
    let size = "error parsing option max-buffer-size: invalid size: 'x'";
    refused("json-file", &["mode=non-blocking", "max-buffer-size=x"], size);
    let cache = "invalid value for option cache-disabled: x";
    refused("json-file", &["cache-disabled=x"], cache);
    for driver in ["gelf", "awslogs", "splunk", "gcplogs", "etwlogs", "nope"] {
        let expected =
            format!("error looking up logging plugin {driver}: plugin \"{driver}\" not found");
        refused(driver, &[], &expected);
    }
    refused("syslog", &["syslog-facility=foo"], "invalid syslog facility");
    refused("syslog", &["syslog-facility=24"], "invalid syslog facility");
    refused("syslog", &["syslog-format=foo"], "Invalid syslog format");
    let boolean = "strconv.ParseBool: parsing \"x\": invalid syntax";
    refused("fluentd", &["fluentd-async=x"], boolean);
    refused("fluentd", &["fluentd-retry-wait=x"], "time: invalid duration \"x\"");
    let interval = "invalid value for fluentd-async-reconnect-interval: \
                    value (\"1ms\") must be between 100ms and 10s";
    refused("fluentd", &["fluentd-async-reconnect-interval=1ms"], interval);
    assert_eq!(validate("none", &options(&["anything=1"])), Ok(()));
}

#[test]
fn other_values_are_refused_at_the_start() {
    refused_at_start("json-file", &["max-size=0"], "max-size must be a positive number");
    refused_at_start("json-file", &["max-size=x"], "invalid size: 'x'");
    refused_at_start("json-file", &["max-file=0"], "max-file cannot be less than 1");
    let too_large = "99999999999999999999";
    let message = format!("strconv.Atoi: parsing \"{too_large}\": value out of range");
    refused_at_start("json-file", &[&format!("max-file={too_large}")], &message);
    let message = "max-size must be a positive number";
    refused_at_start("json-file", &["max-size=99999999999999g"], message);
    let file = "strconv.Atoi: parsing \"x\": invalid syntax";
    refused_at_start("json-file", &["max-file=x"], file);
    let compress = "compress cannot be true when max-file is less than 2 or max-size is not set";
    refused_at_start("json-file", &["max-size=1m", "compress=true"], compress);
    let local = "invalid value for max-size: x: invalid size: 'x'";
    refused_at_start("local", &["max-size=x"], local);
    let single = "compression cannot be enabled when max file count is 1";
    refused_at_start("local", &["max-file=1"], single);
    assert!(settings_of("json-file", &["labels-regex=["]).is_err());
}

#[track_caller]
fn bounds(pairs: &[&str], expected: (Option<u64>, u32)) {
    let Ok(LogSettings::JsonFile { size_max, files_max, .. }) = settings_of("json-file", pairs)
    else {
        panic!("{pairs:?} is no json-file");
    };
    assert_eq!((size_max, files_max), expected, "{pairs:?}");
}

#[test]
fn a_log_in_files_is_bounded_unless_the_user_says_otherwise() {
    bounds(&[], (Some(20 << 20), 5));
    bounds(&["max-file=3"], (Some(20 << 20), 3));
    bounds(&["max-size=10m"], (Some(10_000_000), 1));
    bounds(&["max-size=-1"], (None, 1));
    let local = LogFiles {
        path: "/x/local-logs/container.log".into(),
        size_max: Some(20 << 20),
        files_max: 5,
        compress: true,
    };
    assert_eq!(settings_of("local", &[]), Ok(LogSettings::Local(local)));
}

#[test]
fn the_bound_is_told_in_words() {
    let told = |driver: &str, pairs: &[&str]| bound(driver, &options(pairs));
    assert_eq!(told("json-file", &[]).as_deref(), Some("20MiB x 5"));
    assert_eq!(told("json-file", &["max-size=1m"]).as_deref(), Some("1m x 1"));
    assert_eq!(told("json-file", &["max-size=-1"]).as_deref(), Some("none"));
    assert_eq!(told("local", &["max-size=1m"]).as_deref(), Some("1m x 5"));
    assert_eq!(told("syslog", &["cache-max-file=3"]).as_deref(), Some("20MiB x 3"));
    assert_eq!(told("none", &[]), None);
}

#[test]
fn labels_and_variables_are_chosen_by_name_or_pattern() {
    let pairs = ["labels=tier,nope", "labels-regex=^com", "env-regex=^B", "tag=t"];
    let Ok(LogSettings::JsonFile { attributes, .. }) = settings_of("json-file", &pairs) else {
        panic!("it is no json-file");
    };
    let expected = [("B", "2"), ("com.x", "1"), ("tag", "t"), ("tier", "front")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(attributes, expected);
}

#[test]
fn names_of_journal_fields() {
    assert_eq!(journal_name("com.example-1"), "COM_EXAMPLE_1");
    assert_eq!(journal_name("__x"), "X");
}

#[test]
fn a_copy_is_kept_of_what_goes_elsewhere() {
    let copy = |pairs: &[&str]| match settings_of("syslog", pairs) {
        Ok(LogSettings::Remote(remote)) => remote.copy.map(|copy| copy.files_max),
        other => panic!("{other:?}"),
    };
    assert_eq!(copy(&["syslog-address=udp://127.0.0.1:9"]), Some(5));
    assert_eq!(copy(&["syslog-address=udp://127.0.0.1:9", "cache-max-file=3"]), Some(3));
    assert_eq!(copy(&["syslog-address=udp://127.0.0.1:9", "cache-disabled=true"]), None);
}
