//! A client library that nobody here wrote, through a container's whole life: what it cannot
//! read, or does not find, is wrong with us.

#![expect(clippy::unwrap_used, reason = "what a helper of a story cannot do, the story cannot")]

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{
    ChangeType, ContainerConfig, ContainerCreateBody, ContainerStateStatusEnum,
    ContainerUpdateBody, HealthConfig, HealthStatusEnum, HostConfig, RestartPolicy,
    RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CommitContainerOptionsBuilder,
    ContainerArchiveInfoOptionsBuilder, CreateContainerOptionsBuilder,
    DownloadFromContainerOptionsBuilder, EventsOptionsBuilder, InspectContainerOptionsBuilder,
    KillContainerOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder,
    PruneContainersOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
    RenameContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder,
    RestartContainerOptionsBuilder, StatsOptionsBuilder, StopContainerOptionsBuilder,
    TopOptionsBuilder, UploadToContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use stories::Host;
use tokio::io::AsyncWriteExt as _;

/// Seconds that a request may take.
const PATIENCE: u64 = 60;

/// Tells a story with a client that has agreed with the daemon on a version.
fn with_client<T>(host: &Host, story: impl AsyncFnOnce(Docker) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket = host.socket().display().to_string();
        let docker = Docker::connect_with_unix(&socket, PATIENCE, API_DEFAULT_VERSION).unwrap();
        story(docker.negotiate_version().await.unwrap()).await
    })
}

async fn create(docker: &Docker, name: &str, body: ContainerCreateBody) -> String {
    let options = CreateContainerOptionsBuilder::new().name(name).build();
    docker.create_container(Some(options), body).await.unwrap().id
}

/// A container of `busybox` that runs this in a shell.
fn shell(script: &str) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some("busybox".to_owned()),
        cmd: Some(["sh", "-c", script].map(str::to_owned).to_vec()),
        ..Default::default()
    }
}

async fn start(docker: &Docker, name: &str) {
    docker.start_container(name, None).await.unwrap();
}

async fn status(docker: &Docker, name: &str) -> ContainerStateStatusEnum {
    let container = docker.inspect_container(name, None).await.unwrap();
    container.state.unwrap().status.unwrap()
}

/// Waits for the end and returns the code, which the library makes an error of.
async fn exit_code(docker: &Docker, name: &str) -> i64 {
    let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
    match docker.wait_container(name, Some(options)).next().await.unwrap() {
        Ok(answer) => answer.status_code,
        Err(bollard::errors::Error::DockerContainerWaitError { code, .. }) => code,
        Err(error) => panic!("{error}"),
    }
}

/// Both streams' text.
async fn read(
    output: impl Stream<Item = Result<LogOutput, bollard::errors::Error>>,
) -> (String, String) {
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let mut output = std::pin::pin!(output);
    while let Some(piece) = output.next().await {
        match piece.unwrap() {
            LogOutput::StdErr { message } => stderr += &String::from_utf8_lossy(&message),
            other => stdout += &String::from_utf8_lossy(other.as_ref()),
        }
    }
    (stdout, stderr)
}

async fn bytes<B: AsRef<[u8]>>(
    pieces: impl Stream<Item = Result<B, bollard::errors::Error>>,
) -> Vec<u8> {
    let pieces: Vec<_> = pieces.try_collect().await.unwrap();
    pieces.iter().flat_map(|piece| piece.as_ref().to_vec()).collect()
}

fn names_in(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap();
    entries.map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
}

#[test]
fn a_life_from_creation_to_removal() {
    let host = Host::start();
    with_client(&host, async |docker| {
        let id =
            create(&docker, "web", shell("trap 'exit 3' TERM; while :; do sleep 0.05; done")).await;
        assert_eq!(status(&docker, "web").await, ContainerStateStatusEnum::CREATED);
        start(&docker, &id).await;
        assert_eq!(status(&docker, "web").await, ContainerStateStatusEnum::RUNNING);

        docker.pause_container("web").await.unwrap();
        assert_eq!(status(&docker, "web").await, ContainerStateStatusEnum::PAUSED);
        docker.unpause_container("web").await.unwrap();
        let new_name = RenameContainerOptionsBuilder::new().name("shop").build();
        docker.rename_container("web", new_name).await.unwrap();

        let restart = RestartContainerOptionsBuilder::new().t(1).build();
        docker.restart_container("shop", Some(restart)).await.unwrap();
        assert_eq!(status(&docker, "shop").await, ContainerStateStatusEnum::RUNNING);
        let stop = StopContainerOptionsBuilder::new().t(10).build();
        docker.stop_container("shop", Some(stop)).await.unwrap();
        assert_eq!(status(&docker, "shop").await, ContainerStateStatusEnum::EXITED);

        start(&docker, "shop").await;
        let kill = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        docker.kill_container("shop", Some(kill)).await.unwrap();
        assert_eq!(exit_code(&docker, "shop").await, 137);

        let size = InspectContainerOptionsBuilder::new().size(true).build();
        let container = docker.inspect_container("shop", Some(size)).await.unwrap();
        assert_eq!(container.name.as_deref(), Some("/shop"));
        assert!(container.size_root_fs.unwrap() > 0);

        let prune = PruneContainersOptionsBuilder::new()
            .filters(&HashMap::from([("label!", vec!["keep"])]))
            .build();
        let pruned = docker.prune_containers(Some(prune)).await.unwrap();
        assert_eq!(pruned.containers_deleted, Some(vec![id]));
        let error = docker.inspect_container("shop", None).await.unwrap_err();
        assert!(error.to_string().contains("No such container: shop"), "{error}");
    });
}

