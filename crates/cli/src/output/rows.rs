//! Lists: one row an object, laid out by the user's format or Docker's.

use serde_json::Value;

use super::go_json;
use super::table::LIST;
use super::template::{Scope, Template};
use crate::failure::Failure;

/// The format that shows ids only.
pub(crate) const QUIET: &str = "{{.ID}}";

/// An object as a row of a list.
pub(crate) trait Row {
    /// What Go calls the type. It shows in errors about templates.
    const TYPE: &'static str;
    /// Every field with its header.
    const FIELDS: &'static [(&'static str, &'static str)];
    /// Whether `.Label "name"` can be asked of it.
    const HAS_LABELS: bool;

    /// The value of one of [`Row::FIELDS`].
    fn field(&self, name: &str) -> Value;

    /// A label's value.
    fn label(&self, _name: &str) -> String {
        String::new()
    }
}

/// How a list is laid out.
#[derive(Debug)]
pub(crate) struct Format {
    template: Template,
    is_table: bool,
}

impl Format {
    /// Reads `table …`, `json` or a template. The words for Docker's own layouts are the
    /// commands' business.
    pub(crate) fn parse(source: &str) -> Result<Self, Failure> {
        let is_table = source.starts_with("table");
        let source = match source {
            "json" => "{{json .}}",
            source if is_table => &source["table".len()..],
            source => source,
        };
        let source = source.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n");
        let template = Template::parse(&source)
            .map_err(|error| Failure::new(format!("template parsing error: {error}")))?;
        Ok(Self { template, is_table })
    }

    /// The whole list as text.
    pub(crate) fn render<R: Row>(&self, rows: &[R]) -> Result<String, Failure> {
        let mut text = String::new();
        if self.is_table {
            text.push_str(&self.template.header(R::FIELDS));
            text.push('\n');
        }
        for row in rows {
            self.template
                .row(row, &mut text)
                .map_err(|error| Failure::new(format!("template parsing error: {error}")))?;
            text.push('\n');
        }
        Ok(if self.is_table { LIST.align(&text) } else { text })
    }
}

/// A row as a document, its members sorted, as Go writes a map.
pub(crate) fn document<R: Row>(row: &R) -> String {
    let mut fields: Vec<_> = R::FIELDS.iter().map(|(name, _)| *name).collect();
    fields.sort_unstable();
    let members: serde_json::Map<String, Value> =
        fields.into_iter().map(|name| (name.to_owned(), row.field(name))).collect();
    go_json::escaped(&Value::Object(members))
}

/// Everything a template can ask of a row.
pub(crate) fn scope<R: Row>(row: &R) -> Scope {
    let mut scope = Scope::new(R::TYPE);
    for (name, _) in R::FIELDS {
        scope.set(name, &row.field(name));
    }
    scope
}
