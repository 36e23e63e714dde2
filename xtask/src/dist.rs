//! `cargo xtask dist`: what a user installs, in one folder and one archive.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{command::Cmd, workload::build_release, workspace};

/// What goes along from the workspace's root.
const TEXTS: [&str; 6] = [
    "README.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "LICENSE-GPL2",
    "NOTICE",
];

/// Shell, and the name of its completion file by that shell's own convention.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "memtrace.bash"),
    ("zsh", "_memtrace"),
    ("fish", "memtrace.fish"),
];

/// Put the program, its man pages, its completions and the licences into target/dist
#[derive(clap::Args)]
pub(crate) struct Options {}

/// Runs the verb.
pub(crate) fn run(_: &Options) -> Result<()> {
    let memtrace = build_release()?;
    let name = format!(
        "memtrace-{}-{}-linux",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH
    );
    let dist = workspace::target().join("dist");
    let folder = dist.join(&name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("failed to remove {}", folder.display()))?;
    }
    let bin = made(folder.join("bin"))?;
    copy(&memtrace, &bin.join("memtrace"))?;
    let man = made(folder.join("share/man/man1"))?;
    Cmd::new(&memtrace).args(["generate", "man"]).arg(&man).run()?;
    let completions = made(folder.join("share/completions"))?;
    for (shell, file) in COMPLETIONS {
        let text = Cmd::new(&memtrace).args(["generate", "completions", shell]).read()?;
        let path = completions.join(file);
        fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
    }
    for text in TEXTS {
        copy(&workspace::root().join(text), &folder.join(text))?;
    }
    let archive = dist.join(format!("{name}.tar.gz"));
    Cmd::new("tar")
        // The same files give the same archive, whoever packs them and when.
        .args([
            "--sort=name",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "--mtime=@0",
            "--gzip",
            "--directory",
        ])
        .arg(&dist)
        .arg("--create")
        .arg("--file")
        .arg(&archive)
        .arg(&name)
        .run()?;
    println!("made {} and {}", folder.display(), archive.display());
    Ok(())
}

fn made(folder: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    Ok(folder)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("failed to copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
