//! Output and input: the log, attached clients, terminals.

use std::io::Read as _;

use shim::protocol::{AttachOptions, Phase, Request, What};

use crate::workshop::{Workshop, everything, is_possible, output_only};

#[test]
fn a_client_attached_before_the_start_sees_everything_and_so_does_the_log() {
    if !is_possible() {
        return;
    }
    let mut workshop = Workshop::shell("echo out; echo err >&2; printf unended; exit 3");
    let mut client = workshop.attach_early(output_only());
    let running = workshop.launch();
    assert_eq!(running.started.phase, Phase::Running);
    assert!(running.started.pid > 0);

    let (stdout, stderr) = client.read_frames();
    assert_eq!((stdout.as_str(), stderr.as_str()), ("out\nunended", "err\n"));
    let mut log = running.workshop.log();
    log.sort();
    let expected = [("stderr", "err\n"), ("stdout", "out\n"), ("stdout", "unended")];
    assert_eq!(log, expected.map(|(stream, text)| (stream.to_owned(), text.to_owned())));
    drop(client);
    let end = running.finish();
    assert_eq!(end.exit_code, Some(3));
    assert!(end.finished_at >= end.started_at);
}

#[test]
fn a_client_that_reads_late_holds_the_container_up_and_loses_nothing() {
    if !is_possible() {
        return;
    }
    const LINES: usize = 800_000;
    let mut workshop = Workshop::shell(&format!("seq {LINES}; echo done >&2"));
    workshop.launch.log = shim::protocol::LogSettings::None;
    let mut client = workshop.attach_early(output_only());
    let running = workshop.launch();

    // Far more than the pipe, the queue and the socket take: it cannot have ended.
    assert_eq!(running.connect().state().unwrap().phase, Phase::Running);
    let (stdout, stderr) = client.read_frames();
    assert_eq!(stdout.lines().count(), LINES);
    assert!(stdout.ends_with(&format!("\n{LINES}\n")));
    assert_eq!(stderr, "done\n");
    drop(client);
    assert_eq!(running.finish().exit_code, Some(0));
}

#[test]
fn a_client_that_dies_holds_nobody_up() {
    if !is_possible() {
        return;
    }
    let mut workshop = Workshop::shell("seq 800000; exit 4");
    workshop.launch.log = shim::protocol::LogSettings::None;
    let mut client = workshop.attach_early(output_only());
    let running = workshop.launch();
    client.stream.read_exact(&mut [0; 100]).unwrap();
    drop(client);
    assert_eq!(running.finish().exit_code, Some(4));
}

#[test]
fn a_client_that_never_reads_does_not_delay_the_news_of_the_end() {
    if !is_possible() {
        return;
    }
    let mut workshop = Workshop::shell("seq 100000");
    let mut client = workshop.attach_early(output_only());
    let mut running = workshop.launch();
    assert_eq!(running.await_event(&What::Exited).phase, Phase::Exited);
    let (stdout, _) = client.read_frames();
    assert_eq!(stdout.lines().count(), 100_000);
    drop(client);
    running.shim.take().unwrap().wait().unwrap();
    running.workshop.assert_clean();
}

#[test]
fn input_goes_through_and_ends_with_the_first_client() {
    if !is_possible() {
        return;
    }
    let mut workshop = Workshop::program(&["cat"]).with_input(true);
    let mut client =
        workshop.attach_early(AttachOptions { early_input: b"early ".to_vec(), ..everything() });
    let running = workshop.launch();
    client.send(b"and late\n");
    client.close_input();
    assert_eq!(client.read_frames().0, "early and late\n");
    drop(client);
    assert_eq!(running.finish().exit_code, Some(0));
}

