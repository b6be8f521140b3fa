//! What becomes of one container, and what its client makes sure of.

mod changed;

use serde_json::{Value, json};

use super::caller::Caller;
use crate::http::{Reply, Stream};

/// Lines that a container writes at most.
const LINES_MAX: u64 = 300;

type Checked<T = ()> = Result<T, String>;

/// One container's life, chosen by chance.
pub(super) fn one(caller: &mut Caller) -> Checked {
    match caller.random(13) {
        0..=2 => speaks_and_ends(caller),
        3..=4 => is_stopped(caller),
        5 => removes_itself(caller),
        6 => is_restarted(caller),
        7 => is_watched(caller),
        8 => is_followed(caller),
        9 => changed::is_paused(caller),
        10 => changed::is_renamed(caller),
        11 => changed::has_a_terminal(caller),
        _ => is_removed_by_force(caller),
    }
}

/// It writes some lines and ends with some exit code.
fn speaks_and_ends(caller: &mut Caller) -> Checked {
    let (lines, code) = (1 + caller.random(LINES_MAX), caller.random(100));
    let name = caller.new_name();
    create(caller, &name, &speaker(lines, code))?;
    start(caller, &name)?;
    let told = caller.timed("wait", |caller| {
        let reply = caller.ask("POST", &format!("/containers/{name}/wait"), None)?;
        Ok(document(&expect(reply, &[200], "wait")?)["StatusCode"].clone())
    })?;
    check_code(caller, &name, &told, code)?;
    let told = inspect(caller, &name)?["State"]["ExitCode"].clone();
    check_code(caller, &name, &told, code)?;
    check_log(caller, &name, lines)?;
    remove(caller, &name, "")?;
    // The name is free again.
    create(caller, &name, &speaker(1, 0))?;
    remove(caller, &name, "")
}

/// It goes on until it is stopped, and others run in it meanwhile.
fn is_stopped(caller: &mut Caller) -> Checked {
    let name = caller.new_name();
    let script = "trap 'exit 5' TERM; i=0; while :; do echo line $i; i=$((i+1)); sleep 0.02; done";
    create(caller, &name, &shell(script))?;
    start(caller, &name)?;
    // By then it has set its trap.
    caller.until("its first line", |caller| {
        let first = !log(caller, &name)?.is_empty();
        if !first {
            caller.pause();
        }
        Ok(first.then_some(()))
    })?;
    for _ in 0..caller.random(3) {
        exec(caller, &name)?;
    }
    caller.timed("stop", |caller| {
        let reply = caller.ask("POST", &format!("/containers/{name}/stop?t=30"), None)?;
        expect(reply, &[204, 304], "stop")
    })?;
    let state = inspect(caller, &name)?["State"].clone();
    if state["Status"] != "exited" {
        return Err(format!("{name} was stopped and is {}", state["Status"]));
    }
    check_code(caller, &name, &state["ExitCode"], 5)?;
    let lines = log(caller, &name)?;
    check_lines(caller, &name, &lines)?;
    remove(caller, &name, "")
}

/// It goes with its end.
fn removes_itself(caller: &mut Caller) -> Checked {
    let name = caller.new_name();
    let mut document = speaker(3, 1);
    document["HostConfig"]["AutoRemove"] = json!(true);
    create(caller, &name, &document)?;
    caller.timed("start --rm", |caller| {
        caller.until("its start", |caller| {
            let Some(reply) = caller.try_once("POST", &format!("/containers/{name}/start"), None)
            else {
                // It may have been started, and have gone, before the connection broke.
                let reply = caller.ask("GET", &format!("/containers/{name}/json"), None)?;
                let has_run = reply.status == 404 || status_of(&reply) != "created";
                return Ok(has_run.then_some(()));
            };
            expect(reply, &[204, 304], "start").map(|_| Some(()))
        })
    })?;
    caller.timed("gone --rm", |caller| {
        caller.until("its going", |caller| {
            let reply = caller.ask("GET", &format!("/containers/{name}/json"), None)?;
            if reply.status != 404 {
                caller.pause();
            }
            Ok((reply.status == 404).then_some(()))
        })
    })
}

/// It ends with an error, and is started twice more.
fn is_restarted(caller: &mut Caller) -> Checked {
    let name = caller.new_name();
    let mut document = shell(
        "echo line $(cat /n 2>/dev/null || echo 0); echo $(( $(cat /n 2>/dev/null || echo 0) + 1 )) > /n; exit 3",
    );
    document["HostConfig"]["RestartPolicy"] =
        json!({ "Name": "on-failure", "MaximumRetryCount": 2 });
    create(caller, &name, &document)?;
    start(caller, &name)?;
    let end = caller.until("its last end", |caller| {
        let document = inspect(caller, &name)?;
        if document["State"]["Status"] == "exited" {
            return Ok(Some(document));
        }
        caller.pause();
        Ok(None)
    })?;
    check_code(caller, &name, &end["State"]["ExitCode"], 3)?;
    if end["RestartCount"] != 2 {
        return Err(format!("{name}: {} restarts, not 2", end["RestartCount"]));
    }
    check_log(caller, &name, 3)?;
    remove(caller, &name, "")
}

