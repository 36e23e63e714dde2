//! The rules of ARCHITECTURE.md that a program can check: who may name what, how long a file may be, whether
//! the links of the documents lead somewhere.

mod links;
mod rules;
mod source;
mod tokens;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::workspace;

/// A file longer than this fails; it holds more than one concern.
const MAX_LINES: usize = 400;

/// A file longer than this is mentioned.
const MANY_LINES: usize = 250;

/// What cargo puts into the folders of what it has built (<https://bford.info/cachedir>).
const CACHE: &str = "CACHEDIR.TAG";

/// Checks everything and prints what it finds.
pub(crate) fn run() -> Result<()> {
    let files = files(workspace::root())?;
    let mut problems = Vec::new();
    for file in &files {
        let path = workspace::root().join(file);
        let text = || fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()));
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => problems.extend(check_source(file, &text()?)),
            Some("md") => problems.extend(links::check(workspace::root(), file, &text()?)),
            _ => {}
        }
    }
    for problem in &problems {
        println!("{problem}");
    }
    if !problems.is_empty() {
        bail!("{} places break the project's rules (ARCHITECTURE.md)", problems.len());
    }
    println!("{} files keep the rules", files.len());
    Ok(())
}

/// What is wrong with a Rust file, one line each.
fn check_source(file: &Path, text: &str) -> Vec<String> {
    let mut problems = rules::check(&file.to_string_lossy(), text);
    let lines = text.lines().count();
    if lines > MAX_LINES {
        problems.push(format!(
            "{}: {lines} lines; split it, {MAX_LINES} is the limit",
            file.display()
        ));
    } else if lines > MANY_LINES {
        println!("warning: {}: {lines} lines; is it still one concern?", file.display());
    }
    problems
}

/// All files of the project, relative to its root and sorted: what lies in hidden folders, in cargo's target folders or
/// behind symbolic links is not the project's.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let full = root.join(&folder);
        for entry in fs::read_dir(&full).with_context(|| format!("failed to list {}", full.display()))? {
            let entry = entry.with_context(|| format!("failed to list {}", full.display()))?;
            let name = entry.file_name();
            if name.to_string_lossy().starts_with('.') || entry.path().join(CACHE).exists() {
                continue;
            }
            let kind = entry
                .file_type()
                .with_context(|| format!("failed to look at {}", entry.path().display()))?;
            if kind.is_dir() {
                folders.push(folder.join(name));
            } else if kind.is_file() {
                files.push(folder.join(name));
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_a_problem() {
        let file = Path::new("memtrace/src/x.rs");
        assert_eq!(check_source(file, &"\n".repeat(MAX_LINES)), Vec::<String>::new());
        assert_eq!(check_source(file, &"\n".repeat(MAX_LINES + 1)).len(), 1);
    }

    #[test]
    fn this_file_is_among_the_files_and_nothing_hidden_is() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let files = files(root).unwrap();
        assert!(files.contains(&PathBuf::from("xtask/src/tidy/mod.rs")));
        assert!(
            files.contains(&PathBuf::from("memtrace/src/target/mod.rs")),
            "only cargo's folders are left out"
        );
        assert!(
            !files
                .iter()
                .any(|file| file.starts_with(".git") || file.starts_with("target"))
        );
    }
}
