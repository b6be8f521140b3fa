//! `wharf images`: images as a list, a row for each of their names.

use std::collections::BTreeMap;

use docker_api::client::Request;
use docker_api::images::ImageSummary;
use jiff::Timestamp;
use serde_json::Value;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::{FORMAT_HELP, list_format};
use crate::failure::Failure;
use crate::options::{filters, references};
use crate::output::ellipsis::short_id;
use crate::output::rows::{Format, QUIET, Row};
use crate::output::{self, times, units};
use crate::session::Session;

pub(crate) static IMAGES: Command = Command::new("images", "List images", run)
    .spellings(&["image ls", "image list", "images"])
    .takes(Positional::AtMost(1), "[OPTIONS] [REPOSITORY[:TAG]]")
    .flags(&[FLAGS]);
pub(crate) static LS: Command = Command::new("ls", "List images", run)
    .aliases(&["list"])
    .spellings(&["image ls", "image list", "images"])
    .takes(Positional::AtMost(1), "[OPTIONS] [REPOSITORY[:TAG]]")
    .flags(&[FLAGS]);

const FLAGS: &[Flag] = &[
    Flag::switch("quiet", "Only show image IDs").short('q'),
    Flag::switch("all", "Show all images (default hides intermediate images)").short('a'),
    Flag::switch("no-trunc", "Don't truncate output"),
    Flag::switch("digests", "Show digests"),
    Flag::text("format", FORMAT_HELP),
    Flag::other("filter", "filter", "Filter output based on conditions provided", filters::check)
        .short('f'),
    Flag::switch("tree", "List multi-platform images as a tree (EXPERIMENTAL)").refused(),
];

const CREATED: &str = "{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}";
/// Words that people type behind `images` when they mean a command of `image`.
const COMMANDS: &[&str] = &[
    "build", "history", "import", "inspect", "list", "load", "ls", "prune", "pull", "push", "rm",
    "save", "tag",
];

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let mut filters = filters::parse(&parsed.list("filter"));
    let name = parsed.arguments.first();
    if let Some(name) = name {
        filters.add("reference", name.as_str());
    }
    let filters = (!filters.is_empty()).then(|| filters.to_json());
    let request = Request::get("/images/json")
        .query_set("all", parsed.switch("all"))
        .query_some("filters", filters.as_deref());
    let images: Vec<ImageSummary> = session.client()?.json(request)?;
    let (quiet, digests) = (parsed.switch("quiet"), parsed.switch("digests"));
    let configured = session.configuration().text("imagesFormat");
    let format = layout(&list_format(parsed.text("format"), configured, quiet), quiet, digests);
    let list = List {
        is_short: !parsed.switch("no-trunc"),
        now: Timestamp::now(),
        digests,
        needs_digests: digests || format.contains("{{.Digest}}"),
    };
    let rows: Vec<_> = images.iter().flat_map(|image| list.rows(image)).collect();
    output::print(&Format::parse(&format)?.render(&rows)?)?;
    if let Some(name) = name.filter(|name| COMMANDS.contains(&name.as_str()))
        && images.is_empty()
        && parsed.path.ends_with("images")
    {
        output::warn(&format!(
            "\nNo images found matching \"{name}\": did you mean \"wharf image {name}\"?"
        ));
    }
    Ok(())
}

fn layout(format: &str, quiet: bool, digests: bool) -> String {
    let digest = if digests { "{{.Digest}}\t" } else { "" };
    let raw_digest = if digests { "digest: {{.Digest}}\n" } else { "" };
    match (format, quiet) {
        ("table", true) => QUIET.to_owned(),
        ("table", false) => format!(
            "table {{{{.Repository}}}}\t{{{{.Tag}}}}\t{digest}{{{{.ID}}}}\t{CREATED}\t{{{{.Size}}}}"
        ),
        ("raw", true) => "image_id: {{.ID}}".to_owned(),
        ("raw", false) => format!(
            "repository: {{{{ .Repository }}}}\ntag: {{{{.Tag}}}}\n{raw_digest}image_id: \
             {{{{.ID}}}}\ncreated_at: {{{{.CreatedAt}}}}\nvirtual_size: {{{{.Size}}}}\n"
        ),
        (format, _)
            if format.starts_with("table") && digests && !format.contains("{{.Digest}}") =>
        {
            format!("{format}\t{{{{.Digest}}}}")
        }
        (format, _) => format.to_owned(),
    }
}

