//! `run`: a process, what it may do, and what it sees of itself.

use std::fs;

use stories::Host;

#[test]
fn output_comes_out_and_the_container_goes() {
    let host = Host::start();

    host.docker("run --rm busybox echo hello").succeeds().prints("hello\n").complains("");

    host.docker("ps --all --quiet").succeeds().prints("");
}

#[test]
fn standard_output_and_error_stay_apart() {
    let host = Host::start();

    host.docker("run --rm busybox sh -c 'echo out; echo err >&2'")
        .succeeds()
        .prints("out\n")
        .complains("err\n");
}

#[test]
fn input_is_passed_on_to_its_end() {
    let host = Host::start();
    let input = "line\n".repeat(50_000);

    let outcome = host.docker_with_input("run --rm -i busybox wc -l", input.as_bytes());

    outcome.succeeds().prints("50000\n");
}

#[test]
fn without_interactive_there_is_no_input() {
    let host = Host::start();

    host.docker_with_input("run --rm busybox cat", b"ignored\n").succeeds().prints("");
}

#[test]
fn a_big_output_comes_whole() {
    let host = Host::start();

    let outcome = host.docker("run --rm busybox sh -c 'seq 1 200000'").succeeds();

    assert_eq!(outcome.stdout.lines().count(), 200_000);
    assert!(outcome.stdout.ends_with("199999\n200000\n"));
}

#[test]
fn the_exit_status_is_the_process_s_own() {
    let host = Host::start();

    host.docker("run --rm busybox sh -c 'exit 42'").fails_with(42);
    host.docker("run --rm --init busybox sh -c 'kill -9 $$'").fails_with(137);
    host.docker("run --rm --init busybox sh -c 'kill -TERM $$'").fails_with(143);
}

#[test]
fn a_program_that_is_not_there_is_127() {
    let host = Host::start();

    host.docker("run --rm busybox nope")
        .fails_with(127)
        .stderr_has("exec: \"nope\": executable file not found in $PATH");
    host.docker("run --rm busybox /nope").fails_with(127).stderr_has("no such file or directory");
}

#[test]
fn a_program_that_may_not_be_run_is_126() {
    let host = Host::start();

    host.docker("run --rm busybox /etc/passwd").fails_with(126).stderr_has("permission denied");
    host.docker("run --rm busybox /etc").fails_with(126);
}

#[test]
fn a_mistake_before_the_container_is_125() {
    let host = Host::start();

    host.docker("run --no-such-flag busybox true").fails_with(125).stderr_says("unknown flag");
    host.docker("run --pull never no-such-image true")
        .fails_with(125)
        .stderr_has("No such image: no-such-image:latest");
    host.docker("run --memory 1k busybox true")
        .fails_with(125)
        .stderr_says("Minimum memory limit allowed is 6MB");
    host.docker("ps --all --quiet").prints("");
}

#[test]
fn detached_prints_the_id_and_nothing_else() {
    let host = Host::start();

    let outcome = host.docker("run --detach busybox sleep 1000").succeeds().complains("");

    let id = outcome.text();
    assert_eq!(outcome.stdout, format!("{id}\n"));
    assert!(id.len() == 64 && id.chars().all(|digit| digit.is_ascii_hexdigit()), "{id}");
}

#[test]
fn a_container_that_cannot_start_stays_created() {
    let host = Host::start();

    host.docker("run --name broken busybox nope").fails_with(127);

    assert_eq!(host.container("broken").status(), "created");
    assert_eq!(host.container("broken").exit_code(), 127);
}

#[test]
fn the_command_may_come_from_the_image_or_the_flags() {
    let host = Host::start();

    host.docker("run --rm --entrypoint echo busybox from entrypoint")
        .succeeds()
        .prints("from entrypoint\n");
    host.docker_with_input("run --rm -i busybox", b"echo from the image\n")
        .succeeds()
        .prints("from the image\n");
}

#[test]
fn the_environment_is_docker_s() {
    let host = Host::start();
    let file = host.folder("env", &[("list", "# a comment\nFROM_FILE=1\nBOTH=file\n")]);

    let outcome = host.docker(&format!(
        "run --rm --hostname box -e A=b -e EMPTY= -e BOTH=flag --env-file {file}/list busybox env"
    ));

    let outcome = outcome.succeeds();
    let mut lines = outcome.lines();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "A=b",
            "BOTH=flag",
            "EMPTY=",
            "FROM_FILE=1",
            "HOME=/root",
            "HOSTNAME=box",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]
    );
}

#[test]
fn a_terminal_sets_term() {
    let host = Host::start();

    host.docker("run --rm -t busybox sh -c 'echo $TERM; tty'")
        .succeeds()
        .prints("xterm\r\n/dev/pts/0\r\n");
}

