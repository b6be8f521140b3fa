//! What is mounted: `-v`, `--mount`, `--tmpfs`, the image's volumes, `--volumes-from`.

use std::collections::HashSet;

use docker_api::containers::{ContainerConfig, HostConfig};
use docker_api::mounts::{Mount, TmpfsOptions};
use engine::containers::spec::{MountSource, MountSpec};

use super::Refusal;
use crate::show::clean_path;

const PROPAGATIONS: &[&str] = &["private", "rprivate", "slave", "rslave", "shared", "rshared"];

/// The driver of volumes that name none. There is no other yet.
const LOCAL_DRIVER: &str = "local";

/// What Docker calls the mode of a named volume that has none: it may be relabelled.
const VOLUME_MODE: &str = "z";

/// Refuses what makes no sense in itself.
pub(super) fn check(host: &HostConfig) -> Result<(), Refusal> {
    for mount in host.mounts.iter().flatten() {
        from_mount(mount)?;
    }
    for (target, _) in host.tmpfs.iter().flatten() {
        check_target(target).map_err(Refusal::new)?;
    }
    Ok(())
}

/// Every mount, each target once.
pub(super) fn convert(
    config: &ContainerConfig,
    host: &HostConfig,
) -> Result<Vec<MountSpec>, Refusal> {
    let mut mounts = Vec::new();
    let mut targets = HashSet::new();
    for text in host.binds.iter().flatten() {
        add(&mut mounts, &mut targets, from_bind(text, &host.volume_driver)?)?;
    }
    for mount in host.mounts.iter().flatten() {
        add(&mut mounts, &mut targets, from_mount(mount)?)?;
    }
    for (target, options) in host.tmpfs.iter().flatten() {
        // One of `--mount` in the same place wins, as in Docker.
        let spec = from_tmpfs(target, options);
        let same = mounts.iter().find(|own| own.target == spec.target);
        if !same.is_some_and(|own| matches!(own.source, MountSource::Tmpfs { .. })) {
            add(&mut mounts, &mut targets, spec)?;
        }
    }
    for (target, _) in config.volumes.iter().flatten() {
        let target = clean_path(target);
        if targets.insert(target.clone()) {
            mounts.push(anonymous(target, &host.volume_driver)?);
        }
    }
    Ok(mounts)
}

/// Targets of `--tmpfs`, which Docker does not show among the mounts; those of `--mount` it does.
pub(super) fn hidden_tmpfs(host: &HostConfig) -> Vec<String> {
    let is_mounted = |target: &str| {
        host.mounts.iter().flatten().any(|mount| clean_path(&mount.target) == clean_path(target))
    };
    let targets = host.tmpfs.iter().flatten().map(|(target, _)| target.clone());
    targets.filter(|target| !is_mounted(target)).collect()
}

fn add(
    mounts: &mut Vec<MountSpec>,
    targets: &mut HashSet<String>,
    spec: MountSpec,
) -> Result<(), Refusal> {
    if !targets.insert(spec.target.clone()) {
        return Err(Refusal::new(format!("Duplicate mount point: {}", spec.target)));
    }
    mounts.push(spec);
    Ok(())
}

fn anonymous(target: String, driver: &str) -> Result<MountSpec, Refusal> {
    Ok(MountSpec {
        target,
        source: volume(None, driver, &Mount::default())?,
        read_only: false,
        mode: String::new(),
    })
}

