//! Files and directories that are tried before anything is observed.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use anyhow::{Context as _, bail};

/// Makes a file and removes it.
pub(super) fn try_file(path: &Path) -> anyhow::Result<()> {
    match fs::File::create_new(path).and_then(|_file| fs::remove_file(path)) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!(
                "{} is there already and is not overwritten: move it away, or choose another file with -o",
                path.display()
            )
        }
        Err(error) => Err(error).with_context(|| {
            format!(
                "failed to make the recording {}; choose another file with -o",
                path.display()
            )
        }),
    }
}

/// Makes a directory where there is none, and writes and removes a file in it.
///
/// # Errors
/// A directory that cannot be made or written to.
pub fn try_directory(directory: &Path) -> anyhow::Result<()> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| {
                format!(
                    "failed to make the output directory {} (its parent must exist and be writable)",
                    directory.display()
                )
            });
        }
        _ => {}
    }
    let probe = directory.join(".memtrace-write-test");
    // What is left of an earlier try, or a link that somebody has put there to have another file overwritten by root.
    let _none = fs::remove_file(&probe);
    fs::File::create_new(&probe)
        .and_then(|mut file| file.write_all(b"memtrace\n"))
        .and_then(|()| fs::remove_file(&probe))
        .with_context(|| {
            format!(
                "failed to write into the output directory {}; choose another with -o",
                directory.display()
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_directory_that_cannot_be_used_is_refused() {
        let here = tempfile::tempdir().unwrap();
        assert!(try_directory(&here.path().join("new")).is_ok());
        let error = try_directory(&here.path().join("no/such/parent")).unwrap_err();
        assert!(format!("{error:#}").contains("no/such/parent"), "{error:#}");
        let file = here.path().join("file");
        fs::write(&file, b"").unwrap();
        assert!(try_directory(&file).is_err());
    }

    #[test]
    fn a_link_in_the_output_directory_is_not_followed() {
        let here = tempfile::tempdir().unwrap();
        let precious = here.path().join("precious");
        fs::write(&precious, b"content").unwrap();
        let directory = here.path().join("out");
        fs::create_dir(&directory).unwrap();
        std::os::unix::fs::symlink(&precious, directory.join(".memtrace-write-test")).unwrap();
        assert!(try_directory(&directory).is_ok());
        assert_eq!(fs::read(&precious).unwrap(), b"content");
    }
}
