//! `stats`: what containers use.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;
use stories::{Host, PATIENCE, eventually};

/// One answer, without a client in between.
fn stats(host: &Host, name: &str, query: &str) -> Value {
    let answer = host.api("GET", &format!("/containers/{name}/stats?{query}"), None);
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).expect("statistics are JSON")
}

/// Statistics as they come, each a document on a line.
fn stream(socket: &Path, name: &str) -> impl Iterator<Item = Value> + use<> {
    let mut stream = UnixStream::connect(socket).expect("the daemon listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is a duration");
    write!(stream, "GET /containers/{name}/stats HTTP/1.1\r\nHost: story\r\n\r\n")
        .expect("the daemon reads");
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    // The head, and the sizes of chunks, are no documents; an empty chunk is the end.
    let lines = lines.take_while(|line| line != "0");
    lines
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(&line).expect("statistics are JSON"))
}

fn number(document: &Value, pointer: &str) -> u64 {
    let found = document.pointer(pointer).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("no number at {pointer}: {document:#}"))
}

#[test]
fn a_busy_container_shows_what_it_uses() {
    let host = Host::start();
    let container =
        host.run("--name busy --memory 64m --pids-limit 50 busybox sh -c 'while :; do :; done'");

    let line = host.answer("stats --no-stream --format json busy");
    let row: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(row["Name"], "busy");
    assert_eq!(row["Container"], "busy");
    assert_eq!(row["ID"], container.id[..12]);
    assert_eq!(row["PIDs"], "1");
    assert!(row["MemUsage"].as_str().unwrap().ends_with(" / 64MiB"), "{row}");
    let percent = row["CPUPerc"].as_str().unwrap().trim_end_matches('%');
    // How much of a processor it gets, others decide too.
    assert!(percent.parse::<f64>().unwrap() > 1.0, "{row}");

    let all = stats(&host, "busy", "stream=0");
    assert_eq!(number(&all, "/memory_stats/limit"), 64 << 20);
    assert_eq!(number(&all, "/pids_stats/limit"), 50);
    assert_eq!(number(&all, "/pids_stats/current"), 1);
    assert!(number(&all, "/memory_stats/usage") > 0);
    let before = number(&all, "/precpu_stats/cpu_usage/total_usage");
    assert!(number(&all, "/cpu_stats/cpu_usage/total_usage") > before);
    let before = number(&all, "/precpu_stats/system_cpu_usage");
    assert!(number(&all, "/cpu_stats/system_cpu_usage") > before);
    assert!(all["read"].as_str().unwrap() > all["preread"].as_str().unwrap(), "{all}");
}

#[test]
fn an_answer_has_the_members_that_clients_know() {
    let host = Host::start();
    let container = host.run("--name web --memory 64m --network none busybox sleep 1000");
    let members = |document: &Value| -> Vec<String> {
        document.as_object().unwrap().keys().cloned().collect()
    };

    let all = stats(&host, "web", "stream=0");
    assert_eq!(all["id"], container.id);
    assert_eq!(all["name"], "/web");
    let mut expected = vec![
        "name",
        "id",
        "read",
        "preread",
        "pids_stats",
        "blkio_stats",
        "num_procs",
        "storage_stats",
        "cpu_stats",
        "precpu_stats",
        "memory_stats",
    ];
    assert_eq!(members(&all), expected);
    assert_eq!(number(&all, "/cpu_stats/online_cpus"), number(&all, "/precpu_stats/online_cpus"));
    let throttling = members(&all["cpu_stats"]["throttling_data"]);
    assert_eq!(throttling, ["periods", "throttled_periods", "throttled_time"]);
    let memory = members(&all["memory_stats"]["stats"]);
    // The first with cgroups of version 1, the second with version 2.
    assert!(memory.len() == 32 || memory.len() == 31, "{memory:?}");
    assert!(memory.contains(&"inactive_file".to_owned()));

    // Nothing to compare with, and no name: so Docker answers who asks for one reading.
    let one = stats(&host, "web", "stream=0&one-shot=1");
    expected.retain(|name| !matches!(*name, "id" | "name"));
    assert_eq!(members(&one), expected);
    assert_eq!(one["preread"], "0001-01-01T00:00:00Z");
    assert_eq!(number(&one, "/precpu_stats/cpu_usage/total_usage"), 0);
    let answer = host.api("GET", "/containers/web/stats?stream=1&one-shot=1", None);
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("cannot have stream=true and one-shot=true"));
}

