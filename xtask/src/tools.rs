//! Programs from crates.io that the verbs use. Missing ones are installed below the target folder, so that
//! nothing of the user's own set changes.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{command::Cmd, workspace};

/// A program from crates.io.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool {
    /// Crate and program, which have one name.
    pub(crate) name: &'static str,
    /// The version that is installed when the program is missing. Any version will do that is there.
    pub(crate) version: &'static str,
}

/// Runs the tests.
pub(crate) const NEXTEST: Tool = Tool {
    name: "cargo-nextest",
    version: "0.9.143",
};

/// Checks licences, sources and advisories of the dependencies.
pub(crate) const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
};

impl Tool {
    /// Sees to it that the program is there.
    ///
    /// # Errors
    /// When it is missing and cannot be compiled.
    pub(crate) fn ensure(self) -> Result<()> {
        if on_path(self.name).is_some() {
            return Ok(());
        }
        println!(
            "{} is missing: installing it below {} takes minutes",
            self.name,
            root().display()
        );
        self.install()
            .run()
            .with_context(|| format!("failed to install {}", self.name))
    }

    /// The command that installs it; more arguments may follow.
    pub(crate) fn install(self) -> Cmd {
        Cmd::cargo()
            .args(["install", "--locked", "--root"])
            .arg(root())
            .arg(format!("{}@{}", self.name, self.version))
    }
}

/// Where the tools are installed.
fn root() -> PathBuf {
    workspace::target().join("tools")
}

/// The folder of the programs installed by [`Tool::ensure`] and of others that a verb fetches.
pub(crate) fn own_folder() -> PathBuf {
    root().join("bin")
}

/// `PATH` with the project's own tools in front.
pub(crate) fn search_path() -> OsString {
    path_with(&own_folder())
}

/// `PATH` with a folder in front.
pub(crate) fn path_with(folder: &Path) -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    // Joining fails only on a colon in the folder's name; the tools are then not found, and that is said.
    env::join_paths(std::iter::once(folder.to_owned()).chain(env::split_paths(&path))).unwrap_or(path)
}

/// The first program of this name on [`search_path`].
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    // The folders for the superuser's programs are not on everyone's PATH, but apt puts servers there.
    let more = ["/usr/sbin", "/sbin"].into_iter().map(PathBuf::from);
    env::split_paths(&search_path())
        .chain(more)
        .map(|folder| folder.join(name))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_and_folders_are_not_programs() {
        assert!(on_path("sh").is_some());
        assert_eq!(on_path("no-such-program-here"), None);
        assert!(!is_executable(Path::new("/usr/bin")));
    }
}
