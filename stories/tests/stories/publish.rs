//! Publishing ports: reaching a container from outside it.

use std::net::UdpSocket;

use stories::Host;

const WEB: &str = "busybox httpd -f -h /var/www";

#[test]
fn a_published_port_answers_on_every_address_of_the_host() {
    let host = Host::start();

    let web = host.run(&format!("--publish 8080:80 {WEB}"));

    assert_eq!(web.published(80), "0.0.0.0:8080");
    assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
    let gateway = web.at("/NetworkSettings/Networks/bridge/Gateway");
    assert_eq!(host.get(&format!("{}:8080", gateway.as_str().unwrap())), "hello from web\n");
}

#[test]
fn a_port_can_be_published_on_one_address_only() {
    let host = Host::start();

    let web = host.run(&format!("--publish 127.0.0.1:8080:80 {WEB}"));

    assert_eq!(web.published(80), "127.0.0.1:8080");
    assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
    let gateway = web.at("/NetworkSettings/Networks/bridge/Gateway");
    assert!(host.refuses(&format!("{}:8080", gateway.as_str().unwrap())));
}

#[test]
fn the_host_s_port_may_be_left_open() {
    let host = Host::start();

    let one = host.run(&format!("--publish 80 {WEB}"));
    let two = host.run(&format!("--publish 127.0.0.1::80 {WEB}"));

    assert_ne!(one.published(80), two.published(80));
    assert!(two.published(80).starts_with("127.0.0.1:"));
    assert_eq!(host.get(&one.published(80)), "hello from web\n");
    assert_eq!(host.get(&two.published(80)), "hello from web\n");
}

#[test]
fn ranges_match_port_by_port() {
    let host = Host::start();

    let web = host.run("--publish 9000-9002:80-82 busybox sleep 1000");

    host.docker(&format!("port {}", web.id)).succeeds().stdout_has("80/tcp -> 0.0.0.0:9000\n");
    assert_eq!(web.published(81), "0.0.0.0:9001");
    assert_eq!(web.published(82), "0.0.0.0:9002");
}

#[test]
fn a_range_on_the_host_is_searched_for_a_free_port() {
    let host = Host::start();

    let one = host.run(&format!("--publish 9000-9001:80 {WEB}"));
    let two = host.run(&format!("--publish 9000-9001:80 {WEB}"));

    let mut ports = [one.published(80), two.published(80)];
    ports.sort_unstable();
    assert_eq!(ports, ["0.0.0.0:9000", "0.0.0.0:9001"]);
    host.docker(&format!("run --detach --publish 9000-9001:80 {WEB}")).fails_with(125);
}

#[test]
fn all_exposed_ports_can_be_published_at_once() {
    let host = Host::start();

    let web = host.run(&format!("--publish-all --expose 80 --expose 81/udp {WEB}"));

    assert_eq!(host.get(&web.published(80)), "hello from web\n");
    host.docker(&format!("port {} 81/udp", web.id)).succeeds().stdout_has("0.0.0.0:");
}

#[test]
fn udp_goes_through() {
    let host = Host::start();
    let container = host.run("--publish 5353:53/udp busybox sleep 1000");

    // The shell of the image has no UDP server, so the story is one itself.
    let server = container.inside(|| UdpSocket::bind("0.0.0.0:53").unwrap());
    let client = host.inside(|| UdpSocket::bind("127.0.0.1:0").unwrap());
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(stories::PATIENCE)).unwrap();
    }
    client.send_to(b"hello", "127.0.0.1:5353").unwrap();
    let mut buffer = [0; 16];
    let (count, from) = server.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"hello");
    server.send_to(b"answer", from).unwrap();
    let (count, from) = client.recv_from(&mut buffer).unwrap();

    assert_eq!(&buffer[..count], b"answer");
    assert_eq!(from.to_string(), "127.0.0.1:5353");
}

