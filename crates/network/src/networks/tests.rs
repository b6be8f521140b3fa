//! Containers, a host and the outside, each a network namespace, and real connections.

mod world;

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use linux::network_namespace;

use self::world::{Container, HOST_IP, OUTSIDE_IP, World, port, ports};
use crate::attachment::Protocol::Udp;
use crate::errors::{AttachError, PublishError};
use crate::networks::Networks;
use crate::settings::Settings;

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Why the attachment failed, as Docker's clients see it.
#[track_caller]
fn refusal(error: AttachError) -> String {
    match error {
        AttachError::Publish { source, .. } => source.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_container_has_the_first_free_address() {
    let world = World::new();
    let networks = world.networks("one");
    let first = world.container(&networks, "first", &[]);
    let second = world.container(&networks, "second", &[]);
    assert_eq!(first.record.cidr().to_string(), "172.17.0.2/16");
    assert_eq!(first.record.gateway.to_string(), "172.17.0.1");
    assert_eq!(first.record.mac.to_string(), "02:42:ac:11:00:02");
    assert_eq!(second.record.cidr().to_string(), "172.17.0.3/16");

    // Both ends of the link are what the record says.
    first.serve(80);
    assert_eq!(second.place().ask(first.record.address, 80).unwrap(), second.record.address);
}

#[test]
fn a_container_is_reached_at_once() {
    // A packet that is lost while the link comes up is sent again after a second.
    const RETRY: Duration = Duration::from_secs(1);
    let world = World::new();
    let networks = world.networks("one");
    for number in 0..20 {
        let container = world.container(&networks, &number.to_string(), &[]);
        container.serve(80);
        let start = Instant::now();
        world.host().ask(container.record.address, 80).unwrap();
        assert!(start.elapsed() < RETRY, "the first packet was lost");
    }
}

#[test]
fn a_container_reaches_the_outside_under_the_hosts_address() {
    let world = World::new();
    let networks = world.networks("one");
    let container = world.container(&networks, "one", &[]);
    world.serve_outside(80);
    assert_eq!(container.place().ask(OUTSIDE_IP, 80).unwrap(), HOST_IP);
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    check_published(false);
}

#[test]
fn a_published_port_is_reached_from_everywhere_over_a_filtered_bridge() {
    check_published(true);
}

fn check_published(is_filtered: bool) {
    let world = World::new();
    world.filter_bridges(is_filtered);
    let networks = world.networks("one");
    let server = world.container(&networks, "server", &[port("8080:80")]);
    let client = world.container(&networks, "client", &[]);
    server.serve(80);
    let gateway = server.record.gateway;

    assert_eq!(world.outside().ask(HOST_IP, 8080).unwrap(), OUTSIDE_IP);
    for address in [LOCALHOST, HOST_IP, gateway, Ipv4Addr::new(127, 1, 2, 3)] {
        world.host().ask(address, 8080).unwrap_or_else(|error| panic!("{address}: {error}"));
    }
    for address in [HOST_IP, gateway] {
        client.place().ask(address, 8080).unwrap();
        server.place().ask(address, 8080).unwrap();
    }
    // The container's own loopback is not the host's.
    client.place().cannot_reach(LOCALHOST, 8080);
}

#[test]
fn a_port_published_on_one_address_is_not_on_another() {
    let world = World::new();
    let networks = world.networks("one");
    let server =
        world.container(&networks, "server", &ports(&["127.0.0.1:8080:80", "192.0.2.1:8081:80"]));
    server.serve(80);
    world.host().ask(LOCALHOST, 8080).unwrap();
    world.host().cannot_reach(HOST_IP, 8080);
    world.outside().cannot_reach(HOST_IP, 8080);
    world.outside().ask(HOST_IP, 8081).unwrap();
    world.host().cannot_reach(LOCALHOST, 8081);
}

#[test]
fn nobody_else_reaches_the_hosts_loopback() {
    let world = World::new();
    let networks = world.networks("one");
    let server = world.container(&networks, "server", &[port("127.0.0.1:8080:80")]);
    let client = world.container(&networks, "client", &[]);
    server.serve(80);
    world.serve_on_host(LOCALHOST, 9000);
    world.route_from_outside(LOCALHOST, 32);
    client.route_loopback_to_host();

    world.outside().cannot_reach(LOCALHOST, 8080);
    world.outside().cannot_reach(LOCALHOST, 9000);
    client.place().cannot_reach(LOCALHOST, 8080);
    client.place().cannot_reach(LOCALHOST, 9000);
}

#[test]
fn the_outside_reaches_only_what_is_published() {
    let world = World::new();
    let networks = world.networks("one");
    let server = world.container(&networks, "server", &[port("8080:80")]);
    server.serve(80);
    server.serve(81);
    world.route_from_outside(server.record.address, 16);
    world.outside().cannot_reach(server.record.address, 80);
    world.outside().cannot_reach(server.record.address, 81);
    // The host itself goes in and out.
    world.host().ask(server.record.address, 81).unwrap();
}

#[test]
fn datagrams_are_led_to_the_container_and_back() {
    let world = World::new();
    let networks = world.networks("one");
    let server = world.container(&networks, "server", &[port("53:5353/udp")]);
    assert_eq!(server.record.ports[0].protocol, Udp);
    server.answer(5353);
    world.host().sender().send(LOCALHOST, 53).unwrap();
    world.host().sender().send(HOST_IP, 53).unwrap();
    world.outside().sender().send(HOST_IP, 53).unwrap();
}

#[test]
fn a_sender_of_datagrams_is_led_to_whoever_has_the_port_now() {
    let world = World::new();
    let networks = world.networks("one");
    // The kernel tracks connections as soon as there is a rule about them.
    let _warm = world.container(&networks, "warm", &[]);
    let sender = world.outside().sender();
    // Nobody is there yet, and the kernel takes note of it.
    sender.send(HOST_IP, 53).unwrap_err();

    let mut first = world.container(&networks, "first", &[port("53:5353/udp")]);
    first.answer(5353);
    assert_eq!(sender.send(HOST_IP, 53).unwrap(), "first");

    world.on_host(|| networks.detach("first")).unwrap();
    first.close_ports();
    let second = world.container(&networks, "second", &[port("192.0.2.1:53:5353/udp")]);
    second.answer(5353);
    assert_eq!(sender.send(HOST_IP, 53).unwrap(), "second");
}

#[test]
fn a_port_that_is_not_named_is_chosen() {
    let world = World::new();
    let networks = world.networks("one");
    let requests = ports(&["80", "81/udp", "127.0.0.1::82", "8000-8001:83", "8000:84"]);
    let server = world.container(&networks, "server", &requests);
    let chosen: Vec<_> = server
        .record
        .ports
        .iter()
        .map(|port| {
            format!("{}:{}>{}/{}", port.host_ip, port.host_port, port.container_port, port.protocol)
        })
        .collect();
    assert_eq!(
        chosen,
        [
            "0.0.0.0:32768>80/tcp",
            "0.0.0.0:32768>81/udp",
            "127.0.0.1:32769>82/tcp",
            "0.0.0.0:8001>83/tcp",
            "0.0.0.0:8000>84/tcp"
        ]
    );
    server.serve(82);
    world.host().ask(LOCALHOST, 32769).unwrap();
}

#[test]
fn a_taken_port_is_refused_and_nothing_is_left() {
    let world = World::new();
    let networks = world.networks("one");
    let first = world.container(&networks, "first", &ports(&["8080:80", "127.0.0.1:8081:80"]));

    let attach = |wanted: &[&str]| {
        let error = world.try_container(&networks, "second", &ports(wanted)).err().unwrap();
        refusal(error)
    };
    let taken = |address| format!("Bind for {address} failed: port is already allocated");
    assert_eq!(attach(&["8082:82", "8080:80"]), taken("0.0.0.0:8080"));
    assert_eq!(attach(&["127.0.0.1:8080:80"]), taken("0.0.0.0:8080"));
    assert_eq!(attach(&["8081:80"]), taken("127.0.0.1:8081"));
    assert_eq!(attach(&["8080-8081:80"]), "all ports are allocated");
    drop(first);

    networks.detach("first").unwrap();
    let second = world.container(&networks, "second", &ports(&["8080:80", "8082:82"]));
    second.serve(80);
    world.host().ask(LOCALHOST, 8080).unwrap();
}

#[test]
fn the_port_of_another_program_is_refused() {
    let world = World::new();
    let networks = world.networks("one");
    world.serve_on_host(Ipv4Addr::UNSPECIFIED, 8080);
    let attach = |wanted: &str| {
        refusal(world.try_container(&networks, "one", &[port(wanted)]).err().unwrap())
    };
    assert_eq!(
        attach("8080:80"),
        "failed to bind host port for 0.0.0.0:8080:172.17.0.2:80/tcp: address already in use"
    );
    assert_eq!(
        attach("1.2.3.4:8080:80"),
        "failed to bind host port for 1.2.3.4:8080:172.17.0.2:80/tcp: cannot assign requested \
         address"
    );
    // The next port of a range will do.
    let container = world.container(&networks, "one", &[port("8080-8081:80")]);
    assert_eq!(container.record.ports[0].host_port, 8081);
}

#[test]
fn a_refusal_names_the_container_in_the_way() {
    let world = World::new();
    let networks = world.networks("one");
    let _first = world.container(&networks, "web", &[port("8080:80")]);
    let error = world.try_container(&networks, "other", &[port("8080:80")]).err().unwrap();
    let hint = errors::Explain::hint(&error).unwrap();
    assert_eq!(hint, "container `web` publishes 8080; stop it or publish another port");
    assert!(matches!(error, AttachError::Publish { source: PublishError::Taken { .. }, .. }));

    networks.rename("web", "renamed");
    let error = world.try_container(&networks, "other", &[port("8080:80")]).err().unwrap();
    let hint = errors::Explain::hint(&error).unwrap();
    assert_eq!(hint, "container `renamed` publishes 8080; stop it or publish another port");
    assert_eq!(networks.get("bridge").unwrap().endpoints[0].container_name, "renamed");
}

#[test]
fn two_daemons_do_not_touch_each_other() {
    let world = World::new();
    let one = world.networks("one");
    let two = world.networks("two");
    let first = world.container(&one, "first", &[port("8080:80")]);
    let second = world.container(&two, "second", &[port("8081:80")]);
    assert_eq!(first.record.address.to_string(), "172.17.0.2");
    assert_eq!(second.record.address.to_string(), "172.18.0.2");
    first.serve(80);
    second.serve(80);

    first.place().cannot_reach(second.record.address, 80);
    second.place().cannot_reach(first.record.address, 80);
    first.place().ask(HOST_IP, 8081).unwrap();
    second.place().ask(first.record.gateway, 8080).unwrap();

    world.on_host(|| two.flush()).unwrap();
    world.host().ask(LOCALHOST, 8080).unwrap();
    world.host().cannot_reach(LOCALHOST, 8081);
}

#[test]
fn a_daemon_adopts_what_it_left_and_removes_the_rest() {
    let world = World::new();
    let networks = world.networks("one");
    let kept = world.container(&networks, "kept", &[port("8080:80")]);
    let lost = world.container(&networks, "lost", &[port("8081:80")]);
    kept.serve(80);
    lost.serve(80);
    drop(networks);
    world.host().ask(LOCALHOST, 8080).unwrap();

    let networks = world.networks("one");
    networks.adopt(kept.record.clone()).unwrap();
    networks.adopt(kept.record.clone()).unwrap();
    world.on_host(|| networks.collect()).unwrap();

    assert_eq!(networks.get("bridge").unwrap().endpoints.len(), 1);
    world.host().ask(LOCALHOST, 8080).unwrap();
    world.host().cannot_reach(LOCALHOST, 8081);
    world.host().cannot_reach(lost.record.address, 80);
    let error = world.try_container(&networks, "new", &[port("8080:80")]).err().unwrap();
    assert_eq!(refusal(error), "Bind for 0.0.0.0:8080 failed: port is already allocated");
    let new = world.container(&networks, "new", &[]);
    assert_eq!(new.record.address, lost.record.address);
}

#[test]
fn a_daemon_with_nothing_to_adopt_closes_what_it_left() {
    let world = World::new();
    let networks = world.networks("one");
    let lost = world.container(&networks, "lost", &[port("8081:80")]);
    lost.serve(80);
    drop(networks);

    let networks = world.networks("one");
    world.on_host(|| networks.collect()).unwrap();
    world.host().cannot_reach(LOCALHOST, 8081);
    assert_eq!(world.ruleset(), "");
}

#[test]
fn nothing_is_left_of_a_container() {
    let world = World::new();
    let networks = world.networks("one");
    let warm = world.container(&networks, "warm", &[]);
    let before = (world.ruleset(), world.interfaces());
    let container = world.container(&networks, "one", &ports(&["8080:80", "127.0.0.1:81:81/udp"]));
    assert_ne!(world.interfaces(), before.1);

    world.on_host(|| networks.detach("one")).unwrap();
    world.on_host(|| networks.detach("one")).unwrap();
    assert_eq!(world.ruleset(), before.0);
    drop(container);
    world.wait_until(|| world.interfaces() == before.1);
    drop(warm);
}

#[test]
fn a_failed_attachment_leaves_nothing() {
    let world = World::new();
    let networks = world.networks("one");
    let warm = world.container(&networks, "warm", &[]);
    let before = (world.ruleset(), world.interfaces());

    let mut request = world.request("one", &[port("8080:80")]);
    // A group's address cannot be one interface's.
    request.mac = Some("01:00:5e:00:00:01".parse().unwrap());
    let error = world.on_host(|| networks.attach(&request)).unwrap_err();
    assert_eq!(error.to_string(), "cannot make the link of container one");
    world.wait_until(|| (world.ruleset(), world.interfaces()) == before);

    let container = world.container(&networks, "one", &[port("8080:80")]);
    assert_eq!(container.record.address.to_string(), "172.17.0.3");
    drop(warm);
}

#[test]
fn what_somebody_removed_is_put_back() {
    let world = World::new();
    let networks = world.networks("one");
    let first = world.container(&networks, "first", &[port("8080:80")]);
    first.serve(80);
    if !world.nft("flush ruleset") {
        return;
    }
    world.host().cannot_reach(LOCALHOST, 8080);
    let _second = world.container(&networks, "second", &[]);
    world.host().ask(LOCALHOST, 8080).unwrap();

    world.nft("flush table ip wharf-one");
    world.host().cannot_reach(LOCALHOST, 8080);
    let _third = world.container(&networks, "third", &[]);
    world.host().ask(LOCALHOST, 8080).unwrap();

    world.nft("flush ruleset");
    world.on_host(|| networks.detach("first")).unwrap();
    world.host().cannot_reach(LOCALHOST, 8080);
}

#[test]
fn a_removed_bridge_is_made_again() {
    let world = World::new();
    let networks = world.networks("one");
    let _first = world.container(&networks, "first", &[]);
    world.remove_interface(&world.bridge_of(&networks));
    let second = world.container(&networks, "second", &[]);
    world.serve_outside(80);
    assert_eq!(second.place().ask(OUTSIDE_IP, 80).unwrap(), HOST_IP);
}

#[test]
fn without_icc_containers_reach_only_published_ports() {
    check_without_icc(false);
}

#[test]
fn without_icc_containers_reach_only_published_ports_over_a_filtered_bridge() {
    check_without_icc(true);
}

fn check_without_icc(is_filtered: bool) {
    let world = World::new();
    world.filter_bridges(is_filtered);
    let settings = Settings { inter_container: false, ..Settings::new("one") };
    let networks = world.networks_with(settings);
    let server = world.container(&networks, "server", &[port("8080:80")]);
    let client = world.container(&networks, "client", &[]);
    server.serve(80);
    client.place().cannot_reach(server.record.address, 80);
    client.place().ask(HOST_IP, 8080).unwrap();
    world.outside().ask(HOST_IP, 8080).unwrap();
}

#[test]
fn settings_are_obeyed() {
    let world = World::new();
    let networks = world.networks_with(Settings {
        bridge: Some("br0".to_owned()),
        bip: Some("10.9.8.1/24".parse().unwrap()),
        mtu: 1400,
        default_host_ip: IpAddr::V4(LOCALHOST),
        ..Settings::new("one")
    });
    let mut request = world.request("one", &[port("8080:80")]);
    request.mac = Some("02:00:00:00:00:07".parse().unwrap());
    let container = Container::new(world.on_host(|| networks.attach(&request)).unwrap());
    assert_eq!(container.record.cidr().to_string(), "10.9.8.2/24");
    assert_eq!(container.record.ports[0].host_ip, IpAddr::V4(LOCALHOST));
    assert_eq!(container.interface_file("mtu"), "1400");
    assert_eq!(container.interface_file("address"), "02:00:00:00:00:07");
    assert!(world.interfaces().contains(&"br0".to_owned()));
}

#[test]
fn an_interface_that_is_no_bridge_is_refused() {
    let world = World::new();
    let settings = Settings { bridge: Some("lo".to_owned()), ..Settings::new("one") };
    let networks =
        world.networks_with(Settings { bip: Some("10.0.0.1/24".parse().unwrap()), ..settings });
    let error = world.try_container(&networks, "one", &[]).err().unwrap();
    assert_eq!(
        errors::chain(&error),
        "cannot prepare network bridge: interface lo exists and is not a bridge"
    );
}

#[test]
fn many_containers_come_at_once() {
    let world = World::new();
    let networks = world.networks("one");
    let names: Vec<String> = (0..24).map(|number| format!("container-{number}")).collect();
    let mut addresses: Vec<Ipv4Addr> = std::thread::scope(|scope| {
        let threads: Vec<_> = names
            .iter()
            .map(|name| scope.spawn(|| world.container(&networks, name, &[port("80")])))
            .collect();
        let containers: Vec<_> = threads.into_iter().map(|it| it.join().unwrap()).collect();
        containers.iter().map(|it| it.record.address).collect()
    });
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), names.len());
    assert_eq!(networks.get("bridge").unwrap().endpoints.len(), names.len());
}

