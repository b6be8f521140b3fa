//! Answers of a Docker engine 28.5, read and written back: not a byte may change.

use serde::Serialize;
use serde::de::DeserializeOwned;

#[track_caller]
fn survives<T: Serialize + DeserializeOwned>(sample: &str) {
    for line in sample.lines() {
        let plain: T = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&plain).unwrap(), line);
        let lenient: T = crate::lenient::from_slice(line.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&lenient).unwrap(), line);
    }
}

#[test]
fn containers() {
    survives::<crate::containers::ContainerInspect>(include_str!("samples/container_inspect.json"));
    survives::<Vec<crate::containers::ContainerSummary>>(include_str!(
        "samples/container_list.json"
    ));
    survives::<crate::exec::ExecInspect>(include_str!("samples/exec_inspect.json"));
}

#[test]
fn images() {
    survives::<crate::images::ImageInspect>(include_str!("samples/image_inspect.json"));
    survives::<Vec<crate::images::ImageSummary>>(include_str!("samples/image_list.json"));
}

#[test]
fn volumes_and_networks() {
    survives::<crate::volumes::VolumeList>(include_str!("samples/volume_list.json"));
    survives::<Vec<crate::networks::Network>>(include_str!("samples/network_list.json"));
}

#[test]
fn the_engine_itself() {
    survives::<crate::system::VersionInfo>(include_str!("samples/version.json"));
    survives::<crate::system::SystemInfo>(include_str!("samples/info.json"));
    survives::<crate::system::DiskUsage>(include_str!("samples/disk_usage.json"));
    survives::<crate::events::EventMessage>(include_str!("samples/events.jsonl"));
}
