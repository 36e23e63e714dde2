//! `cargo xtask ebpf`: builds the BPF object that is kept in the tree, or checks that it is what its source gives.
//!
//! The object is in the tree so that building memtrace needs stable Rust only. The build is reproducible: paths
//! of this machine are mapped away, and what made the object is recorded beside it.

mod build;
mod linker;
mod object;
mod record;
mod toolchain;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};

use self::{record::Record, toolchain::Toolchain};
use crate::{steps::Outcome, workspace};

/// Build the BPF object and put it where memtrace embeds it from
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write nothing; fail if the object in the tree is not what the source gives
    #[arg(long)]
    pub(crate) check: bool,
    /// Install what is missing: Debian packages (needs root), a nightly Rust, bpf-linker
    #[arg(long)]
    pub(crate) install: bool,
}

/// Runs the verb.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.check {
        if let Outcome::Skipped(reason) = check(options.install)? {
            println!("skipped: {reason}");
        }
        return Ok(());
    }
    let (bytes, record) = make(options.install)?;
    write(&object_path(), &bytes)?;
    write(&record_path(), record.to_text().as_bytes())?;
    println!(
        "wrote {} ({} bytes), built with:\n{}",
        object_path().display(),
        bytes.len(),
        record.to_text().trim_end()
    );
    Ok(())
}

/// Builds the object and compares it with the one in the tree.
///
/// # Errors
/// When it does not build, or when the same toolchain gives other bytes.
pub(crate) fn check(install: bool) -> Result<Outcome> {
    let kept = fs::read(object_path()).with_context(|| {
        format!(
            "failed to read {}; make it with `cargo xtask ebpf`",
            object_path().display()
        )
    })?;
    let kept_record = Record::parse(&fs::read_to_string(record_path()).unwrap_or_default());
    let (built, record) = make(install)?;
    if built == kept {
        println!("{} is what its source gives", object_path().display());
        return Ok(Outcome::Passed);
    }
    let differences = record.toolchain_differences(&kept_record);
    if differences.is_empty() {
        let rejected = workspace::target().join("bpf").join("memtrace.bpf.o");
        write(&rejected, &built)?;
        bail!(
            "{} is not what its source gives ({} bytes there, {} in {}): run `cargo xtask ebpf` and commit the result",
            object_path().display(),
            kept.len(),
            built.len(),
            rejected.display()
        );
    }
    Ok(Outcome::Skipped(format!(
        "the object builds, but its bytes cannot be compared: {differences}"
    )))
}

/// Builds the object, without debug sections, and tells what it was built with.
fn make(install: bool) -> Result<(Vec<u8>, Record)> {
    let toolchain = Toolchain::choose(install)?;
    let linked = build::build(&toolchain)?;
    let bytes = object::without_debug_sections(&linked)?;
    object::validate(&bytes)?;
    Ok((bytes, Record::of(&toolchain)?))
}

fn object_path() -> PathBuf {
    workspace::root().join("memtrace-ebpf/object/memtrace.bpf.o")
}

fn record_path() -> PathBuf {
    workspace::root().join("memtrace-ebpf/object/memtrace.bpf.txt")
}

fn write(path: &PathBuf, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    }
    fs::write(path, bytes).with_context(|| format!("failed to write {}", path.display()))
}
