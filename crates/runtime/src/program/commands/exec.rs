//! `exec`.

use std::fs;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use oci::runtime::{Capabilities, Capability, Process, Spec};
use runtime::{ExecProcess, ExecRequest, SubCgroup};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use crate::command_line::{Call, Command, Count, Flag, Values};
use crate::documents;
use crate::exit_code::ExitCode;
use crate::foreground;
use crate::record::{Known, Status};
use crate::sockets::Receiver;

pub(super) const COMMAND: Command = Command {
    usage: "<container-id> <command> [command options]  || -p process.json <container-id>",
    flags: &[
        Flag::text(
            "console-socket",
            "path to an AF_UNIX socket which will receive a file descriptor referencing the \
             master end of the console's pseudoterminal",
        ),
        Flag::text(
            "pidfd-socket",
            "path to an AF_UNIX socket which will receive a file descriptor referencing the exec \
             process",
        ),
        Flag::text("cwd", "current working directory in the container"),
        Flag::texts("env", "set environment variables").short("e"),
        Flag::switch("tty", "allocate a pseudo-TTY").short("t"),
        Flag::text("user", "UID (format: <uid>[:<gid>])").short("u"),
        Flag::numbers("additional-gids", "additional gids").short("g"),
        Flag::text("process", "path to the process.json").short("p"),
        Flag::switch("detach", "detach from the container's process").short("d"),
        Flag::text("pid-file", "specify the file to write the process id to"),
        Flag::text(
            "process-label",
            "set the asm process label for the process commonly used with selinux",
        ),
        Flag::text("apparmor", "set the apparmor profile for the process"),
        Flag::switch("no-new-privs", "set the no new privileges value for the process"),
        Flag::texts("cap", "add a capability to the bounding set for the process").short("c"),
        Flag::number(
            "preserve-fds",
            "Pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in \
             total)",
        ),
        Flag::texts(
            "cgroup",
            "run the process in an (existing) sub-cgroup(s). Format is [<controller>:]<cgroup>.",
        ),
        Flag::switch("ignore-paused", "allow exec in a paused container"),
    ],
    arguments: Count::AtLeast(1),
    has_flags_anywhere: false,
    meets_containers: true,
    // Told from what the program may exit with, most of the time.
    failure: 255,
    ..Command::new("exec", "execute new process inside the container", exec)
};

fn exec(call: &Call) -> anyhow::Result<ExitCode> {
    run(call).context("exec failed")
}

fn run(call: &Call) -> anyhow::Result<ExitCode> {
    let values = &call.values;
    let known = Known::open(&call.root, call.id())?;
    let spec = known.folder.spec()?;
    let container = known.container_by(&spec)?.context("cannot exec in a stopped container")?;
    let is_paused = known.status_of(Some(&container)) == Status::Paused;
    if is_paused && !values.is_on("ignore-paused") {
        bail!("cannot exec in a paused container (use --ignore-paused to override)");
    }
    let process = process(call, &spec)?;
    let sub_cgroup = sub_cgroup(values.texts("cgroup"))?;
    let (is_detached, has_terminal) = (values.is_on("detach"), process.terminal() == Some(true));
    let console = values.given("console-socket");
    foreground::check_terminal(has_terminal, is_detached, console.is_some())?;
    let console = Receiver::connect("console-socket", console)?;
    let pidfd = Receiver::connect("pidfd-socket", values.given("pidfd-socket"))?;
    if !is_detached {
        foreground::keep_signals(false)?;
    }
    call.log.debug(|| format!("executing {:?}", process.args().as_deref().unwrap_or_default()));
    let stdio = foreground::streams(has_terminal, is_detached)?;
    let mut running = container
        .exec(ExecRequest {
            preserved_descriptors: super::preserved(values)?,
            sub_cgroup,
            ..ExecRequest::new(&process, stdio)
        })
        .map_err(foreground::in_runc_words)?;
    for warning in &running.warnings {
        call.log.warning(warning);
    }
    hand_over(values, &running, console.as_ref(), pidfd.as_ref()).inspect_err(|_| {
        // Nobody knows of it, so nobody would end it. It may have ended by itself.
        let _ = pidfd_send_signal(&running.pidfd, Signal::KILL);
        let _ = waitid(WaitId::PidFd(running.pidfd.as_fd()), WaitIdOptions::EXITED);
    })?;
    if is_detached {
        return Ok(ExitCode::SUCCESS);
    }
    foreground::wait(running.pidfd.as_fd(), running.terminal.take())
}

/// Tells those who asked about the process and its terminal.
fn hand_over(
    values: &Values,
    running: &ExecProcess,
    console: Option<&Receiver>,
    pidfd: Option<&Receiver>,
) -> anyhow::Result<()> {
    if let (Some(console), Some(terminal)) = (console, &running.terminal) {
        console.send(terminal.as_fd(), "/dev/ptmx")?;
    }
    if let Some(receiver) = pidfd {
        receiver.send(running.pidfd.as_fd(), "setns")?;
    }
    super::write_pid_file(values, running.pid)
}

