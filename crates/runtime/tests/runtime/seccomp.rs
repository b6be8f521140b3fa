//! System call filters: what they do to a process, and who is asked about its calls.

use std::io::{IoSliceMut, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use linux::seccomp::{Reply, answer, next_question};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};

use crate::command_line::Host;
use crate::exec::{process, running};
use crate::host::{Bundle, execute};

/// What `mkdir` does, on any machine.
const ASKED: [&str; 2] = ["mkdir", "mkdirat"];

/// A seccomp agent, which gives every question the same reply.
struct Agent {
    path: PathBuf,
    thread: JoinHandle<Vec<Value>>,
}

impl Agent {
    /// Serves `count` processes.
    fn new(bundle: &Bundle, count: usize, reply: Reply) -> Self {
        let path = bundle.path().join("agent.sock");
        let socket = UnixListener::bind(&path).unwrap();
        let serve_one = move |stream| {
            let (state, listener) = receive(stream);
            let serve = move || {
                while let Some(question) = next_question(listener.as_fd()).unwrap() {
                    assert!(question.thread > 0);
                    answer(listener.as_fd(), &question, reply).unwrap();
                }
            };
            (state, std::thread::spawn(serve))
        };
        let serve = move || {
            let streams = (0..count).map(|_| socket.accept().unwrap().0);
            let (states, threads): (Vec<_>, Vec<_>) = streams.map(serve_one).unzip();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            states
        };
        Self { path, thread: std::thread::spawn(serve) }
    }

    /// What it was told of each process, once all have ended.
    fn states(self) -> Vec<Value> {
        self.thread.join().unwrap()
    }
}

/// The state of a process, and the listener that came with it.
fn receive(mut stream: UnixStream) -> (Value, OwnedFd) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0; 64];
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let count = recvmsg(&stream, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC).unwrap();
    bytes.truncate(count.bytes);
    stream.read_to_end(&mut bytes).unwrap();
    let listener = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    (serde_json::from_slice(&bytes).unwrap(), listener.unwrap())
}

/// A filter that has an agent asked about `names`.
fn asking(names: &[&str], agent: &Path) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": agent,
        "listenerMetadata": "some words",
        "syscalls": [{"names": names, "action": "SCMP_ACT_NOTIFY"}],
    })
}

#[test]
fn an_agent_answers_for_the_kernel() {
    require_containers!();
    for no_new_privileges in [false, true] {
        let mut bundle = Bundle::new("mkdir /tmp/x; test -e /tmp/x; echo $?");
        let agent = Agent::new(&bundle, 1, Reply::Value(0));
        bundle.spec["linux"]["seccomp"] = asking(&ASKED, &agent.path);
        bundle.spec["process"]["noNewPrivileges"] = no_new_privileges.into();
        bundle.spec["annotations"] = json!({"a.b": "c"});
        let outcome = bundle.run();
        // It was told that all is well, and nothing was made.
        assert_eq!(outcome.output, "1\n");

        let states = agent.states();
        let state = &states[0];
        assert_eq!(state["fds"], json!(["seccompFd"]));
        assert_eq!(state["metadata"], "some words");
        assert_eq!(state["ociVersion"], bundle.spec["ociVersion"]);
        assert_eq!(state["state"]["id"], bundle.id);
        assert_eq!(state["state"]["status"], "creating");
        assert_eq!(state["state"]["annotations"], json!({"a.b": "c"}));
        assert_eq!(state["state"]["bundle"], json!(bundle.path()));
        assert!(state["pid"].as_i64().unwrap() > 1);
        assert_eq!(state["state"]["pid"], state["pid"]);
    }
}

#[test]
fn an_agents_error_is_the_calls() {
    require_containers!();
    let mut bundle = Bundle::new("mkdir /tmp/x");
    let agent = Agent::new(&bundle, 1, Reply::Error(123));
    bundle.spec["linux"]["seccomp"] = asking(&ASKED, &agent.path);
    bundle.spec["linux"]["seccomp"]["flags"] = json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]);
    let outcome = bundle.run();
    assert!(outcome.output.contains("No medium found"), "{}", outcome.output);
    agent.states();
}

