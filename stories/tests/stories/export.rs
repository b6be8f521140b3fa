//! `export`: a container's file system as an archive.

use stories::Host;

#[test]
fn an_exported_container_can_be_imported_and_run() {
    let host = Host::start();
    let container = host.run(
        "--name box --volume data:/home busybox sh -c 'echo own >/own; ln /own /second; rm -r /var/www; \
         chown 1000:50 /own; chmod 4711 /own; touch /home/in-the-volume; echo done; sleep 1000'",
    );
    container.logs_eventually("done");
    let file = host.path("box.tar");
    let file = file.to_str().unwrap();
    host.docker(&format!("export --output {file} box")).succeeds();
    host.docker(&format!("import {file} copy:1")).succeeds();

    let script =
        "cat /own; stat -c '%a %u %g %h' /second; ls /home; test ! -e /var/www && echo gone";
    let outcome = host.docker_words(&["run", "--rm", "copy:1", "sh", "-c", script]).succeeds();
    assert_eq!(outcome.stdout, "own\n4711 1000 50 2\nanna\ngone\n");
}

#[test]
fn a_container_that_never_ran_and_one_that_has_ended_can_be_exported() {
    let host = Host::start();
    host.create("--name new busybox true");
    host.run("--name ended busybox touch /own-file").wait();
    for name in ["new", "ended"] {
        let archive = host.docker(&format!("export {name}")).succeeds();
        assert!(archive.stdout.contains("bin/busybox"), "{name}");
        assert_eq!(archive.stdout.contains("own-file\0"), name == "ended");
    }
    host.docker("export nobody").fails_with(1).stderr_has("No such container: nobody");
    let events = host.events("--filter event=export --format '{{.Actor.Attributes.name}}'");
    assert_eq!(events.lines().collect::<Vec<_>>(), ["new", "ended"]);
}
