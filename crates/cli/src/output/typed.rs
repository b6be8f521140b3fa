//! Documents as Go sees them: some objects are structures, others are maps.
//!
//! Go prints `{running true}` for the one and `map[a:b]` for the other, refuses to go
//! through a structure that is not there, and says `<no value>` for a key that a map does
//! not have. A document does not tell which is which, but the names of its members do.

use serde_json::{Map, Value};

/// Members that are lists in Go, for which an engine may say `null`.
const LISTS: &[&str] = &[
    "Aliases",
    "Binds",
    "BlkioDeviceReadBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceWriteIOps",
    "BlkioWeightDevice",
    "CapAdd",
    "CapDrop",
    "Cmd",
    "DNSNames",
    "DeviceCgroupRules",
    "DeviceRequests",
    "Devices",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "Entrypoint",
    "Env",
    "ExecIDs",
    "ExtraHosts",
    "GroupAdd",
    "Layers",
    "Links",
    "MaskedPaths",
    "Mounts",
    "OnBuild",
    "ReadonlyPaths",
    "RepoDigests",
    "RepoTags",
    "SecondaryIPAddresses",
    "SecondaryIPv6Addresses",
    "SecurityOpt",
    "Shell",
    "Ulimits",
    "VolumesFrom",
];
/// Members that are maps in Go.
const MAPS: &[&str] = &[
    "Annotations",
    "Attributes",
    "AuxiliaryAddresses",
    "Containers",
    "Details",
    "DriverOpts",
    "ExposedPorts",
    "Labels",
    "Networks",
    "Options",
    "PortBindings",
    "Ports",
    "Runtimes",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "Volumes",
];

/// The document with empty lists and maps where Go has those and an engine said `null`.
pub(crate) fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| {
                let value = match value {
                    Value::Null if LISTS.contains(&name.as_str()) => Value::Array(Vec::new()),
                    Value::Null if MAPS.contains(&name.as_str()) => Value::Object(Map::new()),
                    value => without_nulls(value),
                };
                (name.clone(), value)
            });
            Value::Object(members.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        value => value.clone(),
    }
}

/// What `{{.a.b.c}}` prints; `None` where Go refuses.
pub(crate) fn print(document: &Value, path: &[&str]) -> Option<String> {
    let (mut value, mut name) = (document, "");
    for member in path {
        let Value::Object(members) = value else { return None };
        value = match members.get(*member) {
            Some(value) => value,
            None if MAPS.contains(&name) => return Some("<no value>".to_owned()),
            None => return None,
        };
        name = member;
    }
    let mut text = String::new();
    push(&mut text, value, MAPS.contains(&name));
    Some(text)
}

fn push(text: &mut String, value: &Value, is_map: bool) {
    match value {
        Value::Null => text.push_str("<nil>"),
        Value::String(value) => text.push_str(value),
        Value::Bool(_) | Value::Number(_) => text.push_str(&value.to_string()),
        Value::Array(items) => {
            text.push('[');
            push_all(text, items.iter(), |text, item| push(text, item, false));
            text.push(']');
        }
        Value::Object(members) if is_map => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.as_str());
            text.push_str("map[");
            push_all(text, members.into_iter(), |text, (name, value)| {
                text.push_str(name);
                text.push(':');
                push(text, value, false);
            });
            text.push(']');
        }
        Value::Object(members) => {
            text.push('{');
            push_all(text, members.iter(), |text, (name, value)| {
                push(text, value, MAPS.contains(&name.as_str()));
            });
            text.push('}');
        }
    }
}

fn push_all<T>(
    text: &mut String,
    items: impl Iterator<Item = T>,
    mut push: impl FnMut(&mut String, T),
) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            text.push(' ');
        }
        push(text, item);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::print;

    #[test]
    fn structures_and_maps_are_told_apart_by_their_names() {
        let document = json!({
            "State": {"Status": "running", "Pid": 7, "Health": null},
            "Labels": {"b": "2", "a": "1"},
            "Ports": {"80/tcp": [{"HostIp": "::", "HostPort": "80"}]},
            "Args": ["x", "y"],
        });
        let print = |path: &[&str]| print(&document, path);
        assert_eq!(print(&["State"]).unwrap(), "{running 7 <nil>}");
        assert_eq!(print(&["Labels"]).unwrap(), "map[a:1 b:2]");
        assert_eq!(print(&["Ports"]).unwrap(), "map[80/tcp:[{:: 80}]]");
        assert_eq!(print(&["Args"]).unwrap(), "[x y]");
        assert_eq!(print(&["Labels", "c"]).unwrap(), "<no value>");
        assert_eq!(print(&["State", "Health", "Status"]), None);
        assert_eq!(print(&["Foo"]), None);
    }
}
