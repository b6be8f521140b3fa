//! `inspect`: everything about anything.

use serde_json::json;
use stories::Host;

#[test]
fn a_container_is_told_as_it_was_asked_for() {
    let host = Host::start();
    let container = host.create(
        "--name web --hostname box --user anna --workdir /tmp -e A=b --entrypoint sleep \
         --restart always --cap-add NET_ADMIN --cap-drop CHOWN --read-only --tmpfs /t:size=1m \
         --dns 9.9.9.9 --add-host db:10.1.2.3 --init --shm-size 8m --publish 8080:80 -it \
         --log-opt max-size=1m busybox 1000",
    );

    let told = container.inspect();

    assert_eq!(told["Name"], "/web");
    assert_eq!(told["Path"], "sleep");
    assert_eq!(told["Args"], json!(["1000"]));
    let config = &told["Config"];
    assert_eq!(config["Hostname"], "box");
    assert_eq!(config["User"], "anna");
    assert_eq!(config["WorkingDir"], "/tmp");
    assert_eq!(config["Env"][0], "A=b");
    assert_eq!(config["Entrypoint"], json!(["sleep"]));
    assert_eq!(config["Cmd"], json!(["1000"]));
    assert_eq!(config["Image"], "busybox");
    assert_eq!(config["Tty"], true);
    assert_eq!(config["OpenStdin"], true);
    assert_eq!(config["ExposedPorts"], json!({"80/tcp": {}}));
    let host_config = &told["HostConfig"];
    assert_eq!(host_config["RestartPolicy"]["Name"], "always");
    assert_eq!(host_config["CapAdd"], json!(["CAP_NET_ADMIN"]));
    assert_eq!(host_config["CapDrop"], json!(["CAP_CHOWN"]));
    assert_eq!(host_config["ReadonlyRootfs"], true);
    assert_eq!(host_config["Tmpfs"], json!({"/t": "size=1m"}));
    assert_eq!(host_config["Dns"], json!(["9.9.9.9"]));
    assert_eq!(host_config["ExtraHosts"], json!(["db:10.1.2.3"]));
    assert_eq!(host_config["Init"], true);
    assert_eq!(host_config["ShmSize"], 8 << 20);
    assert_eq!(host_config["NetworkMode"], "bridge");
    assert_eq!(
        host_config["PortBindings"],
        json!({"80/tcp": [{"HostIp": "", "HostPort": "8080"}]})
    );
    assert_eq!(
        host_config["LogConfig"],
        json!({"Type": "json-file", "Config": {"max-size": "1m"}})
    );
}

#[test]
fn what_was_not_asked_for_has_docker_s_defaults() {
    let host = Host::start();
    let container = host.create("busybox");

    let told = container.inspect();

    assert_eq!(told["Config"]["Cmd"], json!(["sh"]));
    assert_eq!(told["Config"]["Hostname"], &container.id[..12]);
    assert_eq!(told["Config"]["AttachStdout"], true);
    assert_eq!(told["HostConfig"]["RestartPolicy"], json!({"Name": "no", "MaximumRetryCount": 0}));
    assert_eq!(told["HostConfig"]["ShmSize"], 64 << 20);
    assert_eq!(told["HostConfig"]["IpcMode"], "private");
    assert_eq!(told["HostConfig"]["Privileged"], false);
    assert_eq!(told["HostConfig"]["Memory"], 0);
    assert_eq!(told["HostConfig"]["PidsLimit"], json!(null));
    assert_eq!(told["Platform"], "linux");
    assert_eq!(told["RestartCount"], 0);
    assert!(told["HostConfig"]["MaskedPaths"].as_array().unwrap().contains(&json!("/proc/kcore")));
    let image = host.answer("images --quiet --no-trunc busybox");
    assert_eq!(told["Image"], image.as_str());
}

#[test]
fn a_template_picks_a_part() {
    let host = Host::start();
    let web = host.run("--name web -e A=b -p 8080:80 -l a=1 -l b=2 busybox sleep 1000");
    let shown = |template: &str| {
        host.docker_words(&["inspect", "--format", template, "web"]).succeeds().stdout
    };

    assert_eq!(shown("{{.State.Running}} {{.State.Status}}"), "true running\n");
    assert_eq!(shown("{{json .Config.Cmd}}"), "[\"sleep\",\"1000\"]\n");
    assert_eq!(shown("{{.Config.Cmd}}"), "[sleep 1000]\n");
    assert_eq!(shown("{{index .Config.Labels \"b\"}}"), "2\n");
    assert_eq!(
        shown(
            "{{range $key, $value := .Config.Labels}}{{$key}}={{$value} }{{end}}"
                .replace("} }", "}} ")
                .as_str()
        ),
        "a=1 b=2 \n"
    );
    assert_eq!(shown("{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}"), "8080\n");
    assert_eq!(
        shown("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"),
        format!("{}\n", web.address())
    );
    assert_eq!(shown("{{if .State.Paused}}paused{{else}}not paused{{end}}"), "not paused\n");
    assert_eq!(
        shown("{{printf \"%.12s\" .Id}} {{len .Config.Cmd}}"),
        format!("{} 2\n", &web.id[..12])
    );
    host.docker_words(&["inspect", "--format", "{{.Nope}}", "web"])
        .fails_with(1)
        .stderr_says("nope");
    host.docker_words(&["inspect", "--format", "{{.Open", "web"])
        .fails()
        .stderr_says("template parsing error");
}

