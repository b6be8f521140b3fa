//! Documents in, specifications out.

use docker_api::containers::CreateRequest;
use engine::containers::spec::{IpcMode, MountSource, NetworkMode, PidMode};

use super::{ImageDefaults, Plan, Refusal, check};
use crate::fuzzing::{circumstances, image};
use crate::show::Document;

fn plan_with(text: &str, image: &ImageDefaults) -> Result<Plan, Refusal> {
    let request: CreateRequest = docker_api::lenient::from_slice(text.as_bytes()).unwrap();
    check(request, &circumstances())?.plan(image, &circumstances())
}

#[track_caller]
fn plan(text: &str) -> Plan {
    plan_with(text, &image()).unwrap()
}

/// Refused with these words if `member` is said of the host.
#[track_caller]
fn refused(member: &str, words: &str) {
    let text = format!(r#"{{"Image":"x","HostConfig":{{{member}}}}}"#);
    assert_eq!(plan_with(&text, &image()).unwrap_err().message(), words);
}

#[test]
fn a_container_that_says_nothing_is_what_its_image_says() {
    let plan = plan(r#"{"Image":"x"}"#);
    let process = &plan.spec.process;
    assert_eq!(process.arguments, ["/entry", "serve"]);
    assert_eq!(process.environment, ["PATH=/bin", "A=image"]);
    assert_eq!(process.user, "web");
    assert_eq!(process.working_directory, "/srv");
    assert_eq!(plan.spec.stop_signal, 3);
    assert_eq!(plan.spec.labels["from"], "image");
    assert_eq!(plan.spec.network.mode, NetworkMode::Network("bridge".to_owned()));
    assert_eq!(plan.spec.namespaces.ipc, IpcMode::Private);
    assert!(plan.spec.namespaces.host_cgroup, "with cgroup v1");
    assert_eq!(plan.spec.mounts.len(), 1);
    assert_eq!(plan.spec.log.options["max-size"], "1m");
    assert_eq!(plan.document.summary.exposed_ports, ["80/tcp"]);
    assert_eq!(plan.document.host_config.shm_size, 64 << 20);
}

#[test]
fn what_a_container_says_wins() {
    let plan = plan(
        r#"{"Image":"x","Cmd":["other"],"Env":["A=own"],"User":"1","WorkingDir":"/a/../b/",
            "Labels":{"from":"user"},"StopSignal":"9","Volumes":{"/more":{}}}"#,
    );
    let process = &plan.spec.process;
    assert_eq!(process.arguments, ["/entry", "other"]);
    assert_eq!(process.environment, ["A=own", "PATH=/bin"]);
    assert_eq!(process.user, "1");
    assert_eq!(process.working_directory, "/b");
    assert_eq!(plan.spec.labels["from"], "user");
    assert_eq!(plan.spec.stop_signal, 9);
    assert_eq!(plan.spec.mounts.len(), 2);
}

#[test]
fn an_entry_point_makes_the_images_command_meaningless() {
    let arguments = |text| plan(text).spec.process.arguments;
    assert_eq!(arguments(r#"{"Entrypoint":["/own"]}"#), ["/own"]);
    assert_eq!(arguments(r#"{"Entrypoint":"/own","Cmd":"arg"}"#), ["/own", "arg"]);
    // `--entrypoint ""` asks for none at all.
    assert_eq!(arguments(r#"{"Entrypoint":[""],"Cmd":["sh"]}"#), ["sh"]);
    let nothing = plan_with(r#"{"Image":"x"}"#, &ImageDefaults::default());
    assert_eq!(nothing.unwrap_err().message(), "no command specified");
}

#[test]
fn modes_are_converted() {
    let plan = plan(
        r#"{"HostConfig":{"PidMode":"container:abc","IpcMode":"shareable","UTSMode":"host",
            "NetworkMode":"container:abc","CgroupnsMode":"private","UsernsMode":"host"}}"#
            .replace("\"HostConfig\"", "\"Image\":\"x\",\"HostConfig\"")
            .as_str(),
    );
    let namespaces = &plan.spec.namespaces;
    assert_eq!(namespaces.pid, PidMode::Container("abc".to_owned()));
    assert_eq!(namespaces.ipc, IpcMode::Shareable);
    assert!(namespaces.host_uts && namespaces.host_user && !namespaces.host_cgroup);
    assert_eq!(plan.spec.network.mode, NetworkMode::Container("abc".to_owned()));
}

#[test]
fn limits_are_converted() {
    let plan = plan(
        r#"{"HostConfig":{"Memory":67108864,"NanoCpus":500000000,"PidsLimit":-1,
            "CpusetCpus":"0","Ulimits":[{"Name":"nofile","Soft":1,"Hard":2}]}}"#,
    );
    let limits = &plan.spec.limits;
    assert_eq!(limits.memory, Some(64 << 20));
    assert_eq!(limits.memory_swap, Some(128 << 20));
    assert_eq!((limits.cpu_quota, limits.cpu_period), (Some(50_000), Some(100_000)));
    assert_eq!(limits.pids, None);
    assert_eq!(limits.ulimits["nofile"].hard, 2);
}

#[test]
fn ports_are_published_and_exposed() {
    let plan = plan(
        r#"{"ExposedPorts":{"81/udp":{},"443/tcp":{}},"HostConfig":{"PublishAllPorts":true,
            "PortBindings":{"443/tcp":[{"HostIp":"127.0.0.1","HostPort":"8443"}],
                            "444/tcp":[{"HostPort":"8444"}]}}}"#,
    );
    // What is not exposed is not published.
    let ports: Vec<_> = plan
        .spec
        .network
        .ports
        .iter()
        .map(|port| (port.container_port, port.host_ip.is_some(), port.host_ports.clone()))
        .collect();
    assert_eq!(ports, [(80, false, None), (81, false, None), (443, true, Some(8443..=8443))]);
    assert_eq!(plan.document.summary.exposed_ports, ["80/tcp", "81/udp", "443/tcp"]);
}

#[test]
fn one_place_is_mounted_once() {
    let plan = plan(
        r#"{"HostConfig":{"Binds":["/host:/data"],"Tmpfs":{"/t":"size=1m,ro"},
            "Mounts":[{"Type":"volume","Source":"v","Target":"/v"}]}}"#,
    );
    let targets: Vec<_> = plan.spec.mounts.iter().map(|mount| mount.target.as_str()).collect();
    assert_eq!(targets, ["/data", "/v", "/t"], "the image's volume gives way to the bind mount");
    assert!(matches!(plan.spec.mounts[0].source, MountSource::Bind { .. }));
    assert!(plan.spec.mounts[2].read_only);
    refused(r#""Binds":["/a:/b","/c:/b"]"#, "Duplicate mount point: /b");
}

#[test]
fn nonsense_is_refused_in_dockers_words() {
    refused(r#""Memory":12"#, "Minimum memory limit allowed is 6MB");
    refused(r#""IpcMode":"foo""#, "invalid IPC mode: foo");
    refused(r#""PidMode":"foo""#, "invalid PID mode: foo");
    refused(r#""UTSMode":"foo""#, "invalid UTS mode: foo");
    refused(r#""CgroupnsMode":"foo""#, "invalid cgroup namespace mode: foo");
    refused(r#""ShmSize":-1"#, "SHM size can not be less than 0");
    refused(r#""Runtime":"foo""#, "unknown or invalid runtime name: foo");
    refused(
        r#""CpusetCpus":"9""#,
        "Requested CPUs are not available - requested 9, available: 0-1",
    );
    refused(
        r#""NanoCpus":9000000000"#,
        "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
    );
    refused(
        r#""AutoRemove":true,"RestartPolicy":{"Name":"always"}"#,
        "can't create 'AutoRemove' container with restart policy",
    );
    refused(
        r#""RestartPolicy":{"Name":"foo"}"#,
        "invalid restart policy: unknown policy 'foo'; use one of 'no', 'always', 'on-failure', \
         or 'unless-stopped'",
    );
    refused(
        r#""LogConfig":{"Type":"json-file","Config":{"a":"b"}}"#,
        "unknown log opt 'a' for json-file log driver",
    );
    refused(
        r#""NetworkMode":"container:x","Dns":["1.1.1.1"]"#,
        "conflicting options: dns and the network mode",
    );
}

#[test]
fn what_is_missing_is_refused_by_name() {
    let missing = |member: &str, what: &str| {
        refused(member, &format!("not implemented by Wharf yet: {what}"));
    };
    missing(r#""Mounts":[{"Type":"image","Target":"/x","Source":"y"}]"#, "mounts of type image");
}

#[test]
fn what_depends_on_the_host_is_refused_in_dockers_words() {
    refused(
        r#""StorageOpt":{"size":"1G"}"#,
        "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
    );
    refused(r#""StorageOpt":{"x":"y"}"#, "Unknown option x");
    refused(r#""Runtime":"nope""#, "unknown or invalid runtime name: nope");
    refused(
        r#""Sysctls":{"net.ipv4.conf.eth0.forwarding":"1"}"#,
        "interface specific sysctl setting \"net.ipv4.conf.eth0.forwarding\" must be supplied \
         using driver option 'com.docker.network.endpoint.sysctls'",
    );
}

#[test]
fn what_the_kernel_cannot_do_is_discarded_and_said() {
    let plan = plan(r#"{"HostConfig":{"BlkioWeight":100}}"#);
    assert_eq!(plan.warnings.len(), 1);
    assert!(plan.warnings[0].starts_with("Your kernel does not support Block I/O weight"));
    assert_eq!(plan.document.host_config.resources.blkio_weight, 0);
}

#[test]
fn documents_survive_being_kept() {
    let document =
        plan(r#"{"Image":"x","HostConfig":{"Binds":["/a:/b"],"Memory":67108864}}"#).document;
    assert_eq!(Document::from_text(&document.to_text()), document);
    assert_eq!(Document::from_text("another front door's"), Document::default());
}
