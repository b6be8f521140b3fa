//! What each kind of thing takes of the disk, as a row.

use docker_api::containers::ContainerSummary;
use docker_api::images::ImageSummary;
use docker_api::system::DiskUsage;
use docker_api::volumes::Volume;
use serde_json::Value;

use crate::output::rows::Row;
use crate::output::units;

/// One kind of thing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UsageRow {
    kind: &'static str,
    total: usize,
    active: usize,
    size: i64,
    reclaimable: i64,
    /// Whether the reclaimable part is told in percent as well.
    with_percent: bool,
}

/// Every kind.
pub(crate) fn rows(usage: &DiskUsage) -> Vec<UsageRow> {
    vec![
        images(usage.images.as_deref().unwrap_or_default(), usage.layers_size),
        containers(usage.containers.as_deref().unwrap_or_default()),
        volumes(usage.volumes.as_deref().unwrap_or_default()),
        build_cache(usage.build_cache.as_deref().unwrap_or_default()),
    ]
}

fn images(images: &[ImageSummary], size: i64) -> UsageRow {
    let known = |image: &&ImageSummary| {
        image.containers != 0 && image.size != -1 && image.shared_size != -1
    };
    let used: i64 = images.iter().filter(known).map(|image| image.size - image.shared_size).sum();
    UsageRow {
        kind: "Images",
        total: images.len(),
        active: images.iter().filter(|image| image.containers > 0).count(),
        size,
        reclaimable: size - used,
        with_percent: true,
    }
}

fn containers(containers: &[ContainerSummary]) -> UsageRow {
    let is_active = |container: &&ContainerSummary| {
        matches!(container.state.as_str(), "running" | "paused" | "restarting")
    };
    let size: i64 = containers.iter().map(|container| container.size_rw).sum();
    let used: i64 = containers.iter().filter(is_active).map(|container| container.size_rw).sum();
    UsageRow {
        kind: "Containers",
        total: containers.len(),
        active: containers.iter().filter(is_active).count(),
        size,
        reclaimable: size - used,
        with_percent: true,
    }
}

fn volumes(volumes: &[Volume]) -> UsageRow {
    let usages = || volumes.iter().filter_map(|volume| volume.usage_data.as_ref());
    let known = || usages().filter(|usage| usage.size != -1);
    UsageRow {
        kind: "Local Volumes",
        total: volumes.len(),
        active: usages().filter(|usage| usage.ref_count > 0).count(),
        size: known().map(|usage| usage.size).sum(),
        reclaimable: known().filter(|usage| usage.ref_count == 0).map(|usage| usage.size).sum(),
        with_percent: true,
    }
}

fn build_cache(records: &[Value]) -> UsageRow {
    let is = |record: &Value, name: &str| record[name].as_bool().unwrap_or_default();
    let own: Vec<_> = records.iter().filter(|record| !is(record, "Shared")).collect();
    let size = |record: &&&Value| record["Size"].as_i64().unwrap_or_default();
    let total: i64 = own.iter().map(|record| size(&record)).sum();
    let used: i64 =
        own.iter().filter(|record| is(record, "InUse")).map(|record| size(&record)).sum();
    UsageRow {
        kind: "Build Cache",
        total: records.len(),
        active: records.iter().filter(|record| is(record, "InUse")).count(),
        size: total,
        reclaimable: total - used,
        with_percent: false,
    }
}

impl UsageRow {
    pub(crate) const fn size(&self) -> i64 {
        self.size
    }
}

impl Row for UsageRow {
    const TYPE: &'static str = "*formatter.diskUsageImagesContext";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ];
    const HAS_LABELS: bool = false;

    fn field(&self, name: &str) -> Value {
        let reclaimable = units::size(self.reclaimable as f64);
        let text = match name {
            "Type" => self.kind.to_owned(),
            "TotalCount" => self.total.to_string(),
            "Active" => self.active.to_string(),
            "Size" => units::size(self.size as f64),
            _ if self.with_percent && self.size > 0 => {
                format!("{reclaimable} ({}%)", self.reclaimable * 100 / self.size)
            }
            _ => reclaimable,
        };
        text.into()
    }
}
