//! Who the process is: by the configuration's numbers, or looked up in the container's files.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::user_database::{self, Identity};
use super::{Doing as _, ProcessInit, StepError, rooted};

/// The most that is read of a user database. A file larger than that is no honest one.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Where a process without a home of its own is at home.
const HOME_DEFAULT: &str = "/";

pub(super) fn find(process: &mut ProcessInit<'_>) -> Result<(), StepError> {
    process.environment = without_repetitions(process.process.env().as_deref().unwrap_or_default());
    let has_home = process.environment.iter().any(|variable| variable.starts_with("HOME="));
    if has_home && process.user.is_none() && process.additional_groups.is_empty() {
        process.identity = configured(process);
        return Ok(());
    }
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let passwd = read(root.as_fd(), "/etc/passwd")?;
    let needs_groups = process.user.is_some() || !process.additional_groups.is_empty();
    let group = if needs_groups { read(root.as_fd(), "/etc/group")? } else { String::new() };
    process.identity = match process.user {
        Some(user) => looked_up(user, &passwd, &group)?,
        None => Identity {
            home: user_database::home_of(process.process.user().uid(), &passwd),
            ..configured(process)
        },
    };
    let further = user_database::find_groups(process.additional_groups, &group)
        .map_err(StepError::UserNotFound)?;
    for group in further {
        add_once(&mut process.identity.additional_groups, group);
    }
    if !has_home {
        let home = process.identity.home.as_deref().filter(|home| !home.is_empty());
        process.environment.push(format!("HOME={}", home.unwrap_or(HOME_DEFAULT)));
    }
    Ok(())
}

/// Each variable once, with the value that was given last: which of several a program finds is
/// up to its library. A home that is empty is none.
fn without_repetitions(variables: &[String]) -> Vec<String> {
    let mut seen = HashSet::with_capacity(variables.len());
    let mut kept = Vec::with_capacity(variables.len() + 1);
    for variable in variables.iter().rev() {
        let name = variable.split('=').next().unwrap_or_default();
        if seen.insert(name) && variable != "HOME=" {
            kept.push(variable.clone());
        }
    }
    kept.reverse();
    kept
}

fn configured(process: &ProcessInit<'_>) -> Identity {
    let user = process.process.user();
    Identity {
        user: user.uid(),
        group: user.gid(),
        additional_groups: user.additional_gids().clone().unwrap_or_default(),
        home: None,
    }
}

/// As Docker does, the main group is among the additional ones.
fn looked_up(user: &str, passwd: &str, group: &str) -> Result<Identity, StepError> {
    let mut identity = user_database::find(user, passwd, group).map_err(StepError::UserNotFound)?;
    let mut groups = vec![identity.group];
    for group in std::mem::take(&mut identity.additional_groups) {
        add_once(&mut groups, group);
    }
    identity.additional_groups = groups;
    Ok(identity)
}

fn add_once(groups: &mut Vec<u32>, group: u32) {
    if !groups.contains(&group) {
        groups.push(group);
    }
}

/// Who a process is, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserIds {
    pub user: u32,
    pub group: u32,
    pub additional_groups: Vec<u32>,
}

/// Looks `user` (`name[:group]` or `uid[:gid]`) and further groups up in the user database of
/// the container whose root is `root`, for a process that somebody else makes. The error is
/// for people.
pub fn find_user(
    root: BorrowedFd<'_>,
    user: &str,
    additional_groups: &[String],
) -> Result<UserIds, String> {
    let files = || Ok((read(root, "/etc/passwd")?, read(root, "/etc/group")?));
    let (passwd, group) = files().map_err(|error: StepError| error.to_string())?;
    let mut identity = looked_up(user, &passwd, &group).map_err(|error| error.to_string())?;
    for group in user_database::find_groups(additional_groups, &group)? {
        add_once(&mut identity.additional_groups, group);
    }
    Ok(UserIds {
        user: identity.user,
        group: identity.group,
        additional_groups: identity.additional_groups,
    })
}

/// The text of a file of the container, empty if it is not there.
fn read(root: BorrowedFd<'_>, path: &str) -> Result<String, StepError> {
    // A FIFO in its place must not make us wait.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match rooted::open(root, Path::new(path), flags) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(String::new()),
        result => result.doing(|| path.to_owned())?,
    };
    let status = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Err(StepError::Refused(format!("{path} is not a plain file")));
    }
    let mut bytes = Vec::new();
    File::from(file).take(FILE_BYTES_MAX).read_to_end(&mut bytes).doing(|| path.to_owned())?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_variable_the_last_value_counts() {
        let given = ["A=1", "HOME=/x", "B=2", "A=3=4", "HOME="].map(str::to_owned);
        assert_eq!(without_repetitions(&given), ["B=2", "A=3=4"]);
    }
}