#[test]
fn streams_go_both_ways() {
    let host = Host::start();
    with_client(&host, async |docker| {
        let body = ContainerCreateBody {
            open_stdin: Some(true),
            stdin_once: Some(true),
            attach_stdin: Some(true),
            ..shell("echo problem >&2; cat; exit 4")
        };
        let id = create(&docker, "cat", body).await;
        let attach = AttachContainerOptionsBuilder::new().stdin(true).stdout(true).stderr(true);
        let attach = attach.stream(true).build();
        let mut attached = docker.attach_container(&id, Some(attach)).await.unwrap();
        start(&docker, &id).await;
        attached.input.write_all(b"hello\n").await.unwrap();
        attached.input.shutdown().await.unwrap();
        drop(attached.input);
        assert_eq!(read(attached.output).await, ("hello\n".to_owned(), "problem\n".to_owned()));
        assert_eq!(exit_code(&docker, &id).await, 4);

        let logs = LogsOptionsBuilder::new().stdout(true).stderr(true).follow(true).build();
        assert_eq!(
            read(docker.logs(&id, Some(logs))).await,
            ("hello\n".to_owned(), "problem\n".to_owned())
        );
        let logs = LogsOptionsBuilder::new().stdout(true).tail("1").timestamps(true).build();
        let (line, _) = read(docker.logs(&id, Some(logs))).await;
        assert!(line.ends_with("Z hello\n"), "{line}");
    });
}

#[test]
fn further_processes() {
    let host = Host::start();
    with_client(&host, async |docker| {
        let body = ContainerCreateBody { tty: Some(true), ..shell("while :; do sleep 0.1; done") };
        create(&docker, "web", body).await;
        start(&docker, "web").await;
        let size = ResizeContainerTTYOptionsBuilder::new().h(40).w(100).build();
        docker.resize_container_tty("web", size).await.unwrap();

        let exec = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(vec!["sh", "-c", "stty size < /dev/pts/0; echo $A; pwd; exit 6"]),
            env: Some(vec!["A=b"]),
            working_dir: Some("/tmp"),
            ..Default::default()
        };
        let id = docker.create_exec("web", exec).await.unwrap().id;
        let started = docker.start_exec(&id, None::<StartExecOptions>).await.unwrap();
        let StartExecResults::Attached { output, .. } = started else { panic!("{started:?}") };
        assert_eq!(read(output).await.0, "40 100\nb\n/tmp\n");
        let ended = docker.inspect_exec(&id).await.unwrap();
        assert_eq!((ended.running, ended.exit_code), (Some(false), Some(6)));

        let top = TopOptionsBuilder::new().ps_args("-o pid,args").build();
        let top = docker.top_processes("web", Some(top)).await.unwrap();
        assert_eq!(top.titles.unwrap()[0], "PID");
        remove(&docker, "web").await;
    });
}

async fn remove(docker: &Docker, name: &str) {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    docker.remove_container(name, Some(options)).await.unwrap();
}

#[test]
fn files_and_images_made_of_them() {
    let host = Host::start();
    with_client(&host, async |docker| {
        create(&docker, "web", shell("sleep 1000")).await;
        start(&docker, "web").await;
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        header.set_mode(0o640);
        archive.append_data(&mut header, "note", &b"text"[..]).unwrap();
        let archive = archive.into_inner().unwrap();

        let upload = UploadToContainerOptionsBuilder::new().path("/var").build();
        let body = bollard::body_full(archive.into());
        docker.upload_to_container("web", Some(upload), body).await.unwrap();
        let info = ContainerArchiveInfoOptionsBuilder::new().path("/var/note").build();
        let info = docker.get_container_archive_info("web", Some(info)).await.unwrap();
        assert_eq!((info.name.as_str(), info.size, info.file_mode), ("note", 4, 0o640));
        let download = DownloadFromContainerOptionsBuilder::new().path("/var/note").build();
        let found = bytes(docker.download_from_container("web", Some(download))).await;
        assert_eq!(names_in(&found), ["note"]);

        let changes = docker.container_changes("web").await.unwrap().unwrap();
        let added: Vec<_> = changes
            .iter()
            .filter(|change| change.kind == ChangeType::_1)
            .map(|change| change.path.as_str())
            .collect();
        assert_eq!(added, ["/var/note"]);
        let everything = names_in(&bytes(docker.export_container("web")).await);
        assert!(everything.contains(&"var/note".to_owned()), "{everything:?}");

        let commit = CommitContainerOptionsBuilder::new().container("web").repo("noted").tag("1");
        let commit = commit.comment("a note").author("me").pause(true).build();
        let image = docker.commit_container(commit, ContainerConfig::default()).await.unwrap().id;
        let inspected = docker.inspect_image("noted:1").await.unwrap();
        assert_eq!(inspected.id, Some(image));
        assert_eq!(inspected.author.as_deref(), Some("me"));
        let body =
            ContainerCreateBody { image: Some("noted:1".to_owned()), ..shell("cat /var/note") };
        create(&docker, "again", body).await;
        start(&docker, "again").await;
        assert_eq!(exit_code(&docker, "again").await, 0);
        let logs = LogsOptionsBuilder::new().stdout(true).build();
        assert_eq!(read(docker.logs("again", Some(logs))).await.0, "text");
        remove(&docker, "again").await;
        remove(&docker, "web").await;
        let force = RemoveImageOptionsBuilder::new().force(true).build();
        docker.remove_image("noted:1", Some(force), None).await.unwrap();
    });
}

