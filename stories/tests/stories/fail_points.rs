//! Every step of a container's life may fail, be slow, or be the last of its process.
//!
//! The programs have points at their steps (crate `fail-points`). For each point of an operation
//! and for each thing that can go wrong there, the operation is done; a daemon that died is
//! started again; then the operation is retried and has to succeed, all is removed, and nothing
//! may be left that was not there before.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stories::{Answer, Entry, FailPoint, Fault, FileSystem, Host, ImageArchive, eventually};

const REASON: &str = "dockerd has no such points";

/// How long a slow step takes. It shows what comes out of order, not what has no patience.
const DELAY_MS: u64 = 20;

/// The program of the containers: it serves a page, and ends as it is told to.
const SERVER: &str = "trap 'exit 7' TERM; httpd -f -h /var/www & while :; do sleep 0.02; done";

/// Operations, and the points that belong to them by their names.
const OPERATIONS: &[&str] =
    &["create", "start", "exec", "stop", "restart", "remove", "load", "restore"];

/// An operation that is taken apart.
trait Operation {
    /// Makes what it needs.
    fn prepare(&self, host: &Host);
    /// Does it. Nothing, if the daemon died meanwhile.
    fn run(&self, host: &Host) -> Option<Answer>;
    /// Whether an error takes it all back. If not, it goes on where it was.
    fn is_undone(&self) -> bool {
        true
    }
    /// Does it again, whatever became of the first time, and sees that it has worked.
    fn retry(&self, host: &Host, fault: Fault);
    /// Removes everything.
    fn clear(&self, host: &Host);
}

/// Walks through the points of an operation.
fn walk(name: &str, operation: &dyn Operation) {
    let Some(host) = Host::with_fail_points_or_skips() else { return };
    let points = host.fail_points().all();
    // Whatever is made at the first use and stays.
    operation.prepare(&host);
    operation.run(&host).expect("nothing is armed");
    operation.retry(&host, Fault::Delay(0));
    operation.clear(&host);
    host.await_no_run_folders();
    let before = host.traces();
    let prefix = format!("{name}.");
    let mut runs = 0;
    let own: Vec<_> = points.iter().filter(|point| point.name.starts_with(&prefix)).collect();
    for point in &own {
        for fault in faults(point) {
            go_through(&host, operation, point, fault);
            host.expect_traces(&before, &format!("{fault:?} at {}", point.name));
            runs += 1;
        }
    }
    println!("fail points of {name}: {} points, {runs} runs, 0 leaks", own.len());
}

fn faults(point: &FailPoint) -> impl Iterator<Item = Fault> {
    let fails = point.can_fail.then_some(Fault::Error);
    fails.into_iter().chain([Fault::Delay(DELAY_MS), Fault::Abort])
}

fn go_through(host: &Host, operation: &dyn Operation, point: &FailPoint, fault: Fault) {
    let name = &point.name;
    operation.prepare(host);
    let prepared = host.traces();
    host.fail_points().arm(name, fault);
    let answer = operation.run(host);
    let process = host.fail_points().await_fired(name);
    match fault {
        Fault::Error => {
            let answer = answer.unwrap_or_else(|| panic!("an error at {name} killed the daemon"));
            let told = answer.body.contains(&format!("fail point {name}"));
            assert!(told, "{name}: {} {}", answer.status, answer.body);
            // Undone on the spot, and not by a later daemon.
            if operation.is_undone() {
                host.expect_traces(&prepared, &format!("the undoing of {name}"));
            }
        }
        Fault::Abort if process == host.daemon_pid() => host.restart_ended_daemon(),
        Fault::Delay(_) => assert!(answer.is_some(), "a delay at {name} killed the daemon"),
        Fault::Abort => {}
    }
    operation.retry(host, fault);
    operation.clear(host);
}

#[track_caller]
fn expect(answer: &Answer, statuses: &[u16]) {
    assert!(statuses.contains(&answer.status), "{} {}", answer.status, answer.body);
}

/// Something that the daemon is alive for.
#[track_caller]
fn ask(host: &Host, method: &str, path: &str, body: Option<&Value>) -> Answer {
    host.api(method, path, body.map(Value::to_string).as_deref())
}

