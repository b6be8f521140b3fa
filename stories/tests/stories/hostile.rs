//! Clients that mean harm, or know no better: they get a clear answer or none, and nobody else
//! notices.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use stories::{Host, eventually};

const REASON: &str = "what a stock dockerd withstands is its own affair";

/// What may take some time on a busy machine, but has nothing to wait for.
const SOON: Duration = Duration::from_secs(5);

/// How much larger a daemon may become by what strangers send.
const GROWTH_MIB_MAX: u64 = 96;

/// The daemon's resident memory.
fn resident_mib(host: &Host) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.daemon_pid()));
    let status = status.expect("the daemon runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

fn descriptors(host: &Host) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", host.daemon_pid())).unwrap().count()
}

/// It lives, and serves others.
#[track_caller]
fn serves_others(host: &Host, pid: u32) {
    let began = Instant::now();
    assert_eq!(host.api("GET", "/_ping", None).status, 200);
    host.docker("run --rm busybox true").succeeds();
    assert!(began.elapsed() < SOON, "others waited for {:?}", began.elapsed());
    assert_eq!(host.daemon_pid(), pid);
}

fn connect(host: &Host) -> UnixStream {
    let stream = UnixStream::connect(host.socket()).unwrap();
    stream.set_read_timeout(Some(SOON * 4)).unwrap();
    stream.set_write_timeout(Some(SOON * 4)).unwrap();
    stream
}

