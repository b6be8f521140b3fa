//! How long attaching takes, in a network namespace of its own: `cargo run --release -p
//! network --example attach`. Needs root.

use std::time::{Duration, Instant};

use linux::{loopback, network_namespace};
use network::{AttachRequest, Networks, PortRequest, Protocol, Settings};

const ROUNDS: usize = 200;
const CROWD: usize = 50;

/// About as long as a container with a short life takes beside.
const BREAK: Duration = Duration::from_millis(8);

fn main() {
    network_namespace::in_new(|| {
        loopback::bring_up().expect("root may bring lo up");
        let networks = Networks::open(Settings::new("bench")).expect("a new host has room");
        measure("new_namespace", || drop(network::new_namespace().expect("root may")));
        for ports in [0, 1, 10] {
            one_by_one(&networks, ports);
        }
        crowd(&networks);
    })
    .expect("root may make a network namespace");
}

fn request(name: &str, ports: u16) -> AttachRequest {
    let port = |container_port| PortRequest {
        container_port,
        protocol: Protocol::Tcp,
        host_ip: None,
        host_ports: None,
    };
    AttachRequest {
        container_id: name.to_owned(),
        container_name: name.to_owned(),
        network: "bridge".to_owned(),
        mac: None,
        ports: (1..=ports).map(port).collect(),
    }
}

fn one_by_one(networks: &Networks, ports: u16) {
    let mut attachments = Vec::new();
    measure(&format!("attach, {ports} ports, others stay"), || {
        let name = attachments.len().to_string();
        attachments.push(networks.attach(&request(&name, ports)).expect("there is room"));
    });
    let mut names = 0..;
    measure(&format!("detach, {ports} ports"), || {
        let name = names.next().map(|name: usize| name.to_string());
        networks.detach(&name.expect("numbers don't end")).expect("it is attached");
    });
    drop(attachments);
    measure_with(BREAK, &format!("attach, {ports} ports, and detach, one every {BREAK:?}"), || {
        let _attachment = networks.attach(&request("one", ports)).expect("there is room");
        networks.detach("one").expect("it is attached");
    });
    measure(&format!("attach, {ports} ports, and detach"), || {
        let _attachment = networks.attach(&request("one", ports)).expect("there is room");
        networks.detach("one").expect("it is attached");
    });
}

fn crowd(networks: &Networks) {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..CROWD {
            scope.spawn(move || {
                let name = number.to_string();
                networks.attach(&request(&name, 1)).expect("there is room")
            });
        }
    });
    println!("{CROWD} attach at once, 1 port: {:?} in all", start.elapsed());
}

fn measure(what: &str, work: impl FnMut()) {
    measure_with(Duration::ZERO, what, work);
}

fn measure_with(pause: Duration, what: &str, mut work: impl FnMut()) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            work();
            let time = start.elapsed();
            std::thread::sleep(pause);
            time
        })
        .collect();
    times.sort_unstable();
    let at = |percent: usize| times[ROUNDS * percent / 100];
    println!("{what}: median {:?}, 10% {:?}, 90% {:?}", at(50), at(10), at(90));
}
