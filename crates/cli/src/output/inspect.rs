//! `inspect`: documents as they are, or what a template makes of them.

use serde_json::{Map, Value};

use super::template::{Scope, Template};
use super::{go_json, typed};
use crate::failure::Failure;

/// The exit status for a template that cannot be read.
const STATUS_BAD_TEMPLATE: i32 = 64;

/// A document, and what its type has beyond it.
#[derive(Debug)]
pub(crate) struct Document {
    /// As the engine sent it.
    pub(crate) text: String,
    /// Members that Go's type has and the engine leaves out when they are empty.
    pub(crate) absent: &'static [(&'static str, Absent)],
}

/// What a member is worth that was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    Nothing,
    Text,
    List,
    Map,
    Number,
    False,
}

/// What a container's document leaves out.
pub(crate) const CONTAINER: &[(&str, Absent)] = &[
    ("SizeRw", Absent::Nothing),
    ("SizeRootFs", Absent::Nothing),
    ("ImageManifestDescriptor", Absent::Nothing),
    ("State.Health", Absent::Nothing),
    ("Config.Healthcheck", Absent::Nothing),
    ("Config.ExposedPorts", Absent::Map),
    ("Config.ArgsEscaped", Absent::False),
    ("Config.NetworkDisabled", Absent::False),
    ("Config.MacAddress", Absent::Text),
    ("Config.StopSignal", Absent::Text),
    ("Config.StopTimeout", Absent::Nothing),
    ("Config.Shell", Absent::List),
    ("HostConfig.Annotations", Absent::Map),
    ("HostConfig.StorageOpt", Absent::Map),
    ("HostConfig.Tmpfs", Absent::Map),
    ("HostConfig.Sysctls", Absent::Map),
    ("HostConfig.Runtime", Absent::Text),
    ("HostConfig.Mounts", Absent::List),
    ("HostConfig.Init", Absent::Nothing),
    ("HostConfig.KernelMemory", Absent::Number),
    ("HostConfig.KernelMemoryTCP", Absent::Number),
];
/// What an image's document leaves out.
pub(crate) const IMAGE: &[(&str, Absent)] = &[
    ("Variant", Absent::Text),
    ("OsVersion", Absent::Text),
    ("VirtualSize", Absent::Number),
    ("Container", Absent::Text),
    ("Descriptor", Absent::Nothing),
    ("Manifests", Absent::List),
    ("Config.Healthcheck", Absent::Nothing),
    ("Config.ExposedPorts", Absent::Map),
    ("Config.ArgsEscaped", Absent::False),
    ("Config.Cmd", Absent::List),
    ("Config.Entrypoint", Absent::List),
    ("Config.Env", Absent::List),
    ("Config.Labels", Absent::Map),
    ("Config.OnBuild", Absent::List),
    ("Config.Shell", Absent::List),
    ("Config.StopSignal", Absent::Text),
    ("Config.User", Absent::Text),
    ("Config.Volumes", Absent::Map),
    ("Config.WorkingDir", Absent::Text),
];
/// What a volume's document leaves out.
pub(crate) const VOLUME: &[(&str, Absent)] = &[
    ("CreatedAt", Absent::Text),
    ("Status", Absent::Map),
    ("UsageData", Absent::Nothing),
    ("ClusterVolume", Absent::Nothing),
];
/// What a network's document leaves out.
pub(crate) const NETWORK: &[(&str, Absent)] = &[("Peers", Absent::List), ("Services", Absent::Map)];

/// Prints what `find` finds under each name, then fails if it found something amiss.
pub(crate) fn inspect(
    names: &[String],
    format: &str,
    mut find: impl FnMut(&str) -> Result<Document, Failure>,
) -> Result<(), Failure> {
    let layout = Layout::parse(format)?;
    let mut shown = Vec::new();
    let mut failures = Vec::new();
    for name in names {
        match find(name).and_then(|document| layout.show(&document)) {
            Ok(text) => shown.push(text),
            Err(failure) => failures.push(failure),
        }
    }
    super::print(&layout.join(&shown))?;
    Failure::join(failures)
}

/// How documents are shown.
enum Layout {
    Indented,
    Compact,
    Template(Box<Template>),
}

impl Layout {
    fn parse(format: &str) -> Result<Self, Failure> {
        match format {
            "" => Ok(Self::Indented),
            "json" => Ok(Self::Compact),
            source => Template::parse(source).map(Box::new).map(Self::Template).map_err(|error| {
                Failure::new(format!("template parsing error: {error}"))
                    .with_status(STATUS_BAD_TEMPLATE)
            }),
        }
    }

    fn show(&self, document: &Document) -> Result<String, Failure> {
        let Self::Template(template) = self else { return Ok(document.text.trim().to_owned()) };
        let value: Value = serde_json::from_str(&document.text)?;
        // First as Go's type has it, with all its members, then as the document is.
        let text = template.typed(&completed(&value, document.absent), &value);
        let text = text.or_else(|_| template.render(&Scope::from_document(&value)));
        text.map(|text| format!("{text}\n"))
            .map_err(|error| Failure::new(format!("template parsing error: {error}")))
    }

    fn join(&self, shown: &[String]) -> String {
        match self {
            Self::Template(_) if shown.is_empty() => "\n".to_owned(),
            Self::Template(_) => shown.concat(),
            Self::Compact => format!("{}\n", go_json::compact(&format!("[{}]", shown.join(",")))),
            Self::Indented => {
                format!("{}\n", go_json::indent(&format!("[{}]", shown.join(",")), "    "))
            }
        }
    }
}

/// The document with every member that its type has.
fn completed(value: &Value, absent: &[(&str, Absent)]) -> Value {
    let mut completed = typed::without_nulls(value);
    for (path, worth) in absent {
        let (parents, name) = path.rsplit_once('.').unwrap_or(("", path));
        let mut place = Some(&mut completed);
        for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
            place = place.and_then(|place| place.get_mut(parent));
        }
        if let Some(Value::Object(members)) = place
            && !members.contains_key(name)
        {
            members.insert(name.to_owned(), worth.value());
        }
    }
    completed
}

impl Absent {
    fn value(self) -> Value {
        match self {
            Self::Nothing => Value::Null,
            Self::Text => Value::String(String::new()),
            Self::List => Value::Array(Vec::new()),
            Self::Map => Value::Object(Map::new()),
            Self::Number => Value::from(0),
            Self::False => Value::Bool(false),
        }
    }
}
