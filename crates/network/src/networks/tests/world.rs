//! A host with a neighbour.
//!
//! ```text
//!   container ── bridge ── host (192.0.2.1) ── outside (192.0.2.2)
//! ```

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use linux::route::{Address, Changes, Route, VethPair};
use linux::{loopback, network_namespace};

use crate::attachment::{AttachRequest, Attachment, AttachmentRecord, PortRequest};
use crate::errors::AttachError;
use crate::networks::Networks;
use crate::settings::Settings;

pub(super) const HOST_IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(super) const OUTSIDE_IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// How long an answer may take that is expected. Only a failure waits for it.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How long one is listened for that should not come. A dropped packet leaves no trace.
const SILENCE: Duration = Duration::from_millis(150);

pub(super) struct World {
    host: OwnedFd,
    outside: OwnedFd,
}

impl World {
    pub(super) fn new() -> Self {
        let outside = network_namespace::in_new(|| network_namespace::current().unwrap()).unwrap();
        let host = network_namespace::in_new(|| {
            loopback::bring_up().unwrap();
            let mut changes = Changes::default();
            changes.add_veth(&VethPair {
                name: "uplink",
                mtu: 1500,
                bridge: None,
                peer_name: "uplink",
                peer_mac: [2, 0, 0, 0, 0, 2],
                peer_namespace: outside.as_fd(),
            });
            Route::open().unwrap().change(&changes).unwrap();
            give_address("uplink", HOST_IP);
            network_namespace::current().unwrap()
        })
        .unwrap();
        inside(&outside, || give_address("uplink", OUTSIDE_IP));
        Self { host, outside }
    }

    pub(super) fn on_host<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.host, work)
    }

    pub(super) fn networks(&self, instance: &str) -> Networks {
        // Tests that count what is there want nothing made in advance.
        self.networks_with(Settings { spares: 0, ..Settings::new(instance) })
    }

    pub(super) fn networks_with(&self, settings: Settings) -> Networks {
        self.on_host(|| Networks::open(settings)).unwrap()
    }

    /// Networks that keep endpoints ready, as they do by default.
    pub(super) fn networks_with_spares(&self, instance: &str) -> Networks {
        self.networks_with(Settings::new(instance))
    }

    pub(super) fn request(&self, name: &str, ports: &[PortRequest]) -> AttachRequest {
        AttachRequest {
            container_id: name.to_owned(),
            container_name: name.to_owned(),
            network: "bridge".to_owned(),
            mac: None,
            ports: ports.to_vec(),
        }
    }

    #[track_caller]
    pub(super) fn container(
        &self,
        networks: &Networks,
        name: &str,
        ports: &[PortRequest],
    ) -> Container {
        self.try_container(networks, name, ports).unwrap_or_else(|error| panic!("{error:?}"))
    }

    pub(super) fn try_container(
        &self,
        networks: &Networks,
        name: &str,
        ports: &[PortRequest],
    ) -> Result<Container, AttachError> {
        let request = self.request(name, ports);
        self.on_host(|| networks.attach(&request)).map(Container::new)
    }

    pub(super) fn serve_outside(&self, port: u16) {
        serve(self.outside.as_fd(), Ipv4Addr::UNSPECIFIED, port);
    }

    pub(super) fn serve_on_host(&self, address: Ipv4Addr, port: u16) {
        serve(self.host.as_fd(), address, port);
    }

    pub(super) fn host(&self) -> Place<'_> {
        Place(self.host.as_fd())
    }

    pub(super) fn outside(&self) -> Place<'_> {
        Place(self.outside.as_fd())
    }

    /// Whether the packet filter sees what passes within a bridge, where it can.
    pub(super) fn filter_bridges(&self, is_on: bool) {
        let path = "/proc/sys/net/bridge/bridge-nf-call-iptables";
        let value = if is_on { "1" } else { "0" };
        if let Err(error) = self.on_host(|| fs::write(path, value)) {
            eprintln!("bridges are not filtered here: {path}: {error}");
        }
    }

    /// The outside takes the host for the way to this network.
    pub(super) fn route_from_outside(&self, network: Ipv4Addr, prefix: u8) {
        inside(&self.outside, || route_through("uplink", network, prefix, HOST_IP));
    }

    /// The packet filter's rules, or nothing without the program that lists them.
    pub(super) fn ruleset(&self) -> String {
        let output = self.on_host(|| Command::new("nft").args(["list", "ruleset"]).output());
        match output {
            Ok(output) => String::from_utf8(output.stdout).unwrap(),
            Err(error) => {
                eprintln!("skipped a comparison of rules: cannot run nft: {error}");
                String::new()
            }
        }
    }

    /// Whether there is a program to do it.
    pub(super) fn nft(&self, command: &str) -> bool {
        let output = self.on_host(|| Command::new("nft").args(command.split(' ')).output());
        match output {
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                true
            }
            Err(error) => {
                eprintln!("skipped: cannot run nft: {error}");
                false
            }
        }
    }

    pub(super) fn interfaces(&self) -> Vec<String> {
        let links = self.on_host(|| Route::open().unwrap().links().unwrap());
        links.into_iter().map(|link| link.name).collect()
    }

    pub(super) fn bridge_of(&self, networks: &Networks) -> String {
        networks.get("bridge").unwrap().options["com.docker.network.bridge.name"].clone()
    }

    pub(super) fn remove_interface(&self, name: &str) {
        self.on_host(|| {
            let route = Route::open().unwrap();
            let mut changes = Changes::default();
            changes.remove_link(route.link(name).unwrap().unwrap().index);
            route.change(&changes).unwrap();
        });
    }

    /// For what the kernel does in its own time.
    #[track_caller]
    pub(super) fn wait_until(&self, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + ANSWER_MAX;
        while !is_so() {
            assert!(Instant::now() < deadline, "it did not become so");
            thread::yield_now();
        }
    }
}

