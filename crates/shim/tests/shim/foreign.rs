//! Containers under another runtime's program: one that hangs, or does less than it says.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};
use shim::client::CallError;
use shim::health::{HealthAction, HealthCheck, HealthStatus, Probe};
use shim::protocol::{Answer, FailureKind, Phase, Request, RestartPolicy, What};

use crate::workshop::{Running, Workshop, eventually, everything, exec, is_possible, process};

/// A shell that answers each line that it reads, and ends in good order.
const ECHO: &str = "trap 'exit 7' TERM; echo ready; while read line; do echo \"<$line>\"; done";

/// What stands between the shim and a runtime that works. A file beside it says at which of the
/// commands it is to hang, to hang once it is carried out, or to say that it has been.
const SCRIPT: &str = r#"#!/bin/sh
folder=$(dirname "$0")
said() { word=$1; shift; for argument; do [ "$argument" = "$word" ] && return; done; return 1; }
hang() { echo $$ >> "$folder/hung"; sleep 1000; }
named() { read -r name < "$folder/$1" && said "$name" "$@"; }
for how in hang skip late; do [ -e "$folder/$how" ] || : > "$folder/$how"; done
named hang "$@" && hang
named skip "$@" && exit 0
if named late "$@"; then "RUNTIME" "$@"; hang; fi
exec "RUNTIME" "$@"
"#;

/// The runtime that does the work: our own, which is built beside the shim, or Debian's runc.
fn runtime() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_BIN_EXE_wharf-shim")).with_file_name("wharf-runtime");
    let found = [own, "/usr/sbin/runc".into(), "/usr/bin/runc".into()];
    let found = found.into_iter().find(|path| path.exists());
    if found.is_none() {
        eprintln!("skipped: it needs wharf-runtime (cargo build --workspace) or runc");
    }
    found
}

/// The program's folder, by which it is told what to do.
struct Hanging(PathBuf);

impl Hanging {
    fn tell(&self, how: &str, command: &str) {
        fs::write(self.0.join(how), format!("{command}\n")).unwrap();
    }

    /// Calls that hang or hung, by their process.
    fn hung(&self) -> Vec<Pid> {
        let text = fs::read_to_string(self.0.join("hung")).unwrap_or_default();
        text.lines().map(|line| Pid::from_raw(line.parse().unwrap()).unwrap()).collect()
    }

    fn await_hung(&self) -> Pid {
        eventually("a call that hangs", || self.hung().first().copied())
    }

    /// Asserts that no call has outlived its use.
    fn assert_gone(&self) {
        eventually("the end of all calls", || {
            let is_gone = |pid: &Pid| test_kill_process(*pid).is_err();
            self.hung().iter().all(is_gone).then_some(())
        });
    }
}

