//! `wharf info`: the state of the engine.

use std::fmt::Write as _;

use docker_api::client::{ClientError, Request};
use docker_api::system::SystemInfo;
use serde_json::{Value, json};

use super::version::client_version;
use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::INSPECT_FORMAT_HELP;
use crate::failure::Failure;
use crate::output::template::{Scope, Template};
use crate::output::{self, units};
use crate::session::Session;

pub(crate) static INFO: Command = Command::new("info", "Display system-wide information", run)
    .spellings(&["system info", "info"])
    .takes(Positional::None, "[OPTIONS]")
    .flags(&[&[Flag::text("format", INSPECT_FORMAT_HELP).short('f')]]);

/// The exit status for a template that cannot be read.
const STATUS_BAD_TEMPLATE: i32 = 64;

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let server = server(session);
    let format = match parsed.text("format") {
        "" => return plain(session, server),
        "json" => "{{json .}}",
        format => format,
    };
    let template = Template::parse(format).map_err(|error| {
        Failure::new(format!("template parsing error: {error}")).with_status(STATUS_BAD_TEMPLATE)
    })?;
    let (mut document, failure) = match server {
        Ok(text) => (serde_json::from_str(&text)?, None),
        Err(failure) => (json!({}), Some(failure)),
    };
    if let Value::Object(members) = &mut document {
        members.insert("ClientInfo".to_owned(), client(session));
    }
    let text = template.render(&Scope::from_document(&document));
    let text = text.map_err(|error| Failure::new(error.to_string()))?;
    output::print(&format!("{text}\n"))?;
    failure.map_or(Ok(()), Err)
}

