//! The project's chores, as `cargo xtask VERB`: one file or folder per verb.
//!
//! Every command that a verb starts is printed before it runs, so that it can be repeated by hand.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool of the command line talks there"
)]

mod bench;
mod command;
mod debian_node;
mod demo;
mod dist;
mod ebpf;
mod lint;
mod npm;
mod packages;
mod pictures;
mod privilege;
mod steps;
mod test;
mod tidy;
mod tools;
mod workload;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Bench(bench::Options),
    Demo(demo::Options),
    Dist(dist::Options),
    Ebpf(ebpf::Options),
    Lint(lint::Options),
    Pictures(pictures::Options),
    Test(test::Options),
}

fn main() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::Bench(options) => bench::run(&options),
        Verb::Demo(options) => demo::run(&options),
        Verb::Dist(options) => dist::run(&options),
        Verb::Ebpf(options) => ebpf::run(&options),
        Verb::Lint(options) => lint::run(&options),
        Verb::Pictures(options) => pictures::run(&options),
        Verb::Test(options) => test::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
