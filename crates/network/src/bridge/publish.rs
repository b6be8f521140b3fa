//! Giving host ports to containers.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::io::Errno;

use super::ports::{HostPort, Ports};
use super::reservation;
use crate::attachment::{PortRequest, PublishedPort};
use crate::errors::PublishError;

/// The ports that the kernel chooses from, and so do we. Two numbers.
const RANGE_PATH: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// The kernel's default range.
const RANGE_DEFAULT: RangeInclusive<u16> = 32768..=60999;

/// The host ports of one network.
#[derive(Debug)]
pub(super) struct Publisher {
    default_ip: IpAddr,
    ports: Mutex<Ports>,
    range: OnceLock<RangeInclusive<u16>>,
}

/// Ports that were given to a container, in the order in which it asked.
#[derive(Debug, Default)]
pub(super) struct Publication {
    pub(super) ports: Vec<PublishedPort>,
    pub(super) held: Vec<OwnedFd>,
}

/// Who publishes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) name: &'a str,
    pub(super) address: Ipv4Addr,
}

impl Publisher {
    pub(super) fn new(default_ip: IpAddr) -> Self {
        Self { default_ip, ports: Mutex::default(), range: OnceLock::new() }
    }

    /// Takes a port for each request, or none at all.
    pub(super) fn reserve(
        &self,
        owner: Owner<'_>,
        requests: &[PortRequest],
    ) -> Result<Publication, PublishError> {
        let mut given = Vec::with_capacity(requests.len());
        // What leaves less choice comes first, or it might find its port given away.
        let mut order: Vec<usize> = (0..requests.len()).collect();
        order.sort_by_key(|index| choice(&requests[*index]));
        for index in order {
            match self.reserve_one(owner, &requests[index]) {
                Ok((port, held)) => given.push((index, port, held)),
                Err(error) => {
                    let ports: Vec<_> = given.iter().map(|(_, port, _)| *port).collect();
                    self.release(&ports);
                    return Err(error);
                }
            }
        }
        given.sort_by_key(|(index, ..)| *index);
        let mut publication = Publication::default();
        for (_, port, held) in given {
            publication.ports.push(port);
            publication.held.extend(held);
        }
        Ok(publication)
    }

    /// Notes ports that a container holds already.
    pub(super) fn adopt(&self, name: &str, ports: &[PublishedPort]) {
        let mut book = self.ports();
        for port in ports {
            // Taken twice, the first one keeps it, and the firewall's map knows no better.
            let _ = book.take(port.into(), name);
        }
    }

    /// Notes the new name of whoever holds these ports.
    pub(super) fn rename(&self, name: &str, ports: &[PublishedPort]) {
        let mut book = self.ports();
        ports.iter().for_each(|port| book.rename(port.into(), name));
    }

    pub(super) fn release(&self, ports: &[PublishedPort]) {
        let mut book = self.ports();
        ports.iter().for_each(|port| book.release(port.into()));
    }

    fn reserve_one(
        &self,
        owner: Owner<'_>,
        request: &PortRequest,
    ) -> Result<(PublishedPort, Option<OwnedFd>), PublishError> {
        let ip = request.host_ip.unwrap_or(self.default_ip);
        if ip.is_ipv6() {
            return Err(PublishError::NoIpv6(ip));
        }
        let port = |port| HostPort { protocol: request.protocol, ip, port };
        let (found, held) = match &request.host_ports {
            Some(range) if range.start() == range.end() => {
                let port = port(*range.start());
                (port.port, self.reserve_named(owner, request, port)?)
            }
            Some(range) => self.reserve_among(owner, request, range.clone(), port)?,
            None => {
                let candidates = self.ports().candidates(request.protocol, self.range());
                let (found, held) = self.reserve_among(owner, request, candidates, port)?;
                self.ports().chosen(request.protocol, found);
                (found, held)
            }
        };
        let published = PublishedPort {
            container_port: request.container_port,
            protocol: request.protocol,
            host_ip: ip,
            host_port: found,
        };
        Ok((published, held))
    }

    fn reserve_named(
        &self,
        owner: Owner<'_>,
        request: &PortRequest,
        port: HostPort,
    ) -> Result<Option<OwnedFd>, PublishError> {
        self.ports().take(port, owner.name).map_err(|holder| PublishError::Taken {
            ip: holder.ip,
            port: port.port,
            holder: holder.name,
        })?;
        reservation::reserve(port).map_err(|errno| {
            self.ports().release(port);
            cannot_bind(owner, request, port, errno)
        })
    }

    /// Takes the first free port of several.
    fn reserve_among(
        &self,
        owner: Owner<'_>,
        request: &PortRequest,
        candidates: impl Iterator<Item = u16>,
        host_port: impl Fn(u16) -> HostPort,
    ) -> Result<(u16, Option<OwnedFd>), PublishError> {
        for candidate in candidates {
            let port = host_port(candidate);
            if self.ports().take(port, owner.name).is_err() {
                continue;
            }
            match reservation::reserve(port) {
                Ok(held) => return Ok((candidate, held)),
                Err(errno) => {
                    self.ports().release(port);
                    if errno != Errno::ADDRINUSE {
                        return Err(cannot_bind(owner, request, port, errno));
                    }
                }
            }
        }
        Err(PublishError::AllTaken)
    }

    fn range(&self) -> RangeInclusive<u16> {
        self.range.get_or_init(|| read_range().unwrap_or(RANGE_DEFAULT)).clone()
    }

    fn ports(&self) -> MutexGuard<'_, Ports> {
        // Every change is one call that leaves the book consistent, whoever panics.
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cannot_bind(
    owner: Owner<'_>,
    request: &PortRequest,
    port: HostPort,
    errno: Errno,
) -> PublishError {
    PublishError::Bind {
        ip: port.ip,
        port: port.port,
        address: owner.address,
        container_port: request.container_port,
        protocol: port.protocol,
        errno,
    }
}

/// How many ports would do.
fn choice(request: &PortRequest) -> usize {
    request.host_ports.as_ref().map_or(usize::MAX, ExactSizeIterator::len)
}

fn read_range() -> Option<RangeInclusive<u16>> {
    let text = fs::read_to_string(RANGE_PATH).ok()?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    let (first, last) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (first <= last).then_some(first..=last)
}
