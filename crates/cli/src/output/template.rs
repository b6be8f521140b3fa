//! Go templates with Docker's functions.
//!
//! Most templates only put fields between text. Those are filled in here; a list of five
//! hundred containers is then a matter of copying. Everything else is left to `gotmpl`,
//! less what it does not do as Go does: calls with arguments on a field
//! (`.Label "name"`), members of a document in the order they came in (`json`), and the
//! wording of errors.

mod functions;
mod scope;
mod source;

use std::cell::OnceCell;
use std::sync::{Arc, PoisonError};

use gotmpl::{MissingKey, TemplateError};
use serde_json::Value;

pub(crate) use scope::Scope;

use super::rows::{self, Row};
use super::typed;
use source::Segment;

/// A template that was understood.
pub(crate) struct Template {
    source: String,
    /// What to print one after the other, if that is all there is to it.
    simple: Option<Vec<Segment>>,
    /// Ready to be filled: so that what is missing is shown, and so that it is refused.
    open: OnceCell<Compiled>,
    strict: OnceCell<Compiled>,
}

/// A template that `gotmpl` has read.
struct Compiled {
    template: gotmpl::Template,
    documents: functions::Documents,
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template").field("source", &self.source).finish()
    }
}

/// What is wrong with a template, or with using it, in Go's words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Error(String);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Template {
    pub(crate) fn parse(source: &str) -> Result<Self, Error> {
        let template = Self {
            source: source.to_owned(),
            simple: source::simple(source),
            open: OnceCell::new(),
            strict: OnceCell::new(),
        };
        if template.simple.is_none() {
            template.try_out()?;
        }
        Ok(template)
    }

    /// Reads the template, and finds functions that there are not. `gotmpl` finds those
    /// only where it comes across them.
    fn try_out(&self) -> Result<(), Error> {
        let scope = Scope::new("");
        match self.compiled(true)?.template.execute_to_string(&scope.root()) {
            Err(error @ TemplateError::UndefinedFunction(_)) => {
                Err(self.execution_error(&error, &scope))
            }
            _ => Ok(()),
        }
    }

    /// Appends what the template makes of a row.
    pub(crate) fn row<R: Row>(&self, row: &R, text: &mut String) -> Result<(), Error> {
        let Some(segments) = &self.simple else {
            let mut scope = rows::scope(row);
            scope.set_document(rows::document(row));
            if R::HAS_LABELS {
                scope.set_labels(|name| row.label(name), &self.source);
            }
            text.push_str(&self.render(&scope)?);
            return Ok(());
        };
        for segment in segments {
            match segment {
                Segment::Text(literal) => text.push_str(literal),
                Segment::Document => text.push_str(&rows::document(row)),
                Segment::Field(name) if R::FIELDS.iter().any(|(field, _)| field == name) => {
                    push_value(text, row.field(name));
                }
                Segment::Field(name) => return Err(self.unknown_field(name, R::TYPE)),
            }
        }
        Ok(())
    }

    /// What the template makes of the names of columns.
    pub(crate) fn header(&self, fields: &[(&str, &str)]) -> String {
        let Some(segments) = &self.simple else {
            let mut scope = Scope::new("");
            for (name, header) in fields {
                scope.set(name, &Value::from(*header));
            }
            scope.set_labels(label_header, &self.source);
            let compiled = self.compile(&functions::for_headers());
            let header = compiled.map(|template| template.execute_to_string(&scope.root()));
            // The header of a template that cannot be shown is none: so does Docker's client.
            return header.ok().and_then(Result::ok).unwrap_or_default();
        };
        let words = segments.iter().map(|segment| match segment {
            Segment::Text(literal) => literal,
            Segment::Document => "",
            Segment::Field(name) => fields
                .iter()
                .find(|(field, _)| field == name)
                .map_or("<no value>", |(_, header)| header),
        });
        words.collect()
    }

    /// What the template makes of a document.
    pub(crate) fn render(&self, scope: &Scope) -> Result<String, Error> {
        let compiled = self.compiled(scope.is_open())?;
        *compiled.documents.lock().unwrap_or_else(PoisonError::into_inner) = scope.documents();
        compiled
            .template
            .execute_to_string(&scope.root())
            .map_err(|error| self.execution_error(&error, scope))
    }

    fn compiled(&self, is_open: bool) -> Result<&Compiled, Error> {
        let cell = if is_open { &self.open } else { &self.strict };
        if let Some(compiled) = cell.get() {
            return Ok(compiled);
        }
        let documents = functions::Documents::default();
        let template = self.compile(&functions::for_values(&documents))?;
        let missing = if is_open { MissingKey::Invalid } else { MissingKey::Error };
        let template = template.missing_key(missing);
        Ok(cell.get_or_init(|| Compiled { template, documents }))
    }

    /// What the template makes of a document that has a type in Go. `original` is the
    /// same without what was added to it.
    pub(crate) fn typed(&self, document: &Value, original: &Value) -> Result<String, Error> {
        let Some(parts) = source::paths(&self.source) else {
            return self.render(&Scope::completed(document, original));
        };
        let mut text = String::new();
        for part in parts {
            match part {
                source::Part::Text(literal) => text.push_str(literal),
                source::Part::Path(path) => match typed::print(document, &path) {
                    Some(value) => text.push_str(&value),
                    None => return Err(self.unknown_field(path.last().unwrap_or(&""), "")),
                },
            }
        }
        Ok(text)
    }

    fn compile(&self, functions: &functions::Functions) -> Result<gotmpl::Template, Error> {
        let mut template = gotmpl::Template::new("");
        for (name, function) in functions {
            let function = Arc::clone(function);
            template = template.func(name, move |arguments| function(arguments));
        }
        template.parse(&source::with_calls(&self.source)).map_err(|error| match error {
            TemplateError::Parse { line, message, .. }
            | TemplateError::Lex { line, message, .. } => {
                Error(format!("template: :{line}: {message}"))
            }
            other => Error(format!("template: :1: {other}")),
        })
    }

    /// Whether a field is asked for anywhere.
    pub(crate) fn mentions(&self, field: &str) -> bool {
        match &self.simple {
            Some(segments) => segments.iter().any(|segment| match segment {
                Segment::Text(_) => false,
                Segment::Document => true,
                Segment::Field(name) => name == field,
            }),
            None => {
                source::position(&self.source, field).is_some()
                    || self.source.contains("json .}}")
                    || self.source.contains("json . ")
            }
        }
    }

    fn unknown_field(&self, name: &str, kind: &str) -> Error {
        self.at(name, &format!("can't evaluate field {name} in type {kind}"))
    }

    fn execution_error(&self, error: &TemplateError, scope: &Scope) -> Error {
        match error {
            TemplateError::MissingKey { key } if scope.type_name().is_empty() => {
                self.at(key, &format!("map has no entry for key \"{key}\""))
            }
            TemplateError::MissingKey { key } => self.unknown_field(key, scope.type_name()),
            // Go finds this when it reads the template, and so words it.
            TemplateError::UndefinedFunction(name) => {
                Error(format!("template: :1: function \"{name}\" not defined"))
            }
            TemplateError::Exec(reason) => {
                Error(format!("template: :1:2: executing \"\" at <.>: {reason}"))
            }
            other => Error(format!("template: :1:2: executing \"\": {other}")),
        }
    }

    /// An error with the place in the template that Go names.
    fn at(&self, field: &str, reason: &str) -> Error {
        let (line, column, expression) = source::locate(&self.source, field);
        Error(format!("template: :{line}:{column}: executing \"\" at <{expression}>: {reason}"))
    }
}

fn push_value(text: &mut String, value: Value) {
    match value {
        Value::String(value) => text.push_str(&value),
        Value::Null => text.push_str("<nil>"),
        other => text.push_str(&other.to_string()),
    }
}

/// The header of a column that shows a label: the last part of its name, in words.
fn label_header(name: &str) -> String {
    name.rsplit('.').next().unwrap_or_default().replace(['-', '_'], " ")
}

#[cfg(test)]
mod tests;
