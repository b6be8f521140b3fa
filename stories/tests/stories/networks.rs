//! Networks: how a container sees the world.

use stories::{Host, eventually};

#[test]
fn none_has_nothing_but_loopback() {
    let host = Host::start();

    host.docker("run --rm --network none busybox ls /sys/class/net").succeeds().prints("lo\n");
    let container = host.run("--network none busybox sleep 1000");
    assert_eq!(container.at("/NetworkSettings/Networks/none/IPAddress"), "");
}

#[test]
fn host_is_the_host_s_own() {
    let host = Host::start();
    let container = host.run("--network host busybox httpd -f -p 8080 -h /var/www");

    assert_eq!(host.get("127.0.0.1:8080"), "hello from web\n");
    assert_eq!(container.at("/HostConfig/NetworkMode"), "host");
}

#[test]
fn a_container_can_sit_in_another_s_network() {
    let host = Host::start();
    let web = host.run("--name web busybox httpd -f -h /var/www");

    host.docker("run --rm --network container:web busybox wget -qO- http://127.0.0.1/")
        .succeeds()
        .prints("hello from web\n");
    host.docker("run --rm --network container:web busybox hostname")
        .succeeds()
        .prints(&format!("{}\n", &web.id[..12]));
    host.docker("run --rm --network container:nope busybox true")
        .fails_with(125)
        .stderr_says("No such container: nope");
}

#[test]
fn the_bridge_gives_each_an_address() {
    let host = Host::start();
    let one = host.run("--name one busybox sleep 1000");
    let two = host.run("--name two busybox sleep 1000");

    assert_ne!(one.address(), two.address());
    let inside = one.exec("ip -4 -o addr show eth0").succeeds();
    inside.stdout_has(&one.address());
    let gateway = one.at("/NetworkSettings/Networks/bridge/Gateway");
    let gateway = gateway.as_str().unwrap();
    one.exec("ip route").stdout_has(&format!("default via {gateway} dev eth0"));
    let mac = one.at("/NetworkSettings/Networks/bridge/MacAddress");
    one.exec("cat /sys/class/net/eth0/address").prints(&format!("{}\n", mac.as_str().unwrap()));
}

#[test]
fn containers_reach_each_other_and_the_host() {
    let host = Host::start();
    let web = host.run("busybox httpd -f -h /var/www");
    let address = web.address();

    assert_eq!(host.get(&format!("{address}:80")), "hello from web\n");
    host.docker(&format!("run --rm busybox wget -qO- http://{address}/"))
        .succeeds()
        .prints("hello from web\n");
    // The host's own server, through the bridge's address.
    let gateway = web.at("/NetworkSettings/Networks/bridge/Gateway");
    host.run("--network host busybox httpd -f -p 9090 -h /var/www");
    host.get("127.0.0.1:9090");
    let url = format!("http://{}:9090/", gateway.as_str().unwrap());
    web.exec(&format!("wget -qO- {url}")).succeeds().prints("hello from web\n");
}

#[test]
fn an_address_is_free_again_after_its_container() {
    let host = Host::start();
    let address = host.answer("run --rm busybox hostname -i");

    for _ in 0..3 {
        let next = host.answer("run --rm busybox hostname -i");
        assert!(next.starts_with(address.rsplit_once('.').unwrap().0), "{next}");
    }
    let one = host.run("busybox sleep 1000");
    let two = host.run("busybox sleep 1000");
    assert_ne!(one.address(), two.address());
    let links = [one.link(), two.link()];
    assert!(links.iter().all(|link| host.links().contains(link)));

    one.remove_by_force();
    two.remove_by_force();
    eventually("the links to go", || {
        (!links.iter().any(|link| host.links().contains(link))).then_some(())
    });
}

