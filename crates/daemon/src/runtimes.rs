//! Runtimes that the daemon was told of: `--add-runtime` and `runtimes` in the file.
//!
//! Both end as texts in [`Values`]: a path, or the file's object as JSON. Docker's rules and
//! words.

use anyhow::{Result, bail};
use engine::runtimes::BUILT_IN;
use engine::{RuntimeProgram, Runtimes};
use serde::Deserialize;
use std::collections::BTreeMap;

use crate::values::Values;

/// The one kind of containerd's that is ours as well: a program with runc's command line.
const RUNC_TYPE: &str = "io.containerd.runc.v2";

/// A runtime as the file has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    path: String,
    runtime_args: Vec<String>,
    runtime_type: String,
    options: BTreeMap<String, serde_json::Value>,
}

pub(crate) fn read(values: &Values) -> Result<Runtimes> {
    let mut runtimes = Runtimes::default();
    for (name, text) in values.map("runtimes") {
        if BUILT_IN.contains(&name.as_str()) {
            bail!("runtime name '{name}' is reserved");
        }
        if name.is_empty() || text.is_empty() {
            bail!("invalid runtime argument: {name}={text}");
        }
        let entry = match text.starts_with('{') {
            true => serde_json::from_str(&text)
                .map_err(|error| anyhow::anyhow!("runtime {name}: {error}"))?,
            false => Entry { path: text, ..Entry::default() },
        };
        runtimes.programs.insert(name.clone(), program(&name, entry)?);
    }
    if let Some(default) = values.text("default-runtime") {
        let is_known = runtimes.programs.contains_key(default) || BUILT_IN.contains(&default);
        if !is_known {
            bail!("specified default runtime '{default}' does not exist");
        }
        default.clone_into(&mut runtimes.default);
    }
    Ok(runtimes)
}

fn program(name: &str, entry: Entry) -> Result<RuntimeProgram> {
    match (entry.path.is_empty(), entry.runtime_type.is_empty()) {
        (true, true) => {
            bail!("runtime {name}: either a runtimeType or a path must be configured")
        }
        (false, false) => {
            bail!("runtime {name}: cannot configure both path and runtimeType for the same runtime")
        }
        (false, true) if !entry.options.is_empty() => {
            bail!("runtime {name}: options cannot be used with a path runtime")
        }
        (false, true) => {
            Ok(RuntimeProgram { path: entry.path.into(), arguments: entry.runtime_args })
        }
        (true, false) if !entry.runtime_args.is_empty() => {
            bail!("runtime {name}: args cannot be used with a runtimeType runtime")
        }
        (true, false) => of_type(name, &entry),
    }
}

/// containerd's own programs cannot be used: they speak to containerd. Of its runc type, the
/// option that names the program means the same here.
fn of_type(name: &str, entry: &Entry) -> Result<RuntimeProgram> {
    if entry.runtime_type != RUNC_TYPE {
        bail!(
            "runtime {name}: the runtimeType {} is not implemented by Wharf: give the path of a \
             program with runc's command line",
            entry.runtime_type
        );
    }
    let mut path = "runc".to_owned();
    for (option, value) in &entry.options {
        match (option.as_str(), value) {
            ("BinaryName", serde_json::Value::String(binary)) => path.clone_from(binary),
            // The other way than the daemon's own is not there.
            ("SystemdCgroup", serde_json::Value::Bool(false)) | ("TypeUrl", _) => {}
            _ => bail!("runtime {name}: the option {option}={value} is not implemented by Wharf"),
        }
    }
    Ok(RuntimeProgram { path: path.into(), arguments: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Value;

    fn read_one(name: &str, text: &str) -> Result<Runtimes> {
        let mut values = Values::default();
        values.set("runtimes", Value::Map([(name.to_owned(), text.to_owned())].into()));
        read(&values)
    }

    #[track_caller]
    fn refused(name: &str, text: &str, words: &str) {
        assert_eq!(format!("{:#}", read_one(name, text).unwrap_err()), words);
    }

    #[test]
    fn a_runtime_is_a_path_or_an_object() {
        let read = |text| read_one("own", text).unwrap().programs["own"].clone();
        assert_eq!(read("/bin/x").path.to_str(), Some("/bin/x"));
        let program = read(r#"{"path":"/bin/x","runtimeArgs":["--debug"]}"#);
        assert_eq!(program.arguments, ["--debug"]);
        let typed = r#"{"runtimeType":"io.containerd.runc.v2","options":{"BinaryName":"crun"}}"#;
        assert_eq!(read(typed).path.to_str(), Some("crun"));
    }

    #[test]
    fn nonsense_is_refused_in_dockers_words() {
        refused("runc", "/bin/x", "runtime name 'runc' is reserved");
        refused("a", "{}", "runtime a: either a runtimeType or a path must be configured");
        refused(
            "a",
            r#"{"path":"/b","runtimeType":"c"}"#,
            "runtime a: cannot configure both path and runtimeType for the same runtime",
        );
        refused(
            "a",
            r#"{"path":"/b","options":{"c":1}}"#,
            "runtime a: options cannot be used with a path runtime",
        );
        refused(
            "a",
            r#"{"runtimeType":"io.containerd.runc.v2","runtimeArgs":["x"]}"#,
            "runtime a: args cannot be used with a runtimeType runtime",
        );
    }
}