/// Somebody is attached from before its start.
fn is_watched(caller: &mut Caller) -> Checked {
    let (lines, name) = (1 + caller.random(LINES_MAX), caller.new_name());
    create(caller, &name, &speaker(lines, 0))?;
    let path = format!("/containers/{name}/attach?stream=1&stdout=1&stderr=1");
    let stream = attach(caller, "attach", &path)?;
    start(caller, &name)?;
    let seen = text_of_frames(&stream.read_all());
    // A daemon that died in between has lost who waited for the start, and everything then.
    if !seen.is_empty() {
        let lines_seen: Vec<String> = seen.lines().map(str::to_owned).collect();
        check_lines(caller, &name, &lines_seen)?;
        if lines_seen.len() as u64 != lines {
            return Err(format!("{name}: attached to {} lines of {lines}", lines_seen.len()));
        }
    }
    check_end(caller, &name, 0)?;
    check_log(caller, &name, lines)?;
    remove(caller, &name, "")
}

/// Somebody follows its log.
fn is_followed(caller: &mut Caller) -> Checked {
    let (lines, code) = (1 + caller.random(LINES_MAX), caller.random(100));
    let name = caller.new_name();
    create(caller, &name, &speaker(lines, code))?;
    start(caller, &name)?;
    let path = format!("/containers/{name}/logs?follow=1&stdout=1&stderr=1");
    let seen = caller.timed("logs -f", |caller| {
        let reply = caller.ask("GET", &path, None)?;
        Ok(text_of_frames(&expect(reply, &[200], "logs -f")?.body))
    })?;
    let seen: Vec<String> = seen.lines().map(str::to_owned).collect();
    check_lines(caller, &name, &seen)?;
    if seen.len() as u64 != lines {
        return Err(format!("{name}: followed {} lines of {lines}", seen.len()));
    }
    check_end(caller, &name, code)?;
    remove(caller, &name, "")
}

/// It runs, with a port, until somebody has had enough.
fn is_removed_by_force(caller: &mut Caller) -> Checked {
    let name = caller.new_name();
    let mut document = shell("while :; do sleep 1; done");
    document["ExposedPorts"] = json!({ "80/tcp": {} });
    document["HostConfig"]["PortBindings"] = json!({ "80/tcp": [{}] });
    document["Volumes"] = json!({ "/var/www": {} });
    create(caller, &name, &document)?;
    start(caller, &name)?;
    exec(caller, &name)?;
    remove(caller, &name, "?force=1&v=1")
}

fn shell(script: &str) -> Value {
    json!({ "Image": "busybox", "Cmd": ["sh", "-c", script], "HostConfig": {} })
}

fn speaker(lines: u64, code: u64) -> Value {
    let count = format!("i=0; while [ $i -lt {lines} ]; do echo line $i; i=$((i+1)); done");
    shell(&format!("{count}; exit {code}"))
}

/// Creates a container, whoever has to be asked how often.
fn create(caller: &mut Caller, name: &str, document: &Value) -> Checked {
    let path = format!("/containers/create?name={name}");
    let mut was_cut_off = false;
    caller.timed("create", |caller| {
        caller.until("a creation", |caller| {
            let Some(reply) = caller.try_once("POST", &path, Some(document)) else {
                was_cut_off = true;
                return Ok(None);
            };
            // The name is ours alone: whoever has it is what an earlier try made.
            if was_cut_off && reply.status == 409 {
                return Ok(Some(()));
            }
            expect(reply, &[201], "create").map(|_| Some(()))
        })
    })
}

/// Starts a container once, whoever has to be asked how often.
fn start(caller: &mut Caller, name: &str) -> Checked {
    let path = format!("/containers/{name}/start");
    caller.timed("start", |caller| {
        caller.until("a start", |caller| match caller.try_once("POST", &path, None) {
            Some(reply) => expect(reply, &[204, 304], "start").map(|_| Some(())),
            // Another start after it has run would be a second run.
            None => Ok((inspect(caller, name)?["State"]["Status"] != "created").then_some(())),
        })
    })
}

/// Attaches, whoever has to be asked how often.
fn attach(caller: &mut Caller, operation: &'static str, path: &str) -> Checked<Stream> {
    caller.timed(operation, |caller| {
        caller.until("an attachment", |caller| match caller.upgrade(path) {
            None => {
                caller.pause();
                Ok(None)
            }
            Some(Ok(stream)) => Ok(Some(stream)),
            Some(Err(reply)) => Err(format!("attach: {} {}", reply.status, reply.text())),
        })
    })
}

