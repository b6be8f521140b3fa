//! A daemon's life: from its settings to its sockets, until it is told to stop.
//!
//! Stopping closes the sockets and writes the last records. Containers are processes of their
//! shims, and the next daemon takes them over; their network stays. Only where no container is
//! left to use it, it goes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use docker_server::{About, Listener, Server};
use engine::Engine;
use rustix::process::{Resource, Rlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::activation::{self, InheritedSocket};
use crate::command_line::RunInvocation;
use crate::listeners::Sockets;
use crate::logging::{self, LevelHandle};
use crate::ownership::{DataRootLock, Pidfile};
use crate::settings::Settings;
use crate::{config_file, engine_id};

/// Enough for an index that mostly waits: what computes is in other processes.
const WORKER_THREADS: usize = 2;

/// How many calls may wait for the disk or the kernel at once.
///
/// Clients that are slow to send or to read an archive hold one each, up to half of these.
const BLOCKING_THREADS_MAX: usize = 256;

/// A blocking thread that has nothing to do goes soon, and its memory with it.
const BLOCKING_THREAD_IDLE: Duration = Duration::from_secs(5);

/// Decompression and deep folders need some; it is memory only once it is used.
const THREAD_STACK_BYTES: usize = 1 << 20;

/// How often free memory is given back to the kernel. A daemon is busy for seconds and idle for
/// hours, and its allocator keeps what the busy seconds took.
const TRIM_INTERVAL: Duration = Duration::from_secs(30);

/// The records' file in the data root.
const DATABASE: &str = "metadata.redb";

/// How much of the records is kept in memory. They are small, and read once.
const DATABASE_CACHE_BYTES: usize = 1 << 20;

/// Runs a daemon, or only checks what it was told.
pub(crate) fn daemon(invocation: &RunInvocation) -> Result<()> {
    // First of all: later there would be descriptors of our own among them.
    let inherited = activation::inherited_sockets().context("cannot take systemd's sockets")?;
    let values = config_file::merge(invocation.config_file.as_deref(), &invocation.values)?;
    let settings = Settings::new(&values)?;
    fail_points::announce().context("cannot write down the fail points")?;
    if invocation.validate {
        eprintln!("configuration OK");
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        bail!("wharfd has to run as root: it makes namespaces, mounts and networks");
    }
    let level = logging::start(settings.log_format, settings.log_level);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_keep_alive(BLOCKING_THREAD_IDLE)
        .thread_stack_size(THREAD_STACK_BYTES)
        .enable_all()
        .build()
        .context("cannot start the daemon's threads")?;
    let result = runtime.block_on(serve(settings, invocation, inherited, &level));
    // A call that hangs in the kernel must not keep us: nothing depends on its end.
    runtime.shutdown_background();
    result
}

async fn serve(
    settings: Settings,
    invocation: &RunInvocation,
    inherited: Vec<InheritedSocket>,
    level: &LevelHandle,
) -> Result<()> {
    // Before there is anything to clean up.
    let signals = Signals::listen()?;
    raise_descriptor_limit();
    let _lock = DataRootLock::take(&settings.engine.data_root)?;
    let _pidfile = settings.pidfile.as_deref().map(Pidfile::write).transpose()?;
    make_exec_root(&settings.engine.exec_root)?;
    // The sockets come before the containers: who connects meanwhile waits and is served,
    // and a second daemon is refused before it touches anything.
    let sockets = Sockets::open(&settings.hosts, settings.group.as_deref(), inherited)?;
    let (listeners, files) = sockets.into_parts();
    let outcome = serve_on(settings, invocation, listeners, level, signals).await;
    Sockets::remove_files(&files);
    outcome
}

async fn serve_on(
    settings: Settings,
    invocation: &RunInvocation,
    listeners: Vec<Listener>,
    level: &LevelHandle,
    mut signals: Signals,
) -> Result<()> {
    let server = start(settings).await?;
    let mut tasks = tokio::task::JoinSet::new();
    for listener in listeners {
        tracing::info!("API listen on {}", describe(&listener));
        let server = server.clone();
        tasks.spawn(async move { server.serve(listener).await });
    }
    tasks.spawn(trim_memory());
    activation::notify("READY=1");
    tracing::info!("Daemon has completed initialization");
    signals.until_told_to_stop(|| reload(&server, invocation, level)).await;
    tracing::info!("Processing signal, the containers go on without the daemon");
    activation::notify("STOPPING=1");
    tasks.shutdown().await;
    server.engine().close().await;
    Ok(())
}

/// Gives free memory back from time to time. Ends by being dropped.
async fn trim_memory() {
    let mut interval = tokio::time::interval(TRIM_INTERVAL);
    loop {
        interval.tick().await;
        linux::resident::trim_heap();
    }
}

/// Opens the records and the engine.
async fn start(settings: Settings) -> Result<Server> {
    let root = settings.engine.data_root.clone();
    let database = open_database(&root.join(DATABASE))?;
    let daemon_id = engine_id::load_or_make(&root)
        .with_context(|| format!("cannot read or write the daemon's id in {}", root.display()))?;
    let reloadable = settings.reloadable();
    let about = About {
        daemon_id,
        http_proxy: settings.http_proxy,
        https_proxy: settings.https_proxy,
        no_proxy: settings.no_proxy,
    };
    let engine = Engine::open(settings.engine, database).await?;
    Ok(Server::new(engine, about, reloadable))
}

fn open_database(path: &Path) -> Result<Arc<redb::Database>> {
    let database = redb::Database::builder()
        .set_cache_size(DATABASE_CACHE_BYTES)
        .create(path)
        .with_context(|| format!("cannot open the records in {}", path.display()))?;
    Ok(Arc::new(database))
}

/// Sockets that give root's power are in there.
fn make_exec_root(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(path)
        .with_context(|| format!("cannot make {}", path.display()))
}

/// Each attached client, log follower and shim is a descriptor.
fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

fn describe(listener: &Listener) -> String {
    match listener {
        Listener::Unix(listener) => {
            let address = listener.local_addr().ok();
            let path: Option<PathBuf> =
                address.and_then(|address| address.as_pathname().map(Path::to_owned));
            path.map_or_else(|| "a socket".to_owned(), |path| path.display().to_string())
        }
        Listener::Tcp(listener) => listener
            .local_addr()
            .map_or_else(|_| "a socket".to_owned(), |address| address.to_string()),
    }
}

/// What the daemon is told by signals.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// From now on signals are heard, and no longer end the process by themselves.
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// SIGTERM and SIGINT end the daemon; SIGHUP makes it read its configuration again.
    async fn until_told_to_stop(&mut self, reload: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => reload(),
            }
        }
    }
}

/// Applies what can change while we run.
fn reload(server: &Server, invocation: &RunInvocation, level: &LevelHandle) {
    let reloaded = config_file::merge(invocation.config_file.as_deref(), &invocation.values)
        .map_err(anyhow::Error::from)
        .and_then(|values| Settings::new(&values));
    match reloaded {
        Ok(settings) => {
            level.set(settings.log_level);
            server.reload(settings.reloadable());
            tracing::info!(
                "Reloaded configuration: debug, log-level, labels, runtimes, default-runtime and \
                 default-shm-size; the rest needs a restart"
            );
        }
        Err(error) => tracing::error!("Error reconfiguring the daemon: {error:#}"),
    }
}