#[test]
fn endpoints_are_made_in_advance() {
    let world = World::new();
    let networks = world.networks_with_spares("one");
    let before = world.interfaces().len();
    let _first = world.container(&networks, "first", &[]);
    // The bridge, the first container's link and four spare ones.
    world.wait_until(|| world.interfaces().len() == before + 6);

    let second = world.container(&networks, "second", &[port("8080:80")]);
    assert_eq!(second.record.address.to_string(), "172.17.0.3");
    second.serve(80);
    world.outside().ask(HOST_IP, 8080).unwrap();
    assert_eq!(second.interface_file("address"), second.record.mac.to_string());

    // A spare whose link somebody removed is none.
    world.wait_until(|| world.interfaces().len() == before + 7);
    let taken: Vec<_> = networks.get("bridge").unwrap().endpoints;
    assert_eq!(taken.len(), 2, "spares are nobody's");
    drop(networks);
    world.wait_until(|| world.interfaces().len() == before + 3);
}

#[test]
fn a_broken_spare_is_not_used() {
    let world = World::new();
    let networks = world.networks_with_spares("one");
    let before = world.interfaces();
    let first = world.container(&networks, "first", &[]);
    world.wait_until(|| world.interfaces().len() == before.len() + 6);
    for name in world.interfaces() {
        if name.starts_with("veth") && name != first.record.host_interface {
            world.remove_interface(&name);
        }
    }
    let second = world.container(&networks, "second", &[]);
    first.serve(80);
    second.place().ask(first.record.address, 80).unwrap();
}

