//! A process's turns at the processors and disks, its processors, and its memory's nodes.

use serde_json::json;

use crate::host::{Bundle, execute, null_streams};

#[test]
fn the_scheduler_is_set() {
    require_containers!();
    let mut bundle = Bundle::new("cut -d ' ' -f 19,41 </proc/self/stat");
    bundle.spec["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 11});
    // The nice value, and the policy's number.
    assert_eq!(bundle.run().output, "11 3\n");
}

#[test]
fn the_disks_turn_is_set() {
    require_containers!();
    let mut bundle = Bundle::new("busybox ionice -p $$");
    bundle.spec["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 6});
    assert_eq!(bundle.run().output, "best-effort: prio 6\n");
}

#[test]
fn the_personality_is_set_for_every_process() {
    require_containers!();
    let mut bundle = Bundle::new("cat /proc/self/personality; busybox uname -m");
    bundle.spec["linux"]["personality"] = json!({"domain": "LINUX32"});
    let output = bundle.run().output;
    assert!(output.starts_with("00000008\n"), "{output}");
    if cfg!(target_arch = "x86_64") {
        assert!(output.ends_with("\ni686\n"), "{output}");
    }
    bundle.spec["process"]["args"] = json!(["sleep", "100"]);
    bundle.with_container(null_streams, |container| {
        let mut container = container.unwrap();
        container.start().unwrap();
        let process = json!({"user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"],
                             "args": ["cat", "/proc/self/personality"]});
        assert_eq!(execute(&container, &process).unwrap().0, "00000008\n");
        container.delete().unwrap();
    });
}

#[test]
fn memory_comes_from_the_nodes_asked_for() {
    require_containers!();
    if !std::path::Path::new("/proc/self/numa_maps").exists() {
        println!("skipped: this kernel knows no nodes");
        return;
    }
    let mut bundle = Bundle::new("head -n 1 /proc/self/numa_maps | cut -d ' ' -f 2");
    bundle.spec["linux"]["memoryPolicy"] =
        json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]});
    let output = bundle.run().output;
    assert!(output.starts_with("bind") && output.trim_end().ends_with('0'), "{output}");
    bundle.spec["linux"]["memoryPolicy"] = json!({"mode": "MPOL_DEFAULT", "nodes": "0-7"});
    let error = bundle.try_run().unwrap_err();
    assert_eq!(error, "linux.memoryPolicy: memory policy mode requires 0 nodes but got 8");
}

#[test]
fn a_further_process_can_have_processors_of_its_own() {
    require_containers!();
    let bundle = Bundle::new("sleep 100");
    bundle.with_container(null_streams, |container| {
        let mut container = container.unwrap();
        container.start().unwrap();
        let mut process = json!({"user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"],
                             "args": ["grep", "Cpus_allowed_list", "/proc/self/status"]});
        process["execCPUAffinity"] = json!({"initial": "0", "final": "0"});
        let (output, _) = execute(&container, &process).unwrap();
        assert_eq!(output, "Cpus_allowed_list:\t0\n");
        process["execCPUAffinity"] = json!({"initial": "1000"});
        let error = execute(&container, &process).unwrap_err();
        assert!(error.starts_with("process.execCPUAffinity.initial: "), "{error}");
        process["execCPUAffinity"] = json!({"final": "1000"});
        let error = execute(&container, &process).unwrap_err();
        assert!(error.starts_with("process.execCPUAffinity.final: "), "{error}");
        container.delete().unwrap();
    });
}

#[test]
fn a_container_has_all_processors_wherever_its_maker_is_confined() {
    require_containers!();
    let processors = rustix::thread::sched_getaffinity(None).unwrap().count();
    if processors < 2 {
        println!("skipped: there is one processor only");
        return;
    }
    let code = linux::process::in_forked_process(|| {
        let mut first = rustix::thread::CpuSet::new();
        first.set(0);
        rustix::thread::sched_setaffinity(None, &first).unwrap();
        let output = Bundle::new("nproc").run().output;
        assert_eq!(output.trim(), processors.to_string());
        0
    });
    assert_eq!(code.unwrap(), 0);
}