#[test]
fn the_user_is_looked_up_in_the_image() {
    let host = Host::start();
    let run = |flags: &str| host.answer(&format!("run --rm {flags} busybox id"));

    assert_eq!(run("--user anna"), "uid=1000(anna) gid=1000(anna) groups=50(staff),1000(anna)");
    assert_eq!(run("--user 1000:50"), "uid=1000(anna) gid=50(staff) groups=50(staff)");
    assert_eq!(run("--user 4321"), "uid=4321 gid=0(root) groups=0(root)");
    assert_eq!(
        run("--user anna --group-add daemon --group-add 77"),
        "uid=1000(anna) gid=1000(anna) groups=1(daemon),50(staff),77,1000(anna)"
    );
    assert_eq!(host.answer("run --rm --user anna busybox sh -c 'echo $HOME'"), "/home/anna");
    host.docker("run --rm --user nobody-there busybox true")
        .fails()
        .stderr_has("unable to find user nobody-there: no matching entries in passwd file");
}

#[test]
fn the_working_folder_is_made() {
    let host = Host::start();

    host.docker("run --rm --workdir /new/place busybox pwd").succeeds().prints("/new/place\n");
    host.docker("run --rm --workdir relative busybox pwd")
        .fails_with(125)
        .stderr_has("the working directory 'relative' is invalid, it needs to be an absolute path");
}

#[test]
fn the_host_name_is_the_short_id_or_chosen() {
    let host = Host::start();

    let box_one = host.run("busybox sleep 1000");
    assert_eq!(box_one.exec("hostname").succeeds().text(), &box_one.id[..12]);

    host.docker("run --rm --hostname web.example.org --domainname example.org busybox hostname")
        .succeeds()
        .prints("web.example.org\n");
}

#[test]
fn the_first_process_is_alone_in_its_namespaces() {
    let host = Host::start();

    let outcome = host.docker("run --rm busybox sh -c 'echo $$; ls -d /proc/[0-9]* | wc -l'");

    // The shell, `ls` and `wc`.
    outcome.succeeds().prints("1\n3\n");
}

#[test]
fn namespaces_can_be_shared_with_the_host() {
    let host = Host::start();
    let of_host = |kind: &str| {
        let link = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        link.to_str().unwrap().to_owned()
    };
    let inside = |flags: &str, kind: &str| {
        host.answer(&format!("run --rm {flags} busybox readlink /proc/self/ns/{kind}"))
    };

    assert_eq!(inside("--pid host", "pid"), of_host("pid"));
    assert_eq!(inside("--ipc host", "ipc"), of_host("ipc"));
    assert_eq!(inside("--uts host", "uts"), of_host("uts"));
    assert_ne!(inside("", "pid"), of_host("pid"));
    assert_ne!(inside("", "ipc"), of_host("ipc"));
    assert_ne!(inside("", "uts"), of_host("uts"));
}

#[test]
fn namespaces_can_be_shared_with_a_container() {
    let host = Host::start();
    host.run("--name first --ipc shareable busybox sleep 1000");
    let of = |line: &str| host.answer(line);

    for kind in ["pid", "ipc"] {
        assert_eq!(
            of(&format!("run --rm --{kind} container:first busybox readlink /proc/self/ns/{kind}")),
            of(&format!("exec first readlink /proc/self/ns/{kind}")),
        );
    }
}

#[test]
fn a_read_only_root_takes_no_files() {
    let host = Host::start();

    host.docker("run --rm --read-only busybox touch /file")
        .fails_with(1)
        .stderr_has("Read-only file system");
    host.docker("run --rm --read-only --tmpfs /scratch busybox touch /scratch/file").succeeds();
}

#[test]
fn the_root_is_the_container_s_own() {
    let host = Host::start();
    let writer = host.create("busybox sh -c 'echo mine >> /note; cat /note'");

    host.docker(&format!("start --attach {}", writer.id)).succeeds().prints("mine\n");
    host.docker(&format!("start --attach {}", writer.id)).succeeds().prints("mine\nmine\n");
    host.docker("run --rm busybox cat /note").fails_with(1);
}

#[test]
fn capabilities_are_docker_s_and_can_be_changed() {
    let host = Host::start();
    let effective = |flags: &str| {
        let line = format!("run --rm {flags} busybox sh -c 'grep CapEff /proc/self/status'");
        host.answer(&line).split_whitespace().nth(1).unwrap().to_owned()
    };

    assert_eq!(effective(""), "00000000a80425fb");
    assert_eq!(effective("--cap-drop ALL"), "0000000000000000");
    assert_eq!(effective("--cap-drop ALL --cap-add NET_ADMIN"), "0000000000001000");
    assert_eq!(effective("--cap-drop ALL --cap-add CAP_CHOWN"), "0000000000000001");
    assert_eq!(effective("--user 1000"), "0000000000000000");
    host.docker("run --rm --cap-add NO_SUCH busybox true").fails_with(125).stderr_says("NO_SUCH");
}