/// Sends bytes as they are, and reads all that comes back.
fn send(host: &Host, bytes: &[u8]) -> String {
    let mut stream = connect(host);
    // The daemon may have had enough before it has read everything.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// A document in which every field is right.
fn container() -> Value {
    serde_json::from_str(CONTAINER).unwrap()
}

const CONTAINER: &str = r#"{
        "Hostname": "h", "Domainname": "d", "User": "0:0", "AttachStdin": false,
        "AttachStdout": true, "AttachStderr": true, "Tty": false, "OpenStdin": false,
        "StdinOnce": false, "Env": ["A=b"], "Cmd": ["true"], "Entrypoint": ["busybox"],
        "Image": "busybox", "Labels": { "a": "b" }, "Volumes": { "/v": {} }, "WorkingDir": "/",
        "NetworkDisabled": false, "StopSignal": "SIGTERM", "StopTimeout": 3,
        "ExposedPorts": { "80/tcp": {} }, "Shell": ["sh"],
        "Healthcheck": { "Test": ["NONE"], "Interval": 0, "Timeout": 0, "Retries": 0 },
        "HostConfig": {
            "Binds": ["/tmp:/t:ro"], "ContainerIDFile": "", "NetworkMode": "none",
            "LogConfig": { "Type": "json-file", "Config": { "max-size": "1m" } },
            "PortBindings": { "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "0" }] },
            "RestartPolicy": { "Name": "no", "MaximumRetryCount": 0 }, "AutoRemove": false,
            "VolumesFrom": [], "CapAdd": ["NET_ADMIN"], "CapDrop": ["MKNOD"], "Dns": ["1.1.1.1"],
            "DnsOptions": ["ndots:1"], "DnsSearch": ["x"], "ExtraHosts": ["a:1.2.3.4"],
            "GroupAdd": ["7"], "IpcMode": "private", "OomScoreAdj": 0, "PidMode": "",
            "Privileged": false, "PublishAllPorts": false, "ReadonlyRootfs": false,
            "SecurityOpt": ["no-new-privileges"], "Tmpfs": { "/x": "size=1m" }, "UTSMode": "",
            "ShmSize": 1048576, "Sysctls": { "net.ipv4.ip_forward": "0" }, "CpuShares": 2,
            "Memory": 20971520, "NanoCpus": 0, "CgroupParent": "", "BlkioWeight": 0,
            "CpuPeriod": 0, "CpuQuota": 0, "CpusetCpus": "", "CpusetMems": "", "Devices": [],
            "MemoryReservation": 0, "MemorySwap": 0, "OomKillDisable": false, "PidsLimit": 50,
            "Ulimits": [{ "Name": "nofile", "Soft": 100, "Hard": 100 }], "Init": false,
            "Mounts": [{ "Type": "tmpfs", "Target": "/m", "TmpfsOptions": { "SizeBytes": 4096 } }],
            "MaskedPaths": ["/proc/kcore"], "ReadonlyPaths": ["/proc/sys"], "Annotations": {}
        },
        "NetworkingConfig": { "EndpointsConfig": {} }
    }"#;

/// Every document that comes of `document` when one of its values, at any depth, is another's.
fn spoiled(document: &Value) -> Vec<(String, Value)> {
    let strangers = || {
        [
            json!(null),
            json!(true),
            json!(7),
            json!(-1),
            json!(1.5),
            json!(1e300),
            json!(u64::MAX),
            json!("x"),
            json!("\u{0}../../x"),
            json!([]),
            json!([7]),
            json!([[]]),
            json!({}),
            json!({ "x": 7 }),
        ]
    };
    let mut found = Vec::new();
    for path in pointers(document) {
        for stranger in strangers() {
            let mut spoiled = document.clone();
            *spoiled.pointer_mut(&path).unwrap() = stranger;
            found.push((path.clone(), spoiled));
        }
    }
    found
}

/// The places of all values in a document.
fn pointers(document: &Value) -> Vec<String> {
    let inner: Vec<(String, &Value)> = match document {
        Value::Object(members) => {
            let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
            members.iter().map(|(name, value)| (escape(name), value)).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    inner
        .into_iter()
        .flat_map(|(name, value)| {
            let below = pointers(value).into_iter().map(|path| format!("/{name}{path}"));
            std::iter::once(format!("/{name}")).chain(below).collect::<Vec<_>>()
        })
        .collect()
}

/// What Docker refuses as if it were its own fault.
const DOCKERS_OWN: [&str; 3] =
    ["invalid volume specification: ", "invalid --security-opt ", "Invalid escape keys"];

/// Sends every spoiled form of a document: it is refused in words, or taken as Go would.
fn spoil(host: &Host, path: &str, document: &Value, after: impl Fn(&Host, &Value, &str)) {
    let pid = host.daemon_pid();
    let (mut refused, mut problems) = (0, Vec::new());
    for (pointer, spoiled) in spoiled(document) {
        let answer = host.api("POST", path, Some(&spoiled.to_string()));
        let context = || format!("{path} with {pointer} = {}", spoiled.pointer(&pointer).unwrap());
        let reply: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        match answer.status {
            200..=299 => after(host, &reply, &spoiled.to_string()),
            // Docker's own status for these.
            500 if DOCKERS_OWN.iter().any(|words| answer.body.contains(words)) => refused += 1,
            400..=499 | 501 => {
                refused += 1;
                let message = reply["message"].as_str().unwrap_or_default();
                assert!(!message.is_empty(), "{}: {}", context(), answer.body);
            }
            _ => problems.push(format!("{}: {} {}", context(), answer.status, answer.body)),
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(refused > 0, "{path} takes everything");
    assert_eq!(host.daemon_pid(), pid);
}

#[test]
fn a_wrong_type_in_any_field_of_a_container_is_refused_in_words() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    spoil(&host, "/containers/create", &container(), |host, reply, document| {
        let id = reply["Id"].as_str().unwrap();
        if document.contains("\\u0000") {
            // What cannot be may be found out at the start, but it is found out.
            let answer = host.api("POST", &format!("/containers/{id}/start"), None);
            assert!(answer.status == 204 || answer.body.contains("message"), "{}", answer.body);
        }
        let path = format!("/containers/{id}?force=1&v=1");
        assert_eq!(host.api("DELETE", &path, None).status, 204);
    });
    serves_others(&host, host.daemon_pid());
}

#[test]
fn a_wrong_type_in_any_other_document_is_refused_in_words() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    host.run("--name web busybox sleep 1000");
    let exec = json!({
        "AttachStdin": false, "AttachStdout": true, "AttachStderr": true, "DetachKeys": "",
        "Tty": false, "Env": ["A=b"], "Cmd": ["true"], "Privileged": false, "User": "0",
        "WorkingDir": "/", "ConsoleSize": [24, 80],
    });
    spoil(&host, "/containers/web/exec", &exec, |_, _, _| {});
    let update = json!({
        "Memory": 20971520, "MemorySwap": -1, "CpuShares": 100, "PidsLimit": 10,
        "RestartPolicy": { "Name": "no", "MaximumRetryCount": 0 }, "CpusetCpus": "0",
    });
    spoil(&host, "/containers/web/update", &update, |_, _, _| {});
    let volume = json!({ "Name": "", "Driver": "local", "DriverOpts": {}, "Labels": { "a": "b" } });
    spoil(&host, "/volumes/create", &volume, |host, reply, _| {
        let path = format!("/volumes/{}", reply["Name"].as_str().unwrap());
        assert_eq!(host.api("DELETE", &path, None).status, 204, "{path}");
    });
    serves_others(&host, host.daemon_pid());
}

#[test]
fn a_refusal_names_the_field() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    for (pointer, name) in [
        ("/Cmd", "Cmd"),
        ("/HostConfig/Memory", "Memory"),
        ("/HostConfig/Ulimits/0/Soft", "Soft"),
        ("/HostConfig/LogConfig/Config", "Config"),
    ] {
        let mut document = container();
        *document.pointer_mut(pointer).unwrap() = json!(true);
        let answer = host.api("POST", "/containers/create", Some(&document.to_string()));
        assert_eq!(answer.status, 400, "{pointer}: {}", answer.body);
        assert!(answer.body.contains(name), "{pointer}: {}", answer.body);
    }
}

#[test]
fn no_name_leads_out_of_its_folder() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    let pid = host.daemon_pid();
    let document = json!({ "Image": "busybox" }).to_string();
    for name in ["..%2f..%2fx", "%00", "a%00b", "%2e%2e", "%ff%fe", "a/../b", "%20", "-x"] {
        let path = format!("/containers/create?name={name}");
        let answer = host.api("POST", &path, Some(&document));
        assert_eq!(answer.status, 400, "{name}: {}", answer.body);
        for method in ["GET", "DELETE"] {
            for path in [
                format!("/volumes/{name}"),
                format!("/containers/{name}{}", if method == "GET" { "/json" } else { "" }),
                format!("/images/{name}{}", if method == "GET" { "/json" } else { "" }),
                format!("/networks/{name}"),
            ] {
                let answer = host.api(method, &path, None);
                let is_refused = (400..500).contains(&answer.status) || answer.status == 501;
                assert!(is_refused, "{method} {path}: {} {}", answer.status, answer.body);
            }
        }
        let volume = json!({ "Name": name.replace("%2f", "/").replace("%00", "\u{0}") });
        let answer = host.api("POST", "/volumes/create", Some(&volume.to_string()));
        assert_eq!(answer.status, 400, "{volume}: {}", answer.body);
    }
    serves_others(&host, pid);
}

#[test]
fn bodies_without_measure_are_refused_and_take_no_memory() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    let pid = host.daemon_pid();
    let before = resident_mib(&host);
    let head = |length: usize| {
        format!(
            "POST /containers/create HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let large = 64 << 20;
    for filling in [&b" "[..], b"[", b"[0,", b"{\"a\":"] {
        let mut bytes = head(large).into_bytes();
        bytes.extend(filling.iter().cycle().take(large));
        let answer = send(&host, &bytes);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let nested = format!("{{\"Image\":{}", "[".repeat(100_000));
    let answer = host.api("POST", "/containers/create", Some(&nested));
    assert_eq!(answer.status, 400, "{}", answer.body);
    // What is within measure may still be large when it is read.
    let many = format!("{{\"Env\":[{}\"a\"]}}", "0,".repeat(1 << 20));
    let answer = host.api("POST", "/containers/create", Some(&many));
    assert_eq!(answer.status, 400, "{}", answer.body);
    let answer = send(
        &host,
        b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n\
          Transfer-Encoding: chunked\r\n\r\nzz\r\nxx\r\n",
    );
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    println!("{} MiB before, {} MiB after", before, resident_mib(&host));
    eventually("the memory to be given back", || {
        (resident_mib(&host) < before + GROWTH_MIB_MAX).then_some(())
    });
    serves_others(&host, pid);
}

#[test]
fn bytes_that_are_no_requests_are_refused() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    let pid = host.daemon_pid();
    let long = format!("GET /{} HTTP/1.1\r\nHost: d\r\n\r\n", "x".repeat(1 << 20));
    let headers = (0..5000).map(|at| format!("X-{at}: y\r\n")).collect::<String>();
    let many = format!("GET /_ping HTTP/1.1\r\nHost: d\r\n{headers}\r\n");
    let noise: Vec<u8> =
        (0..65_536_u32).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let requests: [&[u8]; 8] = [
        b"\0\0\0\0\0\0\0\0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /_ping HTTP/1.1\nHost d\n\n",
        b"GET /containers/%zz/json HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n",
        long.as_bytes(),
        many.as_bytes(),
        &noise,
    ];
    for request in requests {
        let answer = send(&host, request);
        let shown = String::from_utf8_lossy(&request[..request.len().min(40)]).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{shown:?}: {answer}");
    }
    serves_others(&host, pid);
}

#[test]
fn who_is_refused_before_the_body_was_read_hears_why_and_goes_on() {
    if !Host::is_wharf_or_skips("dockerd waits for the body before it refuses") {
        return;
    }
    let host = Host::start();
    let mut stream = connect(&host);
    let mut heard = String::new();
    let mut hear = |stream: &mut UnixStream, part: &str| {
        let mut piece = [0; 4096];
        while !heard.contains(part) {
            let length = stream.read(&mut piece).unwrap();
            assert_ne!(length, 0, "the connection ended after {heard:?}");
            heard.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
    };
    stream
        .write_all(
            b"POST /containers/nobody/exec HTTP/1.1\r\nHost: d\r\nContent-Type: text/plain\r\n\
              Content-Length: 16\r\n\r\n",
        )
        .unwrap();
    hear(&mut stream, "unsupported Content-Type header (text/plain)");

    // The body of the first request, and then another one.
    stream.write_all(b"{\"Cmd\":[\"true\"]}GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n").unwrap();
    hear(&mut stream, "HTTP/1.1 200 OK");
}

#[test]
fn a_thousand_clients_that_say_nothing_cost_little() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    let pid = host.daemon_pid();
    serves_others(&host, pid);
    let (before, open) = (resident_mib(&host), descriptors(&host));
    let idle: Vec<_> = (0..1000)
        .map(|number| {
            let mut stream = connect(&host);
            // Some have begun a request, some a body.
            let beginning: &[u8] = match number % 3 {
                0 => b"",
                1 => b"GET /_ping HTTP/1.1\r\nHost: ",
                _ => {
                    b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 1000\r\n\
                      Content-Type: application/json\r\n\r\n{"
                }
            };
            stream.write_all(beginning).unwrap();
            stream
        })
        .collect();
    eventually("all of them to be known", || (descriptors(&host) >= open + 900).then_some(()));
    serves_others(&host, pid);
    let grown = resident_mib(&host).saturating_sub(before);
    println!("{grown} MiB for {} clients that say nothing", idle.len());
    assert!(grown < GROWTH_MIB_MAX, "{grown} MiB for {} clients", idle.len());
    drop(idle);
    eventually("all of them to be forgotten", || (descriptors(&host) < open + 50).then_some(()));
}

#[test]
fn uploads_that_come_to_a_halt_hold_up_nobody() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    let pid = host.daemon_pid();
    let uploads: Vec<_> = (0..300)
        .map(|_| {
            let mut stream = connect(&host);
            let head = b"POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 100000\r\n\
                         Content-Type: application/x-tar\r\n\r\nxxxx";
            stream.write_all(head).unwrap();
            stream
        })
        .collect();
    serves_others(&host, pid);
    drop(uploads);
    host.docker("image ls").succeeds().stdout_has("busybox");
}

#[test]
fn those_who_do_not_read_what_they_asked_for_hold_up_nobody() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    let pid = host.daemon_pid();
    host.run("--name loud --log-opt max-size=4m busybox sh -c 'i=0; while [ $i -lt 200000 ]; do echo $i some words to fill the line; i=$((i+1)); done; sleep 1000'");
    serves_others(&host, pid);
    let before = resident_mib(&host);
    let deaf: Vec<_> = (0..100)
        .map(|number| {
            let mut stream = connect(&host);
            let path = match number % 3 {
                0 => "/containers/loud/logs?follow=1&stdout=1",
                1 => "/events?since=1",
                _ => "/images/busybox/get",
            };
            write!(stream, "GET {path} HTTP/1.1\r\nHost: d\r\n\r\n").unwrap();
            stream
        })
        .collect();
    for _ in 0..5 {
        serves_others(&host, pid);
    }
    let grown = resident_mib(&host).saturating_sub(before);
    println!("{grown} MiB for {} clients that do not read", deaf.len());
    // What is on its way to each of them, and no more.
    assert!(grown < 2 * deaf.len() as u64, "{grown} MiB for {} clients", deaf.len());
    drop(deaf);
    serves_others(&host, pid);
}

#[test]
fn a_daemon_without_descriptors_comes_back() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::start();
    let pid = host.daemon_pid();
    let process = Pid::from_raw(pid.cast_signed());
    let most = descriptors(&host) + 20;
    let few = Rlimit { current: Some(most as u64), maximum: Some(4096) };
    prlimit(process, Resource::Nofile, few).unwrap();
    let mut crowd: Vec<_> = (0..200).map(|_| connect(&host)).collect();
    for stream in &mut crowd {
        let _ = stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n");
    }
    eventually("a daemon that has no descriptor left", || {
        (descriptors(&host) >= most).then_some(())
    });
    drop(crowd);
    let many = Rlimit { current: Some(4096), maximum: Some(4096) };
    prlimit(process, Resource::Nofile, many).unwrap();
    serves_others(&host, pid);
}
