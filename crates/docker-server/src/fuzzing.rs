//! What comes from outside, for fuzzers and tests like them: each function has to come back,
//! whatever it is given. Not for anybody else.

use docker_api::containers::CreateRequest;
use docker_api::{ApiVersion, lenient};
use engine::containers::ContainerSpec;
use engine::containers::spec::LogConfig;

use crate::create::{Circumstances, ImageDefaults, check};
use crate::host::Cgroups;
use crate::show::Document;
use crate::versions;

/// The body of a request to create a container, as clients of every age send it. In how many API
/// versions it would be made.
///
/// # Panics
///
/// Panics when what is kept of the container does not say the same when it is read again.
pub fn create(text: &[u8]) -> usize {
    let minors = ApiVersion::MIN.minor..=ApiVersion::MAX.minor;
    minors.filter(|minor| create_by(ApiVersion::new(*minor), text)).count()
}

fn create_by(version: ApiVersion, text: &[u8]) -> bool {
    let circumstances = circumstances();
    let Ok(mut request) = lenient::from_slice::<CreateRequest>(text) else { return false };
    if versions::create_request(version, &mut request, circumstances.cgroups.version).is_err() {
        return false;
    }
    let Ok(checked) = check(request, &circumstances) else { return false };
    let Ok(plan) = checked.plan(&image(), &circumstances) else { return false };
    // Not the documents: whether an empty map was given or none shows nowhere.
    let text = plan.document.to_text();
    assert_eq!(Document::from_text(&text).to_text(), text, "the document");
    let recorded = serde_json::to_value(&plan.spec).expect("it can be recorded");
    let read: ContainerSpec = serde_json::from_value(recorded.clone()).expect("it can be read");
    assert_eq!(serde_json::to_value(&read).expect("it can be recorded"), recorded);
    true
}

/// A host that can do most things.
pub(crate) fn circumstances() -> Circumstances {
    Circumstances {
        cgroups: Cgroups {
            version: 1,
            memory: true,
            swap: true,
            swappiness: true,
            oom_kill_disable: true,
            memory_tcp: true,
            cpu_shares: true,
            cpu_quota: true,
            cpu_realtime: false,
            cpuset: true,
            pids: true,
            block_weight: false,
            block_throttle: true,
        },
        processors: "0-1".to_owned(),
        memory_nodes: "0".to_owned(),
        processor_count: 2,
        shm_size: 64 << 20,
        log: LogConfig {
            driver: "json-file".to_owned(),
            options: [("max-size".to_owned(), "1m".to_owned())].into(),
        },
        init: false,
        bridge_subnet: "172.17.0.0/16".parse().ok(),
        runtimes: engine::Runtimes::default(),
    }
}

