//! `wharf create`: makes a container without starting it.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use docker_api::client::{Client, ClientError, Endpoint, Request};
use docker_api::containers::{CreateRequest, CreateResponse};
use docker_api::mounts::{BindOptions, Mount};
use docker_api::system::VersionInfo;

use super::creation;
use super::creation_flags::FLAGS;
use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::failure::{Failure, go_message};
use crate::options::{platforms, references};
use crate::output::{self, progress};
use crate::session::{Session, environment};
use crate::terminal::console_size;

pub(crate) static CREATE: Command = Command::new("create", "Create a new container", run)
    .spellings(&["container create", "create"])
    .takes(Positional::AtLeast(1), "[OPTIONS] IMAGE [COMMAND] [ARG...]")
    .flags(&[
        FLAGS,
        &[Flag::text("pull", "Pull image before creating (\"always\", \"|missing\", \"never\")")
            .default("missing")],
    ])
    .stops_at_first_argument();

/// The exit status for everything that is wrong before a container runs.
pub(crate) const STATUS_BEFORE_RUN: i32 = 125;

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let request = request(session, parsed, "create")?;
    let id = create(session, parsed, request)?;
    output::print(&format!("{id}\n"))?;
    Ok(())
}

/// The request that the flags come to.
pub(crate) fn request(
    session: &Session,
    parsed: &Parsed,
    command: &str,
) -> Result<CreateRequest, Failure> {
    let refuse =
        |reason: String| with_help(Failure::new(reason), command).with_status(STATUS_BEFORE_RUN);
    check_pull(parsed.text("pull")).map_err(refuse)?;
    if parsed.given("disable-content-trust") == Some("false") {
        let reason = "--disable-content-trust=false is not supported by wharf yet";
        return Err(refuse(reason.to_owned()));
    }
    let host = session.host().unwrap_or_default();
    let proxies = session.configuration().proxy_variables(&host);
    let mut request = creation::request(parsed, &proxies).map_err(refuse)?;
    refuse_for_windows(parsed)?;
    if parsed.switch("use-api-socket") {
        mount_socket(session, &mut request)?;
    }
    Ok(request)
}

/// Flags that mean something on another system only.
fn refuse_for_windows(parsed: &Parsed) -> Result<(), Failure> {
    let flags = ["cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops"];
    match flags.into_iter().find(|flag| parsed.is_set(flag)) {
        None => Ok(()),
        Some(flag) => Err(Failure::new(format!(
            "\"--{flag}\" is only supported on a Docker daemon running on windows, but the Docker \
             daemon is running on linux"
        ))),
    }
}

/// Where clients in a container look for the engine's socket.
const SOCKET_IN_CONTAINER: &str = "/var/run/docker.sock";

/// Gives the container the socket that this client speaks to. There are no credentials to go
/// with it yet.
fn mount_socket(session: &Session, request: &mut CreateRequest) -> Result<(), Failure> {
    let Endpoint::Unix(socket) = session.client()?.endpoint() else {
        return Err(Failure::new("flag --use-api-socket can't be used with remote Docker Engines"));
    };
    let mount = Mount {
        kind: "bind".to_owned(),
        source: socket.display().to_string(),
        target: SOCKET_IN_CONTAINER.to_owned(),
        bind_options: Some(BindOptions::default()),
        ..Mount::default()
    };
    let host_config = request.host_config.get_or_insert_default();
    host_config.mounts.get_or_insert_default().push(mount);
    Ok(())
}

/// The failure with the advice to ask for help, as `run` and `create` tell it.
pub(crate) fn with_help(mut failure: Failure, command: &str) -> Failure {
    failure.message = format!("wharf: {}", failure.message);
    let advice = format!("Run 'wharf {command} --help' for more information");
    if failure.hint.is_some() {
        // Ours knows better what to do next.
        return failure;
    }
    failure.message.push_str("\n\n");
    failure.message.push_str(&advice);
    failure
}

fn check_pull(value: &str) -> Result<(), String> {
    if matches!(value, "always" | "missing" | "never" | "") {
        return Ok(());
    }
    Err(format!(
        "invalid pull option: '{value}': must be one of \"always\", \"missing\" or \"never\""
    ))
}

