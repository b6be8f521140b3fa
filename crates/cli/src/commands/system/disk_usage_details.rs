//! `wharf system df --verbose`: every thing that takes of the disk.

use docker_api::system::DiskUsage;
use jiff::Timestamp;
use serde_json::Value;

use super::disk_usage_rows;
use crate::commands::container::list::ContainerRow;
use crate::commands::container::listed::Listed;
use crate::commands::image::ImageRow;
use crate::commands::volume::VolumeRow;
use crate::failure::Failure;
use crate::options::references;
use crate::output::rows::{self, Format, Row};
use crate::output::template::{Scope, Template};
use crate::output::units;

const IMAGES: &str = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t\
                      {{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";
const CONTAINERS: &str = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t\
                          {{.RunningFor}}\t{{.Status}}\t{{.Names}}";
const VOLUMES: &str = "table {{.Name}}\t{{.Links}}\t{{.Size}}";
const BUILD_CACHE: &str =
    "CACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED\n";

const RAW_IMAGE: &str = "type: Image
repository: {{.Repository}}
tag: {{.Tag}}
digest: {{.Digest}}
image_id: {{.ID}}
created_at: {{.CreatedAt}}
virtual_size: {{.Size}}
";
const RAW_CONTAINER: &str = "type: Container
container_id: {{.ID}}
image: {{.Image}}
command: {{.Command}}
created_at: {{.CreatedAt}}
state: {{.State}}
status: {{.Status}}
names: {{.Names}}
labels: {{- pad .Labels 1 0}}
ports: {{- pad .Ports 1 0}}
size: {{.Size}}
";
const RAW_VOLUME: &str = "type: Volume
name: {{.Name}}
driver: {{.Driver}}
";

/// What Go calls all of them together.
const TYPE: &str = "*formatter.diskUsageContext";

/// As tables, one for each kind.
pub(super) fn tables(usage: &DiskUsage) -> Result<String, Failure> {
    let cache = disk_usage_rows::rows(usage).pop().map_or(0, |row| row.size());
    let containers = containers(usage);
    Ok(format!(
        "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n\
         {}\nBuild cache usage: {}\n\n{BUILD_CACHE}",
        list(IMAGES, &image_rows(usage, true))?,
        list(CONTAINERS, &container_rows(&containers, true))?,
        list(VOLUMES, &volume_rows(usage))?,
        units::size(cache as f64),
    ))
}

/// A line for each property.
pub(super) fn raw(usage: &DiskUsage) -> Result<String, Failure> {
    let containers = containers(usage);
    Ok([
        list(RAW_IMAGE, &image_rows(usage, false))?,
        list(RAW_CONTAINER, &container_rows(&containers, false))?,
        list(RAW_VOLUME, &volume_rows(usage))?,
    ]
    .concat())
}

/// As a template has it, which gets all of them at once.
pub(super) fn formatted(usage: &DiskUsage, format: &str) -> Result<String, Failure> {
    // There are no columns, so that a table is none.
    let format = format.strip_prefix("table").unwrap_or(format).trim_matches(' ');
    let format = if format == "json" { "{{json .}}" } else { format };
    let format = format.replace("\\t", "\t").replace("\\n", "\n");
    let template = Template::parse(&format)
        .map_err(|error| Failure::new(format!("template parsing error: {error}")))?;
    let containers = containers(usage);
    let kinds = [
        ("Images", documents(&image_rows(usage, false))),
        ("Containers", documents(&container_rows(&containers, false))),
        ("Volumes", documents(&volume_rows(usage))),
        ("BuildCache", Vec::new()),
    ];
    let mut scope = Scope::new(TYPE);
    for (name, documents) in &kinds {
        let values = documents.iter().map(|document| serde_json::from_str(document));
        let values = values.collect::<Result<_, _>>().expect("they were made a moment ago");
        scope.set(name, &Value::Array(values));
    }
    let members = kinds.map(|(name, documents)| format!("\"{name}\":[{}]", documents.join(",")));
    scope.set_document(format!("{{{}}}", members.join(",")));
    template.render(&scope).map_err(|error| Failure::new(error.to_string()))
}

fn documents<R: Row>(rows: &[R]) -> Vec<String> {
    rows.iter().map(rows::document).collect()
}

fn list<R: Row>(format: &str, rows: &[R]) -> Result<String, Failure> {
    Format::parse(format)?.render(rows)
}

fn image_rows(usage: &DiskUsage, is_short: bool) -> Vec<ImageRow<'_>> {
    let now = Timestamp::now();
    let images = usage.images.iter().flatten();
    images
        .map(|image| {
            // Its first name stands for all.
            let name = image.repo_tags.iter().flatten().next();
            let name = name.and_then(|name| references::parse(name).ok());
            let none = || "<none>".to_owned();
            ImageRow {
                image,
                repository: name.as_ref().map_or_else(none, references::Reference::familiar_name),
                tag: name.and_then(|name| name.tag).unwrap_or_else(none),
                digest: String::new(),
                is_short,
                now,
            }
        })
        .collect()
}

fn containers(usage: &DiskUsage) -> Vec<Listed<'_>> {
    let mut containers: Vec<_> =
        usage.containers.iter().flatten().cloned().map(Listed::from).collect();
    // What the image takes is the image's.
    containers.iter_mut().for_each(|container| container.size_root_fs = 0);
    containers
}

fn container_rows<'a>(containers: &'a [Listed<'a>], is_short: bool) -> Vec<ContainerRow<'a>> {
    let now = Timestamp::now();
    containers.iter().map(|container| ContainerRow { container, is_short, now }).collect()
}

fn volume_rows(usage: &DiskUsage) -> Vec<VolumeRow<'_>> {
    usage.volumes.iter().flatten().map(VolumeRow).collect()
}
