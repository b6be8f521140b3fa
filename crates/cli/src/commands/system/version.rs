//! `wharf version`: ours, and the engine's.

use std::fmt::Write as _;

use docker_api::ApiVersion;
use docker_api::client::Request;
use docker_api::system::VersionInfo;
use serde_json::{Value, json};

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::INSPECT_FORMAT_HELP;
use crate::failure::Failure;
use crate::output::table::Columns;
use crate::output::template::{Scope, Template};
use crate::output::{self, times};
use crate::session::{Session, environment};

pub(crate) static VERSION: Command =
    Command::new("version", "Show the Docker version information", run)
        .takes(Positional::None, "[OPTIONS]")
        .flags(&[&[Flag::text("format", INSPECT_FORMAT_HELP).short('f')]]);

/// The exit status for a template that cannot be read.
const STATUS_BAD_TEMPLATE: i32 = 64;
const COLUMNS: Columns = Columns { width_min: 20, padding: 1 };

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let template = match parsed.text("format") {
        "" => None,
        "json" => Some("{{json .}}"),
        source => Some(source),
    };
    let template = template.map(Template::parse).transpose().map_err(|error| {
        Failure::new(format!("template parsing error: {error}")).with_status(STATUS_BAD_TEMPLATE)
    })?;
    let client = client_version(&session.context_name());
    let server = server_version(session);
    let text = match &template {
        None => plain(&client, server.as_ref().ok()),
        Some(template) => {
            let document = json!({"Client": client, "Server": server.as_ref().ok()});
            let scope = Scope::completed(&with_field_names(&document), &document);
            template.render(&scope).map_err(|error| {
                Failure::new(error.to_string().replacen("template: :", "template: version:", 1))
            })?
        }
    };
    output::print(&format!("{}\n", COLUMNS.align(&text)))?;
    server.map(drop)
}

/// With the names that templates know: what JSON calls `ApiVersion` is `APIVersion` in Go.
fn with_field_names(document: &Value) -> Value {
    let mut named = document.clone();
    for side in ["Client", "Server"] {
        if let Some(version) = document[side].get("ApiVersion") {
            named[side]["APIVersion"] = version.clone();
        }
    }
    named
}

/// Our own version, with the members that Docker's client has.
pub(crate) fn client_version(context: &str) -> Value {
    let api_version =
        environment("DOCKER_API_VERSION").unwrap_or_else(|| ApiVersion::MAX.to_string());
    json!({
        "Version": env!("CARGO_PKG_VERSION"),
        "ApiVersion": api_version,
        "DefaultAPIVersion": ApiVersion::MAX.to_string(),
        "Os": "linux",
        "Arch": architecture(),
        "Context": context,
    })
}

/// The processor's architecture, by Go's name for it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn server_version(session: &Session) -> Result<Value, Failure> {
    let bytes = session.client()?.send(Request::get("/version"))?.bytes()?;
    let info: VersionInfo =
        docker_api::lenient::from_slice(&bytes).map_err(|error| Failure::new(error.to_string()))?;
    let mut server: Value = serde_json::to_value(&info)?;
    let details = json!({
        "ApiVersion": info.api_version,
        "MinAPIVersion": info.min_api_version,
        "GitCommit": info.git_commit,
        "GoVersion": info.go_version,
        "Os": info.os,
        "Arch": info.arch,
        "BuildTime": times::ansi_c(&info.build_time),
        "Experimental": info.experimental.to_string(),
    });
    // Engines of old have no components, and the clients of today show nothing else.
    let engine = json!({"Name": "Engine", "Version": info.version, "Details": details});
    if let Some(components) = server["Components"].as_array_mut() {
        match components.iter_mut().find(|component| component["Name"] == "Engine") {
            None => components.push(engine),
            Some(component) => {
                let time = component["Details"]["BuildTime"].as_str().map(times::ansi_c);
                if let Some(time) = time {
                    component["Details"]["BuildTime"] = time.into();
                }
            }
        }
    }
    Ok(server)
}

fn plain(client: &Value, server: Option<&Value>) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut shown = "Client:\n".to_owned();
    let _ = write!(
        shown,
        " Version:\t{}\n API version:\t{}\n OS/Arch:\t{}/{}\n Context:\t{}",
        text(&client["Version"]),
        text(&client["ApiVersion"]),
        text(&client["Os"]),
        text(&client["Arch"]),
        text(&client["Context"]),
    );
    let Some(server) = server else { return shown };
    let platform = text(&server["Platform"]["Name"]);
    let separator = if platform.is_empty() { "" } else { " " };
    let _ = write!(shown, "\n\nServer:{separator}{platform}");
    for component in server["Components"].as_array().into_iter().flatten() {
        let details = &component["Details"];
        let _ = write!(
            shown,
            "\n {}:\n  Version:\t{}",
            text(&component["Name"]),
            text(&component["Version"])
        );
        if component["Name"] == "Engine" {
            let detail = |name: &str| text(&details[name]);
            let _ = write!(
                shown,
                "\n  API version:\t{} (minimum version {})\n  Go version:\t{}\n  Git commit:\t{}\n  \
                 Built:\t{}\n  OS/Arch:\t{}/{}\n  Experimental:\t{}",
                detail("ApiVersion"),
                detail("MinAPIVersion"),
                detail("GoVersion"),
                detail("GitCommit"),
                detail("BuildTime"),
                detail("Os"),
                detail("Arch"),
                detail("Experimental"),
            );
            continue;
        }
        let mut names: Vec<_> = details.as_object().into_iter().flatten().collect();
        names.sort_by_key(|(name, _)| name.as_str());
        for (name, value) in names {
            let _ = write!(shown, "\n  {name}:\t{}", text(value));
        }
    }
    shown
}