#[test]
fn any_object_is_found_by_its_name() {
    let host = Host::start();
    host.create("--name web busybox");
    host.docker("volume create data").succeeds();

    let names = host.answer("inspect --format {{.Name}} web data bridge");
    assert_eq!(names, "/web\ndata\nbridge");
    host.docker("inspect --type image busybox").succeeds();
    host.docker("inspect --type volume web").fails_with(1).stderr_says("no such volume");
    host.docker("inspect web nope")
        .fails_with(1)
        .stdout_has("\"/web\"")
        .stderr_says("no such object: nope");
}

#[test]
fn size_is_told_when_asked() {
    let host = Host::start();
    host.run("--name web busybox sh -c 'head -c 5000 /dev/zero > /x'").wait();

    let size = host.answer("inspect --size --format {{.SizeRw}} web");

    assert_eq!(size, "5000");
}

#[test]
fn the_interface_answers_every_version() {
    let host = Host::start();
    let container = host.create("--name web busybox");

    for version in ["v1.24", "v1.35", "v1.40", "v1.44", "v1.51"] {
        let answer = host.api("GET", &format!("/{version}/containers/web/json"), None);
        assert_eq!(answer.status, 200, "{version}: {answer:?}");
        assert!(answer.body.contains(&container.id), "{answer:?}");
    }
    assert_eq!(host.api("GET", "/containers/web/json", None).status, 200);
}

#[test]
fn mistakes_are_answered_in_docker_s_words() {
    let host = Host::start();

    let answer = host.api("GET", "/v1.51/containers/nope/json", None);
    assert_eq!(answer.status, 404);
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["message"], "No such container: nope");

    let too_old = host.api("GET", "/v1.10/version", None);
    assert_eq!(too_old.status, 400);
    assert!(too_old.body.contains("client version 1.10 is too old"), "{too_old:?}");
    let too_new = host.api("GET", "/v1.99/version", None);
    assert_eq!(too_new.status, 400);
    assert!(too_new.body.contains("client version 1.99 is too new"), "{too_new:?}");
    let nowhere = host.api("GET", "/v1.51/no/such/page", None);
    assert_eq!(nowhere.status, 404);
    assert!(nowhere.body.contains("page not found"), "{nowhere:?}");
    let broken = host.api("POST", "/v1.51/containers/create", Some("{"));
    assert_eq!(broken.status, 400);
}

#[test]
fn where_a_container_s_files_are_is_told() {
    let host = Host::start();
    let container = host.run("--name web busybox sleep 1000");
    host.docker("exec web touch /own").succeeds();

    let data = container.inspect()["GraphDriver"]["Data"].clone();

    let folder = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    let upper = std::path::PathBuf::from(folder("UpperDir"));
    assert!(upper.join("own").exists(), "{data}");
    let lowers = folder("LowerDir");
    let has_shell = |folder: &str| std::path::Path::new(folder).join("bin/busybox").exists();
    assert!(lowers.split(':').any(has_shell), "{data}");
    assert!(std::path::Path::new(&folder("WorkDir")).exists(), "{data}");
}

#[test]
fn a_container_that_has_run_remembers_its_network_and_nothing_else_of_it() {
    let host = Host::start();
    let network = host.answer("network inspect --format {{.Id}} bridge");
    let container = host.create("--name web busybox true");
    assert_eq!(container.at("/NetworkSettings/Networks/bridge/NetworkID"), "");

    host.docker("start --attach web").succeeds();

    let told = container.inspect()["NetworkSettings"].clone();
    assert_eq!(told["Networks"]["bridge"]["NetworkID"], network.as_str());
    assert_eq!(told["Networks"]["bridge"]["IPAddress"], "");
    assert_eq!(told["SandboxID"], "");
    assert_eq!(told["SandboxKey"], "");
    assert_eq!(told["Ports"], json!({}));
}
