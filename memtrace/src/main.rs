//! The `memtrace` command.

use std::process::ExitCode;

use clap::Parser as _;
use memtrace::{cli::Cli, exit::Exit, message};

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(exit) => exit.into(),
        Err(error) => {
            message::say(&format!("memtrace: {}", message::chain(&error)));
            Exit::Error.into()
        }
    }
}