#[test]
fn much_input_waits_for_the_process_and_arrives_whole() {
    if !is_possible() {
        return;
    }
    let mut workshop = Workshop::program(&["cat"]).with_input(true);
    workshop.launch.log = shim::protocol::LogSettings::None;
    let mut client = workshop.attach_early(everything());
    let running = workshop.launch();
    let mut writer = client.stream.try_clone().unwrap();
    let text = "0123456789abcde\n".repeat(200_000);
    let sent = text.clone();
    let typing = std::thread::spawn(move || {
        std::io::Write::write_all(&mut writer, sent.as_bytes()).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    assert!(client.read_frames().0 == text);
    typing.join().unwrap();
    drop(client);
    assert_eq!(running.finish().exit_code, Some(0));
}

#[test]
fn input_that_stays_open_outlives_its_clients() {
    if !is_possible() {
        return;
    }
    let workshop = Workshop::shell("read a; echo got $a; read b; echo got $b").with_input(false);
    let running = workshop.launch();
    let mut first = running.attach(everything());
    first.send(b"one\n");
    first.close_input();
    first.read_to_end();
    let mut second = running.attach(everything());
    second.send(b"two\n");
    assert!(second.read_frames().0.ends_with("got two\n"));
    drop((first, second));
    assert_eq!(running.workshop.logged(), "got one\ngot two\n");
    assert_eq!(running.finish().exit_code, Some(0));
}

#[test]
fn several_clients_see_the_same() {
    if !is_possible() {
        return;
    }
    let mut workshop = Workshop::shell("read go; echo hello").with_input(true);
    let mut clients = [workshop.attach_early(output_only()), workshop.attach_early(output_only())];
    let mut typist = workshop.attach_early(everything());
    let running = workshop.launch();
    let mut late = running.attach(output_only());
    typist.send(b"go\n");
    for client in clients.iter_mut().chain([&mut typist, &mut late]) {
        assert_eq!(client.read_frames().0, "hello\n");
    }
    drop((clients, typist, late));
    running.finish();
}

#[test]
fn a_terminal_echoes_has_a_size_and_can_be_left() {
    if !is_possible() {
        return;
    }
    let detach_keys = vec![16, 17];
    let mut workshop = Workshop::program(&["sh"]).with_input(true).with_terminal();
    let options = AttachOptions { detach_keys, ..everything() };
    let mut client = workshop.attach_early(options.clone());
    let mut running = workshop.launch();
    client.send(b"stty size\n");
    client.read_until("24 80\r\n");
    let resize = Request::Resize { exec: None, rows: 50, columns: 132 };
    running.connect().call(&resize, &[]).unwrap();
    client.send(b"stty size\n");
    client.read_until("50 132\r\n");

    client.send(b"\x10\x11");
    client.read_to_end();
    assert_eq!(running.await_event(&What::Detached { exec: None }).phase, Phase::Running);

    let mut again = running.attach(options);
    again.send(b"exit 5\n");
    again.read_to_end();
    drop((client, again));
    assert_eq!(running.finish().exit_code, Some(5));
}

#[test]
fn a_log_rotates_while_it_is_written() {
    if !is_possible() {
        return;
    }
    let mut workshop = Workshop::shell("seq 2000");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    workshop.launch.log = shim::protocol::LogSettings::JsonFile {
        path: path.clone(),
        size_max: Some(20_000),
        files_max: 3,
        compress: false,
        attributes: Vec::new(),
    };
    workshop.launch().finish();
    let last = std::fs::read_to_string(&path).unwrap();
    assert!(last.contains("\"log\":\"2000\\n\""));
    for name in ["log.1", "log.2"] {
        let size = std::fs::metadata(folder.path().join(name)).unwrap().len();
        assert!((20_000..20_200).contains(&size));
    }
    assert!(!folder.path().join("log.3").exists());
}

#[test]
fn a_rotated_log_is_compressed() {
    if !is_possible() {
        return;
    }
    let mut workshop = Workshop::shell("seq 1000");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    workshop.launch.log = shim::protocol::LogSettings::JsonFile {
        path,
        size_max: Some(50_000),
        files_max: 2,
        compress: true,
        attributes: Vec::new(),
    };
    workshop.launch().finish();
    let packed = std::fs::File::open(folder.path().join("log.1.gz")).unwrap();
    let text = std::io::read_to_string(flate2::read::GzDecoder::new(packed)).unwrap();
    assert!(text.starts_with("{\"log\":\"1\\n\",\"stream\":\"stdout\",\"time\":"));
    assert!(text.len() >= 50_000);
    assert!(!folder.path().join("log.1").exists());
}

#[test]
fn a_process_that_leaves_others_with_its_output_is_over_all_the_same() {
    if !is_possible() {
        return;
    }
    // Without a pid namespace of its own the sleeper survives its parent.
    let mut workshop = Workshop::shell("sleep 1000 & echo started");
    let namespaces = workshop.config["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != "pid");
    let mut client = workshop.attach_early(output_only());
    let running = workshop.launch();
    assert_eq!(client.read_frames().0, "started\n");
    drop(client);
    assert_eq!(running.finish().exit_code, Some(0));
}
