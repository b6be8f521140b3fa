//! A container's ports in few words: `0.0.0.0:8080->80/tcp, 443/tcp`.

use docker_api::containers::Port;

/// Neighbouring ports, as one entry.
#[derive(Debug)]
struct Group<'a> {
    address: &'a str,
    protocol: &'a str,
    first: u16,
    last: u16,
}

/// Every port, with neighbours put together where the number outside is that inside.
pub(crate) fn display(ports: &[Port]) -> String {
    let mut sorted: Vec<_> = ports.iter().collect();
    sorted.sort_by(|a, b| {
        let key = |port: &Port| (port.private_port, port.public_port);
        (a.private_port, &a.ip, key(a), &a.protocol).cmp(&(
            b.private_port,
            &b.ip,
            key(b),
            &b.protocol,
        ))
    });
    let mut done = Vec::new();
    let mut open: Vec<Group<'_>> = Vec::new();
    let mut mapped = Vec::new();
    for port in sorted {
        if !port.ip.is_empty() && port.public_port != port.private_port {
            let place = join(&port.ip, &port.public_port.to_string());
            mapped.push(format!("{place}->{}/{}", port.private_port, port.protocol));
            continue;
        }
        let number = port.private_port;
        let group = open
            .iter_mut()
            .find(|group| group.address == port.ip && group.protocol == port.protocol);
        match group {
            Some(group) if Some(number) == group.last.checked_add(1) => group.last = number,
            Some(group) => {
                done.push(group.to_string());
                (group.first, group.last) = (number, number);
            }
            None => open.push(Group {
                address: &port.ip,
                protocol: &port.protocol,
                first: number,
                last: number,
            }),
        }
    }
    done.extend(open.iter().map(ToString::to_string));
    done.extend(mapped);
    done.join(", ")
}

/// An address with a port; an IPv6 address goes into brackets.
pub(crate) fn join(address: &str, port: &str) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

impl std::fmt::Display for Group<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let range = if self.first == self.last {
            self.first.to_string()
        } else {
            format!("{}-{}", self.first, self.last)
        };
        if !self.address.is_empty() {
            write!(f, "{}->", join(self.address, &range))?;
        }
        write!(f, "{range}/{}", self.protocol)
    }
}

#[cfg(test)]
mod tests {
    use docker_api::containers::Port;

    #[track_caller]
    fn check(ports: &[(&str, u16, u16, &str)], expected: &str) {
        let ports: Vec<_> = ports
            .iter()
            .map(|&(ip, public_port, private_port, protocol)| Port {
                ip: ip.to_owned(),
                public_port,
                private_port,
                protocol: protocol.to_owned(),
            })
            .collect();
        assert_eq!(super::display(&ports), expected);
    }

    #[test]
    fn neighbours_are_put_together() {
        check(&[("", 0, 80, "tcp"), ("", 0, 81, "tcp")], "80-81/tcp");
        check(
            &[("", 0, 80, "tcp"), ("", 0, 82, "tcp"), ("", 0, 80, "udp")],
            "80/tcp, 82/tcp, 80/udp",
        );
        check(
            &[("0.0.0.0", 80, 80, "tcp"), ("0.0.0.0", 81, 81, "tcp")],
            "0.0.0.0:80-81->80-81/tcp",
        );
        check(
            &[("0.0.0.0", 8080, 80, "tcp"), ("::", 8080, 80, "tcp"), ("", 0, 443, "tcp")],
            "443/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp",
        );
    }
}
