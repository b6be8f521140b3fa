//! From a container to this host.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _};
use std::os::fd::AsFd as _;

use archive::extract::{ExtractError, Ground, Options, Owner, any, extract_renamed};
use docker_api::client::{Client, Method, Request};
use docker_api::containers::{ALL_XATTRS, PATH_STAT_HEADER, PathStat};

use super::progress::Progress;
use super::{Copy, STANDARD_STREAM, paths};
use crate::commands::container_path;
use crate::failure::{Failure, go_message};

pub(super) fn run(client: &Client, copy: &Copy<'_>) -> Result<(), Failure> {
    let to_stream = copy.destination == STANDARD_STREAM;
    let destination = match to_stream {
        true => Vec::new(),
        false => paths::absolute(copy.destination)?,
    };
    if to_stream {
        if io::stdout().is_terminal() {
            return Err(Failure::new("refusing to write an archive to a terminal: redirect it"));
        }
    } else {
        paths::check_output(&destination)?;
    }
    let (source, name) = follow(client, copy)?;
    let request = Request::get(container_path(copy.container, "/archive"));
    let request = request.query("path", &String::from_utf8_lossy(&source));
    let response = client.send(request.query_set(ALL_XATTRS, !to_stream))?;
    let header = response.header(&PATH_STAT_HEADER.to_lowercase()).map(str::to_owned);
    let stat = parse_stat(header.as_deref())?;
    let mut body = response.into_body();
    if to_stream {
        io::copy(&mut body, &mut io::stdout().lock())?;
        return Ok(());
    }
    let end = paths::look_at_destination(&destination)?;
    let (folder, new_name) = paths::place(stat.mode.is_folder(), &end)?;
    let old_name = paths::split(&source).1;
    let new_name = new_name.or(name).unwrap_or_else(|| old_name.clone());
    let progress = Progress::begin(copy.is_quiet, "Copying from container - ");
    let copied = unpack(progress.count(body), &folder, &old_name, &new_name);
    progress.end(copy.is_quiet, &String::from_utf8_lossy(&destination));
    copied
}

/// With `--follow-link`: the path that a symlink leads to, and the name that the copy keeps.
fn follow(client: &Client, copy: &Copy<'_>) -> Result<(Vec<u8>, Option<Vec<u8>>), Failure> {
    let source = copy.source.as_bytes();
    if copy.follows_links
        && let Ok(stat) = stat(client, copy.container, copy.source)
        && stat.mode.is_symlink()
    {
        let target = paths::beside(source, stat.link_target.as_bytes());
        return Ok(paths::renamed(source, &target));
    }
    Ok((source.to_vec(), None))
}

/// What is at a path of a container's.
pub(super) fn stat(client: &Client, container: &str, path: &str) -> Result<PathStat, Failure> {
    let request = Request::new(Method::Head, container_path(container, "/archive"));
    let response = client.send(request.query("path", path))?;
    parse_stat(response.header(&PATH_STAT_HEADER.to_lowercase()))
}

fn parse_stat(header: Option<&str>) -> Result<PathStat, Failure> {
    let unable = || Failure::new("unable to decode container path stat header");
    let document = base64(header.unwrap_or_default()).ok_or_else(unable)?;
    serde_json::from_slice(&document).map_err(|_| unable())
}

/// Base 64 with or without its padding. One header in one command is not worth a library.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut bits = 0_u32;
    let mut count = 0;
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count).to_le_bytes()[0]);
        }
    }
    Some(bytes)
}

/// Unpacks what comes. It was written by a container, which may wish this host ill: nothing in
/// it leaves the folder.
fn unpack(
    body: impl io::Read,
    folder: &[u8],
    old_name: &[u8],
    new_name: &[u8],
) -> Result<(), Failure> {
    let shown = String::from_utf8_lossy(folder);
    let opened = File::open(paths::host_path(folder))
        .map_err(|error| Failure::new(format!("open {shown}: {}", go_message(&error))))?;
    let options =
        Options { owner: Owner::Nobody, keeps_kinds: true, display: &shown, refuses: any };
    let rename = |path| paths::rename_top(path, old_name, new_name);
    let ground = Ground::Beneath(opened.as_fd());
    extract_renamed(BufReader::new(body), ground, options, rename).map_err(explain)
}

fn explain(error: ExtractError) -> Failure {
    match error {
        ExtractError::Make { path, source } => {
            Failure::new(format!("{path}: {}", go_message(&source)))
        }
        ExtractError::Archive(archive::TarError::Read(source)) => source.into(),
        other => Failure::new(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_decoded() {
        assert_eq!(base64("aGVsbG8=").unwrap(), b"hello");
        assert_eq!(base64("aGVsbG8h").unwrap(), b"hello!");
        assert_eq!(base64("").unwrap(), b"");
        assert!(base64("a b").is_none());
        let header = "eyJuYW1lIjoibG5rIiwic2l6ZSI6NCwibW9kZSI6MTM0MjE4MjM5LCJtdGltZSI6IjIwMjYt\
                      MTEtMjFUMTg6MzI6MjkuMzI4ODM3MTcyWiIsImxpbmtUYXJnZXQiOiIvYS9mIn0=";
        let stat = parse_stat(Some(header)).unwrap();
        assert_eq!((stat.name.as_str(), stat.link_target.as_str()), ("lnk", "/a/f"));
        assert!(stat.mode.is_symlink());
    }
}
