//! The program: where it starts, which file it is, and its execution.
//!
//! The wording is that of runc, which is Go's: the docker client picks its exit code from it.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, FileType, accessat, stat};
use rustix::io::Errno;
use rustix::process::{chdir, getcwd};

use super::{ProcessInit, StepError, privileges};

/// What to execute.
pub(crate) struct Program {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

pub(super) fn enter_working_directory(process: &mut ProcessInit<'_>) -> Result<(), StepError> {
    match chdir(process.process.cwd()) {
        Ok(()) => {
            process.has_working_directory = true;
            check_working_directory()
        }
        // The user may be allowed what root is not.
        Err(Errno::ACCESS | Errno::PERM) => Ok(()),
        Err(error) => Err(not_entered(process, error)),
    }
}

pub(super) fn enter_working_directory_as_user(
    process: &mut ProcessInit<'_>,
) -> Result<(), StepError> {
    if process.has_working_directory {
        return Ok(());
    }
    chdir(process.process.cwd()).map_err(|error| not_entered(process, error))?;
    check_working_directory()
}

/// A path through `/proc/self/fd` could have led out of the container; the kernel then has no
/// absolute name for the place.
fn check_working_directory() -> Result<(), StepError> {
    let place = getcwd(Vec::new());
    if place.is_ok_and(|place| place.to_bytes().starts_with(b"/")) {
        return Ok(());
    }
    Err(StepError::Refused(
        "current working directory is outside of container mount namespace root -- possible \
         container breakout attempt detected"
            .to_owned(),
    ))
}

fn not_entered(process: &ProcessInit<'_>, error: Errno) -> StepError {
    StepError::Refused(format!(
        "chdir to cwd ({:?}) set in config.json failed: {}",
        process.process.cwd(),
        in_go_words(error)
    ))
}

pub(super) fn find(process: &mut ProcessInit<'_>) -> Result<(), StepError> {
    let arguments = process.process.args().as_deref().unwrap_or_default();
    if arguments.is_empty() {
        // There is no process to start; whoever tries is told.
        return Ok(());
    }
    let name = arguments.first().map_or("", String::as_str);
    let may_override = privileges::may_override_permissions(process);
    let path = if name.contains('/') {
        check(name, Path::new(name), may_override)?;
        PathBuf::from(name)
    } else {
        find_in_path(name, &process.environment, may_override)?
    };
    let with_nul = |text: &String| {
        CString::new(text.as_bytes())
            .map_err(|_| StepError::Refused(format!("{text:?} has a NUL character in it")))
    };
    process.program = Some(Program {
        path: CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?,
        arguments: arguments.iter().map(with_nul).collect::<Result<_, _>>()?,
        environment: process.environment.iter().map(with_nul).collect::<Result<_, _>>()?,
    });
    Ok(())
}

fn find_in_path(
    name: &str,
    environment: &[String],
    may_override: bool,
) -> Result<PathBuf, StepError> {
    // The last one counts, as for the programs that read it.
    let path = environment.iter().rev().find_map(|variable| variable.strip_prefix("PATH="));
    let folders = path.unwrap_or_default().split(':');
    folders
        .map(|folder| Path::new(if folder.is_empty() { "." } else { folder }).join(name))
        .filter(|_| !name.is_empty())
        .find(|candidate| executable(candidate, may_override).is_ok())
        .ok_or_else(|| {
            StepError::ProgramNotFound(format!(
                "exec: {name:?}: executable file not found in $PATH"
            ))
        })
}

fn check(name: &str, path: &Path, may_override: bool) -> Result<(), StepError> {
    executable(path, may_override).map_err(|error| match error {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => StepError::ProgramNotFound(format!(
            "exec: {name:?}: stat {name}: {}",
            in_go_words(error)
        )),
        error => StepError::ProgramNotExecutable(format!("exec: {name:?}: {}", in_go_words(error))),
    })
}

/// Whether this process may execute a file. `may_override`: the program will have a capability
/// for which any one bit of the mode is enough, and this process has put it aside meanwhile.
fn executable(path: &Path, may_override: bool) -> Result<(), Errno> {
    let status = stat(path)?;
    if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
        return Err(Errno::ISDIR);
    }
    match accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS) {
        // A kernel or a filter that does not know the call: the mode bits have to do.
        Err(Errno::NOSYS | Errno::PERM) if status.st_mode & 0o111 != 0 => Ok(()),
        Err(Errno::ACCESS) if may_override && status.st_mode & 0o111 != 0 => Ok(()),
        result => result,
    }
}

pub(super) fn execute(process: &mut ProcessInit<'_>) -> Result<(), StepError> {
    let program = process.program.as_ref().expect("it is found by an earlier step");
    let error = linux::process::execute(&program.path, &program.arguments, &program.environment);
    let error = Errno::from_io_error(&error).unwrap_or(Errno::INVAL);
    let name = name_of(&program.path);
    let text = format!("exec {name}: {}", in_go_words(error));
    Err(match error {
        // Of a script, it is the interpreter that is missing.
        Errno::NOENT | Errno::NOTDIR => StepError::ProgramNotFound(text),
        _ => StepError::ProgramNotExecutable(text),
    })
}

fn name_of(path: &CStr) -> String {
    path.to_string_lossy().into_owned()
}

/// An error as Go words it, in lower case.
fn in_go_words(error: Errno) -> String {
    match error {
        Errno::NOENT => "no such file or directory".to_owned(),
        Errno::ACCESS => "permission denied".to_owned(),
        Errno::PERM => "operation not permitted".to_owned(),
        Errno::ISDIR => "is a directory".to_owned(),
        Errno::NOTDIR => "not a directory".to_owned(),
        Errno::NOEXEC => "exec format error".to_owned(),
        Errno::LOOP => "too many levels of symbolic links".to_owned(),
        Errno::TOOBIG => "argument list too long".to_owned(),
        Errno::TXTBSY => "text file busy".to_owned(),
        Errno::NAMETOOLONG => "file name too long".to_owned(),
        other => std::io::Error::from(other).to_string(),
    }
}
