//! Links: containers of the default network that another one knows by a further name.
//!
//! The one that links (the parent) finds the other (the child) in its `/etc/hosts`, and the
//! child's ports and variables in its environment. Both are written at the parent's start; when
//! the child comes back with another address, the lines in the files of parents that run follow
//! it ([`follow`]). Nobody has to be there for them to stay true: the files are the containers'.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use errors::{Explain, Kind};
use network::Protocol;

use super::ContainerId;
use super::errors::{ControlError, CreateError, LookupError, StartError};
use super::record::Record;
use super::spec::{ContainerSpec, LinkSpec, NetworkMode};
use super::start::hostname_of;
use super::view::{Phase, View};
use crate::engine::Parts;

/// Variables of the child's that are about the child alone.
const OWN_VARIABLES: [&str; 2] = ["HOME", "PATH"];

/// A child that runs.
#[derive(Debug)]
pub(super) struct Linked {
    alias: String,
    name: String,
    hostname: String,
    address: IpAddr,
    ports: Vec<(u16, Protocol)>,
    environment: Vec<String>,
}

/// Finds out whom a new container's links mean.
pub(super) fn resolve(parts: &Parts, spec: &mut ContainerSpec) -> Result<(), CreateError> {
    for link in &mut spec.network.links {
        let not_found =
            |source| CreateError::LinkNotFound { container: link.container.clone(), source };
        let named = parts.registry.find(&link.container).map_err(not_found)?.view();
        let child = owner_of_network(parts, &named).map_err(not_found)?;
        if matches!(child.spec.network.mode, NetworkMode::Host) {
            return Err(CreateError::LinkToHost);
        }
        link.name.clone_from(&child.name);
        link.container = child.id.to_string();
    }
    Ok(())
}

/// The container itself, or the one whose network it is in.
pub(super) fn owner_of_network(parts: &Parts, view: &View) -> Result<Arc<View>, LookupError> {
    let mut view = Arc::new(view.clone());
    let mut seen = Vec::new();
    while let NetworkMode::Container(other) = &view.spec.network.mode {
        if seen.contains(&view.id) {
            break;
        }
        seen.push(view.id.clone());
        view = parts.registry.find(other)?.view();
    }
    Ok(view)
}

/// The children of a container that is about to start. They all have to run.
pub(super) fn children(parts: &Parts, record: &Record) -> Result<Vec<Linked>, StartError> {
    if !is_on_default_network(&record.spec) {
        return Ok(Vec::new());
    }
    let links = record.spec.network.links.iter();
    links.map(|link| child(parts, &record.name, link)).collect()
}

/// Elsewhere links have no effect: there the network's own names are for that.
fn is_on_default_network(spec: &ContainerSpec) -> bool {
    matches!(&spec.network.mode, NetworkMode::Network(name) if name == "bridge")
}

fn child(parts: &Parts, parent: &str, link: &LinkSpec) -> Result<Linked, StartError> {
    let view = parts.registry.find(&link.container).ok().map(|container| container.view());
    let name = view.as_ref().map_or(link.name.as_str(), |view| view.name.as_str());
    let running =
        view.as_ref().filter(|view| matches!(view.state.phase, Phase::Running | Phase::Paused));
    let Some(view) = running else {
        return Err(StartError::LinkNotRunning {
            child: name.to_owned(),
            parent: parent.to_owned(),
            alias: link.alias.clone(),
        });
    };
    let attachment = view
        .attachment
        .as_ref()
        .ok_or_else(|| StartError::LinkNotAttached { container: view.id.to_string() })?;
    Ok(Linked {
        alias: link.alias.clone(),
        name: view.name.clone(),
        hostname: hostname_of(&view.spec, &view.id),
        address: attachment.address.into(),
        ports: view.spec.network.exposed_ports.clone(),
        environment: view.spec.process.environment.clone(),
    })
}

