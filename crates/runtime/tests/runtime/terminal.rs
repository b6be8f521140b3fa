//! Containers with a terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;

use runtime::{ExecRequest, Newlines, Stdio};
use serde_json::json;

use crate::host::Bundle;

/// What a terminal shows until its last user has gone.
fn read_to_end(master: OwnedFd) -> String {
    let mut text = Vec::new();
    // The end of a terminal is an error (EIO), behind everything that was written.
    let _ = File::from(master).read_to_end(&mut text);
    String::from_utf8(text).unwrap().replace('\r', "")
}

#[test]
fn it_is_the_containers_own() {
    require_containers!();
    let mut bundle = Bundle::new(
        "tty; stty size; stat -c %t:%T /dev/console; test -t 0 && echo yes; echo hi >/dev/tty",
    );
    bundle.spec["process"]["terminal"] = true.into();
    bundle.spec["process"]["consoleSize"] = json!({"height": 33, "width": 77});
    bundle.with_container(
        || Stdio::Terminal { size: None, newlines: Newlines::Translated },
        |container| {
            let mut container = container.unwrap_or_else(|error| panic!("{error}"));
            let master = container.take_terminal().unwrap();
            container.start().unwrap();
            assert_eq!(read_to_end(master), "/dev/pts/0\n33 77\n88:0\nyes\nhi\n");
            container.delete().unwrap();
        },
    );
}

#[test]
fn a_user_owns_it() {
    require_containers!();
    let mut bundle = Bundle::new("stat -L -c %u:%g /dev/stdin; echo x >/dev/stdout");
    bundle.spec["process"]["terminal"] = true.into();
    bundle.user = Some("www".to_owned());
    bundle.with_container(
        || Stdio::Terminal { size: Some((24, 80)), newlines: Newlines::Translated },
        |container| {
            let mut container = container.unwrap();
            let master = container.take_terminal().unwrap();
            container.start().unwrap();
            assert_eq!(read_to_end(master), "33:5\nx\n");
            container.delete().unwrap();
        },
    );
}

#[test]
fn a_key_interrupts() {
    require_containers!();
    let mut bundle = Bundle::new("trap 'echo caught; exit 3' INT; echo ready; sleep 100 & wait");
    bundle.spec["process"]["terminal"] = true.into();
    bundle.with_container(
        || Stdio::Terminal { size: None, newlines: Newlines::Translated },
        |container| {
            let mut container = container.unwrap();
            let mut master = File::from(container.take_terminal().unwrap());
            container.start().unwrap();
            let mut text = [0; 64];
            let length = master.read(&mut text).unwrap();
            assert!(String::from_utf8_lossy(&text[..length]).contains("ready"));
            master.write_all(&[3]).unwrap();
            assert_eq!(crate::host::exit_code(&container), 3);
            container.delete().unwrap();
        },
    );
}

#[test]
fn an_exec_can_have_one() {
    require_containers!();
    let bundle = Bundle::new("sleep 100");
    bundle.with_container(crate::host::null_streams, |container| {
        let mut container = container.unwrap();
        container.start().unwrap();
        let process = serde_json::from_value(json!({
            "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["sh", "-c", "tty; stty size"],
            "env": ["PATH=/bin"], "terminal": true,
        }))
        .unwrap();
        let request = ExecRequest::new(
            &process,
            Stdio::Terminal { size: Some((10, 20)), newlines: Newlines::Plain },
        );
        let process = container.exec(request).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read_to_end(process.terminal.unwrap()), "/dev/pts/0\n10 20\n");
        container.delete().unwrap();
    });
}