#[test]
fn an_agent_may_be_asked_about_what_the_runtime_itself_does() {
    require_containers!();
    let mut bundle = Bundle::new("echo inside");
    let agent = Agent::new(&bundle, 1, Reply::Continue);
    // Between the filter and the program: the wait for the parent, and `execve`.
    let asked = ["execve", "openat", "open", "read", "close", "fcntl", "sendmsg", "recvmsg"];
    bundle.spec["linux"]["seccomp"] = asking(&asked, &agent.path);
    assert_eq!(bundle.run().output, "inside\n");
    agent.states();
}

#[test]
fn a_further_process_is_introduced_too() {
    require_containers!();
    let mut bundle = Bundle::new("sleep 100");
    let agent = Agent::new(&bundle, 2, Reply::Value(0));
    bundle.spec["linux"]["seccomp"] = asking(&ASKED, &agent.path);
    running(&bundle, |container| {
        let script = "mkdir /tmp/x; test -e /tmp/x; echo $?";
        assert_eq!(execute(container, &process(script)).unwrap().0, "1\n");
    });
    let states = agent.states();
    let [first, further] = &states[..] else { panic!("{states:?}") };
    assert_eq!(further["state"]["status"], "running");
    assert_eq!(further["state"]["pid"], first["pid"]);
    assert_ne!(further["pid"], first["pid"]);
}

#[test]
fn without_an_agent_there_is_no_container() {
    require_containers!();
    for path in ["/no/such.sock", "@no-such-agent"] {
        let mut bundle = Bundle::new("true");
        bundle.spec["linux"]["seccomp"] = asking(&ASKED, Path::new(path));
        let error = bundle.try_run().unwrap_err();
        assert!(
            error.starts_with(
                "linux.seccomp.listenerPath: failed to connect with seccomp agent specified in \
                 the seccomp profile"
            ),
            "{error}"
        );
    }
}

#[test]
fn an_agent_that_goes_leaves_an_error() {
    require_containers!();
    let mut bundle = Bundle::new("mkdir /tmp/x");
    let path = bundle.path().join("agent.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || drop(receive(socket.accept().unwrap().0)));
    bundle.spec["linux"]["seccomp"] = asking(&ASKED, &path);
    let outcome = bundle.run();
    assert!(outcome.output.contains("Function not implemented"), "{}", outcome.output);
    thread.join().unwrap();
}

/// A filter that lets everything through but `names`.
fn refusing(names: &[&str], action: &str) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": names, "action": action}],
    })
}

#[test]
fn a_filter_that_forbids_the_program_is_told_of() {
    require_containers!();
    for no_new_privileges in [false, true] {
        let mut bundle = Bundle::new("echo inside");
        bundle.spec["process"]["noNewPrivileges"] = no_new_privileges.into();
        let mut refusal = |filter: Value| {
            bundle.spec["linux"]["seccomp"] = filter;
            bundle.try_run().map(|outcome| (outcome.output, outcome.code)).unwrap_err()
        };
        let error = refusal(refusing(&["execve"], "SCMP_ACT_ERRNO"));
        assert_eq!(error, "exec /bin/sh: operation not permitted");
        // Where one way to say so is forbidden too, there is another.
        let error = refusal(refusing(&["execve", "sendmsg"], "SCMP_ACT_ERRNO"));
        assert_eq!(error, "exec /bin/sh: operation not permitted");
        let error = refusal(refusing(&["execve", "write"], "SCMP_ACT_ERRNO"));
        assert_eq!(error, "exec /bin/sh: operation not permitted");
        // And where both are, or everything is, it is seen by what has become of the process.
        let error = refusal(refusing(&["execve", "write", "sendmsg"], "SCMP_ACT_ERRNO"));
        assert!(error.ends_with("(exit code 127)"), "{error}");
        let error = refusal(json!({"defaultAction": "SCMP_ACT_ERRNO"}));
        assert!(error.starts_with("the process ended before it could run its program"), "{error}");
        for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"] {
            let error = refusal(refusing(&["execve"], action));
            assert!(error.ends_with("(its own seccomp filter killed it)"), "{error}");
            let error = refusal(json!({"defaultAction": action}));
            assert!(error.ends_with("(its own seccomp filter killed it)"), "{error}");
        }
    }
}

