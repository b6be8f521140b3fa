//! Log drivers: where a container's output goes, and what `logs` makes of it.

use std::io::Read as _;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::time::Duration;

use stories::Host;

/// How long a peer waits for what should come at once.
const SOON: Duration = Duration::from_secs(20);

/// Drivers that keep the log in files of the engine's own.
const FILE_DRIVERS: [&str; 2] = ["json-file", "local"];

#[test]
fn every_driver_in_files_answers_logs_alike() {
    let host = Host::start();
    for driver in FILE_DRIVERS {
        let script = "echo out; echo err >&2; echo; printf end";
        let container =
            host.run(&format!("--name {driver} --log-driver {driver} busybox sh -c '{script}'"));
        container.wait();

        let log = host.docker(&format!("logs {driver}")).succeeds();
        assert_eq!((log.stdout.as_str(), log.stderr.as_str()), ("out\n\nend", "err\n"), "{driver}");
        host.docker(&format!("logs --tail 1 {driver}")).succeeds().prints("end");
        host.docker(&format!("logs --since 1h {driver}")).succeeds().stdout_has("out\n");
        host.docker(&format!("logs --until 1h {driver}")).succeeds().prints("");
        assert_eq!(container.at("/HostConfig/LogConfig/Type"), driver);
    }
}

#[test]
fn long_lines_and_terminals_come_whole_from_every_driver_in_files() {
    let host = Host::start();
    for driver in FILE_DRIVERS {
        let script = "head -c 100000 /dev/zero | tr \"\\\\0\" x; echo";
        let long = format!("--name {driver}-long --log-driver {driver}");
        host.run(&format!("{long} busybox sh -c '{script}'")).wait();
        let log = host.docker(&format!("logs {driver}-long")).succeeds();
        assert_eq!((log.stdout.len(), log.lines().len()), (100_001, 1), "{driver}");

        let terminal = format!("--tty --name {driver}-tty --log-driver {driver}");
        host.run(&format!("{terminal} busybox echo hi")).wait();
        host.docker(&format!("logs {driver}-tty")).succeeds().prints("hi\r\n");
    }
}

#[test]
fn rotated_files_are_packed_and_read_all_the_same() {
    let host = Host::start();
    for driver in FILE_DRIVERS {
        let options = "--log-opt max-size=100k --log-opt max-file=4 --log-opt compress=true";
        let name = format!("--name {driver} --log-driver {driver}");
        // So long that there is time to pack between two rotations.
        let script = "for i in 1 2 3 4 5 6; do seq ${i}00001 ${i}03000; sleep 0.5; done";
        host.run(&format!("{name} {options} busybox sh -c '{script}'")).wait();

        let log = host.docker(&format!("logs {driver}")).succeeds();
        let numbers: Vec<u32> = log.lines().iter().map(|line| line.parse().unwrap()).collect();
        assert_eq!(numbers.last(), Some(&603_000), "{driver}");
        assert!(numbers.is_sorted() && numbers.len() > 3000, "{driver}: {}", numbers.len());
        let wanted = numbers.len() - 100;
        let tail = host.docker(&format!("logs --tail {wanted} {driver}")).succeeds();
        assert_eq!(tail.lines().len(), wanted, "{driver}");
        assert_eq!(tail.lines()[0], numbers[100].to_string(), "{driver}");
        let times = host.docker(&format!("logs --timestamps --tail {wanted} {driver}")).succeeds();
        let first = times.lines()[0].split(' ').next().unwrap().to_owned();
        let since = host.docker(&format!("logs --since {first} {driver}")).succeeds();
        assert!(since.lines().len() >= wanted && since.lines().len() <= numbers.len(), "{driver}");
    }
}

