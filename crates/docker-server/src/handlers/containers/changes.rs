//! `GET /containers/{name}/changes` and `/export`, `POST /commit`

use docker_api::containers::{CommitResponse, ContainerConfig, FileChange, HealthConfig};
use hyper::{Response, StatusCode};
use images::{ChangeKind, CommitOptions, apply_changes, parse_changes};
use serde_json::{Map, Value};

use crate::handlers::download::download;
use crate::handlers::images::named;
use crate::http::{Answer, ApiError, Request, json};
use crate::product::VERSION;
use crate::show::container_inspect;

pub(crate) async fn changes(request: Request) -> Result<Response<Answer>, ApiError> {
    let changes = request.engine().container_changes(&request.name).await?;
    let changes: Vec<_> = changes
        .into_iter()
        .map(|change| FileChange {
            path: format!("/{}", String::from_utf8_lossy(&change.path)),
            kind: match change.kind {
                ChangeKind::Modified => 0,
                ChangeKind::Added => 1,
                ChangeKind::Deleted => 2,
            },
        })
        .collect();
    // Docker's word for no changes.
    Ok(json(StatusCode::OK, &Some(changes).filter(|changes| !changes.is_empty())))
}

pub(crate) async fn export(request: Request) -> Result<Response<Answer>, ApiError> {
    let export = request.engine().export_container(&request.name)?;
    let what = format!("Error exporting container {}", request.name);
    Ok(download("application/octet-stream", what, move |writer| export.write(writer)))
}

pub(crate) async fn commit(mut request: Request) -> Result<Response<Answer>, ApiError> {
    let given = match request.has_body_over(0) {
        true => request.required_document::<Option<ContainerConfig>>().await?,
        false => None,
    };
    let query = &request.query;
    let repository = query.text("repo");
    let reference = match repository {
        "" => None,
        repository => Some(named(repository, query.text("tag"))?),
    };
    let changes: Vec<String> = query
        .all("changes")
        .filter(|change| !change.trim().is_empty())
        .map(str::to_owned)
        .collect();
    let view = request.engine().container(query.text("container"))?;
    let own = container_inspect(&view, None).config;
    let config = changed(given.as_ref().unwrap_or(&own), &own, &changes)?;
    let options = CommitOptions {
        reference,
        author: query.text("author").to_owned(),
        comment: query.text("comment").to_owned(),
        created_by: own.cmd.clone().unwrap_or_default().join(" "),
        config: to_map(&config),
        container_config: to_map(&own),
        docker_version: VERSION.to_owned(),
        parent: view.image_id.parse().ok(),
    };
    let pause = query.flag_or("pause", true);
    let id = request.engine().commit_container(view.id.as_str(), pause, options).await?;
    Ok(json(StatusCode::CREATED, &CommitResponse { id: id.to_string() }))
}

/// The configuration with the changes, completed from the container's own.
fn changed(
    config: &ContainerConfig,
    own: &ContainerConfig,
    changes: &[String],
) -> Result<ContainerConfig, ApiError> {
    let environment = config.env.clone().unwrap_or_default();
    let changes = parse_changes(changes, &environment).map_err(ApiError::from)?;
    let mut map = to_map(config);
    apply_changes(&changes, &mut map);
    let mut config: ContainerConfig = serde_json::from_value(Value::Object(map))
        .map_err(|error| ApiError::internal(format!("cannot change the configuration: {error}")))?;
    complete(&mut config, own);
    Ok(config)
}

fn to_map(config: &ContainerConfig) -> Map<String, Value> {
    match serde_json::to_value(config) {
        Ok(Value::Object(map)) => map,
        _ => unreachable!("a configuration is an object"),
    }
}

/// Takes over from the container what the new configuration does not say.
fn complete(config: &mut ContainerConfig, own: &ContainerConfig) {
    fn name(variable: &str) -> &str {
        variable.split('=').next().unwrap_or_default()
    }
    let is_empty = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
    for (text, own) in [
        (&mut config.user, &own.user),
        (&mut config.working_dir, &own.working_dir),
        (&mut config.stop_signal, &own.stop_signal),
    ] {
        if text.is_empty() {
            text.clone_from(own);
        }
    }
    for (set, own) in
        [(&mut config.exposed_ports, &own.exposed_ports), (&mut config.volumes, &own.volumes)]
    {
        if let Some(own) = own {
            let set = set.get_or_insert_default();
            own.iter().for_each(|(name, value)| {
                set.entry(name.clone()).or_insert(*value);
            });
        }
    }
    for variable in own.env.iter().flatten() {
        let variables = config.env.get_or_insert_default();
        if !variables.iter().any(|known| name(known) == name(variable)) {
            variables.push(variable.clone());
        }
    }
    let labels = config.labels.get_or_insert_default();
    for (key, value) in own.labels.iter().flatten() {
        labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    if is_empty(&config.entrypoint) {
        if is_empty(&config.cmd) {
            config.cmd.clone_from(&own.cmd);
        }
        if config.entrypoint.is_none() {
            config.entrypoint.clone_from(&own.entrypoint);
        }
    }
    match (&mut config.healthcheck, &own.healthcheck) {
        (None, own) => config.healthcheck.clone_from(own),
        (Some(health), Some(own)) => complete_health(health, own),
        (Some(_), None) => {}
    }
}

fn complete_health(health: &mut HealthConfig, own: &HealthConfig) {
    if health.test.as_ref().is_none_or(Vec::is_empty) {
        health.test.clone_from(&own.test);
    }
    for (number, own) in [
        (&mut health.interval, own.interval),
        (&mut health.timeout, own.timeout),
        (&mut health.start_period, own.start_period),
        (&mut health.start_interval, own.start_interval),
        (&mut health.retries, own.retries),
    ] {
        if *number == 0 {
            *number = own;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> Option<Vec<String>> {
        Some(list.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn changes_win_and_the_container_completes_them() {
        let own = ContainerConfig {
            user: "anna".to_owned(),
            env: texts(&["A=1", "B=2"]),
            cmd: texts(&["sh"]),
            ..ContainerConfig::default()
        };
        let changes = ["ENV A=new C=$B".to_owned(), "USER root".to_owned()];
        let config = changed(&own, &own, &changes).unwrap();
        assert_eq!(config.env, texts(&["A=new", "B=2", "C=2"]));
        assert_eq!((config.user.as_str(), config.cmd), ("root", texts(&["sh"])));

        let given = ContainerConfig { env: texts(&["A=own"]), ..ContainerConfig::default() };
        let config = changed(&given, &own, &[]).unwrap();
        assert_eq!(config.env, texts(&["A=own", "B=2"]));
        assert_eq!(config.user, "anna");

        let changes = ["ENTRYPOINT [\"prog\"]".to_owned()];
        let config = changed(&own, &own, &changes).unwrap();
        assert_eq!((config.entrypoint, config.cmd), (texts(&["prog"]), None));
        assert!(changed(&own, &own, &["RUN x".to_owned()]).is_err());
    }
}
