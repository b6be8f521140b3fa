//! What a command works with: the engine, the user's configuration, the terminal.

pub(crate) mod daemon;

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;

use docker_api::client::{Client, Endpoint};

use crate::configuration::{Configuration, Contexts};
use crate::failure::Failure;

/// How the engine knows us.
const USER_AGENT: &str = concat!("Wharf-Client/", env!("CARGO_PKG_VERSION"), " (linux)");
/// The name of the context that is no context.
pub(crate) const CONTEXT_DEFAULT: &str = "default";
/// Where our own daemon listens.
pub(crate) const SOCKET_DEFAULT: &str = "/run/wharf/wharf.sock";

/// What the words before the command said.
#[derive(Debug, Default)]
pub(crate) struct GlobalOptions {
    pub(crate) hosts: Vec<String>,
    pub(crate) context: Option<String>,
    pub(crate) configuration_folder: Option<String>,
    pub(crate) is_debug: bool,
}

/// One run of the program.
#[derive(Debug)]
pub(crate) struct Session {
    options: GlobalOptions,
    configuration: OnceCell<Configuration>,
    client: OnceCell<Arc<Client>>,
}

impl Session {
    pub(crate) const fn new(options: GlobalOptions) -> Self {
        Self { options, configuration: OnceCell::new(), client: OnceCell::new() }
    }

    pub(crate) const fn is_debug(&self) -> bool {
        self.options.is_debug
    }

    /// The user's configuration. A file that cannot be read is told and then ignored.
    pub(crate) fn configuration(&self) -> &Configuration {
        self.configuration.get_or_init(|| {
            Configuration::load(self.options.configuration_folder.as_deref().map(Path::new))
        })
    }

    /// For whoever changes the configuration.
    pub(crate) fn configuration_mut(&mut self) -> &mut Configuration {
        self.configuration();
        self.configuration.get_mut().expect("it was read on the line above")
    }

    pub(crate) fn contexts(&self) -> Contexts {
        Contexts::new(self.configuration().folder())
    }

    /// The name of the context in use.
    pub(crate) fn context_name(&self) -> String {
        if let Some(context) = self.options.context.as_deref().filter(|name| !name.is_empty()) {
            return context.to_owned();
        }
        if !self.options.hosts.is_empty() || environment("DOCKER_HOST").is_some() {
            return CONTEXT_DEFAULT.to_owned();
        }
        environment("DOCKER_CONTEXT")
            .or_else(|| self.configuration().current_context())
            .unwrap_or_else(|| CONTEXT_DEFAULT.to_owned())
    }

    /// The address that flags or the environment name for the default context.
    pub(crate) fn host(&self) -> Option<String> {
        self.options.hosts.last().cloned().or_else(|| environment("DOCKER_HOST"))
    }

    /// The engine. The first to ask connects to it, and starts our own if nobody named
    /// one and none is there.
    pub(crate) fn client(&self) -> Result<&Arc<Client>, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Arc::new(self.connect()?);
        Ok(self.client.get_or_init(|| client))
    }

    fn connect(&self) -> Result<Client, Failure> {
        refuse_encryption()?;
        let context = self.context_name();
        let address = if context == CONTEXT_DEFAULT {
            self.host()
        } else {
            Some(self.contexts().endpoint(&context).map_err(unresolved)?)
        };
        let Some(address) = address else {
            let client = self.configured(Endpoint::Unix(SOCKET_DEFAULT.into()));
            if client.connect().is_err_and(|error| daemon::is_absent(&error)) {
                daemon::start(&client)?;
            }
            return Ok(client);
        };
        let endpoint = Endpoint::parse(&address)
            .map_err(|error| unresolved(Failure::new(error.to_string())))?;
        Ok(self.configured(endpoint))
    }

    fn configured(&self, endpoint: Endpoint) -> Client {
        let mut client = Client::new(endpoint, USER_AGENT);
        for (name, value) in self.configuration().http_headers() {
            client.add_header(&name, &value);
        }
        if let Some(version) = environment("DOCKER_API_VERSION") {
            client.pin_version(&version);
        }
        client
    }
}

/// An engine that was named and cannot be found by that name.
fn unresolved(mut failure: Failure) -> Failure {
    let reason = &failure.message;
    failure.message = format!("Failed to initialize: unable to resolve docker endpoint: {reason}");
    failure
}

/// A variable that is set to something.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Going on without the encryption that was asked for would be worse than not going on.
fn refuse_encryption() -> Result<(), Failure> {
    match environment("DOCKER_TLS_VERIFY").or_else(|| environment("DOCKER_TLS")) {
        Some(_) => Err(Failure::new("DOCKER_TLS_VERIFY is not supported by wharf yet")),
        None => Ok(()),
    }
}
