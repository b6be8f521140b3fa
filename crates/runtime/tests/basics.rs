//! That a container is one: its own root, processes, names and devices.

use crate::host::Bundle;

#[test]
fn a_program_runs_and_its_status_comes_back() {
    require_containers!();
    let outcome = Bundle::new("echo hello; exit 7").run();
    assert_eq!(outcome.output, "hello\n");
    assert_eq!(outcome.code, 7);
}

#[test]
fn it_is_alone() {
    require_containers!();
    let outcome = Bundle::new("echo $$; hostname; ls /; ls -d /proc/[0-9]*; ip link").run();
    let lines: Vec<&str> = outcome.output.lines().collect();
    assert_eq!(lines[..2], ["1", "inside"]);
    assert!(lines.contains(&"/proc/1"), "{}", outcome.output);
    assert!(outcome.output.contains("LOOPBACK,UP"), "{}", outcome.output);
}
