//! Daemons and shims that die.

use std::time::{Duration, Instant};

use shim::client::{self, CleanUpError, ConnectError, LaunchError};
use shim::protocol::{Phase, Request, What};
use shim::wire;

use crate::workshop::{Workshop, is_possible, output_only};

#[test]
fn a_container_does_not_notice_that_its_daemon_has_gone() {
    if !is_possible() {
        return;
    }
    let mut workshop = Workshop::shell("read word; echo $word").with_input(false);
    let client = workshop.attach_early(output_only());
    let mut running = workshop.launch();
    drop(running.watch.take());
    drop(client);

    // The next daemon.
    let (state, watch) = running.connect().watch().unwrap();
    assert_eq!((state.phase, state.pid), (Phase::Running, running.started.pid));
    running.watch = Some(watch);
    let mut client = running.attach(crate::workshop::everything());
    client.send(b"still here\n");
    assert_eq!(client.read_frames().0, "still here\n");
    drop(client);
    assert_eq!(running.finish().exit_code, Some(0));
}

#[test]
fn an_end_that_no_daemon_saw_is_on_disk() {
    if !is_possible() {
        return;
    }
    let mut running = Workshop::shell("echo alone; exit 6").launch();
    drop(running.watch.take());
    running.shim.take().unwrap().wait().unwrap();
    let folder = running.workshop.run_folder();
    assert!(matches!(client::connect(&folder), Err(ConnectError::Gone { .. })));
    let cleaned = client::clean_up(&folder).unwrap();
    assert_eq!(cleaned.killed, 0);
    let state = cleaned.last_state.unwrap();
    assert_eq!((state.phase, state.exit_code), (Phase::Exited, Some(6)));
    assert_eq!(running.workshop.logged(), "alone\n");
    running.workshop.assert_clean();
}

#[test]
fn what_a_killed_shim_leaves_is_cleaned_up() {
    if !is_possible() {
        return;
    }
    let mut workshop = Workshop::shell("sleep 1000 & sleep 1000 & echo ready; wait");
    let mut output = workshop.attach_early(output_only());
    let mut running = workshop.launch();
    output.read_until("ready\n");
    let folder = running.workshop.run_folder();
    assert!(matches!(client::clean_up(&folder), Err(CleanUpError::ShimLives { .. })));

    let shim = running.shim.take().unwrap();
    shim.kill();
    shim.wait().unwrap();
    assert!(running.watch.as_mut().unwrap().next_event().unwrap().is_none());
    let cleaned = client::clean_up(&folder).unwrap();
    assert!(cleaned.killed >= 1);
    assert_eq!(cleaned.last_state.unwrap().pid, running.started.pid);
    drop(output);
    running.workshop.assert_clean();
    assert_eq!(client::clean_up(&folder).unwrap().killed, 0);
}

#[test]
fn what_a_shim_leaves_that_was_killed_while_paused_is_cleaned_up() {
    if !is_possible() {
        return;
    }
    let mut running = Workshop::program(&["sleep", "1000"]).launch();
    running.connect().call(&Request::Pause, &[]).unwrap();
    let shim = running.shim.take().unwrap();
    shim.kill();
    shim.wait().unwrap();
    client::clean_up(&running.workshop.run_folder()).unwrap();
    running.workshop.assert_clean();
}

/// Kills the shim at many moments of a start. Whatever there is by then must go.
#[test]
fn a_shim_killed_at_any_moment_of_its_start_leaves_nothing() {
    if !is_possible() {
        return;
    }
    for microseconds in (0..6000).step_by(200) {
        let mut workshop = Workshop::program(&["sleep", "1000"]);
        let folder = workshop.run_folder();
        let killer = std::thread::spawn(move || kill_later(&folder, microseconds));
        match workshop.try_launch() {
            Ok(launched) => {
                killer.join().unwrap();
                launched.shim.wait().unwrap();
            }
            Err(error) => {
                killer.join().unwrap();
                assert!(matches!(error, LaunchError::Died { .. }), "{error}");
            }
        }
        client::clean_up(&workshop.run_folder()).unwrap();
        workshop.assert_clean();
    }
}

