//! `cargo xtask test`: everything, the cheap checks first.

use anyhow::{Context as _, Result};

use crate::{
    command::Cmd,
    debian_node, ebpf, lint, npm, packages,
    privilege::{self, Root},
    steps::Steps,
    tools,
    workload::build_release,
};

/// Run all tests: lints, the BPF object, unit, replay and documentation tests, and the live tests (which need root)
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leave out the tests that trace running programs and need root
    #[arg(long)]
    no_live: bool,
    /// Leave out what `cargo xtask lint` does
    #[arg(long)]
    no_lint: bool,
}

/// Runs the verb. All steps run, whatever fails, and a summary ends it.
///
/// What cannot be done here is a failure unless it was left out on request: a run that says nothing of the live
/// tests must not look like one that passed them.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut steps = Steps::default();
    let mut wanted = [packages::COMPILER, packages::READERS].concat();
    if !options.no_live {
        wanted.extend(packages::LIVE_TESTS);
    }
    steps.run("packages", || packages::ensure(&wanted));
    steps.run("test runner", || tools::NEXTEST.ensure());
    steps.run("readers of exports", npm::ensure_readers);
    if !options.no_live {
        steps.run_or_skip("Debian's node", debian_node::ensure);
    }
    if !options.no_lint {
        lint::add_steps(&mut steps);
    }
    steps.run("unit and replay tests", || {
        // What needs root is in one test binary.
        nextest()
            .args(["--workspace", "--exclude", "memtrace-ebpf", "-E", "not binary(live)"])
            .run()
    });
    steps.run("documentation tests", || {
        Cmd::cargo()
            .args([
                "test",
                "--doc",
                "--locked",
                "--package",
                "memtrace",
                "--package",
                "memtrace-common",
            ])
            .run()
    });
    steps.run_or_skip("BPF object", || ebpf::check(privilege::is_root()));
    if !options.no_live {
        steps.run("live tests", live);
    }
    steps.finish()
}

/// The tests that trace running programs. They are compiled as the user, and only started as root.
fn live() -> Result<()> {
    let root = Root::find("trace running programs (the rest of the tests runs with --no-live)")?;
    let memtrace = build_release()?;
    let mut tests = nextest()
        .args(["--package", "memtrace-tests", "--profile", "live", "-E", "binary(live)"])
        .env("MEMTRACE_BIN", memtrace);
    if root == Root::Sudo {
        tests = tests.env(&runner_variable()?, "sudo -E");
    }
    tests.run()
}

fn nextest() -> Cmd {
    Cmd::cargo().args(["nextest", "run", "--locked"])
}

/// The variable that makes cargo (and nextest) start this machine's programs through another one.
fn runner_variable() -> Result<String> {
    let said = Cmd::new("rustc").arg("-vV").read()?;
    let host = said
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc -vV names no host")?;
    Ok(format!(
        "CARGO_TARGET_{}_RUNNER",
        host.to_uppercase().replace(['-', '.'], "_")
    ))
}
