//! Wires the parts together, opens the sockets, runs until told to stop.
//!
//! What it is told comes from its command line and its configuration file, which share one
//! list of [`options`]. [`run`] is the recipe of a start. Containers live in processes of their
//! own, so that a stop of the daemon leaves them as they are.

mod activation;
mod command_line;
mod config_file;
mod engine_id;
mod host_address;
mod listeners;
mod logging;
mod options;
mod ownership;
mod proxies;
mod run;
mod runtimes;
mod settings;
mod values;

use std::process::ExitCode;

use command_line::Invocation;

/// Beyond this many heaps for its allocator, a daemon whose threads mostly wait wastes memory.
const HEAPS_MAX: i32 = 2;

fn main() -> ExitCode {
    linux::allocator::limit_heaps(HEAPS_MAX);
    let arguments = std::env::args().skip(1);
    let outcome = match command_line::parse(arguments) {
        Ok(Invocation::Help) => {
            print!("{}", options::help());
            Ok(())
        }
        Ok(Invocation::Version) => {
            println!("wharfd version {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Ok(Invocation::Run(invocation)) => run::daemon(&invocation),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wharfd: {error:#}");
            ExitCode::FAILURE
        }
    }
}
