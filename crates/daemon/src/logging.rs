//! The daemon's own log, on standard error, in dockerd's format:
//! `time="2026-11-21T02:29:30.123456789Z" level=info msg="API listen on /run/wharf/wharf.sock"`.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

/// By which the level can be changed later.
#[derive(Debug, Clone)]
pub(crate) struct LevelHandle(reload::Handle<LevelFilter, tracing_subscriber::Registry>);

impl LevelHandle {
    pub(crate) fn set(&self, level: LevelFilter) {
        if let Err(error) = self.0.reload(level) {
            tracing::warn!(%error, "cannot change the log's level");
        }
    }
}

/// Begins to log. To be called once.
pub(crate) fn start(format: Format, level: LevelFilter) -> LevelHandle {
    let (filter, handle) = reload::Layer::new(level);
    let lines = tracing_subscriber::fmt::layer()
        .event_format(Lines { format })
        .with_writer(std::io::stderr);
    tracing_subscriber::registry().with(filter).with(lines).init();
    LevelHandle(handle)
}

struct Lines {
    format: Format,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = level_name(*event.metadata().level());
        let time = jiff::Timestamp::now();
        match self.format {
            Format::Text => {
                write!(writer, "time=\"{time:.9}\" level={level} msg={:?}", fields.message)?;
                for (name, value) in &fields.others {
                    write!(writer, " {name}={}", quoted(value))?;
                }
            }
            Format::Json => {
                let mut object = serde_json::Map::new();
                for (name, value) in fields.others {
                    object.insert(name.to_owned(), value.into());
                }
                object.insert("level".to_owned(), level.into());
                object.insert("msg".to_owned(), fields.message.into());
                object.insert("time".to_owned(), format!("{time:.9}").into());
                write!(writer, "{}", serde_json::Value::Object(object))?;
            }
        }
        writeln!(writer)
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// As it is, unless it would not be one word.
fn quoted(value: &str) -> String {
    let is_word = !value.is_empty()
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/@^+:".contains(&byte));
    if is_word { value.to_owned() } else { format!("{value:?}") }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to a string cannot fail.
            let _ = write!(self.message, "{value:?}");
        } else {
            self.others.push((field.name(), format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.others.push((field.name(), value.to_owned()));
        }
    }
}
