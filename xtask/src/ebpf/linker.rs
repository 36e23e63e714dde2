//! bpf-linker, in the one version that is known to work and with an LLVM that reads the compiler's bitcode.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::toolchain::RustcVersion;
use crate::{
    command::Cmd,
    tools::{self, Tool},
};

const LINKER: Tool = Tool {
    name: "bpf-linker",
    version: "0.13.0",
};

/// A bpf-linker on the LLVM of the distribution, which is the compiler's.
///
/// Returns its folder and a description for the record.
pub(crate) fn ensure_built(rustc: &RustcVersion, install: bool) -> Result<(PathBuf, String)> {
    let major = rustc.llvm_major();
    let prefix = format!("/usr/lib/llvm-{major}");
    if !Path::new(&prefix).join("bin/llvm-config").exists() {
        bail!(
            "rustc was made with LLVM {}, but {prefix} is not there: install llvm-{major}-dev",
            rustc.llvm
        );
    }
    let llvm = Cmd::new(format!("{prefix}/bin/llvm-config")).arg("--version").read()?;
    let description = format!("{} {} with LLVM {}", LINKER.name, LINKER.version, llvm.trim());
    let fits = |path: &Path| has_version(path) && links_llvm(path, major);
    if let Some(folder) = find(fits) {
        return Ok((folder, description));
    }
    let libraries = format!("{prefix}/lib");
    let command = LINKER
        .install()
        .args([
            "--force",
            "--no-default-features",
            "--features",
            &format!("llvm-{major}"),
        ])
        .env("LLVM_PREFIX", &prefix)
        // The library lies outside the linker's and the loader's usual folders. Without -L, bpf-linker's build
        // ends with "unable to find library -lLLVM".
        .env(
            "RUSTFLAGS",
            format!("-L {libraries} -C link-arg=-Wl,-rpath,{libraries}"),
        )
        .without_env("CARGO_ENCODED_RUSTFLAGS");
    get(command, install, fits).map(|folder| (folder, description))
}

/// A released bpf-linker, which has its own LLVM inside.
pub(crate) fn ensure_released(install: bool) -> Result<(PathBuf, String)> {
    let description = format!("{} {}", LINKER.name, LINKER.version);
    if let Some(folder) = find(has_version) {
        return Ok((folder, description));
    }
    let url = format!(
        "https://github.com/aya-rs/bpf-linker/releases/download/v{}/bpf-linker-{}-unknown-linux-musl.tar.zst",
        LINKER.version,
        std::env::consts::ARCH
    );
    let folder = tools::own_folder();
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let script = format!("set -e; curl --fail --location {url} | tar --extract --zstd --directory \"$0\"");
    get(Cmd::new("sh").args(["-c", &script]).arg(folder), install, has_version).map(|folder| (folder, description))
}

/// Runs the command that installs the linker and looks for what it made.
fn get(command: Cmd, install: bool, fits: impl Fn(&Path) -> bool) -> Result<PathBuf> {
    if !install {
        bail!(
            "missing {} {}; run `cargo xtask ebpf --install`, or: {}",
            LINKER.name,
            LINKER.version,
            command.line()
        );
    }
    println!(
        "installing {} {}, which takes some minutes",
        LINKER.name, LINKER.version
    );
    command.run()?;
    find(fits).with_context(|| {
        format!(
            "{} was installed, but it is not version {}",
            LINKER.name, LINKER.version
        )
    })
}

/// The folder of the first linker on the search path that fits.
fn find(fits: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    std::env::split_paths(&tools::search_path()).find(|folder| fits(&folder.join(LINKER.name)))
}

fn has_version(path: &Path) -> bool {
    let wanted = format!("{} {}", LINKER.name, LINKER.version);
    Cmd::new(path)
        .arg("--version")
        .read()
        .is_ok_and(|said| said.trim() == wanted)
}

/// Whether the program is linked to the shared LLVM of this major version: the name of the library stands in
/// the file, as every needed library's does.
fn links_llvm(path: &Path, major: &str) -> bool {
    let name = format!("libLLVM.so.{major}");
    fs::read(path).is_ok_and(|bytes| bytes.windows(name.len()).any(|window| window == name.as_bytes()))
}
