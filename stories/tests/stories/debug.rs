//! `wharf debug`: tools beside a container that has none.

use stories::Host;

#[test]
fn a_container_without_a_shell_is_looked_into() {
    let host = Host::start();
    let folder = host.folder("data", &[("file", "of a volume\n")]);
    let bare =
        host.run(&format!("--name bare --hostname inside -v {folder}:/data busybox sleep 1000"));
    // It has no shell any more, nor anything else.
    bare.exec("rm -r /bin").succeeds();

    let look = "sh -c 'cat /proc/1/cmdline | tr \"\\0\" \" \"; echo; hostname; cat $TARGET/data/file; ls $TARGET'";
    let seen = host.wharf_only(&format!("debug bare {look}")).succeeds();
    let lines = seen.lines();
    assert_eq!(lines[..3], ["sleep 1000 ", "inside", "of a volume"]);
    assert!(!lines.contains(&"bin"), "its files: {lines:?}");
    assert_eq!(
        host.wharf_only("debug bare readlink /proc/self/ns/net").succeeds().stdout,
        host.wharf_only("debug bare readlink /proc/1/ns/net").succeeds().stdout
    );

    // The status is the command's, and nothing stays behind.
    host.wharf_only("debug bare sh -c 'exit 7'").fails_with(7);
    assert_eq!(host.answer("ps --all --format '{{.Names}}'"), "bare");
    bare.remove_by_force();
}

#[test]
fn its_shell_starts_among_the_container_s_files() {
    let host = Host::start();
    host.run("--name web busybox sleep 1000");
    let mut shell = host.wharf_only_terminal("debug web");
    shell.shows("its files are below $TARGET (/proc/1/root)");
    shell.types("pwd; ls var/www; exit 3\n");
    shell.shows("/proc/1/root");
    shell.shows("index.html");
    assert_eq!(shell.finish(), 3);
}

#[test]
fn a_host_without_an_image_of_tools_makes_one() {
    let host = Host::start();
    host.run("--name web busybox sleep 1000");
    host.docker("tag busybox other").succeeds();
    host.docker("rmi busybox").succeeds();

    host.wharf_only("debug web sh -c 'ps | grep -c sleep'").succeeds();
    host.docker("image inspect wharf-debug").succeeds();
    host.wharf_only("debug --image other web cat /proc/1/comm").succeeds().prints("sleep\n");
}

#[test]
fn what_does_not_run_is_refused_with_a_hint() {
    let host = Host::start();
    host.create("--name new busybox true");
    host.wharf_only("debug new")
        .fails_with(125)
        .stderr_has("container new is created: there is no process beside which a shell could run")
        .stderr_has("hint: `wharf why new`");
    host.wharf_only("debug nobody").fails_with(1).stderr_has("No such container: nobody");
}