fn server(session: &Session) -> Result<String, Failure> {
    let answer = session.client()?.send(Request::get("/info"));
    let bytes = answer.and_then(docker_api::client::Response::bytes);
    let bytes = bytes.map_err(|error: ClientError| Failure::from(error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn client(session: &Session) -> Value {
    let mut client = json!({"Debug": session.is_debug()});
    if let (Value::Object(members), Value::Object(version)) =
        (&mut client, client_version(&session.context_name()))
    {
        members.extend(version);
        members.insert("Plugins".to_owned(), json!([]));
        members.insert("Warnings".to_owned(), Value::Null);
    }
    client
}

fn plain(session: &Session, server: Result<String, Failure>) -> Result<(), Failure> {
    let client = format!(
        "Client:\n Version:    {}\n Context:    {}\n Debug Mode: {}\n\nServer:\n",
        env!("CARGO_PKG_VERSION"),
        session.context_name(),
        session.is_debug()
    );
    let text = match server {
        Ok(text) => text,
        Err(failure) => {
            output::print(&client)?;
            return Err(failure);
        }
    };
    let info: SystemInfo = docker_api::lenient::from_slice(text.as_bytes())
        .map_err(|error| Failure::new(error.to_string()))?;
    output::print(&format!("{client}{}\n", server_text(&info, session.is_debug())))?;
    for warning in info.warnings.iter().flatten() {
        output::warn(warning);
    }
    Ok(())
}

fn server_text(info: &SystemInfo, is_debug: bool) -> String {
    let mut text = String::new();
    for (label, number) in [
        (" Containers", info.containers),
        ("  Running", info.containers_running),
        ("  Paused", info.containers_paused),
        ("  Stopped", info.containers_stopped),
        (" Images", info.images),
    ] {
        let _ = writeln!(text, "{label}: {number}");
    }
    known(&mut text, "Server Version", &info.server_version);
    known(&mut text, "Storage Driver", &info.driver);
    for [name, value] in &info.driver_status {
        let _ = writeln!(text, "  {name}: {value}");
    }
    known(&mut text, "Logging Driver", &info.logging_driver);
    known(&mut text, " Log Bound", &info.log_bound);
    known(&mut text, "Cgroup Driver", &info.cgroup_driver);
    known(&mut text, "Cgroup Version", &info.cgroup_version);
    plugins(&mut text, info);
    let _ = writeln!(text, " Swarm: {}", info.swarm.local_node_state);
    if !info.runtimes.is_empty() {
        let names: Vec<_> = info.runtimes.keys().map(String::as_str).collect();
        let _ = writeln!(text, " Runtimes: {}", names.join(" "));
        let _ = writeln!(text, " Default Runtime: {}", info.default_runtime);
    }
    if info.os_type == "linux" {
        let _ = writeln!(text, " Init Binary: {}", info.init_binary);
        let _ = writeln!(text, " containerd version: {}", info.containerd_commit.id);
        let _ = writeln!(text, " runc version: {}", info.runc_commit.id);
        let _ = writeln!(text, " init version: {}", info.init_commit.id);
        security(&mut text, &info.security_options);
    }
    host(&mut text, info, is_debug);
    registries(&mut text, info);
    let _ = writeln!(text, " Live Restore Enabled: {}", info.live_restore_enabled);
    if let Some(pools) = info.default_address_pools.as_ref().filter(|pools| !pools.is_empty()) {
        text.push_str(" Default Address Pools:\n");
        for pool in pools {
            let _ = writeln!(text, "   Base: {}, Size: {}", pool.base, pool.size);
        }
    }
    text
}

fn known(text: &mut String, label: &str, value: &str) {
    if !value.is_empty() {
        let _ = writeln!(text, " {label}: {value}");
    }
}

fn plugins(text: &mut String, info: &SystemInfo) {
    let plugins = &info.plugins;
    let _ = writeln!(text, " Plugins:\n  Volume: {}", plugins.volume.join(" "));
    let _ = writeln!(text, "  Network: {}", plugins.network.join(" "));
    if let Some(names) = plugins.authorization.as_ref().filter(|names| !names.is_empty()) {
        let _ = writeln!(text, "  Authorization: {}", names.join(" "));
    }
    let _ = writeln!(text, "  Log: {}", plugins.log.join(" "));
    if let Some(folders) = info.cdi_spec_dirs.as_ref().filter(|folders| !folders.is_empty()) {
        text.push_str(" CDI spec directories:\n");
        for folder in folders {
            let _ = writeln!(text, "  {folder}");
        }
    }
}

/// `name=seccomp,profile=builtin` and the like.
fn security(text: &mut String, options: &[String]) {
    if options.is_empty() {
        return;
    }
    text.push_str(" Security Options:\n");
    for option in options {
        let pairs = || option.split(',').filter_map(|pair| pair.split_once('='));
        let name =
            pairs().find(|(key, _)| *key == "name").map_or(option.as_str(), |(_, name)| name);
        let _ = writeln!(text, "  {name}");
        for (_, profile) in pairs().filter(|(key, _)| *key == "profile") {
            let _ = writeln!(text, "   Profile: {profile}");
        }
    }
}

fn host(text: &mut String, info: &SystemInfo, is_debug: bool) {
    known(text, "Kernel Version", &info.kernel_version);
    known(text, "Operating System", &info.operating_system);
    known(text, "OSType", &info.os_type);
    known(text, "Architecture", &info.architecture);
    let _ = writeln!(text, " CPUs: {}", info.n_cpu);
    let _ = writeln!(text, " Total Memory: {}", units::binary_size(info.mem_total as f64));
    known(text, "Name", &info.name);
    known(text, "ID", &info.id);
    let _ = writeln!(text, " Docker Root Dir: {}", info.docker_root_dir);
    let _ = writeln!(text, " Debug Mode: {}", info.debug);
    if info.debug || is_debug {
        let _ = writeln!(text, "  File Descriptors: {}", info.n_fd);
        let _ = writeln!(text, "  Goroutines: {}", info.n_goroutines);
        let _ = writeln!(text, "  System Time: {}", info.system_time);
        let _ = writeln!(text, "  EventsListeners: {}", info.n_events_listener);
    }
    known(text, "HTTP Proxy", &info.http_proxy);
    known(text, "HTTPS Proxy", &info.https_proxy);
    known(text, "No Proxy", &info.no_proxy);
    if !info.labels.is_empty() {
        text.push_str(" Labels:\n");
        for label in &info.labels {
            let _ = writeln!(text, "  {label}");
        }
    }
    let _ = writeln!(text, " Experimental: {}", info.experimental_build);
}

fn registries(text: &mut String, info: &SystemInfo) {
    let Some(config) = &info.registry_config else { return };
    if !config.insecure_registry_cidrs.is_empty() || !config.index_configs.is_empty() {
        text.push_str(" Insecure Registries:\n");
        for index in config.index_configs.values().filter(|index| !index.secure) {
            let _ = writeln!(text, "  {}", index.name);
        }
        for range in &config.insecure_registry_cidrs {
            let _ = writeln!(text, "  {range}");
        }
    }
    if let Some(mirrors) = config.mirrors.as_ref().filter(|mirrors| !mirrors.is_empty()) {
        text.push_str(" Registry Mirrors:\n");
        for mirror in mirrors {
            let _ = writeln!(text, "  {mirror}");
        }
    }
}
