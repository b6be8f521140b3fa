//! What of a container is logged along: its tag, chosen labels and variables.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::{MissingKey, Template, TemplateError, Value};
use regex_lite::Regex;

/// How many characters of an id are shown.
const SHORT_ID: usize = 12;

/// The tag of drivers that always have one.
pub(super) const DEFAULT_TAG: &str = "{{.ID}}";

/// What Docker calls itself in templates.
const DAEMON_NAME: &str = "docker";

/// A container, as its log's options can refer to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) image_id: &'a str,
    pub(crate) image_name: &'a str,
    /// Program and arguments.
    pub(crate) arguments: &'a [String],
    pub(crate) environment: &'a [String],
    pub(crate) labels: &'a BTreeMap<String, String>,
    pub(crate) created_at: jiff::Timestamp,
    pub(crate) hostname: &'a str,
}

impl About<'_> {
    pub(super) fn short_id(&self) -> &str {
        shorten(self.id)
    }

    /// What the option `tag` makes of the container. Empty: no tag.
    pub(super) fn tag(
        &self,
        options: &BTreeMap<String, String>,
        default: &str,
    ) -> Result<String, String> {
        let given = options.get("tag").map(String::as_str).filter(|tag| !tag.is_empty());
        let template = given.unwrap_or(default);
        match template {
            DEFAULT_TAG => Ok(self.short_id().to_owned()),
            template if !template.contains("{{") => Ok(template.to_owned()),
            template => self.fill(template),
        }
    }

    fn fill(&self, source: &str) -> Result<String, String> {
        let template = functions().into_iter().fold(
            Template::new("log-tag").missing_key(MissingKey::Error),
            |template, (name, function)| template.func(name, function),
        );
        let template = template.parse(source).map_err(|error| match error {
            TemplateError::Parse { line, message, .. }
            | TemplateError::Lex { line, message, .. } => {
                format!("template: log-tag:{line}: {message}")
            }
            other => format!("template: log-tag:1: {other}"),
        })?;
        template.execute_to_string(&self.root()).map_err(|error| {
            let (expression, reason) = match &error {
                TemplateError::MissingKey { key } => {
                    (format!(".{key}"), format!("can't evaluate field {key} in type *logger.Info"))
                }
                other => (".".to_owned(), other.to_string()),
            };
            let column = source.find(&expression).unwrap_or(2);
            format!(
                "template: log-tag:1:{column}: executing \"log-tag\" at <{expression}>: {reason}"
            )
        })
    }

    fn root(&self) -> Value {
        let text = |text: &str| Value::String(text.into());
        let list = |texts: &[String]| Value::List(texts.iter().map(|one| text(one)).collect());
        let labels = self.labels.iter().map(|(name, value)| (name.as_str().into(), text(value)));
        let (program, arguments) = match self.arguments.split_first() {
            Some((program, arguments)) => (program.as_str(), arguments),
            None => ("", &[][..]),
        };
        let name = format!("/{}", self.name);
        let fields = [
            ("ID", text(self.short_id())),
            ("FullID", text(self.id)),
            ("Name", text(self.name)),
            ("ImageID", text(shorten(self.image_id))),
            ("ImageFullID", text(self.image_id)),
            ("ImageName", text(self.image_name)),
            ("Command", text(&self.arguments.join(" "))),
            ("Hostname", text(self.hostname)),
            ("DaemonName", text(DAEMON_NAME)),
            ("ContainerID", text(self.id)),
            ("ContainerName", text(&name)),
            ("ContainerEntrypoint", text(program)),
            ("ContainerArgs", list(arguments)),
            ("ContainerImageID", text(self.image_id)),
            ("ContainerImageName", text(self.image_name)),
            ("ContainerCreated", text(&self.created_at.to_string())),
            ("ContainerEnv", list(self.environment)),
            ("ContainerLabels", Value::Map(Arc::new(labels.collect()))),
        ];
        let root = fields.into_iter().map(|(name, value)| (Arc::from(name), value));
        Value::Map(Arc::new(root.collect()))
    }

    /// Labels and variables that the user wants with each entry, by name.
    pub(super) fn attributes(
        &self,
        options: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, String> {
        let option = |name: &str| options.get(name).map(String::as_str).unwrap_or_default();
        let variables: BTreeMap<_, _> =
            self.environment.iter().filter_map(|variable| variable.split_once('=')).collect();
        let labels = self.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        let mut chosen = BTreeMap::new();
        choose(&labels, option("labels"), option("labels-regex"), &mut chosen)?;
        choose(&variables, option("env"), option("env-regex"), &mut chosen)?;
        Ok(chosen)
    }
}

