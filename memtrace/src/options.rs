//! Options after validation: what the command line asked for, made consistent and checked against the machine.

mod files;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use memtrace_common::{
    limits::{RING_BYTES, RING_BYTES_MIN},
    sampling::MAX_INTERVAL,
};

pub use self::files::try_directory;
use self::files::try_file;
use crate::{
    cli::{Mutant, ReportArgs, ScopeArgs, Stack, Step, Windows},
    profile::{Settings, suppress::Suppressions},
    render::{Measure, export::Format},
};

/// Age from which a block can be suspected, unless asked for otherwise.
const MIN_AGE: Duration = Duration::from_secs(10);

/// Longest time that can be asked for: more than anybody waits for, and far from what clocks cannot count.
const LONGEST: Duration = Duration::from_hours(100 * 8_766);

/// The largest ring that makes sense, in bytes.
const RING_BYTES_MAX: u64 = 1 << 30;

/// How call stacks are found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unwinding {
    /// By unwind tables, and by frame pointer in code that has none.
    Auto,
    /// By frame pointer alone.
    FramePointer,
}

/// What sites are kept apart by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Split {
    /// Each process by itself.
    Process,
    /// Containers; what is in none is one group.
    Container,
    /// Programs by their name.
    Command,
    /// Nothing: equal call stacks of all targets are one site.
    None,
}

/// What a session does.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
pub struct Options {
    /// Whether children of the targets are targets too.
    pub follow: bool,
    /// Whether probes are put also into processes that are no targets but map a file of one.
    pub machine_wide: bool,
    /// What sites are kept apart by.
    pub split: Split,
    /// Allocators that the user named, as they were given: `ALLOC:FREE[:SIZE]`.
    pub pairs: Vec<String>,
    /// Stop after this time.
    pub duration: Option<Duration>,
    /// Time between two updates of the live table.
    pub interval: Duration,
    /// What reports show.
    pub settings: Settings,
    /// Directory for the reports; exists and can be written to.
    pub output: Option<PathBuf>,
    /// Formats of other tools that are written there too.
    pub exports: Vec<Format>,
    /// What the flame graph measures, and what other tools show first.
    pub measure: Measure,
    /// How call stacks are found.
    pub unwinding: Unwinding,
    /// Size of the ring in bytes, a power of two.
    pub ring_bytes: u32,
    /// By how much the targets may be slowed down, 0.05 for 5 %; `None` for as much as it takes.
    pub budget: Option<f64>,
    /// The only step under the budget.
    pub step: Option<Step>,
    /// The sampling interval in bytes, a power of two; `None` to take every allocation.
    pub sample: Option<u64>,
    /// Whether every allocation and free is sent, also of blocks that die young.
    pub every_event: bool,
    /// Whether resident memory is read.
    pub resident: bool,
    /// Whether every call is seen also where the default is less.
    pub every_call: bool,
    /// Whether the objects of Python programs are counted at the beginning and at the end.
    pub census: bool,
    /// Whether it is sampled where JavaScript objects are allocated.
    pub javascript_sites: bool,
    /// Whether each object of Python programs is followed.
    pub python_exact: bool,
    /// When each object is followed, if not all the time.
    pub windows: Option<Windows>,
    /// Whether to show the BPF side's diagnostics.
    pub diagnostics: bool,
    /// Whether to do without `bpf_loop` even where the kernel has it.
    pub old_loop: bool,
    /// Whether each probe gets a link of its own even where the kernel has links to many places.
    pub single_links: bool,
    /// Whether every allocation is seen at entry and return, also where one probe would do.
    pub two_traps: bool,
    /// What the one probe that would do is told wrong, to try whether that is found.
    pub once_mutant: Option<Mutant>,
    /// The session file that is written, if any.
    pub recording: Option<Recording>,
    /// Whether it is shown on a screen of its own.
    pub screen: bool,
}

/// What is recorded.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The file, which is not there yet.
    pub path: PathBuf,
    /// Whether every event is kept.
    pub events: bool,
    /// Bytes that moments may take together.
    pub limit: u64,
}