#[test]
fn spares_leave_the_last_addresses_to_containers() {
    let world = World::new();
    let bip = Some("10.0.0.1/29".parse().unwrap());
    let networks = world.networks_with(Settings { bip, ..Settings::new("one") });
    let mut containers = Vec::new();
    for number in 0..5_u8 {
        let mut request = world.request(&number.to_string(), &[]);
        // With addresses of their own they cannot use spares, which take the rest.
        request.mac = Some(crate::MacAddress([2, 0, 0, 0, 0, number]));
        containers.push(world.on_host(|| networks.attach(&request)).unwrap());
    }
    let error = world.try_container(&networks, "last", &[]).err().unwrap();
    assert!(error.to_string().starts_with("no available IPv4 addresses"), "{error}");
}

#[test]
fn networks_are_found_by_name_and_id() {
    let world = World::new();
    let networks = world.networks("one");
    let names: Vec<_> = networks.list().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["bridge", "host", "none"]);
    let bridge = networks.get("bridge").unwrap();
    assert_eq!(networks.get(&bridge.id).unwrap(), bridge);
    assert_eq!(networks.get(&bridge.id[..12]).unwrap(), bridge);
    assert_eq!(bridge.id.len(), 64);
    assert_eq!(bridge.subnet.unwrap().to_string(), "172.17.0.0/16");
    assert_eq!(world.networks("one").get("bridge").unwrap().id, bridge.id);
    assert_eq!(networks.get("x").unwrap_err().to_string(), "network x not found");
    networks.get("").unwrap_err();

    let mut request = world.request("one", &[]);
    request.network = "host".to_owned();
    let error = world.on_host(|| networks.attach(&request)).unwrap_err();
    assert!(matches!(error, AttachError::NoEndpoints(_)), "{error:?}");
}

