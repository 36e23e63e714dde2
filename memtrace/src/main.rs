//! The `memtrace` command.

use std::process::ExitCode;

use clap::Parser as _;
use memtrace::{cli::Cli, exit::Exit};

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(exit) => exit.into(),
        Err(error) => {
            report(&error);
            Exit::Error.into()
        }
    }
}

#[expect(clippy::print_stderr, reason = "the one place where an error leaves the program")]
fn report(error: &anyhow::Error) {
    eprintln!("memtrace: {error:#}");
}
