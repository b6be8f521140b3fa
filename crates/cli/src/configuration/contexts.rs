//! Contexts: engines by name, in the store of Docker's client.
//!
//! Each is a folder under `contexts/meta` whose name is the SHA-256 of the context's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::output::quote::quote;

/// The store.
#[derive(Debug)]
pub(crate) struct Contexts {
    folder: PathBuf,
}

/// One context.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Context {
    pub(crate) name: String,
    /// The whole document.
    pub(crate) document: Value,
}

impl Contexts {
    pub(crate) fn new(configuration: &Path) -> Self {
        Self { folder: configuration.join("contexts") }
    }

    /// Where the engine of a context listens.
    pub(crate) fn endpoint(&self, name: &str) -> Result<String, Failure> {
        let context = self.get(name)?;
        if self.tls_folder(name).exists() {
            return Err(Failure::new(format!(
                "context {}: TLS is not supported by wharf yet",
                quote(name)
            )));
        }
        let host = context.host();
        host.ok_or_else(|| Failure::new(format!("context {}: no endpoint", quote(name))))
    }

    pub(crate) fn get(&self, name: &str) -> Result<Context, Failure> {
        check_name(name)?;
        match fs::read(self.meta_file(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.not_found(name)),
            Err(error) => Err(error.into()),
            Ok(bytes) => {
                Ok(Context { name: name.to_owned(), document: serde_json::from_slice(&bytes)? })
            }
        }
    }

    /// Every context, sorted by name.
    pub(crate) fn list(&self) -> Result<Vec<Context>, Failure> {
        let entries = match fs::read_dir(self.folder.join("meta")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut contexts = Vec::new();
        for entry in entries {
            let Ok(bytes) = fs::read(entry?.path().join("meta.json")) else { continue };
            let document: Value = serde_json::from_slice(&bytes)?;
            let name = document["Name"].as_str().unwrap_or_default().to_owned();
            contexts.push(Context { name, document });
        }
        contexts.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(contexts)
    }

    /// Adds a context that does not exist yet.
    pub(crate) fn create(&self, name: &str, host: &str, description: &str) -> Result<(), Failure> {
        check_name(name)?;
        if self.meta_file(name).exists() {
            return Err(Failure::new(format!("context {} already exists", quote(name))));
        }
        let mut metadata = json!({});
        if !description.is_empty() {
            metadata["Description"] = description.into();
        }
        let document = json!({
            "Name": name,
            "Metadata": metadata,
            "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": false}},
        });
        let file = self.meta_file(name);
        fs::create_dir_all(file.parent().expect("the file is in a folder of its own"))?;
        fs::write(file, document.to_string())?;
        Ok(())
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), Failure> {
        for folder in [self.meta_folder(name), self.tls_folder(name)] {
            match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) fn meta_folder(&self, name: &str) -> PathBuf {
        self.folder.join("meta").join(folder_name(name))
    }

    pub(crate) fn tls_folder(&self, name: &str) -> PathBuf {
        self.folder.join("tls").join(folder_name(name))
    }

    fn not_found(&self, name: &str) -> Failure {
        let mut failure = Failure::new(format!(
            "context {}: context not found: open {}: no such file or directory",
            quote(name),
            self.meta_file(name).display()
        ));
        failure.is_not_found = true;
        failure
    }

    fn meta_file(&self, name: &str) -> PathBuf {
        self.meta_folder(name).join("meta.json")
    }
}

impl Context {
    pub(crate) fn host(&self) -> Option<String> {
        self.document["Endpoints"]["docker"]["Host"].as_str().map(str::to_owned)
    }

    pub(crate) fn description(&self) -> &str {
        self.document["Metadata"]["Description"].as_str().unwrap_or_default()
    }
}

fn folder_name(name: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(name).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A name is letters, digits and a few marks, and not the default's.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let bytes = name.as_bytes();
    let valid = bytes.len() > 1
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(byte));
    match name {
        "" => Err(Failure::new("context name cannot be empty")),
        "default" => Err(Failure::new("\"default\" is a reserved context name")),
        _ if valid => Ok(()),
        _ => Err(Failure::new(format!(
            "context name {} is invalid, names are validated against regexp \
             \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\"",
            quote(name)
        ))),
    }
}
