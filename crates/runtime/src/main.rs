//! `wharf-runtime`: an OCI runtime, and the init of containers that ask for one.

mod init_program;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let own_name = arguments.next().unwrap_or_default();
    if Path::new(&own_name).file_name() == Some(OsStr::new(init_program::NAME)) {
        return init_program::main(arguments);
    }
    eprintln!("wharf-runtime: it can only be run as a container's init yet");
    ExitCode::FAILURE
}
