//! What goes wrong, in the words that the docker client and scripts look for.

use serde_json::json;

use crate::host::Bundle;

#[track_caller]
fn refusal(change: impl FnOnce(&mut Bundle)) -> String {
    let mut bundle = Bundle::new("true");
    change(&mut bundle);
    bundle.try_run().expect_err("it runs")
}

#[test]
fn a_missing_program_is_named() {
    require_containers!();
    let error = refusal(|bundle| bundle.spec["process"]["args"] = json!(["nope"]));
    assert_eq!(error, r#"exec: "nope": executable file not found in $PATH"#);
    let error = refusal(|bundle| bundle.spec["process"]["args"] = json!(["/nope"]));
    assert_eq!(error, r#"exec: "/nope": stat /nope: no such file or directory"#);
}

#[test]
fn what_is_no_program_is_named() {
    require_containers!();
    let error = refusal(|bundle| bundle.spec["process"]["args"] = json!(["/etc/passwd"]));
    assert_eq!(error, r#"exec: "/etc/passwd": permission denied"#);
    let error = refusal(|bundle| bundle.spec["process"]["args"] = json!(["/etc"]));
    assert_eq!(error, r#"exec: "/etc": is a directory"#);
    let error = refusal(|bundle| {
        bundle.write("odd", "neither a script nor a program");
        let path = bundle.rootfs().join("odd");
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        bundle.spec["process"]["args"] = json!(["/odd"]);
    });
    assert_eq!(error, "exec /odd: exec format error");
}

#[test]
fn an_unknown_user_is_named() {
    require_containers!();
    let error = refusal(|bundle| bundle.user = Some("nope".to_owned()));
    assert_eq!(error, "unable to find user nope: no matching entries in passwd file");
    let error = refusal(|bundle| bundle.additional_groups = vec!["nope".to_owned()]);
    assert_eq!(error, "Unable to find group nope");
}

#[test]
fn a_missing_mount_source_is_named() {
    require_containers!();
    let error = refusal(|bundle| {
        bundle.spec["mounts"].as_array_mut().unwrap().push(json!(
            {"destination": "/data", "type": "bind", "source": "/no/such", "options": ["rbind"]}
        ));
    });
    assert!(error.contains("mounts[6] `/no/such` to `/data`"), "{error}");
    assert!(error.contains("No such file or directory"), "{error}");
}

#[test]
fn after_an_error_nothing_is_left() {
    require_containers!();
    let mut bundle = Bundle::new("true");
    bundle.spec["process"]["args"] = json!(["nope"]);
    let path = format!("/wharf-tests/{}", bundle.id);
    bundle.spec["linux"]["cgroupsPath"] = path.clone().into();
    bundle.try_run().unwrap_err();
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    assert!(roots.iter().all(|root| !std::path::Path::new(&format!("{root}{path}")).exists()));
}

#[test]
fn a_breakout_by_the_working_directory_is_refused() {
    require_containers!();
    // CVE-2024-21626: a folder of the host that the runtime has open. Ours has none open.
    for number in 3..20 {
        let error = refusal(|bundle| {
            bundle.spec["process"]["cwd"] = format!("/proc/self/fd/{number}").into();
        });
        assert!(error.contains("chdir to cwd") || error.contains("working directory"), "{error}");
    }
}