/// A container under the program.
fn workshop(arguments: &[&str]) -> Option<(Workshop, Hanging)> {
    let runtime = runtime().filter(|_| is_possible())?;
    let mut workshop = Workshop::program(arguments);
    let folder = workshop.run_folder().with_file_name("program");
    fs::create_dir(&folder).unwrap();
    let program = folder.join("runtime");
    fs::write(&program, SCRIPT.replace("RUNTIME", runtime.to_str().unwrap())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    workshop.launch.runtime = Some(program);
    Some((workshop, Hanging(folder)))
}

/// A container that answers each line, and is ready to end in good order.
fn echo() -> Option<(Running, Hanging, crate::workshop::Attached)> {
    let (workshop, hanging) = workshop(&["sh", "-c", ECHO])?;
    let mut workshop = workshop.with_input(false);
    let mut client = workshop.attach_early(everything());
    let running = workshop.launch();
    client.read_until("ready");
    Some((running, hanging, client))
}

/// Asks for something of which no answer comes for long.
fn ask(running: &Running, request: Request) -> std::thread::JoinHandle<Result<Answer, CallError>> {
    let mut connection = running.connect();
    std::thread::spawn(move || connection.call(&request, &[]))
}

#[track_caller]
fn failed(answer: Result<Answer, CallError>) -> (FailureKind, String) {
    match answer {
        Err(CallError::Failed(failure)) => (failure.kind, failure.message),
        other => panic!("it is no failure: {other:?}"),
    }
}

#[test]
fn a_call_that_hangs_holds_up_nobody_else() {
    let Some((running, hanging, mut client)) = echo() else { return };
    hanging.tell("hang", "pause");
    let pausing = ask(&running, Request::Pause);
    hanging.await_hung();

    client.send(b"one\n");
    client.read_until("<one>");
    let mut other = running.attach(everything());
    other.send(b"two\n");
    other.read_until("<two>");
    assert_eq!(running.connect().state().unwrap().phase, Phase::Running);
    let resources = Some(serde_json::json!({ "pids": { "limit": 77 } }));
    running.connect().call(&Request::Update { resources, restart: None }, &[]).unwrap();
    assert_eq!(running.exec(exec("by", &["echo", "hi"])).read_frames().0, "hi\n");
    assert!(!pausing.is_finished());
    let stop = Request::Stop { signal: 15, grace: None };
    running.connect().call(&stop, &[]).unwrap();

    assert!(running.workshop.logged().contains("<two>"));
    assert_eq!(running.finish().exit_code, Some(7));
    let (kind, message) = failed(pausing.join().unwrap());
    assert_eq!(kind, FailureKind::WrongPhase);
    assert!(message.ends_with("has ended meanwhile"), "{message}");
    hanging.assert_gone();
}

#[test]
fn a_call_that_comes_to_no_end_is_given_up() {
    let Some((running, hanging, _client)) = echo() else { return };
    hanging.tell("hang", "pause");

    let (_, message) = failed(running.connect().call(&Request::Pause, &[]));

    assert!(message.ends_with("it has not come to an end within 8 s"), "{message}");
    hanging.assert_gone();
    hanging.tell("hang", "");
    running.connect().call(&Request::Pause, &[]).unwrap();
    assert_eq!(running.stop().exit_code, Some(137));
}

#[test]
fn a_container_is_killed_without_its_runtime() {
    let Some((running, hanging, _client)) = echo() else { return };
    hanging.tell("hang", "kill");

    // The signal is lost; the time that it is given is not longer for it.
    let stop = Request::Stop { signal: 15, grace: Some(Duration::from_millis(200)) };
    running.connect().call(&stop, &[]).unwrap();

    assert_eq!(running.finish().exit_code, Some(137));
    assert!(hanging.hung().len() <= 1);
    hanging.assert_gone();

    let Some((running, hanging, _client)) = echo() else { return };
    hanging.tell("hang", "kill");
    assert_eq!(running.stop().exit_code, Some(137));
    assert_eq!(hanging.hung(), []);
}

#[test]
fn a_signal_that_the_runtime_does_not_send_is_sent_all_the_same() {
    let Some((running, hanging, _client)) = echo() else { return };
    hanging.tell("hang", "kill");

    let signal = Request::Signal { signal: 15, all: false, last_run: false };
    running.connect().call(&signal, &[]).unwrap();

    assert_eq!(running.finish().exit_code, Some(7));
    hanging.assert_gone();
}

#[test]
fn a_health_check_whose_runtime_hangs_is_late_and_nothing_else_is() {
    let Some((workshop, hanging)) = workshop(&["sh", "-c", ECHO]) else { return };
    let mut workshop = workshop.with_input(false);
    workshop.launch.health = Some(HealthCheck {
        probe: Probe::Command {
            process: process(&["echo", "fine"]),
            user: None,
            additional_groups: Vec::new(),
        },
        interval: Duration::from_millis(50),
        start_interval: Duration::from_millis(50),
        timeout: Duration::from_millis(500),
        start_period: Duration::ZERO,
        retries: 2,
        action: HealthAction::None,
        stop_signal: 15,
        stop_grace: Some(Duration::ZERO),
        log: Vec::new(),
    });
    let mut client = workshop.attach_early(everything());
    let mut running = workshop.launch();
    let mut await_status = |wanted| loop {
        let health = running.await_event(&What::HealthChanged).health.unwrap();
        if health.status == wanted {
            break health.log.last().unwrap().output.clone();
        }
    };
    assert_eq!(await_status(HealthStatus::Healthy), "fine\n");
    hanging.tell("hang", "exec");
    let output = await_status(HealthStatus::Unhealthy);
    assert!(output.starts_with("Health check exceeded timeout (500ms)"), "{output}");
    hanging.tell("hang", "");
    assert_eq!(await_status(HealthStatus::Healthy), "fine\n");

    client.send(b"one\n");
    client.read_until("<one>");
    assert_eq!(running.stop().exit_code, Some(137));
    hanging.assert_gone();
}

#[test]
fn of_an_exec_that_comes_to_no_end_nothing_is_left() {
    let Some((running, hanging, _client)) = echo() else { return };
    hanging.tell("late", "exec");
    let mut request = exec("late", &["sleep", "1000"]);
    request.attach = None;

    let (_, message) = failed(running.connect().call(&Request::Exec(request), &[]));

    assert!(message.ends_with("it has not come to an end within 8 s"), "{message}");
    let processes = eventually("the end of the process that was made", || {
        let Answer::Processes { pids } = running.connect().call(&Request::Processes, &[]).unwrap()
        else {
            panic!("these are no processes")
        };
        (pids.len() == 1).then_some(pids)
    });
    assert_eq!(processes, [running.started.pid]);
    assert_eq!(running.stop().exit_code, Some(137));
    hanging.assert_gone();
}

#[test]
fn one_process_is_not_taken_for_another() {
    let Some((mut running, hanging, _client)) = echo() else { return };
    let mut first = running.exec(exec("first", &["cat"]));
    hanging.tell("skip", "exec");
    let mut request = exec("second", &["true"]);
    request.attach = None;

    let (_, message) = failed(running.connect().call(&Request::Exec(request), &[]));

    assert_eq!(message, "the runtime told no process");
    first.send(b"still here\n");
    first.read_until("still here");
    first.close_input();
    assert_eq!(running.await_exec("first"), 0);
    assert_eq!(running.stop().exit_code, Some(137));
}

#[test]
fn a_runtime_that_deletes_nothing_is_not_in_the_way_of_the_next_run() {
    let script = "[ -e /again ] && exit 4; echo > /again; exit 3";
    let Some((workshop, hanging)) = workshop(&["sh", "-c", script]) else { return };
    let policy = RestartPolicy::OnFailure { retries_max: Some(1) };
    hanging.tell("hang", "delete");
    let mut running = workshop.with_restart(policy).launch();
    let state = running.await_event(&What::Exited);
    assert_eq!((state.phase, state.exit_code), (Phase::Restarting, Some(3)));
    hanging.tell("hang", "");

    while running.await_event(&What::Exited).phase != Phase::Exited {}

    let folder = running.workshop.run_folder();
    let state = shim::client::last_state(&folder).unwrap().unwrap();
    assert_eq!((state.exit_code, state.restart_count), (Some(4), 1));
    let last_words = fs::read_to_string(folder.join(shim::protocol::files::LAST_WORDS)).unwrap();
    assert!(last_words.contains("it has not come to an end within 8 s"), "{last_words}");
    running.shim.take().unwrap().wait().unwrap();
    running.workshop.assert_clean();
    hanging.assert_gone();
}
