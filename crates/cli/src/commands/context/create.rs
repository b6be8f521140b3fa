//! `wharf context create`: remembers an engine under a name.

use docker_api::client::Endpoint;

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::failure::Failure;
use crate::options::key_values;
use crate::output;
use crate::output::quote::quote;
use crate::session::{CONTEXT_DEFAULT, SOCKET_DEFAULT, Session};

pub(crate) static CREATE: Command = Command::new("create", "Create a context", run)
    .long_about(LONG_ABOUT)
    .takes(Positional::Exactly(1), "[OPTIONS] CONTEXT")
    .flags(&[&[
        Flag::text("description", "Description of the context"),
        Flag::other("docker", "stringToString", "set the docker endpoint", |value| {
            Ok(value.to_owned())
        })
        .default_shown("[]"),
        Flag::text("from", "create context from a named context"),
    ]]);

const LONG_ABOUT: &str = "Create a context

Docker endpoint config:

NAME                DESCRIPTION
host                Docker endpoint on which to connect

Example:

$ wharf context create my-context --description \"some description\" --docker \"host=tcp://myserver:2375\"";

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let name = &parsed.arguments[0];
    let settings = key_values::to_map(&parsed.comma_list("docker"));
    let from = parsed.given("from").map(str::to_owned);
    if from.is_some() && !settings.is_empty() {
        return Err(Failure::new("cannot use --docker flag when --from is set"));
    }
    let contexts = session.contexts();
    let host = if settings.is_empty() {
        let source = from.unwrap_or_else(|| session.context_name());
        match source.as_str() {
            CONTEXT_DEFAULT => session.host().unwrap_or_else(|| format!("unix://{SOCKET_DEFAULT}")),
            source => contexts.endpoint(source)?,
        }
    } else {
        endpoint(settings)?
    };
    contexts.create(name, &host, parsed.text("description"))?;
    output::print(&format!("{name}\n"))?;
    output::warn(&format!("Successfully created context {}", quote(name)));
    Ok(())
}

fn endpoint(settings: std::collections::BTreeMap<String, String>) -> Result<String, Failure> {
    let mut host = None;
    for (key, value) in settings {
        match key.as_str() {
            "host" => host = Some(value),
            "ca" | "cert" | "key" | "skip-tls-verify" => {
                return Err(Failure::new(format!("--docker {key} is not supported by wharf yet")));
            }
            _ => {
                return Err(Failure::new(format!(
                    "unable to create docker endpoint config: unrecognized config key: {key}"
                )));
            }
        }
    }
    let host = host.unwrap_or_default();
    Endpoint::parse(&host).map_err(|error| {
        Failure::new(format!("unable to create docker endpoint config: {error}"))
    })?;
    Ok(host)
}