#[test]
fn following_goes_on_over_rotations() {
    if !Host::is_wharf_or_skips("Docker loses lines that are written around a rotation") {
        return;
    }
    let host = Host::start();
    for driver in FILE_DRIVERS {
        let options = "--log-opt max-size=20k --log-opt max-file=100 --log-opt compress=false";
        let name = format!("--name {driver} --log-driver {driver}");
        let script = "while ! [ -e /go ]; do sleep 0.01; done; \
                      for i in 1 2 3 4 5; do seq ${i}0001 ${i}2000; sleep 0.1; done";
        let container = host.run(&format!("{name} {options} busybox sh -c '{script}'"));
        let following = host.spawn(&format!("logs --follow {driver}"));
        container.exec("touch /go").succeeds();

        let log = following.finish().succeeds();
        let expected: Vec<String> =
            (1..=5).flat_map(|i| (1..=2000).map(move |n| (i * 10_000 + n).to_string())).collect();
        assert!(log.lines() == expected, "{driver}: {} lines", log.lines().len());
    }
}

#[test]
fn following_ends_at_the_time_that_was_set() {
    if !Host::is_wharf_or_skips("Docker waits for the first line that is too late") {
        return;
    }
    let host = Host::start();
    host.run("--name web busybox sh -c 'echo hi; sleep 1000'").logs_eventually("hi");

    host.docker("logs --follow --until=-1s web").succeeds().prints("hi\n");
}

#[test]
fn following_ends_with_a_container_that_is_removed() {
    let host = Host::start();
    host.run("--name web busybox sh -c 'echo hi; sleep 1000'").logs_eventually("hi");
    let following = host.spawn("logs --follow web");
    following.shows("hi\n");
    host.docker("rm --force web").succeeds();
    following.finish().succeeds().prints("hi\n");
}

#[test]
fn following_an_ended_container_shows_what_there_is() {
    let host = Host::start();
    host.run("--name web busybox echo hi").wait();

    host.docker("logs --follow web").succeeds().prints("hi\n");
}

#[test]
fn whoever_reads_slowly_keeps_nobody_waiting() {
    let host = Host::start();
    let container = host.run("--name web busybox sh -c 'seq 1 300000; sleep 1000'");
    // It takes nothing at all.
    let slow = host.spawn("logs --follow web");
    slow.signal(rustix::process::Signal::STOP);
    container.logs_eventually("300000\n");

    assert_eq!(host.docker("logs web").succeeds().lines().len(), 300_000);
    slow.signal(rustix::process::Signal::CONT);
    slow.shows("300000\n");
    slow.kill();
}

#[test]
fn a_tag_and_chosen_attributes_are_details() {
    let host = Host::start();
    let options = "--log-opt tag={{.Name}}/{{.ImageName}} --log-opt labels-regex=^ti \
                   --log-opt env=A --log-opt env-regex=^B";
    let given = "--label tier=front --label other=1 --env A=1 --env BB=2 --env C=3";
    host.run(&format!("--name web {given} {options} busybox echo hi")).wait();

    host.docker("logs --details web")
        .succeeds()
        .prints("A=1,BB=2,tag=web%2Fbusybox,tier=front hi\n");
}

#[test]
fn options_that_make_no_sense_are_refused_in_docker_s_words() {
    let host = Host::start();
    for (options, complaint) in [
        ("--log-opt x=1", "unknown log opt 'x' for json-file log driver"),
        ("--log-driver local --log-opt x=1", "unknown log opt 'x' for log driver local"),
        ("--log-driver syslog --log-opt x=1", "unknown log opt 'x' for syslog log driver"),
        ("--log-driver journald --log-opt x=1", "unknown log opt 'x' for journald log driver"),
        ("--log-driver fluentd --log-opt x=1", "unknown log opt 'x' for fluentd log driver"),
        ("--log-opt mode=x", "logger: logging mode not supported: x"),
        (
            "--log-opt max-buffer-size=1m",
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
        ),
        ("--log-opt cache-disabled=x", "invalid value for option cache-disabled: x"),
        ("--log-driver gcplogs", "plugin \"gcplogs\" not found"),
        ("--log-driver syslog --log-opt syslog-facility=x", "invalid syslog facility"),
        ("--log-driver syslog --log-opt syslog-format=x", "Invalid syslog format"),
        (
            "--log-driver fluentd --log-opt fluentd-address=foo://x",
            "invalid fluentd-address (foo://x): unsupported scheme: 'foo'",
        ),
    ] {
        host.docker(&format!("create {options} busybox true")).fails_with(1).stderr_has(complaint);
    }
    let prefix = "failed to create task for container: failed to initialize logging driver: ";
    for (options, complaint) in [
        ("--log-opt max-size=0", "max-size must be a positive number"),
        ("--log-opt max-size=x", "invalid size: 'x'"),
        ("--log-opt max-file=0", "max-file cannot be less than 1"),
        ("--log-opt tag={{.Foo}}", "can't evaluate field Foo in type *logger.Info"),
        ("--log-driver local --log-opt max-file=1", "compression cannot be enabled when max file"),
        (
            "--log-driver syslog --log-opt syslog-address=tcp://127.0.0.1:1",
            "dial tcp 127.0.0.1:1: connect: connection refused",
        ),
        ("--log-driver fluentd", "dial tcp 127.0.0.1:24224: connect: connection refused"),
    ] {
        host.docker(&format!("run --detach {options} busybox true"))
            .fails_with(125)
            .stderr_has(prefix)
            .stderr_has(complaint);
    }
}

