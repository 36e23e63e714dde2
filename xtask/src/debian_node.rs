//! Debian's node: a library, with parts of JavaScript beside it. It is not installed, for another node may be: its packages are unpacked below the
//! target folder, and no script of theirs is run.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::{command::Cmd, packages, privilege, steps::Outcome, tools, workspace};

/// The library of Debian 12, and what it is linked with or reads when it starts.
const PACKAGES: [&str; 7] = [
    "libnode108",
    "libuv1",
    "libc-ares2",
    "node-cjs-module-lexer",
    "node-acorn",
    "node-undici",
    "node-busboy",
];

/// Sees to it that it is there, where this system has the packages.
///
/// # Errors
/// When they are there and cannot be fetched or unpacked.
pub(crate) fn ensure() -> Result<Outcome> {
    let folder = workspace::target().join("tools/debian-node");
    // What is in the folder is whole: it gets its name at the end.
    if folder.exists() {
        return Ok(Outcome::Passed);
    }
    if !["apt-get", "dpkg-deb"]
        .iter()
        .all(|tool| tools::on_path(tool).is_some())
    {
        return Ok(Outcome::Skipped("no packages of Debian here".to_owned()));
    }
    if privilege::is_root() {
        packages::update_once()?;
    }
    if !Cmd::new("apt-cache")
        .args(["show", "--quiet"])
        .args(PACKAGES)
        .succeeds()
    {
        let names = PACKAGES.join(", ");
        return Ok(Outcome::Skipped(format!("this system has not all of {names}")));
    }
    let tools = folder.parent().context("the folder is in one")?;
    fs::create_dir_all(tools).with_context(|| format!("failed to make {}", tools.display()))?;
    let new = tempfile::tempdir_in(tools)?;
    // Packages are fetched to the working directory.
    Cmd::new("sh")
        .args(["-c", "cd \"$1\" && shift && apt-get download --quiet \"$@\"", "sh"])
        .arg(new.path())
        .args(PACKAGES)
        .run()?;
    for file in fs::read_dir(new.path())? {
        let file = file?.path();
        if file.extension().is_some_and(|extension| extension == "deb") {
            Cmd::new("dpkg-deb").arg("--extract").arg(&file).arg(new.path()).run()?;
            fs::remove_file(&file)?;
        }
    }
    if !new.path().join("usr/share/nodejs").exists() {
        bail!("the packages have no files for node where Debian's have them (usr/share/nodejs)");
    }
    fs::rename(new.keep(), &folder).with_context(|| format!("failed to name {}", folder.display()))?;
    Ok(Outcome::Passed)
}