#[test]
fn figures_limits_and_health() {
    let host = Host::start();
    with_client(&host, async |docker| {
        let body = ContainerCreateBody {
            host_config: Some(HostConfig { memory: Some(64 << 20), ..Default::default() }),
            healthcheck: Some(HealthConfig {
                test: Some(["CMD", "test", "-e", "/tmp/well"].map(str::to_owned).to_vec()),
                interval: Some(100_000_000),
                timeout: Some(10_000_000_000),
                retries: Some(1),
                start_period: None,
                start_interval: None,
            }),
            labels: Some(HashMap::from([("tier".to_owned(), "front".to_owned())])),
            ..shell("sleep 1000")
        };
        let id = create(&docker, "web", body).await;
        start(&docker, "web").await;

        let once = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
        let stats = docker.stats("web", Some(once)).next().await.unwrap().unwrap();
        assert_eq!(stats.memory_stats.unwrap().limit, Some(64 << 20));
        assert_eq!(stats.pids_stats.unwrap().current, Some(1));
        assert_eq!(stats.networks.unwrap().keys().collect::<Vec<_>>(), ["eth0"]);

        let update = ContainerUpdateBody {
            cpu_shares: Some(512),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::ON_FAILURE),
                maximum_retry_count: Some(2),
            }),
            ..Default::default()
        };
        docker.update_container("web", update).await.unwrap();
        let container = docker.inspect_container("web", None).await.unwrap();
        assert_eq!(container.host_config.unwrap().cpu_shares, Some(512));

        wait_for_health(&docker, HealthStatusEnum::UNHEALTHY).await;
        let exec =
            CreateExecOptions { cmd: Some(vec!["touch", "/tmp/well"]), ..Default::default() };
        let exec = docker.create_exec("web", exec).await.unwrap().id;
        let detached = StartExecOptions { detach: true, ..Default::default() };
        docker.start_exec(&exec, Some(detached)).await.unwrap();
        wait_for_health(&docker, HealthStatusEnum::HEALTHY).await;

        let filters = HashMap::from([("label", vec!["tier=front"]), ("health", vec!["healthy"])]);
        let list = ListContainersOptionsBuilder::new().filters(&filters).size(true).build();
        let list = docker.list_containers(Some(list)).await.unwrap();
        assert_eq!(list.iter().map(|one| one.id.clone().unwrap()).collect::<Vec<_>>(), [id]);
        remove(&docker, "web").await;
    });
}

async fn wait_for_health(docker: &Docker, wanted: HealthStatusEnum) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(PATIENCE);
    loop {
        let state = docker.inspect_container("web", None).await.unwrap().state.unwrap();
        if state.health.as_ref().and_then(|health| health.status) == Some(wanted) {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "never {wanted:?}: {:?}", state.health);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[test]
fn events_and_the_system() {
    let host = Host::start();
    with_client(&host, async |docker| {
        create(&docker, "web", shell("exit 2")).await;
        start(&docker, "web").await;
        assert_eq!(exit_code(&docker, "web").await, 2);
        remove(&docker, "web").await;

        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let until = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
        let filters = HashMap::from([("type", vec!["container"])]);
        let past = EventsOptionsBuilder::new().since("0").until(&until).filters(&filters).build();
        let events: Vec<_> = docker.events(Some(past)).try_collect().await.unwrap();
        let actions: Vec<_> = events.iter().map(|event| event.action.as_deref().unwrap()).collect();
        assert_eq!(actions, ["create", "start", "die", "destroy"]);

        assert_eq!(docker.ping().await.unwrap(), "OK");
        let info = docker.info().await.unwrap();
        assert_eq!((info.containers, info.images), (Some(0), Some(1)));
        assert!(docker.version().await.unwrap().api_version.is_some());
        docker.df(None).await.unwrap();
    });
}