#[test]
fn a_log_without_options_is_bounded() {
    if !Host::is_wharf_or_skips("Docker's json-file grows until the disk is full") {
        return;
    }
    let host = Host::start();
    // 150 MB: more than 5 files of 20 MiB.
    let script = "for i in 1 2 3; do seq 1000000 1700000; done; echo last";
    let container = host.run(&format!("--name web busybox sh -c '{script}'"));
    container.wait();

    let live = container.at("/LogPath").as_str().unwrap().to_owned();
    let sizes: u64 = ["", ".1", ".2", ".3", ".4", ".5"]
        .iter()
        .filter_map(|end| Some(std::fs::metadata(format!("{live}{end}")).ok()?.len()))
        .sum();
    assert!((60 << 20..=101 << 20).contains(&sizes), "{sizes}");
    assert!(!std::fs::exists(format!("{live}.5")).unwrap());
    host.docker("logs --tail 1 web").succeeds().prints("last\n");
    assert_eq!(container.at("/HostConfig/LogConfig/Config"), serde_json::json!({}));
    host.wharf_only("info")
        .succeeds()
        .stdout_has(" Logging Driver: json-file\n  Log Bound: 20MiB x 5\n");
}

#[test]
fn syslog_gets_lines_by_udp_with_tag_and_severity() {
    let host = Host::start();
    let peer = host.inside(|| UdpSocket::bind("127.0.0.1:0").unwrap());
    peer.set_read_timeout(Some(SOON)).unwrap();
    let address = peer.local_addr().unwrap();
    let options = format!(
        "--log-driver syslog --log-opt syslog-address=udp://{address} \
         --log-opt syslog-facility=local0 --log-opt syslog-format=rfc5424 --log-opt tag={{{{.Name}}}}"
    );
    let script = "echo out; while ! [ -e /go ]; do sleep 0.01; done; echo err >&2";
    let container = host.run(&format!("--name web {options} busybox sh -c '{script}'"));

    let mut buffer = [0; 2000];
    let mut message = || {
        let length = peer.recv(&mut buffer).expect("a message comes");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    // local0 is 16; 6 is information, and 3 an error.
    let first = message();
    assert!(first.starts_with("<134>1 2") && first.ends_with(" web - out\n"), "{first}");
    container.touch("/go");
    let second = message();
    assert!(second.starts_with("<131>1 2") && second.ends_with(" web - err\n"), "{second}");
    container.wait();
    // From the copy.
    host.docker("logs web").succeeds().prints("out\n").complains("err\n");
}

#[test]
fn syslog_by_a_stream_gets_every_line() {
    let host = Host::start();
    let peer = host.inside(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let address = peer.local_addr().unwrap();
    let options = format!("--log-driver syslog --log-opt syslog-address=tcp://{address}");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let stream = peer.accept().map(|(mut stream, _)| stream.read_to_string(&mut text));
        sender.send(stream.map(|_| text)).unwrap();
    });
    host.run(&format!("--name web {options} busybox seq 1 20000")).wait();
    host.docker("rm web").succeeds();

    let text = receiver.recv_timeout(SOON).expect("the connection ends").unwrap();
    let numbers = text.lines().map(|line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap());
    assert!(numbers.eq(1..=20_000), "{} lines", text.lines().count());
}