fn choose(
    all: &BTreeMap<&str, &str>,
    names: &str,
    pattern: &str,
    chosen: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    let pattern = Some(pattern).filter(|pattern| !pattern.is_empty());
    let pattern = pattern.map(Regex::new).transpose().map_err(|error| pattern_error(&error))?;
    let is_wanted = |name: &str| {
        names.split(',').any(|wanted| wanted == name)
            || pattern.as_ref().is_some_and(|pattern| pattern.is_match(name))
    };
    for (name, value) in all.iter().filter(|(name, _)| is_wanted(name)) {
        chosen.insert((*name).to_owned(), (*value).to_owned());
    }
    Ok(())
}

fn pattern_error(error: &regex_lite::Error) -> String {
    format!("error parsing regexp: {error}")
}

fn shorten(id: &str) -> &str {
    let id = id.split_once(':').map_or(id, |(_, digest)| digest);
    id.get(..SHORT_ID).unwrap_or(id)
}

type Function = fn(&[Value]) -> gotmpl::Result<Value>;

/// Docker's functions that make sense of a text.
fn functions() -> [(&'static str, Function); 4] {
    [
        ("lower", |given| Ok(Value::String(text(given).to_lowercase().into()))),
        ("upper", |given| Ok(Value::String(text(given).to_uppercase().into()))),
        ("join", |given| {
            let separator = given.get(1).and_then(Value::as_str).unwrap_or_default();
            let Some(Value::List(list)) = given.first() else {
                return Ok(Value::String("".into()));
            };
            let texts: Vec<_> = list.iter().filter_map(Value::as_str).collect();
            Ok(Value::String(texts.join(separator).into()))
        }),
        ("truncate", |given| {
            let length = given.get(1).and_then(Value::as_int).unwrap_or(i64::MAX);
            let length = usize::try_from(length).unwrap_or(0);
            Ok(Value::String(text(given).chars().take(length).collect::<String>().into()))
        }),
    ]
}

fn text(given: &[Value]) -> &str {
    given.first().and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(template: &str) -> Result<String, String> {
        let arguments = ["sh".to_owned(), "-c".to_owned()];
        let labels = BTreeMap::from([("tier".to_owned(), "front".to_owned())]);
        let about = About {
            id: "0123456789abcdef",
            name: "web",
            image_id: "sha256:fedcba9876543210",
            image_name: "busybox",
            arguments: &arguments,
            environment: &[],
            labels: &labels,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            hostname: "here",
        };
        about.tag(&BTreeMap::from([("tag".to_owned(), template.to_owned())]), DEFAULT_TAG)
    }

    #[test]
    fn a_tag_is_a_template() {
        for (template, expected) in [
            ("", "0123456789ab"),
            ("plain", "plain"),
            ("{{.Name}}/{{.FullID}}", "web/0123456789abcdef"),
            ("{{.ImageName}} {{.ImageID}}", "busybox fedcba987654"),
            ("{{.Command}} at {{.Hostname}}", "sh -c at here"),
            ("{{.DaemonName}}{{.ContainerName}}", "docker/web"),
            ("{{upper .Name}}", "WEB"),
            ("{{index .ContainerLabels \"tier\"}}", "front"),
        ] {
            assert_eq!(tag(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn errors_are_worded_as_go_does() {
        let expected = "template: log-tag:1:2: executing \"log-tag\" at <.Foo>: \
                        can't evaluate field Foo in type *logger.Info";
        assert_eq!(tag("{{.Foo}}"), Err(expected.to_owned()));
        assert!(tag("{{").unwrap_err().starts_with("template: log-tag:1: "));
    }
}