#[test]
fn system_calls_are_filtered() {
    let host = Host::start();
    let filter = |flags: &str| {
        let line = format!("run --rm {flags} busybox grep Seccomp: /proc/self/status");
        host.answer(&line).split_whitespace().nth(1).unwrap().to_owned()
    };

    assert_eq!(filter(""), "2");
    assert_eq!(filter("--security-opt seccomp=unconfined"), "0");
    assert_eq!(filter("--privileged"), "0");
}

#[test]
fn a_filter_of_one_s_own_is_used() {
    let host = Host::start();
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}"#;
    let folder = host.folder("profiles", &[("no-mkdir.json", profile)]);

    host.docker(&format!(
        "run --rm --security-opt seccomp={folder}/no-mkdir.json busybox mkdir /new"
    ))
    .fails_with(1)
    .stderr_has("Operation not permitted");
}

#[test]
fn privileges_cannot_be_gained_when_that_is_forbidden() {
    let host = Host::start();

    host.docker(
        "run --rm --security-opt no-new-privileges busybox grep NoNewPrivs /proc/self/status",
    )
    .succeeds()
    .prints("NoNewPrivs:\t1\n");
}

#[test]
fn kernel_files_are_hidden() {
    let host = Host::start();

    // A masked file reads as empty; a masked folder shows nothing.
    host.docker("run --rm busybox sh -c 'cat /proc/kcore | wc -c; ls /proc/acpi /sys/firmware'")
        .stdout_has("0\n");
    host.docker("run --rm busybox sh -c 'echo 1 > /proc/sysrq-trigger'").fails();
    host.docker("run --rm busybox sh -c 'echo x > /proc/sys/kernel/domainname'").fails();
}

#[test]
fn init_reaps_and_passes_signals_on() {
    let host = Host::start();
    // Left behind by its parent, the inner process becomes a child of process 1.
    let orphan = "sh -c \"echo \\$\\$ > /orphan; exec sleep 0.1\"";
    let container = host.run(&format!("--init busybox sh -c '({orphan} &); exec sleep 1000'"));

    stories::eventually("the orphan to be reaped", || {
        let look = "sh -c 'test -s /orphan && ! test -e /proc/$(cat /orphan)'";
        (container.exec(look).status == 0).then_some(())
    });

    host.docker(&format!("stop {}", container.id)).succeeds();
    assert_eq!(container.exit_code(), 143);
}

#[test]
fn kernel_parameters_are_set() {
    let host = Host::start();

    host.docker(
        "run --rm --sysctl net.ipv4.ip_unprivileged_port_start=1234 --sysctl kernel.shmmax=5555 \
         busybox cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shmmax",
    )
    .succeeds()
    .prints("1234\n5555\n");
}

#[test]
fn a_kernel_parameter_of_the_whole_host_is_refused() {
    let host = Host::start();

    host.docker("run --rm --sysctl kernel.panic=1 busybox true").fails().stderr_says("sysctl");
}

#[test]
fn shared_memory_has_the_size_asked_for() {
    let host = Host::start();
    let size = |flags: &str| {
        let line = format!("run --rm {flags} busybox sh -c 'df -k /dev/shm | tail -n 1'");
        host.answer(&line).split_whitespace().nth(1).unwrap().to_owned()
    };

    assert_eq!(size(""), "65536");
    assert_eq!(size("--shm-size 8m"), "8192");
}

#[test]
fn a_tmpfs_has_its_options() {
    let host = Host::start();

    host.docker("run --rm --tmpfs /t:size=2m,mode=1700 busybox sh -c 'mount | grep \" /t \"'")
        .succeeds()
        .stdout_has("tmpfs on /t type tmpfs (rw,nosuid,nodev,noexec,relatime,size=2048k,mode=1700");
}

#[test]
fn devices_are_passed_in_and_everything_else_is_not() {
    let host = Host::start();

    host.docker("run --rm --device /dev/null:/dev/nothing busybox sh -c 'echo x > /dev/nothing'")
        .succeeds();
    // The first disk's numbers: may be made, may not be opened.
    host.docker("run --rm busybox sh -c 'mknod /disk b 8 0 && dd if=/disk of=/dev/null count=1'")
        .fails()
        .stderr_has("Operation not permitted");
    // Some kernels have a /proc/kcore, which gets the name `core` as well.
    host.docker("run --rm busybox sh -c 'rm -f /dev/core; ls /dev'").succeeds().prints(
        "fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\n\
         zero\n",
    );
}

