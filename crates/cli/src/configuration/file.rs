//! `config.json`: formats, headers, keys, the current context.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::failure::{Failure, go_message};
use crate::output;
use crate::session::environment;

/// The user's settings. Members that we do not know are kept as they are.
#[derive(Debug)]
pub(crate) struct Configuration {
    folder: PathBuf,
    members: Map<String, Value>,
}

impl Configuration {
    /// Reads the file in `folder`, or in the usual one.
    pub(crate) fn load(folder: Option<&Path>) -> Self {
        let folder = folder.map_or_else(default_folder, Path::to_owned);
        let file = folder.join("config.json");
        let members = match fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Map::new(),
            Err(error) => {
                warn(&file, &go_message(&error));
                Map::new()
            }
            Ok(text) => serde_json::from_str(&text).unwrap_or_else(|error| {
                warn(&file, &error.to_string());
                Map::new()
            }),
        };
        Self { folder, members }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A member that is a text, and not an empty one.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    pub(crate) fn current_context(&self) -> Option<String> {
        self.text("currentContext").map(str::to_owned)
    }

    pub(crate) fn http_headers(&self) -> BTreeMap<String, String> {
        strings(self.members.get("HttpHeaders"))
    }

    /// Filters for every prune.
    pub(crate) fn prune_filters(&self) -> Vec<String> {
        let filters = self.members.get("pruneFilters").and_then(Value::as_array);
        let texts = filters.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }

    /// The variables that tell a container about proxies, under both spellings.
    pub(crate) fn proxy_variables(&self, host: &str) -> Vec<(String, String)> {
        const NAMES: &[(&str, &str)] = &[
            ("httpProxy", "HTTP_PROXY"),
            ("httpsProxy", "HTTPS_PROXY"),
            ("noProxy", "NO_PROXY"),
            ("ftpProxy", "FTP_PROXY"),
            ("allProxy", "ALL_PROXY"),
        ];
        let proxies = self.members.get("proxies");
        let settings = proxies.and_then(|all| all.get(host).or_else(|| all.get("default")));
        let settings = strings(settings);
        let mut variables = Vec::new();
        for (setting, name) in NAMES {
            if let Some(value) = settings.get(*setting).filter(|value| !value.is_empty()) {
                variables.push(((*name).to_owned(), value.clone()));
                variables.push((name.to_lowercase(), value.clone()));
            }
        }
        variables
    }

    /// Sets the current context, or none, and writes the file.
    pub(crate) fn set_current_context(&mut self, name: Option<&str>) -> Result<(), Failure> {
        match name {
            Some(name) => self.members.insert("currentContext".to_owned(), name.into()),
            None => self.members.shift_remove("currentContext"),
        };
        self.save()
    }

    /// Writes the file in one step: somebody else may read it meanwhile.
    fn save(&self) -> Result<(), Failure> {
        fs::create_dir_all(&self.folder)?;
        let members = Value::Object(self.members.clone());
        let text = output::go_json::indent(&members.to_string(), "\t");
        let new = self.folder.join(format!("config.json.{}", std::process::id()));
        fs::write(&new, text)?;
        fs::rename(&new, self.folder.join("config.json"))?;
        Ok(())
    }
}

/// The folder of Docker's client.
pub(crate) fn default_folder() -> PathBuf {
    match environment("DOCKER_CONFIG") {
        Some(folder) => folder.into(),
        None => PathBuf::from(environment("HOME").unwrap_or_default()).join(".docker"),
    }
}

fn strings(value: Option<&Value>) -> BTreeMap<String, String> {
    let members = value.and_then(Value::as_object);
    members
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn warn(file: &Path, reason: &str) {
    output::warn(&format!("WARNING: Error loading config file: {}: {reason}", file.display()));
}