fn create(host: &Host, document: &Value) -> Option<Answer> {
    host.try_api("POST", "/containers/create?name=web", document.to_string().as_bytes())
}

#[track_caller]
fn created(host: &Host, document: &Value) {
    expect(&create(host, document).expect("the daemon lives"), &[201]);
}

#[track_caller]
fn started(host: &Host) {
    expect(&ask(host, "POST", "/containers/web/start", None), &[204]);
}

/// A container with all that a start has to make: a port, a volume with content, `/dev/shm`.
fn server() -> Value {
    json!({
        "Image": "busybox",
        "Cmd": ["sh", "-c", SERVER],
        "ExposedPorts": { "80/tcp": {} },
        "Volumes": { "/var/www": {} },
        "HostConfig": {
            "PortBindings": { "80/tcp": [{ "HostPort": "8080" }] },
            "IpcMode": "shareable",
        },
    })
}

fn state(host: &Host, name: &str) -> Value {
    let answer = ask(host, "GET", &format!("/containers/{name}/json"), None);
    expect(&answer, &[200]);
    let document: Value = serde_json::from_str(&answer.body).expect("inspect answers JSON");
    document["State"].clone()
}

fn becomes(host: &Host, name: &str, status: &str) -> Value {
    eventually(&format!("{name} to be {status}"), || {
        let state = state(host, name);
        (state["Status"] == status).then_some(state)
    })
}

fn remove(host: &Host) {
    expect(&ask(host, "DELETE", "/containers/web?force=1&v=1", None), &[204, 404]);
}

struct Create;

impl Operation for Create {
    fn prepare(&self, _: &Host) {}

    fn run(&self, host: &Host) -> Option<Answer> {
        create(host, &server())
    }

    fn retry(&self, host: &Host, _: Fault) {
        if ask(host, "GET", "/containers/web/json", None).status == 404 {
            created(host, &server());
        }
        started(host);
        assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
    }

    fn clear(&self, host: &Host) {
        remove(host);
    }
}

struct Start;

impl Operation for Start {
    fn prepare(&self, host: &Host) {
        created(host, &server());
    }

    fn run(&self, host: &Host) -> Option<Answer> {
        host.try_api("POST", "/containers/web/start", b"")
    }

    fn retry(&self, host: &Host, _: Fault) {
        expect(&ask(host, "POST", "/containers/web/start", None), &[204, 304]);
        // A supervisor that died just now is noticed just now.
        eventually("the page", || {
            if state(host, "web")["Running"] == true && !host.refuses("127.0.0.1:8080") {
                return (host.get("127.0.0.1:8080") == "hello from web\n").then_some(());
            }
            ask(host, "POST", "/containers/web/start", None);
            None
        });
    }

    fn clear(&self, host: &Host) {
        remove(host);
    }
}

struct Exec;

