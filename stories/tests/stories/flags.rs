//! Flags of `run` and `create`: what is refused, with which words, and what is kept.

use serde_json::json;
use stories::Host;

/// A command line that is refused, and words of the refusal.
#[track_caller]
fn refused(host: &Host, flags: &str, words: &str) {
    host.docker(&format!("create {flags} busybox")).fails().stderr_has(words);
}

#[test]
fn addresses_on_the_default_bridge_are_refused_in_docker_s_words() {
    let host = Host::start();
    let prefix = "invalid config for network bridge: invalid endpoint settings:\n";
    let only = "user specified IP address is supported on user defined networks only";

    for address in ["--ip 203.0.113.1", "--ip6 2001:db8::1"] {
        refused(
            &host,
            address,
            &format!(
                "{prefix}* {only}\n* user specified IP address is supported only when connecting \
                 to networks with user configured subnets"
            ),
        );
    }
    refused(&host, "--link-local-ip x", &format!("{prefix}invalid link-local IP address: x"));
    refused(
        &host,
        "--network name=bridge,driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.eth0.x=1",
        "unrecognised network interface sysctl 'net.ipv4.conf.eth0.x=1'",
    );
}

#[test]
fn parameters_of_the_container_s_end_are_set_by_their_network() {
    let host = Host::start();
    refused(
        &host,
        "--sysctl net.ipv4.conf.eth0.log_martians=1",
        "interface specific sysctl setting \"net.ipv4.conf.eth0.log_martians\" must be supplied \
         using driver option 'com.docker.network.endpoint.sysctls'",
    );

    let option = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1";
    let set = host.answer(&format!(
        "run --rm --network name=bridge,driver-opt={option} busybox \
         cat /proc/sys/net/ipv4/conf/eth0/log_martians"
    ));

    assert_eq!(set, "1");
}

#[test]
fn devices_of_a_driver_are_kept_and_missed_at_the_start() {
    let host = Host::start();
    let container = host.create("--name gpu --gpus all busybox true");

    let requests = container.inspect()["HostConfig"]["DeviceRequests"].clone();
    assert_eq!(
        requests,
        json!([{
            "Driver": "", "Count": -1, "DeviceIDs": null, "Capabilities": [["gpu"]], "Options": {}
        }])
    );
    host.docker("start gpu")
        .fails_with(1)
        .stderr_has("could not select device driver \"\" with capabilities: [[gpu]]");
    host.docker("run --rm --device vendor.com/class=name busybox true")
        .fails_with(125)
        .stderr_has("CDI device injection failed: unresolvable CDI devices vendor.com/class=name");
    host.docker("create --gpus foo=bar busybox")
        .fails_with(125)
        .stderr_has("invalid argument \"foo=bar\" for \"--gpus\" flag: unexpected key 'foo'");
}

#[test]
fn limits_of_a_file_system_need_a_file_system_made_for_them() {
    let host = Host::start();

    refused(
        &host,
        "--storage-opt size=1G",
        "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
    );
    refused(&host, "--storage-opt foo=bar", "Unknown option foo");
}

#[test]
fn cgroups_can_be_made_writable() {
    let host = Host::start();
    let mounts = |flags: &str| host.answer(&format!("run --rm {flags} busybox cat /proc/mounts"));
    let is_read_only = |mounts: &str| {
        mounts
            .lines()
            .filter(|line| line.contains(" /sys/fs/cgroup"))
            .any(|line| line.split(' ').nth(3).is_some_and(|options| options.starts_with("ro")))
    };

    assert!(is_read_only(&mounts("")));
    assert!(!is_read_only(&mounts("--security-opt writable-cgroups=true")));
    assert!(is_read_only(&mounts("--security-opt writable-cgroups=false")));
}

#[test]
fn options_of_security_modules_that_are_not_there_change_nothing() {
    let host = Host::start();

    let container = host
        .create("--security-opt apparmor=unconfined --security-opt label=user:foo busybox true");

    let told = container.inspect();
    assert_eq!(told["AppArmorProfile"], "unconfined");
    assert_eq!(told["HostConfig"]["SecurityOpt"], json!(["apparmor=unconfined", "label=user:foo"]));
    host.docker(&format!("start --attach {}", container.id)).succeeds();
}

#[test]
fn mounts_that_cannot_be_are_refused_in_docker_s_words() {
    let host = Host::start();
    let folder = host.folder("data", &[]);

    refused(
        &host,
        &format!("-v {folder}:/x:nocopy"),
        "invalid mount config for type \"bind\": field VolumeOptions must not be specified",
    );
    refused(
        &host,
        "-v some:/x:rslave",
        "invalid mount config for type \"volume\": field BindOptions must not be specified",
    );
    refused(&host, &format!("--tmpfs /t -v {folder}:/t"), "Duplicate mount point: /t");
    refused(
        &host,
        "--mount type=npipe,src=x,dst=/x",
        "invalid mount config for type \"npipe\": mount type unknown",
    );
}

#[test]
fn a_volume_of_another_container_s_has_no_mode_of_its_own() {
    let host = Host::start();
    host.create("--name first -v named:/data busybox");

    let second = host.create("--volumes-from first:ro busybox");

    let mounts = second.inspect()["Mounts"].clone();
    assert_eq!(mounts[0]["Name"], "named");
    assert_eq!(mounts[0]["Mode"], "");
    assert_eq!(mounts[0]["RW"], false);
}

#[test]
fn flags_of_another_system_are_refused() {
    let host = Host::start();

    for flag in ["--cpu-count 2", "--cpu-percent 3", "--io-maxbandwidth 1m", "--io-maxiops 100"] {
        let name = flag.split(' ').next().expect("a flag has a name");
        refused(
            &host,
            flag,
            &format!(
                "\"{name}\" is only supported on a Docker daemon running on windows, but the \
                 Docker daemon is running on linux"
            ),
        );
    }
}

#[test]
fn the_daemon_s_socket_can_be_given_to_a_container() {
    let reason = "Docker's client gives /var/run/docker.sock, whatever socket it speaks to";
    if !Host::is_wharf_or_skips(reason) {
        return;
    }
    let host = Host::start();

    let made = std::process::Command::new(Host::wharf())
        .args("create --name web --use-api-socket busybox sleep 1000".split(' '))
        .env("DOCKER_HOST", format!("unix://{}", host.socket().display()))
        .output()
        .unwrap();

    assert!(made.status.success(), "{made:?}");
    host.docker("start web").succeeds();
    host.docker("exec web test -S /var/run/docker.sock").succeeds();
}

#[test]
fn a_container_without_a_network_can_be_asked_for_by_its_configuration() {
    let host = Host::start();
    let body = r#"{"Image":"busybox","Cmd":["ip","-o","link"],"NetworkDisabled":true}"#;

    let answer = host.api("POST", "/v1.51/containers/create?name=alone", Some(body));

    assert_eq!(answer.status, 201, "{answer:?}");
    let links = host.answer("start --attach alone");
    assert_eq!(links.lines().count(), 1, "only lo: {links}");
}