/// Where somebody is who wants something.
#[derive(Clone, Copy)]
pub(super) struct Place<'a>(BorrowedFd<'a>);

impl Place<'_> {
    /// Connects, and is told under which address it came.
    pub(super) fn ask(self, address: Ipv4Addr, port: u16) -> io::Result<Ipv4Addr> {
        self.ask_within(ANSWER_MAX, address, port)
    }

    #[track_caller]
    pub(super) fn cannot_reach(self, address: Ipv4Addr, port: u16) {
        let answer = self.ask_within(SILENCE, address, port);
        assert!(answer.is_err(), "{address}:{port} answered {answer:?}");
    }

    fn ask_within(self, time: Duration, address: Ipv4Addr, port: u16) -> io::Result<Ipv4Addr> {
        inside(self.0, || {
            let mut stream = TcpStream::connect_timeout(&(address, port).into(), time)?;
            stream.set_read_timeout(Some(ANSWER_MAX))?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            text.parse().map_err(|_| io::Error::other("no address"))
        })
    }

    pub(super) fn sender(self) -> Sender {
        Sender(inside(self.0, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))).unwrap())
    }
}

/// Somebody who always sends from the same port.
pub(super) struct Sender(UdpSocket);

impl Sender {
    /// Sends a datagram and waits for the name of whoever answers.
    pub(super) fn send(&self, address: Ipv4Addr, port: u16) -> io::Result<String> {
        self.0.connect((address, port))?;
        self.0.set_read_timeout(Some(ANSWER_MAX))?;
        self.0.send(b"ping")?;
        let mut buffer = [0; 16];
        let len = self.0.recv(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..len]).into_owned())
    }
}

/// A namespace that thinks it is one.
pub(super) struct Container {
    netns: OwnedFd,
    held_ports: Vec<OwnedFd>,
    pub(super) record: AttachmentRecord,
}

impl Container {
    pub(super) fn new(attachment: Attachment) -> Self {
        let Attachment { netns, held_ports, record } = attachment;
        Self { netns, held_ports, record }
    }

    pub(super) fn serve(&self, port: u16) {
        serve(self.netns.as_fd(), Ipv4Addr::UNSPECIFIED, port);
    }