impl Exec {
    /// Runs one to its end; its exit code, as far as anybody can be asked.
    fn exec(host: &Host) -> Option<Answer> {
        let body = json!({ "Cmd": ["sh", "-c", "exit 3"] }).to_string();
        let created = host.try_api("POST", "/containers/web/exec", body.as_bytes())?;
        if created.status != 201 {
            return Some(created);
        }
        let id: Value = serde_json::from_str(&created.body).expect("an answer in JSON");
        let id = id["Id"].as_str().expect("an id").to_owned();
        let path = format!("/exec/{id}/start");
        let started =
            host.try_api("POST", &path, json!({ "Detach": true }).to_string().as_bytes())?;
        if started.status != 200 {
            return Some(started);
        }
        loop {
            let answer = host.try_api("GET", &format!("/exec/{id}/json"), b"")?;
            if answer.status != 200 || answer.body.contains("\"Running\":false") {
                return Some(answer);
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

impl Operation for Exec {
    fn prepare(&self, host: &Host) {
        created(host, &server());
        started(host);
    }

    fn run(&self, host: &Host) -> Option<Answer> {
        Self::exec(host)
    }

    fn retry(&self, host: &Host, _: Fault) {
        eventually("an exec that ends", || {
            // It is not running if it lost its supervisor.
            ask(host, "POST", "/containers/web/start", None);
            let answer = Self::exec(host).expect("the daemon lives");
            answer.body.contains("\"ExitCode\":3").then_some(())
        });
    }

    fn clear(&self, host: &Host) {
        remove(host);
    }
}

struct Stop;

impl Operation for Stop {
    fn prepare(&self, host: &Host) {
        created(host, &server());
        started(host);
        // Until it has set its trap.
        assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
    }

    fn run(&self, host: &Host) -> Option<Answer> {
        host.try_api("POST", "/containers/web/stop?t=5", b"")
    }

    fn retry(&self, host: &Host, fault: Fault) {
        expect(&ask(host, "POST", "/containers/web/stop?t=5", None), &[204, 304]);
        let code = becomes(host, "web", "exited")["ExitCode"].clone();
        // A supervisor that dies takes its container along, and the news of its end.
        assert!(code == 7 || (fault == Fault::Abort && code == 137), "exit code {code}");
        started(host);
        assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
    }

    fn clear(&self, host: &Host) {
        remove(host);
    }
}

/// A container that ends with an error and is started once more.
struct Restart;

impl Operation for Restart {
    fn prepare(&self, host: &Host) {
        let document = json!({
            "Image": "busybox",
            "Cmd": ["sh", "-c", "exit 9"],
            "HostConfig": { "RestartPolicy": { "Name": "on-failure", "MaximumRetryCount": 1 } },
        });
        created(host, &document);
    }

    fn run(&self, host: &Host) -> Option<Answer> {
        host.try_api("POST", "/containers/web/start", b"")
    }

    fn retry(&self, host: &Host, fault: Fault) {
        let state = becomes(host, "web", "exited");
        let code = &state["ExitCode"];
        assert!(*code == 9 || (fault == Fault::Abort && *code == 137), "{state}");
        started(host);
        let state = becomes(host, "web", "exited");
        assert_eq!(state["ExitCode"], 9, "{state}");
    }

    fn clear(&self, host: &Host) {
        remove(host);
    }
}

struct Remove;

impl Operation for Remove {
    fn prepare(&self, host: &Host) {
        created(host, &server());
        started(host);
        expect(&ask(host, "POST", "/containers/web/kill", None), &[204]);
        becomes(host, "web", "exited");
        host.await_no_run_folders();
    }

    fn run(&self, host: &Host) -> Option<Answer> {
        host.try_api("DELETE", "/containers/web?v=1", b"")
    }

    fn is_undone(&self) -> bool {
        false
    }

    fn retry(&self, host: &Host, _: Fault) {
        expect(&ask(host, "DELETE", "/containers/web?v=1", None), &[204, 404]);
        created(host, &server());
    }

    fn clear(&self, host: &Host) {
        remove(host);
    }
}

/// A container that removes itself at its end.
struct SelfRemoval;

impl Operation for SelfRemoval {
    fn prepare(&self, host: &Host) {
        let mut document = server();
        document["HostConfig"]["AutoRemove"] = json!(true);
        created(host, &document);
        started(host);
    }

    fn run(&self, host: &Host) -> Option<Answer> {
        let killed = host.try_api("POST", "/containers/web/kill", b"")?;
        eventually("the end of the removal", || {
            let answer = host.try_api("GET", "/containers/web/json", b"");
            let is_over = answer
                .as_ref()
                .is_none_or(|answer| answer.status == 404 || answer.body.contains("fail point"));
            is_over.then_some(
                answer.map(|answer| Answer {
                    body: format!("{}{}", killed.body, answer.body),
                    ..answer
                }),
            )
        })
    }

    fn is_undone(&self) -> bool {
        false
    }

    fn retry(&self, host: &Host, _: Fault) {
        Remove.retry(host, Fault::Delay(0));
    }

    fn clear(&self, host: &Host) {
        remove(host);
    }
}

struct Load(Vec<u8>);

impl Load {
    fn new() -> Self {
        let bottom = FileSystem::with_shell().with(Entry::file("a", "content"));
        let top = FileSystem::empty().with(Entry::file("b", "content"));
        let image = ImageArchive::new("loaded:1", json!({ "Cmd": ["sh"] }));
        Self(image.layer(&bottom).layer(&top).docker_archive())
    }
}

impl Operation for Load {
    fn prepare(&self, _: &Host) {}

    fn run(&self, host: &Host) -> Option<Answer> {
        host.try_api("POST", "/images/load?quiet=1", &self.0)
    }

    fn retry(&self, host: &Host, _: Fault) {
        let answer = self.run(host).expect("the daemon lives");
        assert!(answer.status == 200 && !answer.body.contains("errorDetail"), "{}", answer.body);
        host.docker("run --rm loaded:1 cat /a /b").succeeds().prints("contentcontent");
    }

    fn clear(&self, host: &Host) {
        expect(&ask(host, "DELETE", "/images/loaded:1", None), &[200]);
    }
}

/// A daemon's start, with containers in every state that an earlier daemon can leave.
struct Restore;

impl Restore {
    fn named(host: &Host, name: &str, document: &Value) {
        let path = format!("/containers/create?name={name}");
        expect(&ask(host, "POST", &path, Some(document)), &[201]);
        let path = format!("/containers/{name}/start");
        expect(&ask(host, "POST", &path, None), &[204]);
    }
}

impl Operation for Restore {
    fn prepare(&self, host: &Host) {
        let go = host.folder("go", &[]);
        let _ = std::fs::remove_file(format!("{go}/now"));
        created(host, &server());
        started(host);
        let script = "while ! [ -e /go/now ]; do sleep 0.01; done; exit 42";
        let ending = |auto_remove: bool| {
            json!({
                "Image": "busybox",
                "Cmd": ["sh", "-c", script],
                "Volumes": { "/data": {} },
                "HostConfig": { "AutoRemove": auto_remove, "Binds": [format!("{go}:/go")] },
            })
        };
        Self::named(host, "ends", &ending(false));
        Self::named(host, "goes", &ending(true));
        host.kill_daemon();
        std::fs::write(format!("{go}/now"), "").expect("/tmp takes files");
        eventually("their ends", || (host.shims().len() == 1).then_some(()));
        // A creation that was interrupted.
        std::fs::create_dir(host.data_root().join("containers/orphan")).expect("/tmp takes files");
    }

    fn run(&self, host: &Host) -> Option<Answer> {
        host.try_start_daemon().then(|| ask(host, "GET", "/_ping", None))
    }

    fn retry(&self, host: &Host, _: Fault) {
        assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
        assert_eq!(state(host, "web")["Running"], true);
        assert_eq!(state(host, "ends")["ExitCode"], 42);
        eventually("the removal of what was to go", || {
            (ask(host, "GET", "/containers/goes/json", None).status == 404).then_some(())
        });
        expect(&ask(host, "POST", "/containers/ends/start", None), &[204]);
        assert_eq!(becomes(host, "ends", "exited")["ExitCode"], 42);
    }

    fn clear(&self, host: &Host) {
        remove(host);
        expect(&ask(host, "DELETE", "/containers/ends?force=1&v=1", None), &[204]);
    }
}

#[test]
fn every_step_of_a_creation() {
    walk("create", &Create);
}

#[test]
fn every_step_of_a_start() {
    walk("start", &Start);
}

#[test]
fn every_step_of_an_exec() {
    walk("exec", &Exec);
}

#[test]
fn every_step_of_a_stop() {
    walk("stop", &Stop);
}

#[test]
fn every_step_of_a_restart() {
    walk("restart", &Restart);
}

#[test]
fn every_step_of_a_removal() {
    walk("remove", &Remove);
}

#[test]
fn every_step_of_a_containers_removal_of_itself() {
    walk("remove", &SelfRemoval);
}

#[test]
fn every_step_of_a_load() {
    walk("load", &Load::new());
}

#[test]
fn every_step_of_a_daemons_start() {
    walk("restore", &Restore);
}

#[test]
fn every_point_belongs_to_an_operation() {
    if !Host::is_wharf_or_skips(REASON) {
        return;
    }
    let host = Host::builder().bare().fail_points().start();
    let points = host.fail_points().all();
    let operation = |point: &FailPoint| {
        point.name.split_once('.').map(|(operation, _)| operation.to_owned()).unwrap_or_default()
    };
    let found: BTreeSet<String> = points.iter().map(operation).collect();
    if found.is_empty() {
        return Host::skips("fail points: programs that were built for a release have none");
    }
    let known: BTreeSet<String> = OPERATIONS.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(found, known);
}