impl Options {
    /// Checks the arguments. The output directory is made and tried now: a report that cannot be written must not
    /// cost an observation.
    ///
    /// # Errors
    /// A value out of range, or a directory that cannot be written to.
    pub fn new(args: ReportArgs, scope: ScopeArgs) -> anyhow::Result<Self> {
        let ReportArgs {
            duration,
            interval,
            top,
            min_age,
            min_size,
            suppressions,
            no_default_suppressions,
            fail_over,
            output,
            export,
            flame,
            stack,
            frames,
            ring_size,
            sample,
            budget,
            every_event,
            every_call,
            no_resident,
            python_exact,
            census,
            javascript_sites,
            bpf_log,
            old_loop,
            single_links,
            step,
            two_traps,
            once_mutant,
        } = args;
        let ScopeArgs {
            no_follow,
            machine_wide,
            split,
            pair,
        } = scope;
        check_times(duration, interval)?;
        let windows = python_exact.flatten();
        let single = [(no_follow, "--no-follow"), (single_links, "--single-links")];
        let single = single.into_iter().find_map(|(given, flag)| given.then_some(flag));
        go_together(budget.is_some(), windows.is_some(), single)?;
        if top == 0 {
            bail!("--top 0 would show nothing");
        }
        if let Some(directory) = &output {
            try_directory(directory)?;
        }
        Ok(Self {
            follow: !no_follow,
            machine_wide,
            split: split.into(),
            pairs: pair,
            duration,
            interval,
            settings: Settings {
                top,
                min_age: min_age.unwrap_or_else(|| default_min_age(duration)),
                min_size: min_size.as_u64(),
                suppressions: read_suppressions(&suppressions, !no_default_suppressions)?,
                fail_over: fail_over.map(|size| size.as_u64()),
                view: frames.view(),
            },
            output,
            exports: export,
            measure: flame.into(),
            unwinding: match stack {
                Stack::Auto => Unwinding::Auto,
                Stack::Fp => Unwinding::FramePointer,
            },
            ring_bytes: ring_bytes(ring_size.as_u64())?,
            budget,
            step,
            sample: sample.map(|size| sampling_interval(size.as_u64())).transpose()?,
            every_event,
            every_call,
            resident: !no_resident,
            python_exact: python_exact.is_some(),
            windows,
            census,
            javascript_sites,
            diagnostics: bpf_log,
            old_loop,
            single_links,
            recording: None,
            screen: false,
            two_traps,
            once_mutant,
        })
    }

    /// The same, and the observation is recorded. The file is tried now, as a directory is.
    ///
    /// # Errors
    /// A file that is there already, or cannot be made.
    pub fn recorded(mut self, recording: Recording) -> anyhow::Result<Self> {
        self.cannot_have_windows("recording")?;
        if self.javascript_sites {
            bail!("--javascript-sites does not go with a recording, which has no room for its samples yet: use attach");
        }
        try_file(&recording.path)?;
        self.every_event |= recording.events;
        self.recording = Some(recording);
        Ok(self)
    }

    /// The same, shown on a screen.
    ///
    /// # Errors
    /// What cannot be shown there.
    pub fn on_screen(mut self) -> anyhow::Result<Self> {
        self.cannot_have_windows("screen")?;
        self.screen = true;
        Ok(self)
    }

    /// Both are about what is live.
    fn cannot_have_windows(&self, what: &str) -> anyhow::Result<()> {
        if self.windows.is_some() {
            bail!("windows of --python-exact tell what is allocated, and a {what} what is live: use attach");
        }
        Ok(())
    }

    /// Whether it was said how much is to be seen of the calls, and is not left to a default. A check is of all there is.
    pub fn says_what_is_seen(&self) -> bool {
        self.every_call
            || self.every_event
            || self.python_exact
            || self.budget.is_some()
            || self.sample.is_some()
            || self.settings.fail_over.is_some()
    }

    /// Whether every event is written down.
    pub fn keeps_events(&self) -> bool {
        self.recording.as_ref().is_some_and(|recording| recording.events)
    }
}

