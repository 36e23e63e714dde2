//! The two ways to get a compiler for BPF, and the choice between them.
//!
//! 1. Debian's `rustc-web` with a ready-made `core` for BPF, and the LLVM that it was made with. Everything
//!    comes from the distribution, versions match, and this is what the object in the tree is built with.
//! 2. A nightly of rustup's that compiles `core` itself (`-Zbuild-std`), and a released bpf-linker.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::linker;
use crate::{command::Cmd, packages, tools};

/// The nightly of the second way: the last month whose LLVM is the one of the first way.
const NIGHTLY: &str = "nightly-2026-05-20";

/// Debian's compiler; rustup's proxies are never here.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// A compiler for BPF.
pub(crate) struct Toolchain {
    /// Which way it came.
    pub(crate) route: Route,
    /// Version, commit and LLVM of the compiler.
    pub(crate) rustc: RustcVersion,
    /// Folder that holds the bpf-linker to use.
    pub(crate) linker_folder: PathBuf,
    /// Version of bpf-linker, with that of the LLVM in it where it is known.
    pub(crate) linker: String,
}

/// The two ways.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Route {
    /// A compiler with a ready-made `core`.
    Prebuilt,
    /// A compiler that builds `core` from source.
    BuildStd,
}

/// What `rustc -vV` says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RustcVersion {
    /// First line: `rustc 1.96.0 (ac68faa20 2026-05-25) ...`
    pub(crate) line: String,
    /// `22.1.8`
    pub(crate) llvm: String,
}

impl Toolchain {
    /// Takes the first way where its packages are installed or can be, else the second.
    ///
    /// # Errors
    /// When something is missing and `install` is not set (the message has the command), or cannot be installed.
    pub(crate) fn choose(install: bool) -> Result<Self> {
        if packages::available(packages::PREBUILT_CORE)? {
            Self::prebuilt(install)
        } else {
            Self::build_std(install)
        }
    }

    fn prebuilt(install: bool) -> Result<Self> {
        let missing = packages::missing(packages::PREBUILT_CORE);
        if !missing.is_empty() && !install {
            bail!(
                "missing packages: {}; run `cargo xtask ebpf --install` as root, or install them",
                missing.join(" ")
            );
        }
        packages::ensure(packages::PREBUILT_CORE)?;
        let rustc = RustcVersion::read(Cmd::new(DEBIAN_RUSTC))?;
        let (linker_folder, linker) = linker::ensure_built(&rustc, install)?;
        let mut toolchain = Self {
            route: Route::Prebuilt,
            rustc,
            linker_folder,
            linker,
        };
        if Path::new(&toolchain.core_sources()).exists() {
            // LLVM puts the lines of sources that it can open into BTF, and so the bytes differ.
            toolchain.rustc.line.push_str(", with the sources of core");
        }
        Ok(toolchain)
    }

    fn build_std(install: bool) -> Result<Self> {
        if tools::on_path("rustup").is_none() {
            bail!(
                "no Rust compiler for BPF: Debian's {} are not to be had here, and there is no rustup",
                packages::names(packages::PREBUILT_CORE)
            );
        }
        if !Path::new(&sources_of(NIGHTLY)).exists() {
            // Never touch rustup itself: it is the user's.
            let command = Cmd::new("rustup")
                .args(["toolchain", "install", NIGHTLY, "--no-self-update"])
                .args(["--profile", "minimal", "--component", "rust-src"]);
            if !install {
                bail!(
                    "missing {NIGHTLY} with rust-src; run `cargo xtask ebpf --install`, or: {}",
                    command.line()
                );
            }
            command.run()?;
        }
        let rustc = RustcVersion::read(Self::rustup_run().arg("rustc"))?;
        let (linker_folder, linker) = linker::ensure_released(install)?;
        Ok(Self {
            route: Route::BuildStd,
            rustc,
            linker_folder,
            linker,
        })
    }

    /// The cargo of this toolchain, its compiler set.
    pub(crate) fn cargo(&self) -> Cmd {
        match self.route {
            Route::Prebuilt => Cmd::cargo().env("RUSTC", DEBIAN_RUSTC),
            Route::BuildStd => Self::rustup_run().arg("cargo").without_env("RUSTC"),
        }
    }

    /// Where the sources of `core` are, as paths in the compiled object begin.
    pub(crate) fn core_sources(&self) -> String {
        match self.route {
            // Debian maps them itself, to the place where its source package unpacks; the version is in it.
            Route::Prebuilt => {
                let version = self.rustc.line.split(' ').nth(1).unwrap_or_default();
                format!("/usr/src/rustc-{version}")
            }
            Route::BuildStd => sources_of(NIGHTLY),
        }
    }

    fn rustup_run() -> Cmd {
        Cmd::new("rustup")
            .args(["run", NIGHTLY])
            .without_env("RUSTUP_TOOLCHAIN")
    }
}

impl RustcVersion {
    fn read(rustc: Cmd) -> Result<Self> {
        let text = rustc.arg("-vV").read()?;
        Self::parse(&text).with_context(|| format!("rustc said nothing of its LLVM: {text}"))
    }

    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().next()?.to_owned();
        let llvm = text
            .lines()
            .find_map(|line| line.strip_prefix("LLVM version: "))?
            .to_owned();
        Some(Self { line, llvm })
    }

    /// Major version of its LLVM: `22`.
    pub(crate) fn llvm_major(&self) -> &str {
        self.llvm.split('.').next().unwrap_or_default()
    }
}

/// Folder of a rustup toolchain's library sources; of no folder when the toolchain is not installed.
fn sources_of(toolchain: &str) -> String {
    let sysroot = Cmd::new("rustup")
        .args(["run", toolchain, "rustc", "--print", "sysroot"])
        .without_env("RUSTUP_TOOLCHAIN")
        .env("RUSTUP_AUTO_INSTALL", "0")
        .read()
        .unwrap_or_default();
    format!("{}/lib/rustlib/src/rust", sysroot.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compilers_version_is_read() {
        let text = "rustc 1.96.0 (ac68faa20 2026-05-25)\nbinary: rustc\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        let version = RustcVersion::parse(text).unwrap();
        assert_eq!(version.line, "rustc 1.96.0 (ac68faa20 2026-05-25)");
        assert_eq!((version.llvm.as_str(), version.llvm_major()), ("22.1.8", "22"));
        assert_eq!(RustcVersion::parse("rustc 1.96.0\n"), None);
    }
}