/// An image that says something of everything.
pub(crate) fn image() -> ImageDefaults {
    ImageDefaults {
        user: "web".to_owned(),
        exposed_ports: vec!["80/tcp".to_owned()],
        env: vec!["PATH=/bin".to_owned(), "A=image".to_owned()],
        labels: [("from".to_owned(), "image".to_owned())].into(),
        entrypoint: Some(vec!["/entry".to_owned()]),
        cmd: Some(vec!["serve".to_owned()]),
        working_dir: "/srv".to_owned(),
        volumes: vec!["/data".to_owned()],
        stop_signal: "SIGQUIT".to_owned(),
        ..ImageDefaults::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// A body in which something is said of everything.
    const SAMPLE: &str = r#"{
            "Hostname": "h", "Domainname": "d", "User": "0:0", "AttachStdout": true, "Tty": true,
            "OpenStdin": true, "StdinOnce": true, "Env": ["A=b"], "Cmd": ["true"],
            "Entrypoint": ["busybox"], "Image": "busybox", "Labels": {"a": "b"},
            "Volumes": {"/v": {}}, "WorkingDir": "/", "StopSignal": "SIGTERM", "StopTimeout": 3,
            "ExposedPorts": {"80/tcp": {}, "1-3/udp": {}}, "Shell": ["sh"],
            "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1000000, "Timeout": 0,
                            "StartPeriod": 0, "StartInterval": 0, "Retries": 0},
            "HostConfig": {
                "Binds": ["/tmp:/t:ro,z", "named:/n"], "NetworkMode": "bridge",
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
                "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "1-9"}]},
                "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2},
                "VolumesFrom": ["web:ro"], "CapAdd": ["NET_ADMIN"], "CapDrop": ["MKNOD"],
                "Dns": ["1.1.1.1"], "DnsOptions": ["ndots:1"], "DnsSearch": ["x"],
                "ExtraHosts": ["a:1.2.3.4"], "GroupAdd": ["7"], "IpcMode": "private",
                "OomScoreAdj": 1, "PidMode": "", "UsernsMode": "", "CgroupnsMode": "private",
                "Privileged": false, "PublishAllPorts": true, "ReadonlyRootfs": true,
                "SecurityOpt": ["no-new-privileges", "label=disable"], "Links": ["a:b"],
                "Tmpfs": {"/x": "size=1m,mode=1777"}, "ShmSize": 1048576, "UTSMode": "",
                "Sysctls": {"net.ipv4.ip_forward": "0"}, "Annotations": {"a": "b"},
                "CpuShares": 2, "Memory": 20971520, "MemorySwap": -1, "MemorySwappiness": 5,
                "MemoryReservation": 10485760, "NanoCpus": 500000000, "CpusetCpus": "0-1",
                "CpusetMems": "0", "PidsLimit": 50, "OomKillDisable": true, "BlkioWeight": 0,
                "BlkioDeviceReadBps": [{"Path": "/dev/null", "Rate": 1}],
                "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x",
                             "CgroupPermissions": "rwm"}],
                "DeviceCgroupRules": ["c 1:3 rwm"], "Init": true, "Runtime": "", "Isolation": "",
                "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 100}],
                "Mounts": [{"Type": "tmpfs", "Target": "/m", "TmpfsOptions": {"SizeBytes": 4096}},
                           {"Type": "bind", "Source": "/tmp", "Target": "/b", "ReadOnly": true,
                            "BindOptions": {"Propagation": "rslave"}},
                           {"Type": "volume", "Source": "v", "Target": "/c",
                            "VolumeOptions": {"NoCopy": true, "Subpath": "a/b"}}],
                "MaskedPaths": ["/proc/kcore"], "ReadonlyPaths": ["/proc/sys"]
            },
            "NetworkingConfig": {"EndpointsConfig": {"bridge": {
                "Aliases": [], "MacAddress": "02:42:ac:11:00:02",
                "DriverOpts": {"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.x=1"}
            }}}
        }"#;

    fn sample() -> Value {
        serde_json::from_str(SAMPLE).unwrap()
    }

    /// What makes somebody stumble now and then.
    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            Just(json!([])),
            Just(json!({})),
            Just(json!([null, "", {}])),
            "[-/.,:=+a-z0-9\u{e9}\u{0}]{0,12}".prop_map(Value::from),
            "[0-9]{1,3}(-[0-9]{1,22})?(/(tcp|udp|sctp))?".prop_map(Value::from),
        ]
    }

    /// Every place in a document, by its pointer.
    fn pointers(document: &Value, own: &str) -> Vec<String> {
        let below = |name: &str, value: &Value| {
            let name = name.replace('~', "~0").replace('/', "~1");
            pointers(value, &format!("{own}/{name}"))
        };
        let mut all = vec![own.to_owned()];
        match document {
            Value::Object(fields) => {
                all.extend(fields.iter().flat_map(|(name, value)| below(name, value)));
            }
            Value::Array(entries) => {
                let entries = entries.iter().enumerate();
                all.extend(entries.flat_map(|(at, value)| below(&at.to_string(), value)));
            }
            _ => {}
        }
        all
    }

    #[test]
    fn the_sample_is_accepted_in_the_newest_version() {
        assert!(create_by(ApiVersion::MAX, sample().to_string().as_bytes()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn a_body_is_accepted_or_refused(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any_value()), 1..4)
        ) {
            let mut document = sample();
            for (place, value) in changes {
                let all = pointers(&document, "");
                let place = document.pointer_mut(place.get::<String>(&all)).expect("it is one of its own");
                *place = value;
            }
            create(document.to_string().as_bytes());
        }
    }
}