/// Makes the container, having fetched its image where that is called for.
pub(crate) fn create(
    session: &Session,
    parsed: &Parsed,
    mut request: CreateRequest,
) -> Result<String, Failure> {
    let id_file = IdFile::create(parsed.text("cidfile"))?;
    let image = &request.config.image;
    let reference = match references::is_identifier(image) {
        true => None,
        false => Some(references::parse(image).map_err(Failure::new)?),
    };
    if let Some(text) = platform(parsed) {
        platforms::parse(&text)
            .map_err(|error| Failure::new(format!("error parsing specified platform: {error}")))?;
    }
    let client = session.client()?;
    check_engine(client, &request)?;
    let puller = Puller { client, parsed, image };
    if parsed.text("pull") == "always" {
        puller.pull()?;
    }
    if let Some(host_config) = &mut request.host_config {
        host_config.console_size = console_size();
    }
    let response = match post(client, parsed, &request) {
        Err(error) if error.status() == Some(404) && parsed.text("pull") == "missing" => {
            let Some(reference) = reference else { return Err(error.into()) };
            if !parsed.switch("quiet") {
                let name = reference.or_latest().familiar();
                output::warn(&format!("Unable to find image '{name}' locally"));
            }
            puller.pull()?;
            post(client, parsed, &request)?
        }
        response => response?,
    };
    let local_dns = parsed.list("dns").into_iter().find(|address| is_loopback(address));
    let local_dns = local_dns.map(|dns| format!("Localhost DNS ({dns}) may fail in containers."));
    for warning in response.warnings.iter().flatten().chain(&local_dns) {
        output::warn(&format!("WARNING: {warning}"));
    }
    id_file.keep(&response.id)?;
    Ok(response.id)
}

/// Refuses what another engine than ours would take and not do.
fn check_engine(client: &Client, request: &CreateRequest) -> Result<(), Failure> {
    let needs = request.config.healthcheck.as_ref().and_then(creation::health::needs_wharf);
    let Some(flag) = needs else { return Ok(()) };
    let answer = client.json::<VersionInfo>(Request::get("/version"))?;
    if answer.version.contains("wharf") {
        return Ok(());
    }
    let mut failure = Failure::new(format!("{flag} needs a Wharf engine, and this is another one"));
    failure.hint =
        Some("`--health-cmd` runs a command in the container with any engine".to_owned());
    Err(failure.with_status(STATUS_BEFORE_RUN))
}

fn is_loopback(address: &str) -> bool {
    address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn post(
    client: &Client,
    parsed: &Parsed,
    body: &CreateRequest,
) -> Result<CreateResponse, ClientError> {
    let platform = platform(parsed).and_then(|text| platforms::parse(&text).ok());
    let platform = platform.map(|platform| platform.to_string());
    let name = Some(parsed.text("name")).filter(|name| !name.is_empty());
    let request = Request::post("/containers/create")
        .query_some("name", name)
        .query_some("platform", platform.as_deref());
    client.json(request.json(body))
}

fn platform(parsed: &Parsed) -> Option<String> {
    let given = parsed.given("platform").map(str::to_owned);
    given.or_else(|| environment("DOCKER_DEFAULT_PLATFORM")).filter(|text| !text.is_empty())
}

/// How an image that is not there is fetched.
struct Puller<'a> {
    client: &'a Client,
    parsed: &'a Parsed,
    image: &'a str,
}

impl Puller<'_> {
    fn pull(&self) -> Result<(), Failure> {
        let reference = references::parse(self.image).map_err(Failure::new)?.or_latest();
        let body = self.client.send(pull_request(&reference, platform(self.parsed).as_deref()))?;
        if self.parsed.switch("quiet") {
            return progress::show(body.into_body(), &mut io::sink());
        }
        // The standard output is for the container's id, and the container's own.
        progress::show(body.into_body(), &mut io::stderr())
    }
}

/// The request that fetches an image.
pub(crate) fn pull_request(
    reference: &references::Reference,
    platform: Option<&str>,
) -> Request<'static> {
    let tag = reference.digest.as_deref().or(reference.tag.as_deref());
    Request::post("/images/create")
        .query("fromImage", &reference.full_name())
        .query_some("tag", tag)
        .query_some("platform", platform)
}

/// The file that `--cidfile` names. It is gone if there is no container in the end.
struct IdFile(Option<(PathBuf, File)>);

impl IdFile {
    fn create(path: &str) -> Result<Self, Failure> {
        if path.is_empty() {
            return Ok(Self(None));
        }
        if Path::new(path).exists() {
            return Err(Failure::new(format!(
                "container ID file found, make sure the other container isn't running or delete \
                 {path}"
            )));
        }
        let file = File::create(path).map_err(|error| {
            let reason = go_message(&error);
            Failure::new(format!("failed to create the container ID file: open {path}: {reason}"))
        })?;
        Ok(Self(Some((path.into(), file))))
    }

    fn keep(mut self, id: &str) -> Result<(), Failure> {
        let Some((_, mut file)) = self.0.take() else { return Ok(()) };
        file.write_all(id.as_bytes()).map_err(|error| {
            let reason = go_message(&error);
            Failure::new(format!("failed to write the container ID to the file: {reason}"))
        })
    }
}

impl Drop for IdFile {
    fn drop(&mut self) {
        if let Some((path, _)) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}
