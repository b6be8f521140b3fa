//! Lives that others meddle with: paused, renamed, or had by a terminal.

use serde_json::{Value, json};

use super::{
    Caller, Checked, LINES_MAX, attach, check_code, check_end, check_lines, check_log, create,
    exec, expect, inspect, log, remove, shell, speaker, start,
};

/// Writes until it is stopped, and ends with 5 then.
const ENDLESS: &str =
    "trap 'exit 5' TERM; i=0; while :; do echo line $i; i=$((i+1)); sleep 0.02; done";

/// It is paused, refuses company, goes on, and ends as if nothing had been.
pub(super) fn is_paused(caller: &mut Caller) -> Checked {
    let name = running(caller)?;
    for _ in 0..=caller.random(2) {
        change(caller, &name, "pause", "paused")?;
        let body = json!({ "Cmd": ["true"] });
        let reply = caller.ask("POST", &format!("/containers/{name}/exec"), Some(&body))?;
        expect(reply, &[409], "exec while paused")?;
        change(caller, &name, "unpause", "running")?;
    }
    exec(caller, &name)?;
    ends_by_a_stop(caller, &name)
}

/// It gets another name while it runs, and the old one is free.
pub(super) fn is_renamed(caller: &mut Caller) -> Checked {
    let name = running(caller)?;
    let id = inspect(caller, &name)?["Id"].clone();
    let new_name = caller.new_name();
    let path = format!("/containers/{name}/rename?name={new_name}");
    let mut was_cut_off = false;
    caller.timed("rename", |caller| {
        caller.until("another name", |caller| {
            let Some(reply) = caller.try_once("POST", &path, None) else {
                was_cut_off = true;
                return Ok(None);
            };
            // An earlier try has done it.
            let is_done = was_cut_off && reply.status == 404;
            if is_done { Ok(Some(())) } else { expect(reply, &[204], "rename").map(|_| Some(())) }
        })
    })?;
    if inspect(caller, &new_name)?["Id"] != id {
        return Err(format!("{new_name} is not who was {name}"));
    }
    create(caller, &name, &speaker(1, 0))?;
    remove(caller, &name, "")?;
    ends_by_a_stop(caller, &new_name)
}

/// It has a terminal, which somebody looks at and makes wider.
pub(super) fn has_a_terminal(caller: &mut Caller) -> Checked {
    let (lines, code) = (1 + caller.random(LINES_MAX), caller.random(100));
    let name = caller.new_name();
    let mut document = speaker(lines, code);
    document["Tty"] = json!(true);
    create(caller, &name, &document)?;
    let path = format!("/containers/{name}/attach?stream=1&stdout=1");
    let stream = attach(caller, "attach tty", &path)?;
    start(caller, &name)?;
    let resize = format!("/containers/{name}/resize?h=30&w=100");
    let reply = caller.timed("resize", |caller| caller.ask("POST", &resize, None))?;
    // It may have ended already.
    expect(reply, &[200, 409], "resize")?;
    let seen = lines_of_terminal(&stream.read_all());
    // A daemon that died in between has lost who waited for the start, and everything then.
    if !seen.is_empty() {
        check_all(caller, &name, &seen, lines)?;
    }
    check_end(caller, &name, code)?;
    let path = format!("/containers/{name}/logs?stdout=1");
    let reply = caller.ask("GET", &path, None)?;
    let logged = lines_of_terminal(&expect(reply, &[200], "logs")?.body);
    check_all(caller, &name, &logged, lines)?;
    remove(caller, &name, "")
}

/// A container that has said its first line.
fn running(caller: &mut Caller) -> Checked<String> {
    let name = caller.new_name();
    create(caller, &name, &shell(ENDLESS))?;
    start(caller, &name)?;
    // By then it has set its trap.
    caller.until("its first line", |caller| {
        let first = !log(caller, &name)?.is_empty();
        if !first {
            caller.pause();
        }
        Ok(first.then_some(()))
    })?;
    Ok(name)
}

fn ends_by_a_stop(caller: &mut Caller, name: &str) -> Checked {
    let path = format!("/containers/{name}/stop?t=30");
    let reply = caller.timed("stop", |caller| caller.ask("POST", &path, None))?;
    expect(reply, &[204, 304], "stop")?;
    let state = inspect(caller, name)?["State"].clone();
    if state["Status"] != "exited" {
        return Err(format!("{name} was stopped and is {}", state["Status"]));
    }
    check_code(caller, name, &state["ExitCode"], 5)?;
    let lines = log(caller, name)?;
    check_lines(caller, name, &lines)?;
    check_log(caller, name, lines.len() as u64)?;
    remove(caller, name, "")
}

/// Pauses it or lets it go on; `status` is what it is said to be then.
fn change(caller: &mut Caller, name: &str, what: &'static str, status: &str) -> Checked {
    let path = format!("/containers/{name}/{what}");
    let mut was_cut_off = false;
    caller.timed(what, |caller| {
        caller.until(what, |caller| {
            let Some(reply) = caller.try_once("POST", &path, None) else {
                was_cut_off = true;
                return Ok(None);
            };
            // An earlier try has done it: "already paused" or "not paused".
            let is_done = was_cut_off && matches!(reply.status, 409 | 500);
            if is_done { Ok(Some(())) } else { expect(reply, &[204], what).map(|_| Some(())) }
        })
    })?;
    let told: Value = inspect(caller, name)?["State"]["Status"].clone();
    if told == status { Ok(()) } else { Err(format!("{name}: {told} after {what}")) }
}

fn check_all(caller: &mut Caller, name: &str, lines: &[String], expected: u64) -> Checked {
    check_lines(caller, name, lines)?;
    if lines.len() as u64 == expected {
        Ok(())
    } else {
        Err(format!("{name}: {} lines on the terminal, not {expected}", lines.len()))
    }
}

/// A terminal has one stream, and each of its lines begins at the left.
fn lines_of_terminal(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
}