#[test]
fn a_stopped_container_gives_its_address_back() {
    let host = Host::start();
    let container = host.run("busybox sleep 1000");
    let link = container.link();
    host.docker(&format!("kill {}", container.id)).succeeds();
    container.becomes("exited");

    assert_eq!(container.address(), "");
    eventually("the link to go", || (!host.links().contains(&link)).then_some(()));

    host.docker(&format!("start {}", container.id)).succeeds();
    assert_ne!(container.address(), "");
}

#[test]
fn the_world_outside_sees_the_host_s_address() {
    let host = Host::start();
    // Another network behind the host: an interface pair whose far end is in a
    // namespace that has no way back to the containers.
    host.run("--name outside --network none --privileged busybox httpd -f -h /var/www");
    let pid = host.container("outside").pid();
    let script = format!(
        "ip link add up0 type veth peer name up1 netns {pid} && \
         ip addr add 192.0.2.1/24 dev up0 && ip link set up0 up"
    );
    let made = host.command_inside("sh").args(["-c", &script]).status().unwrap();
    if !made.success() {
        Host::skips("no iproute2 to make a network behind the host");
        return;
    }
    let inside = host.container("outside");
    inside.exec("ip addr add 192.0.2.2/24 dev up1").succeeds();
    inside.exec("ip link set up1 up").succeeds();

    host.docker("run --rm busybox wget -qO- http://192.0.2.2/")
        .succeeds()
        .prints("hello from web\n");
}

#[test]
fn network_inspect_tells_of_the_bridge() {
    let host = Host::start();
    let container = host.run("--name web busybox sleep 1000");

    let network = host.inspect("network inspect bridge");

    assert_eq!(network["Name"], "bridge");
    assert_eq!(network["Driver"], "bridge");
    assert_eq!(network["Containers"][&container.id]["Name"], "web");
    let address = network["Containers"][&container.id]["IPv4Address"].as_str().unwrap();
    assert!(address.starts_with(&format!("{}/", container.address())), "{address}");
    let names = host.answer("network ls --format {{.Name}}:{{.Driver}}:{{.Scope}}");
    assert_eq!(names, "bridge:bridge:local\nhost:host:local\nnone:null:local");
    host.docker("network inspect nope").fails_with(1).stderr_says("network nope not found");
}

#[test]
fn an_unknown_network_is_refused() {
    let host = Host::start();

    host.docker("run --network nope busybox true")
        .fails_with(125)
        .stderr_has("network nope not found");
}

#[test]
fn pinging_and_low_ports_need_no_privileges() {
    let host = Host::start();

    host.docker(
        "run --rm --user 1000 busybox cat /proc/sys/net/ipv4/ping_group_range \
         /proc/sys/net/ipv4/ip_unprivileged_port_start",
    )
    .succeeds()
    .prints("0\t2147483647\n0\n");
}

#[test]
fn the_resolver_is_the_host_s_unless_told() {
    let host = Host::start();
    let host_s = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = host_s.lines().filter(|line| line.starts_with("nameserver"));
    let usable: Vec<_> = servers.filter(|line| !line.contains("127.")).collect();

    let inside = host.answer("run --rm busybox cat /etc/resolv.conf");

    for server in usable {
        assert!(inside.contains(server), "{inside}");
    }
    assert!(inside.lines().any(|line| line.starts_with("nameserver")), "{inside}");
}

#[test]
fn those_files_are_the_container_s_own() {
    let host = Host::start();
    let container = host.run("busybox sleep 1000");

    container.exec("sh -c 'echo 192.0.2.7 db >> /etc/hosts; echo x > /etc/hostname'").succeeds();
    container.exec("grep -c 192.0.2.7 /etc/hosts").prints("1\n");

    host.docker("run --rm busybox grep -c 192.0.2.7 /etc/hosts").prints("0\n");
    for path in ["HostsPath", "HostnamePath", "ResolvConfPath"] {
        let path = container.at(&format!("/{path}"));
        assert!(std::path::Path::new(path.as_str().unwrap()).exists(), "{path}");
    }
}
