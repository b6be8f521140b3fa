//! `--link`: a container of the default bridge that another one knows by a further name.

use serde_json::json;
use stories::Host;

const DATABASE: &str =
    "--name db --hostname dbhost --expose 5432 --expose 80-82 --env PW=x busybox sleep 1000";

#[test]
fn a_linked_container_is_found_by_its_alias_its_host_name_and_its_name() {
    let host = Host::start();
    let db = host.run(DATABASE);

    let web = host.run("--name web --link db:my-db busybox sleep 1000");

    let hosts = host.answer("exec web cat /etc/hosts");
    assert!(hosts.contains(&format!("{}\tmy-db dbhost db\n", db.address())), "{hosts}");
    let links = web.inspect()["HostConfig"]["Links"].clone();
    assert_eq!(links, json!(["/db:/web/my-db"]));
    assert_eq!(host.answer("inspect --format {{.Name}} web/my-db"), "/db");
    assert_eq!(
        host.answer("ps --no-trunc --format {{.Names}} --filter name=^/db$"),
        "db,web/my-db"
    );
}

#[test]
fn the_environment_tells_of_a_linked_container_s_ports_and_variables() {
    let host = Host::start();
    let db = host.run(DATABASE);

    let environment = host.answer("run --rm --name web --link db:my-db busybox env");

    let address = db.address();
    for line in [
        format!("MY_DB_PORT=tcp://{address}:80"),
        format!("MY_DB_PORT_80_TCP_START=tcp://{address}:80"),
        "MY_DB_PORT_80_TCP_PORT_END=82".to_owned(),
        format!("MY_DB_PORT_5432_TCP=tcp://{address}:5432"),
        format!("MY_DB_PORT_5432_TCP_ADDR={address}"),
        "MY_DB_PORT_5432_TCP_PORT=5432".to_owned(),
        "MY_DB_PORT_5432_TCP_PROTO=tcp".to_owned(),
        "MY_DB_NAME=/web/my-db".to_owned(),
        "MY_DB_ENV_PW=x".to_owned(),
    ] {
        assert!(environment.lines().any(|own| own == line), "{line}\n{environment}");
    }
}

#[test]
fn a_link_needs_a_container_that_runs() {
    let host = Host::start();

    host.docker("create --link nope busybox")
        .fails_with(1)
        .stderr_says("could not get container for nope: no such container: nope");
    host.create(DATABASE);
    host.create("--name web --link db busybox sleep 1000");
    host.docker("start web")
        .fails_with(1)
        .stderr_has("Cannot link to a non running container: /db AS /web/db");
    host.docker("create --network host --link db busybox")
        .fails_with(1)
        .stderr_has("conflicting options: host type networking can't be used with links");
    host.docker("start db").succeeds();
    host.docker("start web").succeeds();
}

#[test]
fn a_name_follows_its_container_to_another_address() {
    let host = Host::start();
    let db = host.run(DATABASE);
    host.run("--name web --link db busybox sleep 1000");
    let first = db.address();

    host.docker("stop --time 0 db").succeeds();
    // Somebody else gets the address.
    host.run("--name other busybox sleep 1000");
    host.docker("start db").succeeds();

    let second = db.address();
    assert_ne!(first, second);
    let hosts = host.answer("exec web cat /etc/hosts");
    assert!(hosts.contains(&format!("{second}\tdb dbhost\n")), "{hosts}");
    assert!(!hosts.contains(&format!("{first}\tdb")), "{hosts}");
}

#[test]
fn a_link_can_be_removed_and_its_container_stays() {
    let host = Host::start();
    host.run(DATABASE);
    let web = host.create("--name web --link db --link db:sql busybox sleep 1000");

    host.docker("rm --link web/sql").succeeds();

    assert_eq!(web.inspect()["HostConfig"]["Links"], json!(["/db:/web/db"]));
    host.docker("rm --link web/sql").fails_with(1).stderr_says("no such container: web/sql");
    host.docker("rm --link web")
        .fails_with(1)
        .stderr_has("Conflict, cannot remove the default link name of the container");
    host.docker("rename db base").succeeds();
    assert_eq!(web.inspect()["HostConfig"]["Links"], json!(["/base:/web/db"]));
}

#[test]
fn links_outlive_the_daemon() {
    if !Host::is_wharf_or_skips("dockerd's containers end with it") {
        return;
    }
    let host = Host::start();
    let db = host.run(DATABASE);
    host.run("--name web --link db:sql busybox sleep 1000");

    host.kill_daemon();
    host.start_daemon();

    assert_eq!(host.answer("inspect --format {{.Name}} web/sql"), "/db");
    let hosts = host.answer("exec web cat /etc/hosts");
    assert!(hosts.contains(&format!("{}\tsql dbhost db\n", db.address())), "{hosts}");
    assert!(host.answer("exec web env").contains("SQL_ENV_PW=x"));
    host.docker("stop --time 0 db").succeeds();
    // Unlike in Docker, a container whose link has gone can still be looked into.
    host.docker("exec web true").succeeds();
}
