//! The server's handle, and its accept loop.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use engine::events::ObjectKind;
use engine::{Engine, Runtimes};
use tokio::sync::Semaphore;

use crate::create::Circumstances;
use crate::host::{self, Cgroups};
use crate::http::{self, Listener};
use crate::routes;

/// Clients that are served at once on one socket. Those whose connection has become a raw stream
/// do not count: their container's supervisor serves them.
const CONNECTIONS_MAX: usize = 8192;

/// How long to wait before accepting again when the process has no descriptor left: without a
/// pause it would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// What a server says of the daemon that it belongs to.
#[derive(Debug)]
pub struct About {
    /// An id that stays the same over restarts.
    pub daemon_id: String,
    /// Of the daemon's environment or settings, shown without passwords.
    pub http_proxy: String,
    pub https_proxy: String,
    pub no_proxy: String,
}

/// What a daemon may be told anew while it runs.
#[derive(Debug, Clone)]
pub struct Reloadable {
    /// Whether the daemon logs for its developers.
    pub debug: bool,
    pub labels: Vec<String>,
    /// Bytes of `/dev/shm` of containers that do not say.
    pub default_shm_size: u64,
    pub runtimes: Runtimes,
}

/// Docker's API over an engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Server {
    pub(crate) engine: Engine,
    pub(crate) about: Arc<About>,
    current: Arc<RwLock<Arc<Current>>>,
}

/// What holds until the daemon is told otherwise.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) reloadable: Reloadable,
    /// Looked at once, but for what can be told anew: a host does not change what it can do.
    pub(crate) circumstances: Circumstances,
}

impl Server {
    pub fn new(engine: Engine, about: About, reloadable: Reloadable) -> Self {
        let circumstances = circumstances(&engine, &reloadable);
        let current = Arc::new(Current { reloadable, circumstances });
        Self { engine, about: Arc::new(about), current: Arc::new(RwLock::new(current)) }
    }

    pub(crate) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is served.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Goes on with what the daemon was told anew, and tells everybody who listens.
    pub fn reload(&self, reloadable: Reloadable) {
        self.engine.set_runtimes(reloadable.runtimes.clone());
        let before = self.current();
        let circumstances = Circumstances {
            shm_size: reloadable.default_shm_size,
            runtimes: reloadable.runtimes.clone(),
            ..before.circumstances.clone()
        };
        let current = Arc::new(Current { reloadable, circumstances });
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&current);
        self.tell_reload(&current.reloadable);
    }

    fn tell_reload(&self, told: &Reloadable) {
        let labels = serde_json::to_string(&told.labels).unwrap_or_default();
        let runtimes = told.runtimes.programs.iter();
        let runtimes: Vec<String> =
            runtimes.map(|(name, program)| format!("{name}:{}", program.path.display())).collect();
        let attributes = [
            ("debug", told.debug.to_string()),
            ("default-runtime", told.runtimes.default.clone()),
            ("default-shm-size", told.default_shm_size.to_string()),
            ("labels", labels),
            // Containers outlive the daemon, always.
            ("live-restore", "true".to_owned()),
            ("name", host::hostname()),
            ("runtimes", runtimes.join(" ")),
        ];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
        let id = &self.about.daemon_id;
        self.engine.publish_event(ObjectKind::Daemon, "reload", id, attributes.into());
    }

    /// Serves everybody who connects. Returns only by being dropped.
    pub async fn serve(&self, listener: Listener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            // Whoever comes when all are taken waits in the socket's own queue.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok(stream) => {
                    let server = self.clone();
                    tokio::spawn(async move {
                        let _place = place;
                        http::serve(stream, |request, hijacker| {
                            routes::answer(server.clone(), request, hijacker)
                        })
                        .await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// What decides about the defaults of containers.
fn circumstances(engine: &Engine, reloadable: &Reloadable) -> Circumstances {
    let settings = engine.settings();
    Circumstances {
        cgroups: Cgroups::detect(),
        processors: host::online_processors(),
        memory_nodes: host::online_memory_nodes(),
        processor_count: host::processor_count(),
        shm_size: reloadable.default_shm_size,
        log: settings.default_log.clone(),
        init: settings.default_init,
        bridge_subnet: settings.network.bip,
        runtimes: reloadable.runtimes.clone(),
    }
}