/// Whether an observation can be that long, and be told of that often.
fn check_times(duration: Option<Duration>, interval: Duration) -> anyhow::Result<()> {
    if interval < Duration::from_millis(100) {
        bail!(
            "--interval {} is too short: 100ms is the least",
            humantime::format_duration(interval)
        );
    }
    if duration.is_some_and(|duration| duration.is_zero()) {
        bail!("--duration 0 would observe nothing");
    }
    for (flag, time) in [("--duration", duration), ("--interval", Some(interval))] {
        if time.is_some_and(|time| time > LONGEST) {
            bail!(
                "{flag} is too long: {} is the most",
                humantime::format_duration(LONGEST)
            );
        }
    }
    Ok(())
}

/// Whether probes can be taken off and put on again as quickly as a budget and windows need; with the flag `single` they cannot.
fn go_together(budget: bool, windows: bool, single: Option<&str>) -> anyhow::Result<()> {
    if budget && windows {
        bail!("windows of --python-exact do not go with --budget, which has windows of its own");
    }
    if let Some(flag) = single.filter(|_| budget || windows) {
        let asked = if budget {
            "--budget does"
        } else {
            "windows of --python-exact do"
        };
        bail!("{asked} not go with {flag}: probes then cannot be taken off and put on again quickly");
    }
    Ok(())
}

/// Ten seconds; in a shorter observation half of it, so that something can be old enough.
fn default_min_age(duration: Option<Duration>) -> Duration {
    match duration {
        Some(duration) if duration < 2 * MIN_AGE => Duration::from_secs((duration.as_secs() / 2).max(1)),
        _ => MIN_AGE,
    }
}

fn ring_bytes(asked: u64) -> anyhow::Result<u32> {
    if asked > RING_BYTES_MAX {
        bail!("--ring-size {asked} is too large: 1GiB is the most, {RING_BYTES} the default");
    }
    let rounded = asked.max(u64::from(RING_BYTES_MIN)).next_power_of_two();
    Ok(u32::try_from(rounded)?)
}

/// The next power of two: probabilities are exact then.
fn sampling_interval(asked: u64) -> anyhow::Result<u64> {
    match asked {
        0 => bail!("--sample 0 would choose every byte: leave it out to see every allocation"),
        1..=MAX_INTERVAL => Ok(asked.next_power_of_two()),
        _ => bail!("--sample {asked} is too large: 1GiB is the most"),
    }
}

/// The suppressions of files, and those of the C library if they are wanted.
///
/// # Errors
/// A file that cannot be read or understood.
pub fn read_suppressions(files: &[PathBuf], with_default: bool) -> anyhow::Result<Suppressions> {
    let mut all = if with_default {
        Suppressions::of_the_runtime()
    } else {
        Suppressions::default()
    };
    for file in files {
        let name = file.display().to_string();
        let text = fs::read_to_string(file).with_context(|| format!("failed to read the suppressions of {name}"))?;
        all.add(&name, &text)
            .with_context(|| format!("failed to understand the suppressions of {name}"))?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_age_fits_the_duration() {
        assert_eq!(default_min_age(None), MIN_AGE);
        assert_eq!(default_min_age(Some(Duration::from_mins(1))), MIN_AGE);
        assert_eq!(default_min_age(Some(Duration::from_secs(8))), Duration::from_secs(4));
        assert_eq!(
            default_min_age(Some(Duration::from_millis(300))),
            Duration::from_secs(1)
        );
    }

    #[test]
    fn ring_sizes_become_powers_of_two_in_range() {
        assert_eq!(ring_bytes(1).unwrap(), RING_BYTES_MIN);
        assert_eq!(ring_bytes(100_000).unwrap(), 131_072);
        assert_eq!(ring_bytes(8 << 20).unwrap(), 8 << 20);
        assert!(ring_bytes(u64::MAX).is_err());
    }

    #[test]
    fn intervals_become_powers_of_two_in_range() {
        assert_eq!(sampling_interval(1).unwrap(), 1);
        assert_eq!(sampling_interval(500_000).unwrap(), 1 << 19);
        assert_eq!(sampling_interval(1 << 30).unwrap(), 1 << 30);
        assert!(sampling_interval(0).is_err() && sampling_interval((1 << 30) + 1).is_err());
    }
}