/// A link was not removed.
#[derive(Debug, thiserror::Error)]
pub enum UnlinkError {
    #[error("Conflict, cannot remove the default link name of the container")]
    IsName,
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl Explain for UnlinkError {
    fn kind(&self) -> Kind {
        match self {
            // Docker has no class for it.
            Self::IsName => Kind::Internal,
            Self::Lookup(error) => error.kind(),
            Self::Control(error) => error.kind(),
        }
    }
}

/// Forgets the link that `name` (`parent/alias`) is.
pub(crate) async fn remove(parts: &Parts, name: &str) -> Result<(), UnlinkError> {
    // Docker finds out first whether there is such a container at all.
    parts.registry.find(name)?;
    let bare = name.strip_prefix('/').unwrap_or(name);
    let Some((parent, alias)) = bare.split_once('/') else { return Err(UnlinkError::IsName) };
    Ok(parts.registry.find(parent)?.unlink(alias).await?)
}

/// A container's links for people: the other one's name now, and its alias here.
pub(crate) fn shown(parts: &Parts, view: &View) -> Vec<(String, String)> {
    let links = view.spec.network.links.iter();
    links
        .map(|link| {
            let child = parts.registry.find(&link.container);
            let name = child.map_or_else(|_| link.name.clone(), |child| child.view().name.clone());
            (name, link.alias.clone())
        })
        .collect()
}

/// Under which further names containers are known, by their ids.
pub(crate) fn names(views: &[Arc<View>]) -> HashMap<String, Vec<String>> {
    let mut names: HashMap<String, Vec<String>> = HashMap::new();
    for parent in views {
        for link in &parent.spec.network.links {
            let name = format!("{}/{}", parent.name, link.alias);
            names.entry(link.container.clone()).or_default().push(name);
        }
    }
    names
}

impl Linked {
    /// Its names in `/etc/hosts`.
    fn names(&self) -> String {
        match self.alias == self.name {
            true => format!("{} {}", self.alias, self.hostname),
            false => format!("{} {} {}", self.alias, self.hostname, self.name),
        }
    }