    /// Answers every datagram with the container's name.
    pub(super) fn answer(&self, port: u16) {
        let socket = inside(&self.netns, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)));
        let socket = socket.unwrap();
        let name = self.record.container_name.clone();
        thread::spawn(move || {
            while let Ok((_, peer)) = socket.recv_from(&mut [0; 16]) {
                socket.send_to(name.as_bytes(), peer).unwrap();
            }
        });
    }

    /// As when the container ends, though its namespace stays.
    pub(super) fn close_ports(&mut self) {
        self.held_ports.clear();
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place(self.netns.as_fd())
    }

    /// What a container must not be able to do, however hard it tries.
    pub(super) fn route_loopback_to_host(&self) {
        inside(&self.netns, || {
            let route = Route::open().unwrap();
            let mut changes = Changes::default();
            changes.set_down(route.link("lo").unwrap().unwrap().index);
            route.change(&changes).unwrap();
            route_through("eth0", Ipv4Addr::LOCALHOST, 32, self.record.gateway);
        });
    }

    /// A file about the container's interface. `/sys` shows the namespace it was mounted
    /// in, so it takes a mount of its own, seen by one thread.
    pub(super) fn interface_file(&self, name: &str) -> String {
        inside(&self.netns, || {
            linux::namespaces::unshare(linux::namespaces::Namespaces::MOUNT).unwrap();
            let private = rustix::mount::MountPropagationFlags::PRIVATE
                | rustix::mount::MountPropagationFlags::REC;
            rustix::mount::mount_change("/", private).unwrap();
            let flags = rustix::mount::MountFlags::empty();
            rustix::mount::mount("sysfs", "/sys", "sysfs", flags, None).unwrap();
            fs::read_to_string(format!("/sys/class/net/eth0/{name}")).unwrap().trim().to_owned()
        })
    }
}

/// Reads a port as the command line has it: `[[ip:]host:]container[/protocol]`.
pub(super) fn port(text: &str) -> PortRequest {
    let (text, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let mut parts: Vec<_> = text.split(':').rev().collect();
    parts.resize(3, "");
    let host_ports = (!parts[1].is_empty()).then(|| {
        let (first, last) = parts[1].split_once('-').unwrap_or((parts[1], parts[1]));
        first.parse().unwrap()..=last.parse().unwrap()
    });
    PortRequest {
        container_port: parts[0].parse().unwrap(),
        protocol: protocol.parse().unwrap(),
        host_ip: (!parts[2].is_empty()).then(|| parts[2].parse().unwrap()),
        host_ports,
    }
}

pub(super) fn ports(texts: &[&str]) -> Vec<PortRequest> {
    texts.iter().map(|text| port(text)).collect()
}

fn inside<T: Send>(namespace: impl AsFd, work: impl FnOnce() -> T + Send) -> T {
    network_namespace::inside(namespace.as_fd(), work).unwrap()
}

fn give_address(interface: &str, address: Ipv4Addr) {
    let route = Route::open().unwrap();
    let link = route.link(interface).unwrap().unwrap().index;
    let mut changes = Changes::default();
    changes.set_up(link);
    changes.add_address(Address { link, address, prefix: 24 });
    route.change(&changes).unwrap();
}

/// Sends even what goes to 127.0.0.0/8 over a wire.
fn route_through(interface: &str, network: Ipv4Addr, prefix: u8, gateway: Ipv4Addr) {
    fs::write(format!("/proc/sys/net/ipv4/conf/{interface}/route_localnet"), "1").unwrap();
    let route = Route::open().unwrap();
    let link = route.link(interface).unwrap().unwrap().index;
    let network = crate::Cidr::new(network, prefix).unwrap().network();
    let mut changes = Changes::default();
    changes.add_route(network.address(), network.prefix(), gateway, link);
    route.change(&changes).unwrap();
}

/// Tells everybody who connects under which address they came.
fn serve(namespace: BorrowedFd<'_>, address: Ipv4Addr, port: u16) {
    let listener = inside(namespace, || TcpListener::bind((address, port))).unwrap();
    thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            // Whoever asked may be gone.
            let _ = stream.write_all(peer.ip().to_string().as_bytes());
        }
    });
}
