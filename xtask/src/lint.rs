//! `cargo xtask lint`: everything that can be said of the source without running it.

use std::process::Stdio;

use anyhow::Result;

use crate::{
    command::Cmd,
    steps::{Outcome, Steps},
    tidy, tools,
};

/// The crates that are compiled for this machine. The BPF crate has a step of its own: one pass over all would
/// give it the features that the others ask of memtrace-common.
const HOST: [&str; 8] = [
    "--package",
    "memtrace",
    "--package",
    "memtrace-common",
    "--package",
    "memtrace-tests",
    "--package",
    "xtask",
];

/// Check formatting, lints, documentation, dependencies and the rules of this project
#[derive(clap::Args)]
pub(crate) struct Options {}

/// Runs the verb.
pub(crate) fn run(_: &Options) -> Result<()> {
    let mut steps = Steps::default();
    add_steps(&mut steps);
    steps.finish()
}

/// Runs the checks as steps, the cheap ones first.
pub(crate) fn add_steps(steps: &mut Steps) {
    steps.run("format", || {
        Cmd::cargo().args(["fmt", "--all", "--", "--check"]).run()?;
        // Outside the workspace.
        let package = "tests/allocators/Cargo.toml";
        Cmd::cargo()
            .args(["fmt", "--manifest-path", package, "--", "--check"])
            .run()
    });
    steps.run("tidy", tidy::run);
    steps.run("clippy", || {
        let strict = ["--all-targets", "--locked", "--", "-D", "warnings"];
        Cmd::cargo().arg("clippy").args(HOST).args(strict).run()?;
        // Once more as the BPF side sees it, without the feature that memtrace asks for.
        Cmd::cargo()
            .args(["clippy", "--package", "memtrace-common"])
            .args(strict)
            .run()
    });
    steps.run("clippy of the BPF programs", clippy_bpf);
    steps.run("documentation", || {
        Cmd::cargo()
            .args(["doc", "--no-deps", "--locked"])
            .args(HOST)
            .env("RUSTDOCFLAGS", "-D warnings")
            .run()
    });
    steps.run("dependencies", || {
        tools::DENY.ensure()?;
        Cmd::cargo()
            .args(["deny", "--locked", "check", "bans", "licenses", "sources"])
            .run()
    });
    steps.run_or_skip("advisories", advisories);
}

/// Clippy has no `core` for BPF, so it reads the programs as if they were for this machine; aya-ebpf compiles
/// there too. The profile has `panic = "abort"`, without which a program without std cannot be checked.
fn clippy_bpf() -> Result<()> {
    Cmd::cargo()
        .args([
            "clippy",
            "--locked",
            "--package",
            "memtrace-ebpf",
            "--bin",
            "memtrace",
            "--profile",
            "ebpf",
        ])
        .args(["--", "-D", "warnings"])
        .env("RUSTC_BOOTSTRAP", "aya_ebpf")
        .run()
}

/// Known vulnerabilities of dependencies. The database is a git repository that has to be fetched.
fn advisories() -> Result<Outcome> {
    let database = "https://github.com/RustSec/advisory-db";
    let reachable = Cmd::new("timeout")
        .args(["-s", "KILL", "30", "git", "ls-remote", "--exit-code", database, "HEAD"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .succeeds();
    if !reachable {
        return Ok(Outcome::Skipped(format!("{database} cannot be reached from here")));
    }
    tools::DENY.ensure()?;
    Cmd::cargo().args(["deny", "--locked", "check", "advisories"]).run()?;
    Ok(Outcome::Passed)
}
