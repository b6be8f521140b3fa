//! One container of a list.

use std::collections::BTreeMap;

use docker_api::containers::{ContainerSummary, SummaryHostConfig, SummaryNetworkSettings};
use engine::containers::View;
use engine::containers::spec::NetworkMode;
use jiff::Timestamp;

use super::{Summary, container_state, endpoints, mount};

/// Shows a container in short. `image` is what to call its image. `sizes` are the bytes of its
/// own changes, and of everything.
pub(crate) fn summary(
    view: &View,
    image: String,
    sizes: Option<(u64, u64)>,
    now: Timestamp,
) -> ContainerSummary {
    let kept = Summary::from_text(&view.document);
    let (own, all) = sizes.unwrap_or_default();
    let bytes = |size: u64| i64::try_from(size).unwrap_or(i64::MAX);
    ContainerSummary {
        id: view.id.to_string(),
        names: vec![format!("/{}", view.name)],
        image,
        image_id: view.image_id.clone(),
        command: command(&view.spec.process.arguments),
        created: view.created_at.as_second(),
        ports: endpoints::port_list(view, &kept.exposed_ports),
        size_rw: bytes(own),
        size_root_fs: bytes(all),
        labels: Some(view.spec.labels.clone()),
        state: view.state.phase.name().to_owned(),
        status: container_state::people_status(&view.state, now),
        host_config: SummaryHostConfig {
            network_mode: network_mode(&view.spec.network.mode),
            annotations: Some(view.spec.annotations.clone()),
        },
        network_settings: Some(SummaryNetworkSettings {
            networks: Some(endpoints::networks(view, &BTreeMap::new())),
        }),
        mounts: mount::list(&view.mounts, &kept.hidden_tmpfs),
    }
}

/// The program and its arguments, in quotes if they contain spaces.
fn command(arguments: &[String]) -> String {
    let Some((program, rest)) = arguments.split_first() else { return String::new() };
    let mut command = program.clone();
    for argument in rest {
        command.push(' ');
        if argument.contains(' ') {
            command.push_str(&format!("'{argument}'"));
        } else {
            command.push_str(argument);
        }
    }
    command
}

fn network_mode(mode: &NetworkMode) -> String {
    match mode {
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Host => "host".to_owned(),
        NetworkMode::Network(name) => name.clone(),
        NetworkMode::Container(container) => format!("container:{container}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_with_spaces_are_quoted() {
        let arguments = ["sh", "-c", "echo a b"].map(str::to_owned);
        assert_eq!(command(&arguments), "sh -c 'echo a b'");
    }
}
