//! Compiles the program of the built-in image.
//!
//! It is no crate of the workspace, since it must be there before this crate is compiled, for
//! the same processor, and without a C library. The compiler that builds the workspace builds
//! it too; nothing else is needed.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// What makes a small static program that begins at its own entry point, the same on every
/// machine.
const FLAGS: &[&str] = &[
    "--crate-name=hello",
    "--crate-type=bin",
    "--edition=2024",
    "-Dwarnings",
    "-Cpanic=abort",
    "-Copt-level=s",
    "-Ccodegen-units=1",
    "-Cdebuginfo=0",
    "-Cstrip=symbols",
    "-Cforce-unwind-tables=no",
    "-Crelocation-model=static",
    "-Ctarget-feature=+crt-static",
    "-Clink-arg=-nostartfiles",
    "-Clink-arg=-nostdlib",
    "-Clink-arg=-static",
    "-Clink-arg=-Wl,--build-id=none",
    "-Clink-arg=-Wl,-z,noseparate-code",
];

fn main() {
    println!("cargo::rerun-if-changed=hello");
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"));
    let program = PathBuf::from(variable("OUT_DIR")).join("hello");
    let mut remap = variable("CARGO_MANIFEST_DIR");
    remap.push("=");

    let status = Command::new(variable("RUSTC"))
        .args(FLAGS)
        .arg("--target")
        .arg(variable("TARGET"))
        .arg("--remap-path-prefix")
        .arg(remap)
        .arg("-o")
        .arg(&program)
        .arg("hello/main.rs")
        .status()
        .unwrap_or_else(|error| panic!("cannot run the compiler: {error}"));
    assert!(status.success(), "the program of the built-in image does not compile");
    println!("cargo::rustc-env=HELLO_PROGRAM={}", program.display());
}
