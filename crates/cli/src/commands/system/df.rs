//! `wharf system df`: what takes the disk.

use docker_api::client::Request;
use docker_api::system::DiskUsage;
use jiff::Timestamp;

use super::disk_usage_rows;
use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::FORMAT_HELP;
use crate::commands::container::list::ContainerRow;
use crate::commands::container::listed::Listed;
use crate::commands::image::ImageRow;
use crate::commands::volume::VolumeRow;
use crate::failure::Failure;
use crate::options::references;
use crate::output::rows::{Format, Row};
use crate::output::{self, units};
use crate::session::Session;

pub(crate) static DF: Command = Command::new("df", "Show docker disk usage", run)
    .takes(Positional::None, "[OPTIONS]")
    .flags(&[&[
        Flag::switch("verbose", "Show detailed information on space usage").short('v'),
        Flag::text("format", FORMAT_HELP),
    ]]);

const TABLE: &str = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
const RAW: &str = "type: {{.Type}}
total: {{.TotalCount}}
active: {{.Active}}
size: {{.Size}}
reclaimable: {{.Reclaimable}}
";
const IMAGES: &str = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t\
                      {{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";
const CONTAINERS: &str = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t\
                          {{.RunningFor}}\t{{.Status}}\t{{.Names}}";
const VOLUMES: &str = "table {{.Name}}\t{{.Links}}\t{{.Size}}";
const BUILD_CACHE: &str =
    "CACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED\n";

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let format = match parsed.text("format") {
        "" | "table" => TABLE,
        "raw" => RAW,
        format => format,
    };
    let verbose = parsed.switch("verbose");
    if verbose && format != TABLE {
        return Err(Failure::new("--format with --verbose is not supported by wharf yet"));
    }
    let usage: DiskUsage = session.client()?.json(Request::get("/system/df"))?;
    if verbose {
        return show_all(&usage);
    }
    output::print(&Format::parse(format)?.render(&disk_usage_rows::rows(&usage))?)?;
    Ok(())
}

fn show_all(usage: &DiskUsage) -> Result<(), Failure> {
    let now = Timestamp::now();
    let images: Vec<_> = usage
        .images
        .iter()
        .flatten()
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
                is_short: true,
                now,
            }
        })
        .collect();
    let mut containers: Vec<_> =
        usage.containers.iter().flatten().cloned().map(Listed::from).collect();
    // What the image takes is the image's.
    containers.iter_mut().for_each(|container| container.size_root_fs = 0);
    let containers: Vec<_> = containers
        .iter()
        .map(|container| ContainerRow { container, is_short: true, now })
        .collect();
    let volumes: Vec<_> = usage.volumes.iter().flatten().map(VolumeRow).collect();
    let cache = disk_usage_rows::rows(usage).pop().map_or(0, |row| row.size());
    let text = format!(
        "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n\
         {}\nBuild cache usage: {}\n\n{BUILD_CACHE}",
        table(IMAGES, &images)?,
        table(CONTAINERS, &containers)?,
        table(VOLUMES, &volumes)?,
        units::size(cache as f64),
    );
    output::print(&text)?;
    Ok(())
}

fn table<R: Row>(format: &str, rows: &[R]) -> Result<String, Failure> {
    Format::parse(format)?.render(rows)
}
