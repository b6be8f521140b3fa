//! `--mount`: `type=…,source=…,target=…`, and what each type adds to that.

use std::collections::BTreeMap;

use docker_api::mounts::{
    BindOptions, ImageOptions, Mount, TmpfsOptions, VolumeDriver, VolumeOptions,
};

use super::{booleans, csv, paths, sizes};

/// Reads one mount.
pub(crate) fn parse(value: &str) -> Result<Mount, String> {
    let mut mount = Mount { kind: "volume".to_owned(), ..Mount::default() };
    for field in csv::split(value)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value)),
            None => (field.to_lowercase(), None),
        };
        match value {
            Some(value) => set(&mut mount, &key, value, &field)?,
            None => set_switch(&mut mount, &key, &field)?,
        }
    }
    check_consistency(&mount)?;
    Ok(mount)
}

/// Checked as a flag's value.
pub(crate) fn check(value: &str) -> Result<String, String> {
    parse(value).map(|_| value.to_owned())
}

fn set_switch(mount: &mut Mount, key: &str, field: &str) -> Result<(), String> {
    match key {
        "readonly" | "ro" => mount.read_only = true,
        "volume-nocopy" => volume(mount).no_copy = true,
        "bind-nonrecursive" => bind(mount).non_recursive = true,
        _ => return Err(format!("invalid field '{field}' must be a key=value pair")),
    }
    Ok(())
}

fn set(mount: &mut Mount, key: &str, value: &str, field: &str) -> Result<(), String> {
    let invalid = || format!("invalid value for {key}: {value}");
    let boolean = || booleans::parse(value).map_err(|_| invalid());
    match key {
        "type" => mount.kind = value.to_lowercase(),
        "source" | "src" => mount.source = paths::from_here(value),
        "target" | "dst" | "destination" => value.clone_into(&mut mount.target),
        "readonly" | "ro" => mount.read_only = boolean()?,
        "consistency" => mount.consistency = value.to_lowercase(),
        "bind-propagation" => bind(mount).propagation = value.to_lowercase(),
        "bind-nonrecursive" => {
            bind(mount).non_recursive = boolean()?;
            crate::output::warn(
                "WARNING: bind-nonrecursive is deprecated, use bind-recursive=disabled instead",
            );
        }
        "bind-recursive" => set_recursion(bind(mount), value)?,
        "volume-subpath" => value.clone_into(&mut volume(mount).subpath),
        "volume-nocopy" => volume(mount).no_copy = boolean()?,
        "volume-label" => insert(volume(mount).labels.get_or_insert_default(), value),
        "volume-driver" => value.clone_into(&mut driver(mount).name),
        "volume-opt" => insert(driver(mount).options.get_or_insert_default(), value),
        "image-subpath" => {
            let options = mount.image_options.get_or_insert_with(ImageOptions::default);
            value.clone_into(&mut options.subpath);
        }
        "tmpfs-size" => tmpfs(mount).size_bytes = sizes::parse(value).map_err(|_| invalid())?,
        "tmpfs-mode" => {
            tmpfs(mount).mode = u32::from_str_radix(value, 8).map_err(|_| invalid())?;
        }
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

fn set_recursion(bind: &mut BindOptions, value: &str) -> Result<(), String> {
    match value {
        "enabled" => {}
        "disabled" => bind.non_recursive = true,
        "writable" => bind.read_only_non_recursive = true,
        "readonly" => bind.read_only_force_recursive = true,
        _ => {
            return Err(format!(
                "invalid value for bind-recursive: {value} (must be \"enabled\", \"disabled\", \
                 \"writable\", or \"readonly\")"
            ));
        }
    }
    Ok(())
}

fn check_consistency(mount: &Mount) -> Result<(), String> {
    if mount.kind.is_empty() {
        return Err("type is required".to_owned());
    }
    if mount.target.is_empty() {
        return Err("target is required".to_owned());
    }
    let families = [
        ("volume", mount.volume_options.is_some()),
        ("image", mount.image_options.is_some()),
        ("bind", mount.bind_options.is_some()),
        ("tmpfs", mount.tmpfs_options.is_some()),
    ];
    for (family, is_given) in families {
        if is_given && mount.kind != family {
            return Err(format!(
                "cannot mix '{family}-*' options with mount type '{}'",
                mount.kind
            ));
        }
    }
    let Some(bind) = &mount.bind_options else { return Ok(()) };
    let requires = |option: &str, other: &str| {
        Err(format!(
            "option 'bind-recursive={option}' requires '{other}' to be specified in conjunction"
        ))
    };
    if bind.read_only_non_recursive && !mount.read_only {
        return requires("writable", "readonly");
    }
    if bind.read_only_force_recursive && !mount.read_only {
        return requires("readonly", "readonly");
    }
    if bind.read_only_force_recursive && bind.propagation != "rprivate" {
        return requires("readonly", "bind-propagation=rprivate");
    }
    Ok(())
}

fn insert(map: &mut BTreeMap<String, String>, pair: &str) {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    if !key.is_empty() {
        map.insert(key.to_owned(), value.to_owned());
    }
}

fn bind(mount: &mut Mount) -> &mut BindOptions {
    mount.bind_options.get_or_insert_default()
}

fn volume(mount: &mut Mount) -> &mut VolumeOptions {
    let options = mount.volume_options.get_or_insert_default();
    options.driver_config.get_or_insert_default();
    options
}

fn driver(mount: &mut Mount) -> &mut VolumeDriver {
    volume(mount).driver_config.get_or_insert_default()
}

fn tmpfs(mount: &mut Mount) -> &mut TmpfsOptions {
    mount.tmpfs_options.get_or_insert_default()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[track_caller]
    fn check(value: &str, expected: &str) {
        assert_eq!(serde_json::to_string(&parse(value).unwrap()).unwrap(), expected, "{value}");
    }

    #[test]
    fn each_type_has_options_of_its_own() {
        check("dst=/a", r#"{"Type":"volume","Target":"/a"}"#);
        check(
            "type=bind,src=/b,target=/a,ro,bind-propagation=rslave",
            r#"{"Type":"bind","Source":"/b","Target":"/a","ReadOnly":true,"BindOptions":{"Propagation":"rslave"}}"#,
        );
        check(
            "type=volume,src=v,dst=/a,volume-nocopy,volume-label=x=y,volume-opt=o=p",
            concat!(
                r#"{"Type":"volume","Source":"v","Target":"/a","VolumeOptions":{"NoCopy":true,"#,
                r#""Labels":{"x":"y"},"DriverConfig":{"Options":{"o":"p"}}}}"#
            ),
        );
        check(
            "type=tmpfs,dst=/a,tmpfs-size=1m,tmpfs-mode=1770",
            r#"{"Type":"tmpfs","Target":"/a","TmpfsOptions":{"SizeBytes":1048576,"Mode":1016}}"#,
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (value, error) in [
            ("type=bind", "target is required"),
            ("type=bind,x", "invalid field 'x' must be a key=value pair"),
            ("type=bind,x=y", "unexpected key 'x' in 'x=y'"),
            ("dst=/a,ro=maybe", "invalid value for ro: maybe"),
            (
                "type=tmpfs,dst=/a,volume-nocopy",
                "cannot mix 'volume-*' options with mount type 'tmpfs'",
            ),
            (
                "type=bind,dst=/a,src=/b,bind-recursive=writable",
                "option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction",
            ),
        ] {
            assert_eq!(parse(value), Err(error.to_owned()), "{value}");
        }
    }
}