    /// Its line in `/etc/hosts`.
    pub(super) fn host(&self) -> network::hosts::ExtraHost {
        network::hosts::ExtraHost { name: self.names(), address: self.address }
    }
}

/// What the environment of the container called `parent` says of its children.
pub(super) fn environment(parent: &str, children: &[Linked]) -> Vec<String> {
    children.iter().flat_map(|child| child.variables(parent)).collect()
}

impl Linked {
    fn variables(&self, parent: &str) -> Vec<String> {
        let prefix = self.alias.to_uppercase().replace('-', "_");
        let mut ports = self.ports.clone();
        // TCP first: the first port is the one that has no number in its variable's name.
        ports.sort_by_key(|(number, protocol)| {
            (*protocol != Protocol::Tcp, protocol.to_string(), *number)
        });
        let mut variables = Vec::new();
        let url =
            |(number, protocol): (u16, Protocol)| format!("{protocol}://{}:{number}", self.address);
        if let Some(first) = ports.first() {
            variables.push(format!("{prefix}_PORT={}", url(*first)));
        }
        for (first, last) in runs(&ports) {
            let port = port_prefix(&prefix, first);
            variables.extend([
                format!("{port}_START={}", url(first)),
                format!("{port}_ADDR={}", self.address),
                format!("{port}_PROTO={}", first.1),
                format!("{port}_PORT_START={}", first.0),
                format!("{port}_END={}", url(last)),
                format!("{port}_PORT_END={}", last.0),
            ]);
        }
        for each in ports {
            let port = port_prefix(&prefix, each);
            variables.extend([
                format!("{port}={}", url(each)),
                format!("{port}_ADDR={}", self.address),
                format!("{port}_PORT={}", each.0),
                format!("{port}_PROTO={}", each.1),
            ]);
        }
        variables.push(format!("{prefix}_NAME=/{parent}/{}", self.alias));
        for (name, value) in self.environment.iter().filter_map(|entry| entry.split_once('=')) {
            if !OWN_VARIABLES.contains(&name) {
                variables.push(format!("{prefix}_ENV_{name}={value}"));
            }
        }
        variables
    }
}

fn port_prefix(prefix: &str, (number, protocol): (u16, Protocol)) -> String {
    format!("{prefix}_PORT_{number}_{}", protocol.to_string().to_uppercase())
}

/// Three and more ports in a row: the first and the last of them.
fn runs(ports: &[(u16, Protocol)]) -> Vec<((u16, Protocol), (u16, Protocol))> {
    let follows =
        |a: &(u16, Protocol), b: &(u16, Protocol)| a.1 == b.1 && a.0.checked_add(1) == Some(b.0);
    ports
        .chunk_by(follows)
        .filter(|run| run.len() > 2)
        .filter_map(|run| Some((*run.first()?, *run.last()?)))
        .collect()
}

/// Tells those who link to a container that has just started where it is now.
pub(super) fn follow(parts: &Parts, id: &ContainerId, address: IpAddr) {
    for parent in parts.registry.views() {
        let links = parent.spec.network.links.iter();
        let aliases: Vec<_> = links
            .filter(|link| link.container == id.as_str())
            .map(|link| link.alias.as_str())
            .collect();
        if aliases.is_empty()
            || !parent.state.phase.is_live()
            || !is_on_default_network(&parent.spec)
        {
            continue;
        }
        if let Err(error) = rewrite(&parent.hosts_path, &aliases, address) {
            tracing::warn!(container = %parent.id, %error, "cannot update /etc/hosts");
        }
    }
}

/// Changes the address in the lines that begin with one of `aliases`. In place: the file is
/// mounted in the container.
fn rewrite(path: &Path, aliases: &[&str], address: IpAddr) -> std::io::Result<()> {
    let text = fs::read_to_string(path)?;
    let moved = with_address(&text, aliases, address);
    if moved == text { Ok(()) } else { fs::write(path, moved) }
}

fn with_address(text: &str, aliases: &[&str], address: IpAddr) -> String {
    let mut moved = String::with_capacity(text.len());
    for line in text.lines() {
        let names = line.split_once('\t').map(|(_, names)| names);
        let first = names.and_then(|names| names.split(' ').next());
        match (names, first) {
            (Some(names), Some(first)) if aliases.contains(&first) => {
                moved.push_str(&format!("{address}\t{names}"));
            }
            _ => moved.push_str(line),
        }
        moved.push('\n');
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linked(ports: &[(u16, Protocol)]) -> Linked {
        Linked {
            alias: "my-db".to_owned(),
            name: "db".to_owned(),
            hostname: "dbhost".to_owned(),
            address: "172.17.0.6".parse().unwrap(),
            ports: ports.to_vec(),
            environment: ["PW=x=y", "HOME=/r", "PATH=/bin"].map(str::to_owned).to_vec(),
        }
    }

    #[test]
    fn the_environment_tells_of_ports_and_variables() {
        let variables = linked(&[(53, Protocol::Udp), (80, Protocol::Tcp)]).variables("web");
        assert_eq!(
            variables,
            [
                "MY_DB_PORT=tcp://172.17.0.6:80",
                "MY_DB_PORT_80_TCP=tcp://172.17.0.6:80",
                "MY_DB_PORT_80_TCP_ADDR=172.17.0.6",
                "MY_DB_PORT_80_TCP_PORT=80",
                "MY_DB_PORT_80_TCP_PROTO=tcp",
                "MY_DB_PORT_53_UDP=udp://172.17.0.6:53",
                "MY_DB_PORT_53_UDP_ADDR=172.17.0.6",
                "MY_DB_PORT_53_UDP_PORT=53",
                "MY_DB_PORT_53_UDP_PROTO=udp",
                "MY_DB_NAME=/web/my-db",
                "MY_DB_ENV_PW=x=y",
            ]
        );
    }

    #[test]
    fn ports_in_a_row_have_a_first_and_a_last() {
        let ports = [80, 81, 82, 90, 91].map(|number| (number, Protocol::Tcp));
        assert_eq!(runs(&ports), [(ports[0], ports[2])]);
    }

    #[test]
    fn a_line_follows_its_container() {
        let text = "1.1.1.1\tdb other\n1.1.1.1\tweb db\n# db\n";
        let moved = with_address(text, &["db"], "2.2.2.2".parse().unwrap());
        assert_eq!(moved, "2.2.2.2\tdb other\n1.1.1.1\tweb db\n# db\n");
    }
}
