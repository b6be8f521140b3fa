//! Additional processes in a running container.

use serde_json::json;
use shim::client::CallError;
use shim::protocol::{AttachOptions, FailureKind, Phase, Request, What};

use crate::workshop::{Running, Workshop, everything, exec, is_possible};

fn sleeper() -> Running {
    Workshop::program(&["sleep", "1000"]).launch()
}

#[test]
fn several_at_once_with_their_own_streams_and_ends() {
    if !is_possible() {
        return;
    }
    let mut running = sleeper();
    let mut clients: Vec<_> = (0..4)
        .map(|number| {
            let script =
                format!("read word; echo $word {number}; echo err {number} >&2; exit {number}");
            running.exec(exec(&format!("exec-{number}"), &["sh", "-c", &script]))
        })
        .collect();
    assert_eq!(running.connect().state().unwrap().execs.len(), 4);
    for (number, client) in clients.iter_mut().enumerate().rev() {
        client.send(b"hello\n");
        let expected = (format!("hello {number}\n"), format!("err {number}\n"));
        assert_eq!(client.read_frames(), expected);
        assert_eq!(running.await_exec(&format!("exec-{number}")), number as i32);
    }
    let state = running.connect().state().unwrap();
    assert!(state.execs.iter().all(|exec| exec.exit_code.is_some()));
    assert_eq!(running.workshop.logged(), "");
    drop(clients);
    running.stop();
}

#[test]
fn input_ends_with_the_client() {
    if !is_possible() {
        return;
    }
    let mut running = sleeper();
    let mut client = running.exec(exec("cat", &["cat"]));
    client.send(b"through");
    client.close_input();
    assert_eq!(client.read_frames().0, "through");
    assert_eq!(running.await_exec("cat"), 0);
    drop(client);
    running.stop();
}

#[test]
fn a_terminal_of_its_own_that_can_be_resized_and_left() {
    if !is_possible() {
        return;
    }
    let mut running = sleeper();
    let mut request = exec("shell", &["sh"]);
    request.process["terminal"] = json!(true);
    request.terminal_size = Some((10, 20));
    request.attach = Some(AttachOptions { detach_keys: b"\x10\x11".to_vec(), ..everything() });
    let mut client = running.exec(request);
    client.send(b"stty size\n");
    client.read_until("10 20\r\n");
    let resize = Request::Resize { exec: Some("shell".to_owned()), rows: 30, columns: 40 };
    running.connect().call(&resize, &[]).unwrap();
    client.send(b"stty size\n");
    client.read_until("30 40\r\n");
    client.send(b"\x10");
    client.send(b"\x11");
    client.read_to_end();
    running.await_event(&What::Detached { exec: Some("shell".to_owned()) });
    let state = running.connect().state().unwrap();
    assert_eq!(state.execs[0].exit_code, None);
    drop(client);
    running.stop();
}

#[test]
fn detached_ones_run_and_end() {
    if !is_possible() {
        return;
    }
    let mut running = sleeper();
    let mut request = exec("quiet", &["sh", "-c", "echo nobody hears; exit 9"]);
    request.attach = None;
    running.connect().call(&Request::Exec(request), &[]).unwrap();
    assert_eq!(running.await_exec("quiet"), 9);
    running.stop();
}

#[test]
fn what_cannot_be_executed_is_said_in_dockers_words() {
    if !is_possible() {
        return;
    }
    let running = sleeper();
    let mut request = exec("nope", &["nope"]);
    request.attach = None;
    match running.connect().call(&Request::Exec(request), &[]) {
        Err(CallError::Failed(failure)) => {
            assert_eq!(failure.kind, FailureKind::ProgramNotFound);
            assert_eq!(
                failure.message,
                "OCI runtime exec failed: exec failed: unable to start container process: \
                 exec: \"nope\": executable file not found in $PATH"
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(running.connect().state().unwrap().execs, []);
    running.stop();
}

#[test]
fn one_whose_children_keep_its_output_ends_soon_after() {
    if !is_possible() {
        return;
    }
    let mut running = sleeper();
    let mut client = running.exec(exec("parent", &["sh", "-c", "sleep 1000 & echo hi"]));
    assert_eq!(client.read_frames().0, "hi\n");
    assert_eq!(running.await_exec("parent"), 0);
    drop(client);
    running.stop();
}

#[test]
fn all_end_with_the_container() {
    if !is_possible() {
        return;
    }
    let mut running = sleeper();
    let mut client = running.exec(exec("long", &["sh", "-c", "echo ready; sleep 1000"]));
    let stop = Request::Stop { signal: 9, grace: None };
    running.connect().call(&stop, &[]).unwrap();
    assert_eq!(running.await_exec("long"), 137);
    client.read_to_end();
    drop(client);
    assert_eq!(running.finish().phase, Phase::Exited);
}