/// How the whole list is shown.
struct List {
    is_short: bool,
    now: Timestamp,
    digests: bool,
    needs_digests: bool,
}

impl List {
    fn rows<'a>(&self, image: &'a ImageSummary) -> Vec<ImageRow<'a>> {
        const NONE: &str = "<none>";
        let row = |repository: &str, tag: &str, digest: &str| ImageRow {
            image,
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            digest: digest.to_owned(),
            is_short: self.is_short,
            now: self.now,
        };
        let tags = by_repository(image.repo_tags.as_ref(), |reference| reference.tag);
        let mut digests = by_repository(image.repo_digests.as_ref(), |reference| reference.digest);
        if tags.is_empty() && digests.is_empty() {
            return vec![row(NONE, NONE, NONE)];
        }
        let mut rows = Vec::new();
        for (repository, tags) in &tags {
            let own = digests.remove(repository).filter(|_| self.needs_digests);
            let own = own.unwrap_or_else(|| vec![NONE.to_owned()]);
            for tag in tags {
                rows.extend(own.iter().map(|digest| row(repository, tag, digest)));
            }
        }
        // Names that have a digest and no tag.
        for (repository, digests) in &digests {
            if self.digests {
                rows.extend(digests.iter().map(|digest| row(repository, NONE, digest)));
            } else {
                rows.push(row(repository, NONE, ""));
            }
        }
        rows
    }
}

fn by_repository(
    names: Option<&Vec<String>>,
    part: impl Fn(references::Reference) -> Option<String>,
) -> BTreeMap<String, Vec<String>> {
    let mut repositories: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in names.into_iter().flatten() {
        let Ok(reference) = references::parse(name) else { continue };
        let repository = reference.familiar_name();
        if let Some(part) = part(reference) {
            repositories.entry(repository).or_default().push(part);
        }
    }
    repositories
}

/// An image under one of its names.
pub(crate) struct ImageRow<'a> {
    pub(crate) image: &'a ImageSummary,
    pub(crate) repository: String,
    pub(crate) tag: String,
    pub(crate) digest: String,
    pub(crate) is_short: bool,
    pub(crate) now: Timestamp,
}

impl Row for ImageRow<'_> {
    const TYPE: &'static str = "*formatter.imageContext";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("ID", "IMAGE ID"),
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("Digest", "DIGEST"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("Size", "SIZE"),
        ("Containers", "CONTAINERS"),
        ("VirtualSize", "SIZE"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
    ];
    const HAS_LABELS: bool = false;

    fn field(&self, name: &str) -> Value {
        let image = self.image;
        let known = |number: i64, text: String| if number == -1 { "N/A".to_owned() } else { text };
        let text = match name {
            "ID" if self.is_short => short_id(&image.id).to_owned(),
            "ID" => image.id.clone(),
            "Repository" => self.repository.clone(),
            "Tag" => self.tag.clone(),
            "Digest" => self.digest.clone(),
            "CreatedSince" => units::ago(image.created, self.now),
            "CreatedAt" => times::go_time(image.created),
            "Size" => units::short_size(image.size as f64),
            "Containers" => known(image.containers, image.containers.to_string()),
            "SharedSize" => known(image.shared_size, units::size(image.shared_size as f64)),
            "UniqueSize" if image.size == -1 => "N/A".to_owned(),
            "UniqueSize" => {
                known(image.shared_size, units::size((image.size - image.shared_size) as f64))
            }
            _ => units::size(image.size as f64),
        };
        text.into()
    }
}
