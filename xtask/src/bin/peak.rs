//! The most memory that a program has while it runs.
//!
//! `peak PROGRAM [ARGUMENT…]` runs it, and prints KiB. A program of its own, and small: what a
//! process had before it executed another program counts for that one.

use std::ffi::CString;
use std::process::ExitCode;

use linux::process::{execute, in_forked_process};
use linux::resident::peak_of_children;

fn main() -> ExitCode {
    let arguments: Result<Vec<_>, _> = std::env::args().skip(1).map(CString::new).collect();
    let environment: Result<Vec<_>, _> =
        std::env::vars().map(|(name, value)| CString::new(format!("{name}={value}"))).collect();
    let (Ok(arguments), Ok(environment)) = (arguments, environment) else {
        return ExitCode::from(2);
    };
    let Some(program) = arguments.first() else {
        eprintln!("usage: peak PROGRAM [ARGUMENT…]");
        return ExitCode::from(2);
    };
    let run = in_forked_process(|| {
        eprintln!("peak: {}", execute(program, &arguments, &environment));
        127
    });
    match run.and_then(|code| peak_of_children().map(|peak| (code, peak))) {
        Ok((0, peak)) => {
            println!("{peak}");
            ExitCode::SUCCESS
        }
        Ok((code, _)) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            eprintln!("peak: {error}");
            ExitCode::FAILURE
        }
    }
}
