//! Snapshots of what a screen shows, and profiles of other moments: each is written aside, into a directory of its own, and finished before
//! memtrace ends.

use std::{fs, io, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::{
    finish::write_files,
    signals::{self, Signals},
};
use crate::{
    message,
    options::Options,
    profile::Profile,
    tui::{Input, Inputs},
};

/// Names of a directory that are tried, where several snapshots are of one second.
const NAMES: u32 = 100;

/// Snapshots that are being written.
#[derive(Default)]
pub(super) struct Saving(JoinSet<()>);

impl Saving {
    /// Writes one, and tells the screen; where that is closed by then, says it.
    pub(super) fn begin(&mut self, profile: Arc<Profile>, options: &Options, inputs: Inputs) {
        let (exports, measure) = (options.exports.clone(), options.measure);
        self.aside(move || {
            let saved = new_directory(&profile).and_then(|directory| {
                let failed = write_files(&profile, &directory, &exports, measure);
                anyhow::ensure!(failed.is_empty(), "failed to write {}", failed.join("; "));
                Ok(directory)
            });
            let saved = saved.map_err(|error| format!("{error:#}"));
            if inputs.send(Input::Saved(saved.clone())) {
                return;
            }
            match saved {
                Ok(directory) => message::say(&format!("saved in {}", directory.display())),
                Err(why) => message::say(&format!("memtrace: {why}")),
            }
        });
    }

    /// Does what writes one.
    pub(super) fn aside(&mut self, write: impl FnOnce() + Send + 'static) {
        // Those that are done are nobody's any more.
        while self.0.try_join_next().is_some() {}
        self.0.spawn_blocking(write);
    }

    /// Waits for those that are not done, unless a signal says not to.
    pub(super) async fn finish(mut self, signals: &mut Signals) {
        while !self.0.is_empty() {
            tokio::select! {
                _done = self.0.join_next() => {}
                signal = signals.next() => if signals::ends(signal) {
                    message::say("memtrace: stopped while a snapshot was being written; it is not whole");
                    self.0.detach_all();
                    return;
                },
            }
        }
    }
}

/// `memtrace-4242-20261122-120305` in the current directory.
fn new_directory(profile: &Profile) -> anyhow::Result<PathBuf> {
    let now = jiff::Zoned::now();
    let pid = match profile.target.pid {
        0 => String::new(),
        pid => format!("-{pid}"),
    };
    let name = format!("memtrace{pid}-{}", now.strftime("%Y%m%d-%H%M%S"));
    for number in 1..=NAMES {
        let path = PathBuf::from(match number {
            1 => name.clone(),
            _ => format!("{name}-{number}"),
        });
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| {
                    format!(
                        "failed to make {} here (start memtrace where you may write)",
                        path.display()
                    )
                });
            }
        }
    }
    anyhow::bail!("failed to make a directory {name}: {NAMES} of that name are there already")
}
