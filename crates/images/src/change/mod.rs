//! Edits of an image's configuration, as `import --change` and `commit --change` take them.
//!
//! An edit is one of the Dockerfile's instructions that change nothing but the configuration.
//! [`parse_change`] reads one, [`parse_changes`] several, of which a later one sees the
//! environment that the earlier ones set. Refusals are worded as Docker's.

mod duration;
mod health_check;
mod ports;
mod signal;
mod words;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use errors::{Explain, Kind};

use crate::change::words::Environment;
use crate::image::HealthCheck;

/// One edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Cmd(Command),
    Entrypoint(Command),
    /// Names and values.
    Env(Vec<(String, String)>),
    /// Ports with their protocol, as in `80/tcp`.
    Expose(Vec<String>),
    HealthCheck(HealthCheck),
    Label(Vec<(String, String)>),
    OnBuild(String),
    StopSignal(String),
    User(String),
    Volume(Vec<String>),
    WorkingDirectory(String),
}

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A program and its arguments.
    Exec(Vec<String>),
    /// A line for the shell.
    Shell(String),
}

/// Why a text is not an edit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    #[error("file with no instructions")]
    Empty,
    #[error("{instruction} is not a valid change command")]
    NotAllowed { instruction: String },
    #[error("{instruction} requires at least one argument")]
    NoArguments { instruction: &'static str },
    #[error("{instruction} requires exactly one argument")]
    NotOneArgument { instruction: &'static str },
    #[error("{instruction} must have two arguments")]
    NotTwoArguments { instruction: &'static str },
    #[error("{instruction} names can not be blank")]
    BlankName { instruction: &'static str },
    #[error("Syntax error - can't find = in {word:?}. Must be of the form: name=value")]
    NoEquals { word: String },
    #[error("when using JSON array syntax, arrays must be comprised of strings only")]
    NotStrings,
    #[error("failed to process \"{word}\": {reason}")]
    Word { word: String, reason: String },
    #[error("Invalid containerPort: {port}")]
    Port { port: String },
    #[error("Invalid proto: {protocol}")]
    Protocol { protocol: String },
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
    #[error("invalid signal: {signal}")]
    Signal { signal: String },
    #[error("Unknown type {kind:?} in HEALTHCHECK (try CMD)")]
    HealthCheckKind { kind: String },
    #[error("Missing command after HEALTHCHECK CMD")]
    HealthCheckCommand,
    #[error("HEALTHCHECK NONE takes no arguments")]
    HealthCheckNone,
    #[error("unknown flag: --{flag}")]
    Flag { flag: String },
    #[error("missing a value on flag: --{flag}")]
    FlagValue { flag: String },
    #[error("time: invalid duration {text:?}")]
    Duration { text: String },
    #[error("Interval {flag:?} cannot be less than 1ms")]
    DurationTooShort { flag: &'static str },
    #[error("--retries must be a number that is not negative ({text})")]
    Retries { text: String },
    #[error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")]
    OnBuildChain,
    #[error("{instruction} isn't allowed as an ONBUILD trigger")]
    OnBuildTrigger { instruction: String },
}

impl Explain for ChangeError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotAllowed { .. } => Some(
                "what can be changed: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, \
                 STOPSIGNAL, USER, VOLUME, WORKDIR"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// What a line for the shell is given to, unless the configuration names another.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// Reads one instruction.
pub fn parse_change(text: &str) -> Result<Change, ChangeError> {
    parse(text, &Environment::default())
}

/// Reads several instructions. `environment` (`NAME=value`) is what the configuration has.
pub fn parse_changes(texts: &[String], environment: &[String]) -> Result<Vec<Change>, ChangeError> {
    let mut environment = Environment::new(environment);
    let mut changes = Vec::new();
    for text in texts {
        let change = parse(text, &environment)?;
        if let Change::Env(variables) = &change {
            environment.extend(variables);
        }
        changes.push(change);
    }
    Ok(changes)
}

fn parse(text: &str, environment: &Environment) -> Result<Change, ChangeError> {
    // A backslash at the end of a line joins it with the next.
    let text = text.replace("\\\n", "");
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return Err(ChangeError::Empty);
    }
    let (instruction, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    match instruction.to_ascii_uppercase().as_str() {
        "CMD" => Ok(Change::Cmd(command(rest)?)),
        "ENTRYPOINT" => Ok(Change::Entrypoint(command(rest)?)),
        "ENV" => Ok(Change::Env(pairs("ENV", rest, environment)?)),
        "EXPOSE" => ports::parse(rest, environment).map(Change::Expose),
        "HEALTHCHECK" => health_check::parse(rest).map(Change::HealthCheck),
        "LABEL" => Ok(Change::Label(pairs("LABEL", rest, environment)?)),
        "ONBUILD" => on_build(rest),
        "STOPSIGNAL" => {
            let signal = environment.expand(one_argument("STOPSIGNAL", rest)?)?;
            signal::check(&signal)?;
            Ok(Change::StopSignal(signal))
        }
        "USER" => Ok(Change::User(environment.expand(one_argument("USER", rest)?)?)),
        "VOLUME" => volumes(rest, environment),
        "WORKDIR" => {
            let folder = environment.expand(one_argument("WORKDIR", rest)?)?;
            Ok(Change::WorkingDirectory(folder))
        }
        _ => Err(ChangeError::NotAllowed { instruction: instruction.to_owned() }),
    }
}

fn one_argument<'a>(instruction: &'static str, rest: &'a str) -> Result<&'a str, ChangeError> {
    if rest.is_empty() { Err(ChangeError::NotOneArgument { instruction }) } else { Ok(rest) }
}

/// The JSON form, or else the shell form.
fn command(rest: &str) -> Result<Command, ChangeError> {
    Ok(match json_strings(rest)? {
        Some(arguments) => Command::Exec(arguments),
        None => Command::Shell(rest.to_owned()),
    })
}

/// A JSON array of strings at the beginning of a text, if there is one.
fn json_strings(text: &str) -> Result<Option<Vec<String>>, ChangeError> {
    if !text.starts_with('[') {
        return Ok(None);
    }
    // Docker reads the array and never looks behind it.
    let Some(Ok(values)) =
        serde_json::Deserializer::from_str(text).into_iter::<Vec<Value>>().next()
    else {
        return Ok(None);
    };
    let strings = values.into_iter().map(|value| match value {
        Value::String(string) => Ok(string),
        _ => Err(ChangeError::NotStrings),
    });
    strings.collect::<Result<_, _>>().map(Some)
}

/// `name=value …`, or `name value`, whose value goes to the end of the line.
fn pairs(
    instruction: &'static str,
    rest: &str,
    environment: &Environment,
) -> Result<Vec<(String, String)>, ChangeError> {
    let words = words::split(rest);
    let Some(first) = words.first() else {
        return Err(ChangeError::NoArguments { instruction });
    };
    let pairs: Vec<(&str, &str)> = if first.contains('=') {
        words
            .iter()
            .map(|word| {
                word.split_once('=').ok_or_else(|| ChangeError::NoEquals { word: word.clone() })
            })
            .collect::<Result<_, _>>()?
    } else {
        let (name, value) = rest
            .split_once(char::is_whitespace)
            .ok_or(ChangeError::NotTwoArguments { instruction })?;
        vec![(name, value.trim_start())]
    };
    pairs
        .into_iter()
        .map(|(name, value)| {
            let name = environment.expand(name)?;
            if name.is_empty() {
                return Err(ChangeError::BlankName { instruction });
            }
            Ok((name, environment.expand(value)?))
        })
        .collect()
}

fn on_build(rest: &str) -> Result<Change, ChangeError> {
    let first = rest.split_whitespace().next();
    let first = first.ok_or(ChangeError::NoArguments { instruction: "ONBUILD" })?;
    match first.to_ascii_uppercase().as_str() {
        "ONBUILD" => Err(ChangeError::OnBuildChain),
        instruction @ ("MAINTAINER" | "FROM") => {
            Err(ChangeError::OnBuildTrigger { instruction: instruction.to_owned() })
        }
        _ => Ok(Change::OnBuild(rest.to_owned())),
    }
}

fn volumes(rest: &str, environment: &Environment) -> Result<Change, ChangeError> {
    let paths = match json_strings(rest)? {
        Some(paths) => paths,
        None => rest.split_whitespace().map(str::to_owned).collect(),
    };
    if paths.is_empty() {
        return Err(ChangeError::NoArguments { instruction: "VOLUME" });
    }
    let paths = paths.iter().map(|path| {
        let path = environment.expand(path)?.trim().to_owned();
        if path.is_empty() { Err(ChangeError::EmptyVolume) } else { Ok(path) }
    });
    paths.collect::<Result<_, _>>().map(Change::Volume)
}

/// Makes the edits in a configuration's `config` part, which is Docker's JSON.
pub fn apply(changes: &[Change], config: &mut Map<String, Value>) {
    let mut has_command = false;
    for change in changes {
        match change {
            Change::Cmd(command) => {
                has_command = true;
                config.insert("Cmd".to_owned(), to_arguments(command, config));
            }
            Change::Entrypoint(command) => {
                let arguments = to_arguments(command, config);
                config.insert("Entrypoint".to_owned(), arguments);
                // A command that was meant for another entrypoint makes no sense any more.
                if !has_command {
                    config.remove("Cmd");
                }
            }
            Change::Env(variables) => set_variables(config, variables),
            Change::Expose(ports) => add_keys(config, "ExposedPorts", ports),
            Change::HealthCheck(check) => {
                config.insert("Healthcheck".to_owned(), json!(check));
            }
            Change::Label(labels) => {
                let object = object(config, "Labels");
                for (name, value) in labels {
                    object.insert(name.clone(), value.clone().into());
                }
                object.sort_keys();
            }
            Change::OnBuild(trigger) => {
                let mut triggers = array(config, "OnBuild");
                triggers.push(trigger.clone().into());
                config.insert("OnBuild".to_owned(), triggers.into());
            }
            Change::StopSignal(signal) => {
                config.insert("StopSignal".to_owned(), signal.clone().into());
            }
            Change::User(user) => {
                config.insert("User".to_owned(), user.clone().into());
            }
            Change::Volume(paths) => add_keys(config, "Volumes", paths),
            Change::WorkingDirectory(folder) => {
                let before = config.get("WorkingDir").and_then(Value::as_str).unwrap_or_default();
                let folder = absolute(before, folder);
                config.insert("WorkingDir".to_owned(), folder.into());
            }
        }
    }
}

fn to_arguments(command: &Command, config: &Map<String, Value>) -> Value {
    match command {
        Command::Exec(arguments) => arguments.clone().into(),
        Command::Shell(line) => {
            let shell = config.get("Shell").and_then(Value::as_array).cloned();
            let shell = shell.filter(|shell| !shell.is_empty());
            let mut arguments = shell.unwrap_or_else(|| SHELL.map(Value::from).to_vec());
            if !line.is_empty() {
                arguments.push(line.clone().into());
            }
            arguments.into()
        }
    }
}

fn set_variables(config: &mut Map<String, Value>, variables: &[(String, String)]) {
    let mut environment = array(config, "Env");
    for (name, value) in variables {
        let entry = Value::from(format!("{name}={value}"));
        let is_same = |known: &Value| {
            known
                .as_str()
                .and_then(|known| known.split_once('='))
                .is_some_and(|(known, _)| known == name)
        };
        match environment.iter_mut().find(|known| is_same(known)) {
            Some(known) => *known = entry,
            None => environment.push(entry),
        }
    }
    config.insert("Env".to_owned(), environment.into());
}

/// Adds to one of the sets that Docker writes as the keys of an object.
fn add_keys(config: &mut Map<String, Value>, field: &str, keys: &[String]) {
    let object = object(config, field);
    for key in keys {
        object.insert(key.clone(), json!({}));
    }
    object.sort_keys();
}

fn object<'a>(config: &'a mut Map<String, Value>, field: &str) -> &'a mut Map<String, Value> {
    let value = config.entry(field).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was just made one")
}

fn array(config: &Map<String, Value>, field: &str) -> Vec<Value> {
    config.get(field).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// A folder, seen from another one.
fn absolute(before: &str, folder: &str) -> String {
    let path =
        if folder.starts_with('/') { folder.to_owned() } else { format!("{before}/{folder}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}