#[test]
fn privileged_sees_the_host_s_devices() {
    let host = Host::start();

    let devices = host.answer("run --rm --privileged busybox ls /dev");

    assert!(devices.lines().any(|device| device == "kmsg"), "{devices}");
    host.docker("run --rm --privileged busybox mount -t tmpfs none /tmp").succeeds();
    host.docker("run --rm busybox mount -t tmpfs none /tmp").fails();
}

#[test]
fn the_id_is_written_to_a_file() {
    let host = Host::start();
    let file = host.path("cid");
    let flag = format!("--cidfile {}", file.display());

    let container = host.run(&format!("{flag} busybox sleep 1000"));

    assert_eq!(fs::read_to_string(&file).unwrap(), container.id);
    host.docker(&format!("run {flag} busybox true"))
        .fails_with(125)
        .stderr_says("container ID file found");
}

#[test]
fn labels_and_annotations_are_kept() {
    let host = Host::start();
    let files = host.folder("labels", &[("list", "from=file\n")]);

    let container = host.create(&format!(
        "--label a=b --label lone --label-file {files}/list --annotation x=y busybox"
    ));

    assert_eq!(container.at("/Config/Labels/a"), "b");
    assert_eq!(container.at("/Config/Labels/lone"), "");
    assert_eq!(container.at("/Config/Labels/from"), "file");
    assert_eq!(container.at("/HostConfig/Annotations/x"), "y");
}

#[test]
fn a_name_is_chosen_or_made_up() {
    let host = Host::start();

    let unnamed = host.create("busybox");
    let name = unnamed.at("/Name");
    let name = name.as_str().unwrap();
    assert!(name.starts_with('/') && name.contains('_'), "{name}");

    host.create("--name web busybox");
    host.docker("create --name web busybox")
        .fails_with(1)
        .stderr_has("Conflict. The container name \"/web\" is already in use by container \"");
    host.docker("create --name .bad busybox")
        .fails()
        .stderr_has("Invalid container name (.bad), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
}

#[test]
fn the_score_for_running_out_of_memory_is_set() {
    let host = Host::start();

    host.docker("run --rm --oom-score-adj 77 busybox cat /proc/self/oom_score_adj")
        .succeeds()
        .prints("77\n");
}

#[test]
fn hosts_and_names_are_docker_s() {
    let host = Host::start();

    let container = host.run(
        "--hostname box --add-host db:10.1.2.3 --dns 9.9.9.9 --dns-search example.org \
         --dns-option ndots:2 busybox sleep 1000",
    );

    let hosts = container.exec("cat /etc/hosts").stdout;
    assert!(hosts.starts_with("127.0.0.1\tlocalhost\n"), "{hosts}");
    assert!(hosts.contains("\n10.1.2.3\tdb\n"), "{hosts}");
    assert!(hosts.contains(&format!("\n{}\tbox\n", container.address())), "{hosts}");
    container.exec("cat /etc/hostname").prints("box\n");
    let resolver = container.exec("cat /etc/resolv.conf").stdout;
    for line in ["nameserver 9.9.9.9\n", "search example.org\n", "options ndots:2\n"] {
        assert!(resolver.contains(line), "{resolver}");
    }
}

#[test]
fn a_signal_to_the_client_goes_to_the_process() {
    let host = Host::start();
    let script = "trap \"echo got it; exit 9\" USR1; echo ready; while :; do sleep 0.01; done";

    let client = host.spawn(&format!("run --rm busybox sh -c '{script}'"));
    client.shows("ready");
    client.signal(rustix::process::Signal::USR1);

    client.finish().fails_with(9).prints("ready\ngot it\n");
}

#[test]
fn hello_runs_with_nothing_loaded() {
    if !Host::is_wharf_or_skips("the image `hello` is built into Wharf") {
        return;
    }
    let host = Host::builder().bare().start();

    let outcome = host.docker("run --rm hello").succeeds();

    for word in ["pid", "mnt", "net"] {
        assert!(outcome.stdout.to_lowercase().contains(word), "{outcome}");
    }
}

#[test]
fn a_program_can_tell_that_it_is_in_a_container() {
    let host = Host::start();
    host.docker("run --name web busybox stat -c '%a %s %u:%g' /.dockerenv").prints("755 0 0:0\n");
    host.docker("diff web").prints("");
    // It is nothing of the image's.
    host.docker("commit web saved").succeeds();
    let sizes = host.answer("history --format {{.Size}} saved");
    assert!(sizes.starts_with("0B"), "{sizes}");
}
