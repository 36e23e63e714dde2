//! Packages from npm that tests read files with. They are installed below the target folder, and no script of theirs is run.

use anyhow::{Context as _, Result};

use crate::{command::Cmd, workspace};

/// Packages with the version that the tests were written for.
const READERS: &[(&str, &str)] = &[("speedscope", "1.25.0"), ("playwright-core", "1.65.1")];

/// Sees to it that the packages are there.
///
/// # Errors
/// When one is missing and npm cannot install it.
pub(crate) fn ensure_readers() -> Result<()> {
    let folder = workspace::target().join("tools/readers");
    let is_there = |&(name, version): &(&str, &str)| {
        let manifest = std::fs::read_to_string(folder.join("node_modules").join(name).join("package.json"));
        manifest.is_ok_and(|text| text.contains(&format!("\"version\": \"{version}\"")))
    };
    if READERS.iter().all(is_there) {
        return Ok(());
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    Cmd::new("npm")
        .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"])
        .arg(&folder)
        .args(READERS.iter().map(|(name, version)| format!("{name}@{version}")))
        .run()
        .context("failed to install what reads exported files")
}