#[test]
fn without_a_copy_logs_cannot_be_read() {
    let host = Host::start();
    let options = "--log-driver syslog --log-opt syslog-address=udp://127.0.0.1:9";
    host.run(&format!("--name web {options} --log-opt cache-disabled=true busybox echo hi")).wait();

    host.docker("logs web")
        .fails_with(1)
        .stderr_has("configured logging driver does not support reading");
}

#[test]
fn fluentd_gets_records() {
    let host = Host::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let peer = UnixListener::bind(&path).unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let stream = peer.accept().map(|(mut stream, _)| stream.read_to_end(&mut bytes));
        // It goes on to listen: Docker connects anew for `logs`.
        sender.send((stream.map(|_| bytes), peer)).unwrap();
    });
    let address = format!("unix://{}", path.display());
    let options = format!(
        "--log-driver fluentd --log-opt fluentd-address={address} --log-opt tag=docker.{{{{.Name}}}} \
         --log-opt labels=tier --label tier=front"
    );
    host.run(&format!("--name web {options} busybox echo hello")).wait();
    host.docker("logs web").succeeds().prints("hello\n");
    host.docker("rm web").succeeds();

    let (bytes, _peer) = receiver.recv_timeout(SOON).expect("the connection ends");
    let bytes = bytes.unwrap();
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    // An array of four, of which the first is the tag.
    assert!(bytes.starts_with(b"\x94\xaadocker.web"), "{bytes:?}");
    for part in [
        &b"\xaecontainer_name\xa4/web"[..],
        b"\xa6source\xa6stdout",
        b"\xa3log\xa5hello",
        b"\xa4tier\xa5front",
    ] {
        assert!(has(part), "{} in {bytes:?}", String::from_utf8_lossy(part));
    }
}

#[test]
fn a_peer_that_takes_nothing_costs_entries_and_not_the_container() {
    if !Host::is_wharf_or_skips("Docker does not tell what it drops") {
        return;
    }
    let host = Host::start();
    let peer = host.inside(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let address = peer.local_addr().unwrap();
    let options = format!(
        "--log-driver syslog --log-opt syslog-address=tcp://{address} --log-opt mode=non-blocking \
         --log-opt max-buffer-size=64k"
    );
    // More than what the buffers of two sockets take.
    let container = host.run(&format!("--name web {options} busybox seq 1 2000000"));
    container.wait();

    let lost = container.at("/State/LogEntriesLost").as_u64().unwrap();
    assert!(lost > 1000, "{lost}");
    // The copy has all of it.
    host.docker("logs --tail 1 web").succeeds().prints("2000000\n");
}

#[test]
fn the_daemon_s_driver_is_that_of_containers_that_name_none() {
    let host = Host::builder()
        .flags("--log-driver local --log-opt max-size=10m --log-opt cache-max-file=3")
        .start();
    let container = host.run("--name web busybox echo hi");
    container.wait();

    assert_eq!(container.at("/HostConfig/LogConfig/Type"), "local");
    assert_eq!(container.at("/HostConfig/LogConfig/Config/max-size"), "10m");
    assert_eq!(container.at("/LogPath"), "");
    host.docker("logs web").succeeds().prints("hi\n");
    let other = host.run("--log-driver json-file busybox true");
    let expected = serde_json::json!({ "cache-max-file": "3" });
    assert_eq!(other.at("/HostConfig/LogConfig/Config"), expected);
    assert_eq!(host.docker("info --format {{.LoggingDriver}}").succeeds().text().trim(), "local");
}

#[test]
fn journald_has_to_be_there() {
    if std::fs::exists("/run/systemd/journal/socket").unwrap() {
        return Host::skips("this machine has a journald");
    }
    let host = Host::start();
    host.docker("run --detach --log-driver journald busybox true")
        .fails_with(125)
        .stderr_has("failed to initialize logging driver: journald is not enabled on this host");
}