/// One path for all of the container's cgroups, or paths of controllers, whose names a comma
/// may separate. The words are runc's.
fn sub_cgroup<'a>(texts: impl Iterator<Item = &'a str>) -> anyhow::Result<SubCgroup> {
    let texts: Vec<&str> = texts.collect();
    let mut paths: Vec<(String, PathBuf)> = Vec::new();
    for text in &texts {
        let Some((controllers, path)) = text.split_once(':') else {
            if texts.len() == 1 {
                return Ok(SubCgroup::Everywhere(text.into()));
            }
            bail!("invalid --cgroup argument: {text} (missing <controller>: prefix)");
        };
        for controller in controllers.split(',') {
            if controller.is_empty() {
                bail!("invalid --cgroup argument: {text} (empty <controller> prefix)");
            }
            if paths.iter().any(|(known, _)| known == controller) {
                bail!(
                    "invalid --cgroup argument(s): controller {controller} specified multiple times"
                );
            }
            paths.push((controller.to_owned(), path.into()));
        }
    }
    Ok(if paths.is_empty() { SubCgroup::Default } else { SubCgroup::Of(paths) })
}

/// The process of a file, or the container's own with what the flags change.
fn process(call: &Call, spec: &Spec) -> anyhow::Result<Process> {
    let values = &call.values;
    if let Some(file) = values.given("process") {
        let text = fs::read(file).with_context(|| format!("open {file}"))?;
        let process = documents::process(text, &call.log);
        return process.with_context(|| format!("`{file}` makes no sense"));
    }
    let command = &values.arguments[1..];
    if command.is_empty() {
        bail!("exec args cannot be empty");
    }
    let mut process = spec.process().clone().context("process: is missing")?;
    process.set_args(Some(command.to_vec()));
    process.set_terminal(Some(values.is_on("tty")));
    if let Some(folder) = values.path("cwd") {
        process.set_cwd(folder);
    }
    if let Some(profile) = values.given("apparmor") {
        process.set_apparmor_profile(Some(profile.to_owned()));
    }
    if let Some(label) = values.given("process-label") {
        process.set_selinux_label(Some(label.to_owned()));
    }
    if values.given("no-new-privs").is_some() {
        process.set_no_new_privileges(Some(values.is_on("no-new-privs")));
    }
    let mut environment = process.env().clone().unwrap_or_default();
    environment.extend(values.texts("env").map(str::to_owned));
    process.set_env(Some(environment));
    set_user(&mut process, values)?;
    add_capabilities(&mut process, values.texts("cap"))?;
    Ok(process)
}

/// What is not given stays as the container's own process has it.
fn set_user(process: &mut Process, values: &Values) -> anyhow::Result<()> {
    let mut user = process.user().clone();
    if let Some(text) = values.given("user") {
        let (uid, gid) = text.split_once(':').map_or((text, None), |(uid, gid)| (uid, Some(gid)));
        if let Some(gid) = gid {
            user.set_gid(gid.parse().with_context(|| format!("bad gid: {gid:?}"))?);
        }
        user.set_uid(uid.parse().with_context(|| format!("bad uid: {uid:?}"))?);
    }
    let mut further = values.numbers("additional-gids").peekable();
    if further.peek().is_some() {
        let mut groups = user.additional_gids().clone().unwrap_or_default();
        for group in further {
            groups.push(
                u32::try_from(group).ok().with_context(|| {
                    format!("additional-gids must be a positive number {group}")
                })?,
            );
        }
        user.set_additional_gids(Some(groups));
    }
    process.set_user(user);
    Ok(())
}

/// Adds to the sets that let a process use a capability; to the ambient one, which reaches
/// programs of others than root, only where the configuration has inheritable ones.
fn add_capabilities<'a>(
    process: &mut Process,
    names: impl Iterator<Item = &'a str>,
) -> anyhow::Result<()> {
    let mut added = Capabilities::new();
    for name in names {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let capability: Capability =
            bare.parse().with_context(|| format!("unknown capability {name:?}"))?;
        added.insert(capability);
    }
    if added.is_empty() {
        return Ok(());
    }
    let mut sets = process.capabilities().clone().unwrap_or_default();
    let with = |set: &Option<Capabilities>| {
        Some(set.iter().flatten().chain(&added).copied().collect::<Capabilities>())
    };
    let (bounding, effective, permitted, ambient) = (
        with(sets.bounding()),
        with(sets.effective()),
        with(sets.permitted()),
        with(sets.ambient()),
    );
    if sets.inheritable().is_some() {
        sets.set_ambient(ambient);
    }
    sets.set_bounding(bounding).set_effective(effective).set_permitted(permitted);
    process.set_capabilities(Some(sets));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_cgroups_are_of_all_or_of_controllers() {
        let parse = |texts: &[&str]| sub_cgroup(texts.iter().copied()).map_err(|e| e.to_string());
        assert_eq!(parse(&[]), Ok(SubCgroup::Default));
        assert_eq!(parse(&["a/b"]), Ok(SubCgroup::Everywhere("a/b".into())));
        let of = |list: &[(&str, &str)]| {
            let own = |(name, path): &(&str, &str)| ((*name).to_owned(), PathBuf::from(path));
            Ok(SubCgroup::Of(list.iter().map(own).collect()))
        };
        let parsed = parse(&["memory:x", "cpu,cpuacct:y"]);
        assert_eq!(parsed, of(&[("memory", "x"), ("cpu", "y"), ("cpuacct", "y")]));
        for texts in [&["a", "b"][..], &[":x"], &["cpu:x", "cpu:y"]] {
            assert!(parse(texts).is_err(), "{texts:?}");
        }
    }
}
