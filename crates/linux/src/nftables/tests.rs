//! What the kernel understood, as the `nft` program tells it.

use std::process::Command;

use super::{
    AddressType, Batch, ChainKind, Comparison, ConnectionKey, DataType, Element, Expression,
    Filter, Hook, Map, Meta, NetworkField, Point, Register, TransportField, Verdict, concatenate,
};
use crate::network_namespace;

const TABLE: &str = "test";

/// The rule set as `nft` lists it, or `None` without the program.
fn listing() -> Option<String> {
    let output = match Command::new("nft").args(["list", "ruleset"]).output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("skipped: cannot run nft: {error}");
            return None;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

fn in_new_namespace(test: impl FnOnce(&Filter) + Send) {
    network_namespace::in_new(|| test(&Filter::open().unwrap())).unwrap();
}

fn element(port: u16, address: [u8; 4]) -> Element {
    Element {
        key: concatenate(&[&[6], &port.to_be_bytes()]),
        value: concatenate(&[&address, &80_u16.to_be_bytes()]),
    }
}

const MAP: Map<'_> = Map {
    name: "published",
    key: &[DataType::Protocol, DataType::Service],
    value: &[DataType::Ipv4Address, DataType::Service],
};

#[test]
fn rules_mean_what_they_say() {
    in_new_namespace(|filter| {
        let mut batch = Batch::default();
        batch.add_table(TABLE);
        batch.add_map(TABLE, &MAP);
        let nat = Hook { kind: ChainKind::Nat, point: Point::Prerouting, priority: -100 };
        batch.add_chain(TABLE, "redirect", nat);
        let forward = Hook { kind: ChainKind::Filter, point: Point::Forward, priority: 0 };
        batch.add_chain(TABLE, "guard", forward);
        let leave = Hook { kind: ChainKind::Nat, point: Point::Postrouting, priority: 100 };
        batch.add_chain(TABLE, "leave", leave);

        let first = Register(0);
        batch.add_rule(
            TABLE,
            "redirect",
            &[
                Expression::LoadDestinationType { to: first },
                Expression::Compare {
                    register: first,
                    comparison: Comparison::Equal,
                    value: AddressType::Local.to_bytes(),
                },
                Expression::LoadMeta { key: Meta::TransportProtocol, to: first },
                Expression::LoadTransport {
                    field: TransportField::DestinationPort,
                    to: Register(1),
                },
                Expression::LookUp { map: MAP.name, key: first, to: first },
                Expression::TranslateDestination { address: first, port: Register(1) },
            ],
        );
        batch.add_rule(
            TABLE,
            "guard",
            &[
                Expression::LoadMeta { key: Meta::OutputName, to: first },
                Expression::CompareName {
                    register: first,
                    comparison: Comparison::Equal,
                    name: "br0",
                },
                Expression::LoadConnection { key: ConnectionKey::State, to: first },
                Expression::Mask { register: first, mask: ConnectionKey::ESTABLISHED_OR_RELATED },
                Expression::Compare {
                    register: first,
                    comparison: Comparison::NotEqual,
                    value: [0; 4],
                },
                Expression::Verdict(Verdict::Accept),
            ],
        );
        batch.add_rule(
            TABLE,
            "guard",
            &[
                Expression::LoadNetwork { field: NetworkField::Destination, to: first },
                Expression::Mask { register: first, mask: [255, 0, 0, 0] },
                Expression::Compare {
                    register: first,
                    comparison: Comparison::Equal,
                    value: [127, 0, 0, 0],
                },
                Expression::Verdict(Verdict::Drop),
            ],
        );
        batch.add_rule(TABLE, "leave", &[Expression::Masquerade]);
        batch.add_elements(TABLE, MAP.name, &[element(8080, [172, 17, 0, 2])]);
        filter.run(batch).unwrap();

        let Some(listing) = listing() else { return };
        let expected = "\
table ip test {
	map published {
		type inet_proto . inet_service : ipv4_addr . inet_service
		elements = { tcp . 8080 : 172.17.0.2 . 80 }
	}

	chain redirect {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local dnat ip to meta l4proto . th dport map @published
	}

	chain guard {
		type filter hook forward priority filter; policy accept;
		oifname \"br0\" ct state established,related accept
		ip daddr 127.0.0.0/8 drop
	}

	chain leave {
		type nat hook postrouting priority srcnat; policy accept;
		masquerade
	}
}
";
        assert_eq!(listing, expected);
    });
}

#[test]
fn elements_come_and_go() {
    in_new_namespace(|filter| {
        let mut batch = Batch::default();
        batch.add_table(TABLE);
        batch.add_map(TABLE, &MAP);
        // More than one message takes.
        let elements: Vec<_> = (1..=1200).map(|port| element(port, [10, 0, 0, 1])).collect();
        batch.add_elements(TABLE, MAP.name, &elements);
        filter.run(batch).unwrap();

        let mut batch = Batch::default();
        batch.remove_elements(TABLE, MAP.name, &elements[1..]);
        filter.run(batch).unwrap();
        if let Some(listing) = listing() {
            assert!(listing.contains("elements = { tcp . 1 : 10.0.0.1 . 80 }"), "{listing}");
        }
    });
}

#[test]
fn a_refused_batch_changes_nothing() {
    in_new_namespace(|filter| {
        let mut batch = Batch::default();
        batch.add_table(TABLE);
        batch.add_elements(TABLE, "no such map", &[element(1, [10, 0, 0, 1])]);
        let error = filter.run(batch).unwrap_err();
        assert_eq!(error.errno, rustix::io::Errno::NOENT);
        assert_eq!(filter.table_size(TABLE).unwrap(), None);
    });
}

#[test]
fn a_table_tells_its_size() {
    in_new_namespace(|filter| {
        let mut batch = Batch::default();
        batch.add_table(TABLE);
        batch.add_map(TABLE, &MAP);
        let hook = Hook { kind: ChainKind::Filter, point: Point::Output, priority: 0 };
        batch.add_chain(TABLE, "chain", hook);
        batch.add_rule(TABLE, "chain", &[Expression::Verdict(Verdict::Return)]);
        filter.run(batch).unwrap();
        assert_eq!(filter.table_size(TABLE).unwrap(), Some(2));
        assert_eq!(filter.chain_size(TABLE, "chain").unwrap(), Some(1));
        assert_eq!(filter.chain_size(TABLE, "none").unwrap(), None);

        let mut batch = Batch::default();
        batch.remove_table(TABLE);
        filter.run(batch).unwrap();
        assert_eq!(filter.table_size(TABLE).unwrap(), None);
    });
}