/// Kills the shim of a folder some time after it has been told what to start.
fn kill_later(folder: &std::path::Path, microseconds: u64) {
    let launch = folder.join(shim::protocol::files::LAUNCH);
    while !launch.exists() {
        std::hint::spin_loop();
    }
    let start = Instant::now();
    while start.elapsed() < Duration::from_micros(microseconds) {
        std::hint::spin_loop();
    }
    // Before it has come to its folder it cannot be found.
    while !kill_shim_of(folder) {}
}

fn kill_shim_of(folder: &std::path::Path) -> bool {
    let works_in = |pid: &str| std::fs::read_link(format!("/proc/{pid}/cwd")).ok();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path();
        let Ok(stat) = std::fs::read_to_string(path.join("stat")) else { continue };
        let parent = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(1).unwrap();
        let pid = path.file_name().unwrap().to_str().unwrap();
        // The container's first process begins in its parent's folder.
        let is_shim =
            works_in(pid).as_deref() == Some(folder) && works_in(parent).as_deref() != Some(folder);
        if is_shim {
            let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
            return rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok();
        }
    }
    false
}

#[test]
fn the_process_that_shims_are_forked_from_may_die() {
    if !is_possible() {
        return;
    }
    let mut first = Workshop::program(&["sleep", "1000"]);
    first.program = Workshop::fresh_program();
    let program = first.program.clone();
    let first = first.launch();
    let stat = format!("/proc/{}/stat", first.shim.as_ref().unwrap().pid());
    let stat = std::fs::read_to_string(stat).unwrap();
    let nursery = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(1).unwrap();
    let nursery = rustix::process::Pid::from_raw(nursery.parse().unwrap()).unwrap();
    rustix::process::kill_process(nursery, rustix::process::Signal::KILL).unwrap();

    let mut second = Workshop::program(&["true"]);
    second.program = program;
    assert_eq!(second.launch().finish().exit_code, Some(0));
    assert_eq!(first.connect().state().unwrap().phase, Phase::Running);
    first.stop();
}

#[test]
fn a_message_that_nobody_understands_is_refused_and_the_next_answered() {
    if !is_possible() {
        return;
    }
    let running = Workshop::program(&["sleep", "1000"]).launch();
    let socket = running.workshop.run_folder().join(shim::protocol::files::SOCKET);
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    let mut bytes = wire::encode(&serde_json::json!({ "levitate": {} }));
    bytes.extend(wire::encode(&Request::State));
    std::io::Write::write_all(&mut stream, &bytes).unwrap();
    let mut decoder = wire::FrameDecoder::new();
    let mut answers = Vec::new();
    let mut buffer = [0; 4096];
    while answers.len() < 2 {
        let count = std::io::Read::read(&mut stream, &mut buffer).unwrap();
        decoder.feed(&buffer[..count]);
        while let Some(answer) = decoder.next_message::<shim::protocol::Answer>().unwrap() {
            answers.push(answer);
        }
    }
    assert!(matches!(
        &answers[..],
        [shim::protocol::Answer::Failed(failure), shim::protocol::Answer::State(_)]
            if failure.kind == shim::protocol::FailureKind::Unsupported
    ));
    running.stop();
}

#[test]
fn two_watchers_hear_the_same() {
    if !is_possible() {
        return;
    }
    let mut running = Workshop::program(&["sleep", "1000"]).launch();
    let (_, mut second) = running.connect().watch().unwrap();
    running.connect().call(&Request::Pause, &[]).unwrap();
    running.await_event(&What::Paused);
    assert_eq!(second.next_event().unwrap().unwrap().what, What::Paused);
    running.stop();
    // Resumed, as a paused container must be to be killed, and then the end.
    assert_eq!(second.next_event().unwrap().unwrap().what, What::Resumed);
    assert_eq!(second.next_event().unwrap().unwrap().what, What::Exited);
    assert!(second.next_event().unwrap().is_none());
}