/// `source:target[:mode]`, or a target alone.
fn from_bind(text: &str, driver: &str) -> Result<MountSpec, Refusal> {
    let invalid = || Refusal::unclassified(format!("invalid volume specification: '{text}'"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts[..] {
        [] | ["", ..] => return Err(invalid()),
        [target] => ("", target, ""),
        [_, mode] if is_mode(mode) => return Err(invalid()),
        [source, target] => (source, target, ""),
        [source, target, mode] => (source, target, mode),
        _ => return Err(invalid()),
    };
    if !is_mode(mode) {
        return Err(Refusal::unclassified(format!("invalid mode: {mode}")));
    }
    let kind = if source.starts_with('/') { "bind" } else { "volume" };
    check_target(target).map_err(|reason| {
        Refusal::unclassified(format!(
            "invalid volume specification: '{text}': invalid mount config for type {kind:?}: \
             {reason}"
        ))
    })?;
    let options: Vec<&str> = mode.split(',').collect();
    if let Some(field) = foreign_option(kind, &options) {
        return Err(Refusal::unclassified(format!(
            "invalid volume specification: '{text}': invalid mount config for type {kind:?}: \
             field {field} must not be specified"
        )));
    }
    let source = if kind == "bind" {
        let propagation = options.iter().find(|option| PROPAGATIONS.contains(option));
        MountSource::Bind {
            path: clean_path(source).into(),
            propagation: propagation.map(|option| (*option).to_owned()).unwrap_or_default(),
            create_missing: true,
            non_recursive: false,
            read_only_force_recursive: false,
            read_only_non_recursive: false,
        }
    } else {
        let name = Some(source.to_owned()).filter(|name| !name.is_empty());
        let mut volume = volume(name, driver, &Mount::default())?;
        if let MountSource::Volume { no_copy, .. } = &mut volume {
            *no_copy = options.contains(&"nocopy");
        }
        volume
    };
    let mode = match (&source, mode) {
        (MountSource::Volume { name: Some(_), .. }, "") => VOLUME_MODE,
        _ => mode,
    };
    Ok(MountSpec {
        target: clean_path(target),
        source,
        read_only: options.contains(&"ro"),
        mode: mode.to_owned(),
    })
}

/// What of the mode is of another kind of mount.
fn foreign_option(kind: &str, options: &[&str]) -> Option<&'static str> {
    let propagates = options.iter().any(|option| PROPAGATIONS.contains(option));
    match kind {
        "bind" => options.contains(&"nocopy").then_some("VolumeOptions"),
        _ => propagates.then_some("BindOptions"),
    }
}

/// At most one option of each kind.
fn is_mode(mode: &str) -> bool {
    if mode.is_empty() {
        return true;
    }
    let kind = |option: &str| match option {
        "ro" | "rw" => Some(0),
        "z" | "Z" => Some(1),
        "nocopy" => Some(2),
        "consistent" | "cached" | "delegated" => Some(3),
        option if PROPAGATIONS.contains(&option) => Some(4),
        _ => None,
    };
    let mut seen = HashSet::new();
    mode.split(',').all(|option| kind(option).is_some_and(|kind| seen.insert(kind)))
}

/// What Docker says of a target that cannot be.
fn check_target(target: &str) -> Result<(), String> {
    if clean_path(&format!("/{target}")) == "/" && target.starts_with('/') {
        return Err("invalid specification: destination can't be '/'".to_owned());
    }
    if !target.starts_with('/') {
        return Err(format!("invalid mount path: '{target}' mount path must be absolute"));
    }
    Ok(())
}

fn from_mount(mount: &Mount) -> Result<MountSpec, Refusal> {
    let invalid = |reason: &str| {
        Refusal::new(format!("invalid mount config for type {:?}: {reason}", mount.kind))
    };
    if mount.target.is_empty() {
        return Err(invalid("field Target must not be empty"));
    }
    check_target(&mount.target).map_err(|reason| invalid(&reason))?;
    let (source, mode) = match mount.kind.as_str() {
        "bind" => (bind(mount).map_err(|reason| invalid(&reason))?, ""),
        "volume" => (named_volume(mount, invalid)?, VOLUME_MODE),
        "tmpfs" => (tmpfs(mount).map_err(|reason| invalid(&reason))?, ""),
        "image" => return Err(Refusal::unsupported("mounts of type image")),
        _ => return Err(invalid("mount type unknown")),
    };
    Ok(MountSpec {
        target: clean_path(&mount.target),
        source,
        read_only: mount.read_only,
        mode: mode.to_owned(),
    })
}

/// Whether the source is there is the engine's to find out.
fn bind(mount: &Mount) -> Result<MountSource, String> {
    if mount.source.is_empty() {
        return Err("field Source must not be empty".to_owned());
    }
    let options = mount.bind_options.clone().unwrap_or_default();
    if !options.propagation.is_empty() && !PROPAGATIONS.contains(&options.propagation.as_str()) {
        return Err(format!("invalid propagation mode: {}", options.propagation));
    }
    if mount.volume_options.is_some() {
        return Err("field VolumeOptions must not be specified".to_owned());
    }
    if !mount.source.starts_with('/') {
        return Err(format!("invalid mount path: '{}' mount path must be absolute", mount.source));
    }
    Ok(MountSource::Bind {
        path: clean_path(&mount.source).into(),
        propagation: options.propagation,
        create_missing: options.create_mountpoint,
        non_recursive: options.non_recursive,
        read_only_force_recursive: options.read_only_force_recursive,
        read_only_non_recursive: options.read_only_non_recursive,
    })
}

fn named_volume(mount: &Mount, invalid: impl Fn(&str) -> Refusal) -> Result<MountSource, Refusal> {
    let subpath = mount.volume_options.as_ref().map_or("", |options| options.subpath.as_str());
    if mount.bind_options.is_some() {
        return Err(invalid("field BindOptions must not be specified"));
    }
    if mount.source.is_empty() && !subpath.is_empty() {
        return Err(invalid("must not set Subpath when using anonymous volumes"));
    }
    if !is_local_path(subpath) {
        return Err(invalid("subpath must be a relative path within the volume"));
    }
    if mount.read_only && mount.source.is_empty() {
        return Err(invalid("must not set ReadOnly mode when using anonymous volumes"));
    }
    volume(Some(mount.source.clone()).filter(|name| !name.is_empty()), "", mount)
}

/// Whether a path stays below where it starts.
fn is_local_path(path: &str) -> bool {
    let mut depth = 0_i32;
    !path.starts_with('/')
        && path.split('/').all(|part| {
            match part {
                "" | "." => {}
                ".." => depth -= 1,
                _ => depth += 1,
            }
            depth >= 0
        })
}

fn volume(name: Option<String>, driver: &str, mount: &Mount) -> Result<MountSource, Refusal> {
    let options = mount.volume_options.clone().unwrap_or_default();
    let driver_config = options.driver_config.unwrap_or_default();
    let driver = [driver_config.name.as_str(), driver, LOCAL_DRIVER]
        .into_iter()
        .find(|name| !name.is_empty())
        .unwrap_or(LOCAL_DRIVER);
    if driver != LOCAL_DRIVER {
        return Err(Refusal::not_found(format!(
            "create {}: error looking up volume plugin {driver}: plugin \"{driver}\" not found",
            name.as_deref().unwrap_or_default()
        )));
    }
    Ok(MountSource::Volume {
        name,
        driver: driver.to_owned(),
        driver_options: driver_config.options.unwrap_or_default(),
        labels: options.labels.unwrap_or_default(),
        no_copy: options.no_copy,
        subpath: Some(options.subpath).filter(|path| !path.is_empty()),
    })
}

fn tmpfs(mount: &Mount) -> Result<MountSource, String> {
    let foreign = [
        ("BindOptions", mount.bind_options.is_some()),
        ("VolumeOptions", mount.volume_options.is_some()),
        ("Source", !mount.source.is_empty()),
    ];
    if let Some((name, _)) = foreign.iter().find(|(_, is_given)| *is_given) {
        return Err(format!("field {name} must not be specified"));
    }
    let options = mount.tmpfs_options.clone().unwrap_or_default();
    let extra = extra_tmpfs_options(&options)?;
    Ok(MountSource::Tmpfs {
        size_bytes: u64::try_from(options.size_bytes).ok().filter(|size| *size > 0),
        mode: Some(options.mode).filter(|mode| *mode != 0),
        options: extra,
    })
}

fn extra_tmpfs_options(options: &TmpfsOptions) -> Result<Vec<String>, String> {
    let pairs = options.options.iter().flatten();
    pairs
        .map(|pair| match &pair[..] {
            [name] | [name, _] if !matches!(name.as_str(), "exec" | "noexec") => {
                Err(format!("invalid option: {name}"))
            }
            [name] => Ok(name.clone()),
            [name, value] => Ok(format!("{name}={value}")),
            _ => Err("invalid option array length".to_owned()),
        })
        .collect()
}

/// `--tmpfs target:options`.
fn from_tmpfs(target: &str, options: &str) -> MountSpec {
    let options: Vec<String> =
        options.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect();
    MountSpec {
        target: clean_path(target),
        read_only: options.iter().any(|option| option == "ro"),
        source: MountSource::Tmpfs { size_bytes: None, mode: None, options },
        mode: String::new(),
    }
}

/// `container[:mode]`: whose mounts are taken over, and whether read-only.
pub(super) fn volumes_from(host: &HostConfig) -> Result<Vec<(String, bool)>, Refusal> {
    host.volumes_from.iter().flatten().map(|text| parse_volumes_from(text)).collect()
}

fn parse_volumes_from(text: &str) -> Result<(String, bool), Refusal> {
    if text.is_empty() {
        return Err(Refusal::new("volumes-from specification cannot be an empty string"));
    }
    let (name, mode) = text.split_once(':').unwrap_or((text, ""));
    let is_foreign =
        mode.split(',').any(|option| option == "nocopy" || PROPAGATIONS.contains(&option));
    if !is_mode(mode) || is_foreign {
        return Err(Refusal::new(format!("invalid mode: {mode}")));
    }
    Ok((name.to_owned(), mode.split(',').any(|option| option == "ro")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(bind: &str, words: &str) {
        assert_eq!(from_bind(bind, "").unwrap_err().message(), words);
    }

    #[test]
    fn binds_are_refused_in_dockers_words() {
        refused("a:b:c:d", "invalid volume specification: 'a:b:c:d'");
        refused("/a:/b:foo", "invalid mode: foo");
        refused(
            "/a:b",
            "invalid volume specification: '/a:b': invalid mount config for type \"bind\": \
             invalid mount path: 'b' mount path must be absolute",
        );
        refused(
            "/a:/",
            "invalid volume specification: '/a:/': invalid mount config for type \"bind\": \
             invalid specification: destination can't be '/'",
        );
        refused(
            "x",
            "invalid volume specification: 'x': invalid mount config for type \"volume\": \
             invalid mount path: 'x' mount path must be absolute",
        );
        refused("a:ro", "invalid volume specification: 'a:ro'");
    }

    #[test]
    fn a_source_with_a_slash_is_a_path_and_else_a_volume() {
        let spec = from_bind("/a/../b/:/c/:ro,rslave", "").unwrap();
        assert!(spec.read_only);
        assert_eq!((spec.target.as_str(), spec.mode.as_str()), ("/c", "ro,rslave"));
        assert!(matches!(
            spec.source,
            MountSource::Bind { path, propagation, create_missing: true, .. }
                if path.to_str() == Some("/b") && propagation == "rslave"
        ));
        let spec = from_bind("name:/c", "").unwrap();
        assert_eq!(spec.mode, "z");
        assert!(
            matches!(spec.source, MountSource::Volume { name: Some(name), .. } if name == "name")
        );
    }

    #[test]
    fn a_subpath_must_stay_in_its_volume() {
        assert!(is_local_path("a/../b"));
        assert!(!is_local_path("../b"));
        assert!(!is_local_path("/b"));
    }
}
