//! Debian packages that a verb needs, each with what shows that it is there.

use std::path::Path;

use anyhow::{Result, bail};

use crate::{command::Cmd, privilege, tools};

/// A package.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Package {
    /// Its name in Debian and Ubuntu.
    pub(crate) name: &'static str,
    /// The program (or the file, by absolute path) whose presence makes the package unnecessary, wherever
    /// that came from.
    pub(crate) provides: &'static str,
}

/// Short form of the tables below.
const fn package(name: &'static str, provides: &'static str) -> Package {
    Package { name, provides }
}

/// A C compiler: Rust links with it, and the demo and the benchmark compile a C program.
pub(crate) const COMPILER: &[Package] = &[
    package("gcc", "gcc"),
    package("libc6-dev", "/usr/include/stdio.h"),
    package("git", "git"),
];

/// What the live tests start and look into.
pub(crate) const LIVE_TESTS: &[Package] = &[
    package("g++", "g++"),
    package("python3", "python3"),
    package("python3-numpy", "/usr/lib/python3/dist-packages/numpy"),
    REDIS,
    REDIS_TOOLS,
    package("sqlite3", "sqlite3"),
    package("nodejs", "node"),
    package("gdb", "gdb"),
    // A program that it traces can be traced by nobody else.
    package("strace", "strace"),
    // Of symbols, and its client.
    package("debuginfod", "debuginfod"),
    // Its programs are in a folder by version, which the home of its user is not.
    package("postgresql", "/var/lib/postgresql"),
    package("util-linux", "script"),
    // For network namespaces.
    package("iproute2", "ip"),
    // A terminal for `memtrace top`.
    TMUX,
    // Allocators, to build programs with them.
    package("musl-tools", "musl-gcc"),
    package("libjemalloc-dev", "/usr/include/jemalloc/jemalloc.h"),
    package("libgoogle-perftools-dev", "/usr/include/gperftools/tcmalloc.h"),
    package("libmimalloc-dev", "/usr/include/mimalloc.h"),
];

/// Tools that read what is exported: pprof, a browser, and what the others are run by.
pub(crate) const READERS: &[Package] = &[
    package("golang-go", "go"),
    package("nodejs", "node"),
    package("npm", "npm"),
    package("python3", "python3"),
    // The HTML report is opened in it.
    CHROMIUM,
];

/// A Rust compiler with a ready-made `core` for BPF, and the LLVM it was made with.
pub(crate) const PREBUILT_CORE: &[Package] = &[
    package("rustc-web", "/usr/bin/rustc"),
    package("libstd-rust-web-dev-bpf", "/usr/lib/rustlib/bpfel-unknown-none/lib"),
    package("llvm-22-dev", "/usr/lib/llvm-22/bin/llvm-config"),
];

/// What programs in C++ are compiled with.
pub(crate) const CXX_COMPILER: &[Package] = &[package("g++", "g++")];

/// What the benchmark compares with, and on.
pub(crate) const COMPARED: &[Package] = &[HEAPTRACK, REDIS, REDIS_TOOLS];

/// What pictures are made with.
pub(crate) const PICTURES: &[Package] = &[CHROMIUM, TMUX];

/// A browser.
const CHROMIUM: Package = package("chromium", "chromium");

/// A terminal without a window.
const TMUX: Package = package("tmux", "tmux");

/// A tracer that is preloaded into the program.
pub(crate) const HEAPTRACK: Package = package("heaptrack", "heaptrack");

/// A server that uses jemalloc.
pub(crate) const REDIS: Package = package("redis-server", "redis-server");

/// Its load.
pub(crate) const REDIS_TOOLS: Package = package("redis-tools", "redis-benchmark");

impl Package {
    /// Whether what it provides is there.
    pub(crate) fn is_there(self) -> bool {
        if self.provides.starts_with('/') {
            Path::new(self.provides).exists()
        } else {
            tools::on_path(self.provides).is_some()
        }
    }
}

/// The names of those that are not there.
pub(crate) fn missing(packages: &[Package]) -> Vec<&'static str> {
    packages
        .iter()
        .filter(|package| !package.is_there())
        .map(|package| package.name)
        .collect()
}

/// The names of all, for messages.
pub(crate) fn names(packages: &[Package]) -> String {
    packages
        .iter()
        .map(|package| package.name)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Sees to it that packages are there: installs the missing ones when this is root and apt-get is there.
///
/// # Errors
/// When something is missing and cannot be installed from here, with the command that installs it.
pub(crate) fn ensure(packages: &[Package]) -> Result<()> {
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if tools::on_path("apt-get").is_none() {
        bail!("missing, by their names in Debian: {names}; install them with this system's package manager");
    }
    if !privilege::is_root() {
        bail!("missing packages; install them with: sudo apt-get install --no-install-recommends {names}");
    }
    update_once()?;
    apt_get(&["install", "--yes", "--no-install-recommends", "--no-remove"])
        .args(&missing)
        .run()?;
    if let Some(package) = packages.iter().find(|package| !package.is_there()) {
        bail!(
            "package {} is installed, but there is still no {}",
            package.name,
            package.provides
        );
    }
    Ok(())
}

/// Whether all packages are there or could be installed by [`ensure`] (by this user or with sudo).
pub(crate) fn available(packages: &[Package]) -> Result<bool> {
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(true);
    }
    if tools::on_path("apt-get").is_none() {
        return Ok(false);
    }
    if privilege::is_root() {
        // A fresh image has no package lists at all, and then nothing would seem to be available.
        update_once()?;
    }
    Ok(apt_get(&["install", "--simulate", "--no-remove"])
        .args(&missing)
        .succeeds())
}

/// Fetches the package lists, once in the life of this process.
pub(crate) fn update_once() -> Result<()> {
    static UPDATED: std::sync::Mutex<bool> = std::sync::Mutex::new(false);
    let mut updated = UPDATED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !*updated {
        apt_get(&["update", "--quiet"]).run()?;
        *updated = true;
    }
    Ok(())
}

/// Nothing is ever removed for our sake: another compiler in the same place is the user's (`--no-remove`). Nor is a service
/// started: the tests start their own servers, and in single-user mode, which the variable says this is, no package does.
fn apt_get(arguments: &[&str]) -> Cmd {
    Cmd::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1")
        .args(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presence_is_seen_by_program_and_by_file() {
        assert!(package("dash", "sh").is_there());
        assert!(package("base-files", "/etc/passwd").is_there());
        assert!(!package("none", "no-such-program-here").is_there());
        assert!(!package("none", "/no/such/file").is_there());
    }

    #[test]
    fn nothing_is_done_when_nothing_is_missing() {
        assert!(ensure(&[package("dash", "sh")]).is_ok());
        assert!(available(&[package("dash", "sh")]).unwrap());
    }
}
