//! The server's handle, and its accept loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine::Engine;
use engine::events::ObjectKind;
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
    /// Whether the daemon logs for its developers.
    pub debug: AtomicBool,
    /// Bytes of `/dev/shm` of containers that do not say.
    pub default_shm_size: u64,
    /// Of the daemon's environment or settings, shown without passwords.
    pub http_proxy: String,
    pub https_proxy: String,
    pub no_proxy: String,
}

/// Docker's API over an engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Server {
    pub(crate) engine: Engine,
    pub(crate) about: Arc<About>,
    /// Looked at once: a host does not change what it can do.
    pub(crate) circumstances: Arc<Circumstances>,
}

impl Server {
    pub fn new(engine: Engine, about: About) -> Self {
        let circumstances = circumstances(&engine, &about).into();
        Self { engine, about: Arc::new(about), circumstances }
    }

    /// What is served.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Shows in `/info` from now on whether the daemon debugs.
    pub fn set_debug(&self, is_debugging: bool) {
        self.about.debug.store(is_debugging, Ordering::Relaxed);
    }

    /// Tells everybody who listens that the daemon has read its settings again.
    pub fn tell_reload(&self) {
        let settings = self.engine.settings();
        let labels = serde_json::to_string(&settings.labels).unwrap_or_default();
        let attributes = [
            ("debug", self.about.debug.load(Ordering::Relaxed).to_string()),
            ("labels", labels),
            // Containers outlive the daemon, always.
            ("live-restore", "true".to_owned()),
            ("name", host::hostname()),
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
fn circumstances(engine: &Engine, about: &About) -> Circumstances {
    let settings = engine.settings();
    Circumstances {
        cgroups: Cgroups::detect(),
        processors: host::online_processors(),
        memory_nodes: host::online_memory_nodes(),
        processor_count: host::processor_count(),
        shm_size: about.default_shm_size,
        log: settings.default_log.clone(),
        init: settings.default_init,
        bridge_subnet: settings.network.bip,
        runtimes: settings.runtimes.clone(),
    }
}