#[test]
fn traffic_is_counted_by_the_containers_own_names() {
    let host = Host::start();
    let container = host.run("--name web busybox sleep 1000");
    let server = host.run("--name server busybox sleep 1000").address();
    container.exec(&format!("ping -c 2 {server}")).succeeds();

    let all = stats(&host, "web", "stream=0");
    let networks = all["networks"].as_object().unwrap();
    assert_eq!(networks.keys().collect::<Vec<_>>(), ["eth0"]);
    for way in ["rx", "tx"] {
        assert!(number(&all, &format!("/networks/eth0/{way}_packets")) >= 2, "{all:#}");
        assert!(number(&all, &format!("/networks/eth0/{way}_bytes")) >= 2 * 64, "{all:#}");
    }
    // A network that is shared counts for both.
    host.run("--name guest --network container:web busybox sleep 1000");
    let shared = stats(&host, "guest", "stream=0");
    assert!(number(&shared, "/networks/eth0/tx_packets") >= 2);
}

#[test]
fn a_container_that_does_not_run_uses_nothing() {
    let host = Host::start();
    host.create("--name web busybox true");

    let all = stats(&host, "web", "stream=0");
    assert_eq!(all["name"], "/web");
    assert_eq!(all["read"], "0001-01-01T00:00:00Z");
    assert_eq!(all["pids_stats"], serde_json::json!({}));
    assert_eq!(all["memory_stats"], serde_json::json!({}));
    assert_eq!(all["blkio_stats"]["io_service_bytes_recursive"], Value::Null);
    assert_eq!(all.get("networks"), None);

    let layout = "--format '{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.NetIO}} {{.PIDs}}'";
    host.docker(&format!("stats --no-stream {layout} web"))
        .succeeds()
        .prints("web 0.00% 0B / 0B 0B / 0B 0\n");
    // It is no running one, so it is not listed by itself.
    host.docker(&format!("stats --no-stream {layout}")).succeeds().prints("");
    host.docker(&format!("stats --all --no-stream {layout}")).succeeds().stdout_has("web 0.00%");
}

#[test]
fn a_container_that_is_not_there_is_said_to_be_missing() {
    let host = Host::start();

    host.docker("stats --no-stream nowhere").fails_with(1).stderr_has("No such container: nowhere");
    host.docker("stats nowhere").fails_with(1).stderr_has("No such container: nowhere");
}

#[test]
fn the_table_has_dockers_columns() {
    let host = Host::start();
    let container = host.run("--name web busybox sleep 1000");

    let table = host.answer("stats --no-stream --no-trunc");
    let mut lines = table.lines();
    let header: Vec<_> = lines.next().unwrap().split("  ").map(str::trim).collect();
    let header: Vec<_> = header.into_iter().filter(|word| !word.is_empty()).collect();
    let expected = [
        "CONTAINER ID",
        "NAME",
        "CPU %",
        "MEM USAGE / LIMIT",
        "MEM %",
        "NET I/O",
        "BLOCK I/O",
        "PIDS",
    ];
    assert_eq!(header, expected);
    assert!(lines.next().unwrap().starts_with(&container.id));
    assert_eq!(lines.next(), None);
}

#[test]
fn the_live_table_follows_who_comes_and_goes() {
    let host = Host::start();
    host.run("--name first busybox sleep 1000");
    let table = host.spawn("stats --format '<{{.Name}} {{.PIDs}}>'");
    // The newest drawing, from its first place to its last.
    let drawn = || {
        let all = table.output();
        let end = all.rfind("\x1b[J")?;
        let start = all[..end].rfind("\x1b[H")?;
        Some(all[start..end].to_owned())
    };
    let shows = |part: &str, is_there: bool| {
        eventually(&format!("{part} in the table: {is_there}"), || {
            drawn().filter(|screen| screen.contains(part) == is_there)
        });
    };

    shows("<first 1>", true);
    host.run("--name second busybox sleep 1000");
    shows("<second 1>", true);
    host.docker("kill first").succeeds();
    shows("<first", false);
    shows("<second 1>", true);
}

#[test]
fn a_stream_outlives_a_stop_and_ends_with_the_container() {
    let host = Host::start();
    let container = host.run("--name web busybox sleep 1000");
    let mut told = stream(&host.socket(), "web");

    let first = told.next().unwrap();
    assert_eq!(first["id"], container.id);
    assert_eq!(first["preread"], "0001-01-01T00:00:00Z");
    let second = told.next().unwrap();
    assert_eq!(second["preread"], first["read"]);
    assert_eq!(second["precpu_stats"], first["cpu_stats"]);

    host.docker("kill web").succeeds();
    let stopped = told.find(|stats| stats["pids_stats"] == serde_json::json!({})).unwrap();
    assert_eq!(stopped["name"], "/web");
    host.docker("start web").succeeds();
    assert!(told.any(|stats| stats["pids_stats"]["current"] == 1), "it runs again");
    host.docker("rm --force web").succeeds();
    // The read would be given up if it did not end.
    told.for_each(drop);
}