fn remove(caller: &mut Caller, name: &str, query: &str) -> Checked {
    let path = format!("/containers/{name}{query}");
    let mut was_cut_off = false;
    caller.timed("rm", |caller| {
        caller.until("a removal", |caller| {
            let Some(reply) = caller.try_once("DELETE", &path, None) else {
                was_cut_off = true;
                return Ok(None);
            };
            match reply.status {
                404 if was_cut_off => Ok(Some(())),
                // Another daemon goes on with it.
                409 if was_cut_off => {
                    caller.pause();
                    Ok(None)
                }
                _ => expect(reply, &[204], "rm").map(|_| Some(())),
            }
        })
    })?;
    let reply = caller.ask("GET", &format!("/containers/{name}/json"), None)?;
    expect(reply, &[404], "inspect after rm").map(drop)
}

/// Runs something in a container, and hears how it ended.
fn exec(caller: &mut Caller, name: &str) -> Checked {
    let body = json!({ "Cmd": ["sh", "-c", "exit 7"] });
    let code = caller.timed("exec", |caller| {
        caller.until("an exec", |caller| {
            let reply = caller.ask("POST", &format!("/containers/{name}/exec"), Some(&body))?;
            let reply = expect(reply, &[201], "exec")?;
            let id = document(&reply)["Id"].as_str().unwrap_or_default().to_owned();
            let start = format!("/exec/{id}/start");
            match caller.try_once("POST", &start, Some(&json!({ "Detach": true }))) {
                Some(reply) if reply.status == 404 => return Ok(None),
                Some(reply) => drop(expect(reply, &[200], "exec start")?),
                None => {}
            }
            exec_code(caller, &id)
        })
    })?;
    check_code(caller, name, &code, 7)
}

/// How an exec ended; nothing, if it was forgotten with its daemon before it had started.
fn exec_code(caller: &mut Caller, id: &str) -> Checked<Option<Value>> {
    caller.until("an exec's end", |caller| {
        let reply = caller.ask("GET", &format!("/exec/{id}/json"), None)?;
        if reply.status == 404 {
            return Ok(Some(None));
        }
        let exec = document(&expect(reply, &[200], "exec inspect")?);
        if exec["Running"] == false {
            // One that was made and never started has no exit code.
            return Ok(Some(Some(exec["ExitCode"].clone()).filter(|code| !code.is_null())));
        }
        caller.pause();
        Ok(None)
    })
}

fn inspect(caller: &mut Caller, name: &str) -> Checked<Value> {
    let reply = caller
        .timed("inspect", |caller| caller.ask("GET", &format!("/containers/{name}/json"), None))?;
    Ok(document(&expect(reply, &[200], "inspect")?))
}

fn log(caller: &mut Caller, name: &str) -> Checked<Vec<String>> {
    let path = format!("/containers/{name}/logs?stdout=1&stderr=1");
    let reply = caller.timed("logs", |caller| caller.ask("GET", &path, None))?;
    let text = text_of_frames(&expect(reply, &[200], "logs")?.body);
    Ok(text.lines().map(str::to_owned).collect())
}

fn check_end(caller: &mut Caller, name: &str, code: u64) -> Checked {
    let told = caller.until("its end", |caller| {
        let state = inspect(caller, name)?["State"].clone();
        if state["Status"] == "exited" {
            return Ok(Some(state["ExitCode"].clone()));
        }
        caller.pause();
        Ok(None)
    })?;
    check_code(caller, name, &told, code)
}

fn check_code(caller: &mut Caller, name: &str, told: &Value, expected: u64) -> Checked {
    caller.tally.exit_codes += 1;
    if *told == expected {
        Ok(())
    } else {
        Err(format!("{name}: exit code {told}, not {expected}"))
    }
}

fn check_log(caller: &mut Caller, name: &str, expected: u64) -> Checked {
    let lines = log(caller, name)?;
    check_lines(caller, name, &lines)?;
    if lines.len() as u64 == expected {
        Ok(())
    } else {
        Err(format!("{name}: {} lines in the log, not {expected}", lines.len()))
    }
}

/// No line is missing in the middle, and none is there twice.
fn check_lines(caller: &mut Caller, name: &str, lines: &[String]) -> Checked {
    for (number, line) in lines.iter().enumerate() {
        caller.tally.lines += 1;
        if *line != format!("line {number}") {
            return Err(format!("{name}: {line:?} where line {number} should be"));
        }
    }
    Ok(())
}

fn expect(reply: Reply, statuses: &[u16], doing: &str) -> Checked<Reply> {
    if statuses.contains(&reply.status) {
        Ok(reply)
    } else {
        Err(format!("{doing}: {} {}", reply.status, reply.text()))
    }
}

fn document(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_default()
}

fn status_of(reply: &Reply) -> String {
    document(reply)["State"]["Status"].as_str().unwrap_or_default().to_owned()
}

/// The text of Docker's frames: one byte of stream, three of nothing, four of length.
fn text_of_frames(mut bytes: &[u8]) -> String {
    let mut text = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(8) {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let (frame, after) = rest.split_at(length.min(rest.len()));
        text.extend_from_slice(frame);
        bytes = after;
    }
    String::from_utf8_lossy(&text).into_owned()
}
