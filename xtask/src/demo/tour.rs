//! The demo's chapters.

use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::stage::Stage;
use crate::machine::find;

/// How often a start is timed.
const ROUNDS: usize = 20;

/// Writes a growing number every 10 ms.
const COUNTER: &str = "sh -c 'n=0; while :; do n=$((n + 1)); echo $n; sleep 0.01; done'";

pub(crate) fn walk(stage: &mut Stage) -> Result<()> {
    say_hello(stage)?;
    bring_an_image(stage)?;
    run_commands(stage)?;
    publish_a_port(stage)?;
    keep_a_volume(stage)?;
    meet_a_limit(stage)?;
    kill_the_daemon(stage)?;
    use_the_stock_client(stage)?;
    time_starts(stage)
}

fn say_hello(stage: &mut Stage) -> Result<()> {
    stage.chapter("An image that is built in, with no network needed");
    let shown = stage.wharf("run --rm hello")?;
    ensure!(!shown.is_empty(), "`hello` said nothing");
    Ok(())
}

fn bring_an_image(stage: &mut Stage) -> Result<()> {
    stage.chapter("An image made of this machine's own busybox");
    let archive = stories::FileSystem::with_shell().tar();
    stage.wharf_with("import --change 'CMD [\"sh\"]' - busybox", &archive)?;
    stage.wharf("images")?;
    Ok(())
}

fn run_commands(stage: &mut Stage) -> Result<()> {
    stage.chapter("Containers: a process with a world of its own, and its exit status");
    let script = "echo I am process $$ of $(hostname), user $(id -un); ls /proc | grep -c ^[0-9]";
    stage.wharf(&format!("run --rm --hostname demo busybox sh -c '{script}'"))?;
    stage.wharf_ends_with(42, "run --rm busybox sh -c 'exit 42'")?;
    stage.wharf_ends_with(127, "run --rm busybox no-such-program")
}

fn publish_a_port(stage: &mut Stage) -> Result<()> {
    stage.chapter("A web server, published on the loopback address");
    stage.wharf("run --detach --name web --publish 127.0.0.1::80 busybox httpd -f -h /var/www")?;
    let address = stage.wharf("port web 80")?;
    let page = stage.get(&address)?;
    ensure!(page == "hello from web", "the page was {page:?}");
    stage.wharf("ps")?;
    stage.wharf("stop --timeout 1 web")?;
    stage.wharf("rm web").map(drop)
}

fn keep_a_volume(stage: &mut Stage) -> Result<()> {
    stage.chapter("A volume that outlives its container");
    stage.wharf("run --rm --volume data:/data busybox sh -c 'echo kept > /data/file'")?;
    let text = stage.wharf("run --rm --volume data:/data:ro busybox cat /data/file")?;
    ensure!(text == "kept", "the volume held {text:?}");
    stage.wharf("volume rm data").map(drop)
}

fn meet_a_limit(stage: &mut Stage) -> Result<()> {
    stage.chapter("A limit that bites: 16 MB, and a process that wants more");
    let greedy = "x=0123456789abcdef; while :; do x=$x$x; done";
    let limits = "--memory 16m --memory-swap 16m";
    stage.wharf_ends_with(137, &format!("run --name greedy {limits} busybox sh -c '{greedy}'"))?;
    let told = stage.wharf("inspect --format {{.State.OOMKilled}} greedy")?;
    ensure!(told == "true", "the kill was not told: {told}");
    stage.wharf("rm greedy").map(drop)
}

fn kill_the_daemon(stage: &mut Stage) -> Result<()> {
    stage.chapter("kill -9 of the daemon, while a container counts");
    stage.wharf(&format!("run --detach --name counter busybox {COUNTER}"))?;
    let pid = stage.wharf("inspect --format {{.State.Pid}} counter")?;
    stage.wait_for("the first numbers", || {
        let log = stage.quietly("logs --tail 1 counter")?;
        Ok(log.parse::<u64>().ok().filter(|&number| number >= 10))
    })?;
    let file = stage.quietly("inspect --format {{.LogPath}} counter")?;
    let lines = || Ok::<_, anyhow::Error>(std::fs::read_to_string(&file)?.lines().count());

    stage.kill_daemon()?;
    let before = lines()?;
    let after = stage.wait_for("the container to go on", || {
        Ok(Some(lines()?).filter(|&count| count > before + 20))
    })?;
    println!("     no daemon, but the log grew from {before} to {after} lines");
    stage.start_daemon()?;

    let same = stage.wharf("inspect --format {{.State.Pid}} counter")?;
    ensure!(same == pid, "it was process {pid}, and is {same} now");
    let log = stage.quietly("logs counter")?;
    let numbers: Vec<u64> = log.lines().map(str::parse).collect::<Result<_, _>>()?;
    let count = u64::try_from(numbers.len()).context("a short log")?;
    ensure!(numbers.into_iter().eq(1..=count), "the log has a gap");
    println!("     the same process, and {count} lines without a gap");
    stage.wharf("exec counter echo reached by the new daemon")?;
    stage.wharf("rm --force counter").map(drop)
}

fn use_the_stock_client(stage: &mut Stage) -> Result<()> {
    let Some(docker) = find("docker") else {
        println!("\n   (no stock docker client on this machine: that chapter is left out)");
        return Ok(());
    };
    stage.chapter("The stock docker client, talking to Wharf");
    for line in ["version --format {{.Server.APIVersion}}", "run --rm busybox echo hello"] {
        println!("   $ docker {line}");
        let output = stage.client_of(&docker, line).stdin(Stdio::null()).output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`docker {line}` failed: {complaint}");
        println!("     {}", String::from_utf8_lossy(&output.stdout).trim());
    }
    Ok(())
}

fn time_starts(stage: &mut Stage) -> Result<()> {
    stage.chapter("How long that takes, from the command to its end");
    stage.wharf("run --detach --name target --network none busybox sleep 1000")?;
    for line in
        ["run --rm --network none busybox true", "run --rm busybox true", "exec target true"]
    {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let start = Instant::now();
            stage.quietly(line)?;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let milliseconds = times[ROUNDS / 2].as_secs_f64() * 1e3;
        println!("     {milliseconds:6.1} ms  wharf {line}");
    }
    stage.quietly("rm --force target").map(drop)
}
