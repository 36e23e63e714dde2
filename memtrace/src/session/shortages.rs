//! The moments at which V8 runs short of memory: they are said at once, and a profile is taken of each.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{finish::write_files, observe::Loop, report::Raw};
use crate::{
    message,
    options::Options,
    profile::Profile,
    render::{escape, js_shortage},
};

/// Profiles that are written of an observation: a program that has workers may run short again and again.
const MOST: u32 = 8;

/// What was done about them.
#[derive(Debug, Default)]
pub(super) struct Shortages {
    /// Of so many.
    heeded: u64,
    /// Profiles.
    taken: u32,
}

impl Loop<'_> {
    /// Says that V8 has run short of memory since it was looked last, and has a profile written of now.
    pub(super) fn heed_shortages(&mut self) {
        let count = self.collector.ledger.js_shortages.count();
        if count <= std::mem::replace(&mut self.shortages.heeded, count) || self.shortages.taken == MOST {
            return;
        }
        self.shortages.taken += 1;
        let directory = self.options.output.as_ref();
        let directory = directory.map(|output| output.join(format!("shortage-{}", self.shortages.taken)));
        if let Err(error) = self.collector.sweep(u64::MAX) {
            log::debug!("the profile of a shortage is without the youngest blocks: {error}");
        }
        let raw = Raw::take(
            &mut self.collector,
            &self.tracer,
            &self.outputs.residency,
            self.options,
            None,
        );
        let (reporter, options) = (self.outputs.reporter.clone(), self.options.clone());
        self.outputs.saving.aside(move || match reporter.finish(raw, None) {
            Ok(profile) => tell(&profile, directory, &options),
            Err(error) => message::say(&format!("memtrace: failed to take a profile of a shortage: {error:#}")),
        });
    }
}

/// Says what has happened, and writes the profile where that is wanted.
fn tell(profile: &Profile, directory: Option<PathBuf>, options: &Options) {
    let said = js_shortage::status(profile).unwrap_or_default();
    let Some(directory) = directory else {
        message::say(&said);
        return;
    };
    let written = make(&directory).and_then(|()| {
        let failed = write_files(profile, &directory, &options.exports, options.measure);
        anyhow::ensure!(failed.is_empty(), "failed to write {}", failed.join("; "));
        Ok(())
    });
    let path = directory.display().to_string();
    let path = escape::text(&path);
    match written {
        Ok(()) => message::say(&format!("{said}; the profile of that moment is in {path}")),
        Err(error) => message::say(&format!("{said}\nmemtrace: {error:#}; the observation goes on")),
    }
}

/// Makes the directory, or takes that of an earlier observation.
fn make(directory: &Path) -> anyhow::Result<()> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let is_directory = fs::symlink_metadata(directory).is_ok_and(|found| found.is_dir());
            anyhow::ensure!(is_directory, "{} is there and is no directory", directory.display());
            Ok(())
        }
        made => made.with_context(|| format!("failed to make {}", directory.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_directory_is_taken_and_nothing_else() {
        let here = tempfile::tempdir().unwrap();
        let (new, file, link) = (
            here.path().join("new"),
            here.path().join("file"),
            here.path().join("link"),
        );
        make(&new).unwrap();
        make(&new).unwrap();
        fs::write(&file, "content").unwrap();
        std::os::unix::fs::symlink(&new, &link).unwrap();
        assert!(make(&file).unwrap_err().to_string().contains("no directory"));
        assert!(make(&link).unwrap_err().to_string().contains("no directory"));
        assert!(make(&here.path().join("no/such")).is_err());
    }
}
