//! API 1.49 and older.

use docker_api::ApiVersion;
use docker_api::system::SystemInfo;
use serde_json::{Map, Value};

pub(super) const LAST: ApiVersion = ApiVersion::new(49);

/// Whether bridged packets pass iptables was told, though never so.
pub(super) fn info(info: &mut SystemInfo) {
    info.bridge_nf_iptables = Some(false);
    info.bridge_nf_ip6tables = Some(false);
}

/// An image's configuration had all of a container's members, in the order of the alphabet.
pub(super) fn image_inspect(image: &mut Value) {
    let Some(Value::Object(config)) = image.get_mut("Config") else { return };
    let container_only: [(&str, Value); 8] = [
        ("AttachStderr", false.into()),
        ("AttachStdin", false.into()),
        ("AttachStdout", false.into()),
        ("Domainname", "".into()),
        ("Hostname", "".into()),
        ("Image", "".into()),
        ("OpenStdin", false.into()),
        ("StdinOnce", false.into()),
    ];
    for (name, value) in container_only.into_iter().chain([("Tty", false.into())]) {
        config.entry(name).or_insert(value);
    }
    let mut members: Vec<(String, Value)> = std::mem::take(config).into_iter().collect();
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    *config = Map::from_iter(members);
}