#[test]
fn a_container_reaches_another_through_the_host() {
    let host = Host::start();
    let web = host.run(&format!("--publish 8080:80 {WEB}"));
    host.get("127.0.0.1:8080");
    let gateway = web.at("/NetworkSettings/Networks/bridge/Gateway");
    let url = format!("http://{}:8080/", gateway.as_str().unwrap());

    host.docker(&format!("run --rm busybox wget -qO- {url}")).succeeds().prints("hello from web\n");
    // And itself, by the same way.
    web.exec(&format!("wget -qO- {url}")).succeeds().prints("hello from web\n");
}

#[test]
fn a_taken_port_is_refused_and_can_be_retried() {
    let host = Host::start();
    let first = host.run(&format!("--name first --publish 127.0.0.1:8080:80 {WEB}"));

    // The second container is refused, with the words scripts look for.
    host.docker(&format!("run --detach --name second --publish 127.0.0.1:8080:80 {WEB}"))
        .fails_with(125)
        .stderr_has("Bind for 127.0.0.1:8080 failed: port is already allocated");

    // It is kept, so the user fixes the cause and starts it, not re-creates it.
    let second = host.container("second");
    assert_eq!(second.status(), "created");

    first.remove_by_force();
    host.docker("start second").succeeds();
    assert_eq!(host.get(&second.published(80)), "hello from web\n");
}

#[test]
fn a_port_that_a_program_of_the_host_holds_is_refused() {
    let host = Host::start();
    let listener = host.inside(|| std::net::TcpListener::bind("127.0.0.1:8080").unwrap());

    host.docker(&format!("run --detach --name web --publish 127.0.0.1:8080:80 {WEB}"))
        .fails_with(125)
        .stderr_says("address already in use");

    drop(listener);
    host.docker("start web").succeeds();
    assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
}

#[test]
fn a_port_is_free_again_after_its_container() {
    let host = Host::start();

    for _ in 0..3 {
        let web = host.run(&format!("--publish 8080:80 {WEB}"));
        assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
        web.remove_by_force();
        assert!(host.refuses("127.0.0.1:8080"));
    }
}

#[test]
fn a_restart_keeps_the_port() {
    let host = Host::start();
    let web = host.run(&format!("--publish 8080:80 {WEB}"));

    host.docker(&format!("restart -t 0 {}", web.id)).succeeds();

    assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
    assert_eq!(web.published(80), "0.0.0.0:8080");
}

#[test]
fn what_does_not_parse_is_refused() {
    let host = Host::start();

    host.docker("run --publish 99999:80 busybox true").fails_with(125).stderr_says("99999");
    host.docker("run --publish 80:x busybox true")
        .fails_with(125)
        .stderr_says("invalid containerPort: x");
    host.docker("run --publish 1-2:80-82 busybox true").fails_with(125);
    host.create("--name unpublished busybox");
    host.docker("port unpublished").succeeds().prints("");
    host.docker("port unpublished 80").fails_with(1).stderr_says("no public port '80'");
}

#[test]
fn inspect_and_ps_tell_the_ports() {
    let host = Host::start();
    let web = host.run(&format!("--publish 127.0.0.1:8080:80 --expose 443 {WEB}"));

    let ports = web.at("/NetworkSettings/Ports");
    let expected = serde_json::json!({
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
        "443/tcp": null,
    });
    assert_eq!(ports, expected);
    assert_eq!(host.answer("ps --format {{.Ports}}"), "443/tcp, 127.0.0.1:8080->80/tcp");
}

#[test]
fn what_is_not_exposed_is_not_published() {
    let host = Host::start();
    let body = r#"{"Image":"busybox","Cmd":["sleep","1000"],"ExposedPorts":{"81/tcp":{}},
        "HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"8080"}],"81/tcp":[{"HostPort":"8081"}]}}}"#;
    let made = host.api("POST", "/v1.51/containers/create?name=web", Some(body));
    assert_eq!(made.status, 201, "{}", made.body);

    host.docker("start web").succeeds();

    let told = host.answer("port web");
    assert!(told.starts_with("81/tcp -> 0.0.0.0:8081"), "{told}");
    assert!(!told.contains("80/tcp"), "{told}");
    let bound = host.answer("inspect --format {{.HostConfig.PortBindings}} web");
    assert!(bound.contains("8080"), "{bound}");
}