#[test]
fn what_its_filter_does_to_a_program_is_its_own_end() {
    require_containers!();
    let mut bundle = Bundle::new("echo inside; mkdir /tmp/x; echo after");
    bundle.spec["linux"]["seccomp"] = refusing(&ASKED, "SCMP_ACT_KILL_PROCESS");
    // The shell's child, here.
    assert!(bundle.run().output.contains("after"));
    bundle.spec["process"]["args"] = json!(["mkdir", "/tmp/x"]);
    let outcome = bundle.run();
    assert_eq!(outcome.code, 128 + 31);
    // It does not get to end itself as it wants to, either.
    bundle.spec["process"]["args"] = json!(["true"]);
    bundle.spec["linux"]["seccomp"] = refusing(&["exit_group", "exit"], "SCMP_ACT_ERRNO");
    assert!(bundle.run().code > 128);
}

#[test]
fn no_call_of_the_runtimes_own_is_needed() {
    require_containers!();
    let mut bundle = Bundle::new("");
    bundle.spec["process"]["args"] =
        json!(["grep", "-E", "Seccomp:|CapEff|CapPrm|NoNewPrivs", "/proc/self/status"]);
    let forbidden = [
        "capset",
        "capget",
        "setresuid",
        "setresgid",
        "setgroups",
        "seccomp",
        "chdir",
        "close_range",
        "sendmsg",
        "recvmsg",
        "umask",
        "faccessat2",
        "faccessat",
        "accept4",
    ];
    bundle.spec["linux"]["seccomp"] = refusing(&forbidden, "SCMP_ACT_KILL_PROCESS");
    for (user, capabilities) in [(0, "0000000000000020"), (1000, "0000000000000000")] {
        for no_new_privileges in [false, true] {
            bundle.spec["process"]["user"] = json!({"uid": user, "gid": user});
            bundle.spec["process"]["noNewPrivileges"] = no_new_privileges.into();
            bundle.spec["process"]["capabilities"] =
                json!({"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "effective": []});
            let expected = format!(
                "CapPrm:\t{capabilities}\nCapEff:\t{capabilities}\nNoNewPrivs:\t{}\nSeccomp:\t2\n",
                u8::from(no_new_privileges)
            );
            assert_eq!(bundle.run().output, expected);
        }
    }
}

#[test]
fn dockers_profile_holds_a_container_and_its_further_processes() {
    require_containers!();
    let mut bundle = Bundle::new("sleep 100");
    let profile = include_str!("../../../oci/samples/docker-seccomp.json");
    bundle.spec["linux"]["seccomp"] = serde_json::from_str(profile).unwrap();
    running(&bundle, |container| {
        let mut process =
            process("mount -t tmpfs x /tmp; ip link; grep Seccomp: /proc/self/status");
        process["capabilities"] = json!({"bounding": ["CAP_SYS_ADMIN"],
            "permitted": ["CAP_SYS_ADMIN"], "effective": ["CAP_SYS_ADMIN"]});
        let (output, _) = execute(container, &process).unwrap();
        assert!(output.contains("denied") || output.contains("not permitted"), "{output}");
        assert!(output.contains("LOOPBACK"), "{output}");
        assert!(output.ends_with("Seccomp:\t2\n"), "{output}");
    });
}

/// A container of the program's, with these changes to its configuration.
fn host(script: &str, change: impl FnOnce(&mut Bundle)) -> Host {
    let mut host = Host::new(script);
    change(&mut host.bundle);
    let file = host.bundle.path().join("config.json");
    std::fs::write(file, host.bundle.spec.to_string()).unwrap();
    host
}

#[test]
fn the_program_introduces_processes_whose_maker_has_gone() {
    require_containers!();
    let mut agent = None;
    let host = host("mkdir /tmp/x; test -e /tmp/x; echo $?; sleep 100", |bundle| {
        let new = Agent::new(bundle, 2, Reply::Value(0));
        bundle.spec["linux"]["seccomp"] = asking(&ASKED, &new.path);
        agent = Some(new);
    });
    let output = host.create();
    host.succeed(&["start", host.id()]);
    let script = "mkdir /tmp/x; test -e /tmp/x; echo $?";
    assert_eq!(host.succeed(&["exec", host.id(), "sh", "-c", script]), "1\n");
    let pid: Value = serde_json::from_str(&host.succeed(&["state", host.id()])).unwrap();
    host.succeed(&["delete", "--force", host.id()]);
    assert_eq!(std::fs::read_to_string(output).unwrap(), "1\n");

    let states = agent.unwrap().states();
    assert_eq!(states[0]["pid"], pid["pid"]);
    assert_eq!(states[1]["state"]["pid"], pid["pid"]);
    assert_eq!(states[1]["state"]["id"], host.id());
    assert_ne!(states[1]["pid"], pid["pid"]);
}

#[test]
fn a_further_process_of_the_program_has_no_more_rights_than_configured() {
    require_containers!();
    let host = host("sleep 100", |bundle| {
        bundle.spec["linux"]["seccomp"] = refusing(&ASKED, "SCMP_ACT_ERRNO");
        bundle.spec["process"]["noNewPrivileges"] = true.into();
        bundle.spec["process"]["capabilities"] = json!({"bounding": ["CAP_KILL"],
            "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"]});
    });
    host.create();
    host.succeed(&["start", host.id()]);
    let script = "grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status; mkdir /tmp/x 2>&1";
    let rights = |capabilities: &str, no_new_privileges: u8| {
        format!(
            "CapEff:\t{capabilities}\nCapBnd:\t{capabilities}\nNoNewPrivs:\t{no_new_privileges}\n\
             Seccomp:\t2\nmkdir: can't create directory '/tmp/x': Operation not permitted\n"
        )
    };
    let exec = |options: &[&str], words: &[&str]| {
        let arguments = [&["exec"], options, &[host.id()], words].concat();
        let output = host.run(&arguments);
        String::from_utf8(output.stdout).unwrap()
    };
    let words = ["sh", "-c", script];
    // As the container's own process.
    assert_eq!(exec(&[], &words), rights("0000000000000020", 1));
    // A capability more, and nothing else.
    assert_eq!(exec(&["--cap", "CAP_CHOWN"], &words), rights("0000000000000021", 1));

    // What a file says holds as it stands there; the filter is the container's in any case.
    let file = host.bundle.path().join("process.json");
    let mut process = process(script);
    process["capabilities"] = json!({"bounding": ["CAP_FOWNER"], "permitted": ["CAP_FOWNER"],
        "effective": ["CAP_FOWNER"]});
    for no_new_privileges in [false, true] {
        process["noNewPrivileges"] = no_new_privileges.into();
        std::fs::write(&file, process.to_string()).unwrap();
        let output = exec(&["-p", file.to_str().unwrap()], &[]);
        assert_eq!(output, rights("0000000000000008", u8::from(no_new_privileges)));
    }
    host.succeed(&["delete", "--force", host.id()]);
}

#[test]
fn a_hook_in_the_container_has_no_more_rights_than_its_program() {
    require_containers!();
    let mut bundle = Bundle::new("true");
    bundle.spec["process"]["noNewPrivileges"] = true.into();
    bundle.spec["linux"]["seccomp"] = refusing(&ASKED, "SCMP_ACT_ERRNO");
    let script = "grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status >/seen; mkdir /x";
    bundle.spec["hooks"] =
        json!({"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]});
    bundle.spec["process"]["capabilities"] = json!({"bounding": ["CAP_KILL"],
        "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"]});
    let error = bundle.try_run().unwrap_err();
    assert!(error.contains("startContainer"), "{error}");
    assert!(error.contains("Operation not permitted"), "{error}");
    assert_eq!(
        std::fs::read_to_string(bundle.rootfs().join("seen")).unwrap(),
        "CapEff:\t0000000000000020\nNoNewPrivs:\t1\nSeccomp:\t2\n"
    );
}
