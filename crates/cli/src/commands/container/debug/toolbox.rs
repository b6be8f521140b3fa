//! An image with tools where nobody named one.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use docker_api::client::{Client, Request};

use crate::commands::image_path;
use crate::failure::{Failure, go_message};

/// The usual image of tools, for engines that have it or can fetch it.
const USUAL: &str = "busybox";

/// The image that is made of this machine's own tools.
const OWN: &str = "wharf-debug";

/// The program with a shell and three hundred tools in it.
const PROGRAM: &str = "busybox";

/// Larger programs are something else.
const PROGRAM_BYTES_MAX: u64 = 64 << 20;

/// An image with a shell: `busybox` if the engine has it, else one that is made of this
/// machine's static busybox, else the `busybox` of a registry.
pub(super) fn image(client: &Client) -> Result<String, Failure> {
    for image in [USUAL, OWN] {
        if client.run(Request::get(image_path(image, "/json"))).is_ok() {
            return Ok(image.to_owned());
        }
    }
    let Some(program) = static_program() else { return Ok(USUAL.to_owned()) };
    make(client, &program)?;
    Ok(OWN.to_owned())
}

/// This machine's busybox, if it has one that needs nothing else of the machine's files.
fn static_program() -> Option<Vec<u8>> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).find_map(|folder| read_static(folder.join(PROGRAM)))
}

fn read_static(path: PathBuf) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    let mut bytes = Vec::new();
    file.take(PROGRAM_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    is_static(&bytes).then_some(bytes)
}

/// Whether this is a 64-bit program that names no loader (`elf(5)`, `PT_INTERP`).
fn is_static(program: &[u8]) -> bool {
    const HEADER: usize = 64;
    const PT_INTERP: u32 = 3;
    let number = |at: usize, length: usize| {
        let bytes = program.get(at..at + length)?;
        let mut wide = [0; 8];
        wide[..length].copy_from_slice(bytes);
        usize::try_from(u64::from_le_bytes(wide)).ok()
    };
    let segments = || {
        let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        (0..count).map(|index| number(start + index * size, 4)).collect::<Option<Vec<_>>>()
    };
    program.len() > HEADER
        // 64 bits, and the low byte first.
        && program.starts_with(b"\x7fELF\x02\x01")
        && segments().is_some_and(|kinds| !kinds.contains(&(PT_INTERP as usize)))
}

fn make(client: &Client, program: &[u8]) -> Result<(), Failure> {
    let archive = archive(program)
        .map_err(|error| Failure::new(format!("cannot pack the tools: {}", go_message(&error))))?;
    let mut archive = &archive[..];
    let request = Request::post("/images/create")
        .query("fromSrc", "-")
        .query("repo", OWN)
        .query("message", "the tools of `wharf debug`")
        .query("changes", "ENV PATH=/bin")
        .stream("application/x-tar", &mut archive);
    client.send(request)?.bytes()?;
    Ok(())
}

/// The program under its own name and as the shell; as the shell it has all its tools built in.
fn archive(program: &[u8]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::with_capacity(program.len() + (8 << 10)));
    for folder in ["bin/", "tmp/", "etc/"] {
        let mut header = header(tar::EntryType::Directory, 0o755, 0);
        archive.append_data(&mut header, folder, io::empty())?;
    }
    let size = program.len() as u64;
    archive.append_data(
        &mut header(tar::EntryType::Regular, 0o755, size),
        "bin/busybox",
        program,
    )?;
    archive.append_link(&mut header(tar::EntryType::Symlink, 0o777, 0), "bin/sh", "busybox")?;
    archive.into_inner()
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_that_need_nothing_are_taken() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert!(is_static(&own), "this program is built statically");
        let mut cut = own.clone();
        cut.truncate(100);
        assert!(!is_static(&cut));
        assert!(!is_static(b"#!/bin/sh\n"));
        // The first segment becomes a loader's name.
        let mut dynamic = own;
        let start = usize::from(u16::from_le_bytes([dynamic[32], dynamic[33]]));
        dynamic[start..start + 4].copy_from_slice(&3_u32.to_le_bytes());
        assert!(!is_static(&dynamic));
    }

    #[test]
    fn the_archive_has_a_shell() {
        let bytes = archive(b"program").unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let names: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["bin/", "tmp/", "etc/", "bin/busybox", "bin/sh"]);
    }
}
