//! The shape of the house: who may know whom, and where things are.
//!
//! `ARCHITECTURE.md` says it in words. These tests keep it true.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A crate, and those of ours that it may know. Dependencies go down only.
const MAY_KNOW: &[(&str, &[&str])] = &[
    // Nothing of the engine's but the API, so that it also drives a stock dockerd.
    ("cli", &["docker-api", "archive"]),
    (
        "daemon",
        &["docker-server", "engine", "images", "network", "linux", "oci", "errors", "fail-points"],
    ),
    ("docker-server", &["docker-api", "engine", "images", "network", "oci", "errors"]),
    // Not the runtime: it speaks to shims.
    ("engine", &["shim", "images", "network", "archive", "linux", "oci", "errors", "fail-points"]),
    ("shim", &["runtime", "linux", "oci", "errors", "fail-points"]),
    ("runtime", &["linux", "oci", "errors", "fail-points"]),
    ("images", &["archive", "linux", "oci", "errors", "fail-points"]),
    ("network", &["linux", "errors", "fail-points"]),
    ("docker-api", &["errors"]),
    ("oci", &["errors"]),
    ("archive", &[]),
    ("errors", &[]),
    ("linux", &[]),
    ("fail-points", &[]),
    // From outside: only through programs and the API.
    ("stories", &[]),
    ("xtask", &["linux", "stories"]),
];

/// A crate, and libraries of the world that it must not know.
const MUST_NOT_KNOW: &[(&str, &[&str])] = &[
    ("shim", &["tokio", "hyper", "axum", "clap"]),
    ("runtime", &["tokio", "hyper", "axum"]),
    ("engine", &["hyper", "axum"]),
    ("images", &["hyper", "axum"]),
    ("network", &["hyper", "axum"]),
    ("docker-api", &["rustix", "libc", "axum"]),
    ("oci", &["rustix", "libc", "tokio"]),
    ("archive", &["tokio", "hyper"]),
    ("cli", &["tokio", "libc"]),
];

/// Names under which things are put that have no place.
const DRAWERS: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "misc", "shared", "core", "base", "stuff"];

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The packages of the workspace, and what each depends on to be built.
fn packages() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let dependencies = |package: &Value| {
        let list = package["dependencies"].as_array().unwrap();
        list.iter().filter(|dependency| dependency["kind"].is_null()).map(name).collect()
    };
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(|package| (name(package), dependencies(package))).collect()
}

#[test]
fn dependencies_go_down_only() {
    let packages = packages();
    let named: Vec<_> = MAY_KNOW.iter().map(|(name, _)| (*name).to_owned()).collect();
    for package in packages.keys() {
        assert!(named.contains(package), "`{package}` has no line in this test");
    }
    for (package, allowed) in MAY_KNOW {
        for dependency in &packages[*package] {
            let is_ours = packages.contains_key(dependency);
            assert!(
                !is_ours || allowed.contains(&dependency.as_str()),
                "`{package}` must not know `{dependency}`"
            );
        }
    }
    for (package, forbidden) in MUST_NOT_KNOW {
        for dependency in &packages[*package] {
            assert!(
                !forbidden.contains(&dependency.as_str()),
                "`{package}` must not know `{dependency}`"
            );
        }
    }
}

#[test]
fn only_one_crate_may_be_unsafe() {
    let root = fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    assert!(root.contains("unsafe_code = \"forbid\""));
    for package in packages().keys() {
        let manifest = fs::read_to_string(folder_of(package).join("Cargo.toml")).unwrap();
        let keeps_the_lints = manifest.contains("[lints]\nworkspace = true");
        assert_eq!(keeps_the_lints, package != "linux", "the lints of `{package}`");
    }
}

fn folder_of(package: &str) -> PathBuf {
    let inside = workspace().join("crates").join(package);
    if inside.exists() { inside } else { workspace().join(package) }
}

#[test]
fn every_file_says_what_it_is_for() {
    let has_header = |file: &PathBuf| fs::read_to_string(file).unwrap().starts_with("//! ");
    let without: Vec<_> = sources().into_iter().filter(|file| !has_header(file)).collect();
    assert!(without.is_empty(), "no header in {without:#?}");
}

#[test]
fn nothing_is_put_in_a_drawer() {
    for file in sources() {
        let below = file.strip_prefix(workspace()).unwrap();
        for part in below.components() {
            let name = part.as_os_str().to_str().unwrap().trim_end_matches(".rs");
            assert!(!DRAWERS.contains(&name), "{}: what is it really?", below.display());
        }
    }
}

/// A file that no `mod` names is not compiled, and its tests are not run.
#[test]
fn no_file_is_forgotten() {
    for file in sources() {
        let folder = file.parent().unwrap();
        let name = file.file_stem().unwrap().to_str().unwrap();
        let folder_name = folder.file_name().unwrap().to_str().unwrap();
        let is_root = matches!(name, "lib" | "main" | "build")
            || matches!(folder_name, "bin" | "examples" | "benches");
        let is_test_root = folder_name == "tests" && folder.parent() == Some(&package_of(&file));
        if is_root || is_test_root {
            continue;
        }
        let (parents, module) = if name == "mod" {
            (places_of(folder.parent().unwrap()), folder_name)
        } else {
            (places_of(folder), name)
        };
        let declaration = format!("mod {module};");
        let is_named = parents
            .iter()
            .any(|parent| fs::read_to_string(parent).is_ok_and(|text| text.contains(&declaration)));
        assert!(is_named, "{} is not compiled: no `{declaration}`", file.display());
    }
}

/// Where the modules of `folder` may be declared.
fn places_of(folder: &Path) -> Vec<PathBuf> {
    let beside = folder.with_extension("rs");
    ["mod.rs", "lib.rs", "main.rs"]
        .map(|name| folder.join(name))
        .into_iter()
        .chain([beside])
        .collect()
}

/// The folder of the package that `file` belongs to.
fn package_of(file: &Path) -> PathBuf {
    file.ancestors().find(|folder| folder.join("Cargo.toml").exists()).unwrap().to_owned()
}

#[test]
fn the_table_of_crates_is_their_own_first_sentence() {
    let text = fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    let rows: BTreeMap<_, _> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        // Folders have a table too.
        .filter(|(name, _)| !name.starts_with('<'))
        .map(|(name, line)| (name, line.trim_end_matches(" |")))
        .collect();
    let mut own = BTreeMap::new();
    for entry in fs::read_dir(workspace().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        own.insert(folder.file_name().unwrap().to_owned(), first_paragraph(&folder));
    }
    let own: BTreeMap<_, _> =
        own.iter().map(|(name, line)| (name.to_str().unwrap(), line.as_str())).collect();
    assert_eq!(rows, own);
}

/// The first paragraph of a crate's documentation, on one line.
fn first_paragraph(package: &Path) -> String {
    let library = package.join("src/lib.rs");
    let root = if library.exists() { library } else { package.join("src/main.rs") };
    let text = fs::read_to_string(root).unwrap();
    let lines = text.lines().map_while(|line| line.strip_prefix("//! "));
    lines.collect::<Vec<_>>().join(" ")
}

/// Every source file of the workspace.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<_> =
        ["crates", "stories", "xtask"].map(|name| workspace().join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}