#[test]
fn a_container_is_attached_once() {
    let world = World::new();
    let networks = world.networks("one");
    let _container = world.container(&networks, "one", &[]);
    let error = world.try_container(&networks, "one", &[]).err().unwrap();
    assert_eq!(error.to_string(), "container one is already attached to network bridge");
}

#[test]
fn without_a_bridge_there_is_no_default_network() {
    let world = World::new();
    let settings = Settings { bridge: Some("none".to_owned()), ..Settings::new("one") };
    let networks = world.networks_with(settings);
    assert_eq!(networks.list().len(), 2);
    let error = world.try_container(&networks, "one", &[]).err().unwrap();
    assert_eq!(error.to_string(), "network bridge not found");
    world.on_host(|| networks.collect()).unwrap();
}

#[test]
fn opening_changes_nothing_on_the_host() {
    let world = World::new();
    let before = world.interfaces();
    let networks: Networks = world.networks("one");
    world.on_host(|| networks.collect()).unwrap();
    assert_eq!(world.interfaces(), before);
    assert_eq!(world.ruleset(), "");
}

#[test]
fn a_namespace_without_a_network_has_its_loopback() {
    let world = World::new();
    let networks = world.networks_with_spares("one");
    // The first is made at once, others may be spares. Each is another one.
    let namespaces: Vec<_> = (0..5).map(|_| networks.new_namespace().unwrap()).collect();
    for namespace in &namespaces {
        network_namespace::inside(namespace.as_fd(), || {
            std::net::TcpListener::bind((LOCALHOST, 80)).unwrap();
            let route = linux::route::Route::open().unwrap();
            assert!(route.link("lo").unwrap().unwrap().is_up);
            assert_eq!(route.link("eth0").unwrap(), None);
        })
        .unwrap();
    }
    let number = |namespace: &_| rustix::fs::fstat(namespace).unwrap().st_ino;
    let numbers: std::collections::BTreeSet<_> = namespaces.iter().map(number).collect();
    assert_eq!(numbers.len(), namespaces.len());
}
