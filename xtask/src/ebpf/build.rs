//! The build itself, so that equal sources and an equal toolchain give equal bytes wherever they lie.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::toolchain::{Route, Toolchain};
use crate::{command::Cmd, workspace};

const TARGET: &str = "bpfel-unknown-none";

/// Instruction set: v3 has 32-bit registers and their jumps, which Linux knows since 5.1. The oldest kernel
/// that memtrace supports is 5.15. (v4 needs 6.6.)
const CPU: &str = "v3";

/// Builds the programs and returns the linked object, debug sections included.
pub(crate) fn build(toolchain: &Toolchain) -> Result<Vec<u8>> {
    // Apart from the other builds, which use another compiler and would be thrown away with every change.
    let folder = workspace::target().join("bpf");
    let linked = folder.join(TARGET).join("ebpf/memtrace");
    forget_linked(&folder.join(TARGET).join("ebpf/deps"))?;
    let mut cargo = toolchain
        .cargo()
        // aya-ebpf and the programs use an unstable feature (inline assembly for BPF); this allows it there and nowhere else.
        .env("RUSTC_BOOTSTRAP", "aya_ebpf,memtrace")
        .env("CARGO_ENCODED_RUSTFLAGS", flags(toolchain)?.join("\x1f"))
        // The user's settings must not reach the object.
        .without_env("RUSTFLAGS")
        .env("CARGO_INCREMENTAL", "0")
        .env("RUSTC_WRAPPER", "")
        // By folder, not by name in the flags: a path there would become part of cargo's hashes.
        .path(&toolchain.linker_folder)
        .args([
            "build",
            "--locked",
            "--package",
            "memtrace-ebpf",
            "--bin",
            "memtrace",
            "--profile",
            "ebpf",
        ])
        .args(["--target", TARGET, "--target-dir"])
        .arg(&folder);
    if toolchain.route == Route::BuildStd {
        cargo = cargo.arg("-Zbuild-std=core").without_env("RUSTC_BOOTSTRAP");
    }
    cargo.run()?;
    fs::read(&linked).with_context(|| format!("failed to read {}", linked.display()))
}

/// Removes what was linked before. Cargo does not see when bpf-linker changes; without its output it links again.
fn forget_linked(folder: &Path) -> Result<()> {
    // Before the first build there is no such folder.
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry
            .with_context(|| format!("failed to list {}", folder.display()))?
            .path();
        // As opposed to memtrace_common's, the programs' files have the crate's hash after a dash.
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("memtrace-"))
        {
            fs::remove_file(&path).with_context(|| format!("failed to remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// The compiler's flags.
fn flags(toolchain: &Toolchain) -> Result<Vec<String>> {
    let mut flags = vec![
        "-Clinker=bpf-linker".to_owned(),
        // BTF is what the kernel wants of types and lines; bpf-linker makes it from the debug information.
        "-Clink-arg=--btf".to_owned(),
        format!("-Ctarget-cpu={CPU}"),
    ];
    let registry = registry()?;
    for (place, name) in [
        (workspace::root(), "memtrace"),
        (registry.as_path(), "registry"),
        (Path::new(&toolchain.core_sources()), "rust"),
    ] {
        flags.push(format!("--remap-path-prefix={}={name}", place.display()));
    }
    Ok(flags)
}

/// The folder that cargo unpacks crates into, whatever its settings say: the one that aya-ebpf lies in.
fn registry() -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        manifest_path: PathBuf,
    }

    let text = Cmd::cargo()
        .args(["metadata", "--locked", "--format-version=1"])
        .read()?;
    let metadata: Metadata = serde_json::from_str(&text).context("failed to understand `cargo metadata`")?;
    let package = metadata.packages.into_iter().find(|package| package.name == "aya-ebpf");
    let package = package.context("aya-ebpf is not among the dependencies of the workspace")?;
    let folder = package.manifest_path.ancestors().nth(2).map(Path::to_owned);
    folder.with_context(|| format!("{} has no folder above its own", package.manifest_path.display()))
}
