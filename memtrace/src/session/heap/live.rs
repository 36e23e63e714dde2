//! Heaps of running node programs, by their inspector.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Seek as _, SeekFrom, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use super::{super::signals, consent::Consent, cost::Cost};
use crate::{
    heap_snapshot,
    inspector::{self, Inspector, Sampling, Stop, parse_sampling},
    message::say,
    profile::{
        heap::{HeapComparison, HeapSummary},
        heap_sample::HeapSample,
    },
    session::replace,
    target, units,
};

/// The first version of node whose sampling can keep what is collected.
const KEEPS_COLLECTED: u32 = 20;

/// Whose heap.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// Process id.
    pub pid: u32,
    /// Port of an inspector that is open already.
    pub port: Option<u16>,
}

/// What was found out.
#[derive(Debug)]
pub struct Found<T> {
    /// What.
    pub value: T,
    /// Why the inspector that was opened for it is still open, if it is.
    pub still_open: Option<inspector::Error>,
}

impl Live {
    /// Takes a snapshot into a file, which is whole or not there; its bytes.
    ///
    /// # Errors
    /// Whatever keeps it from being taken or written.
    pub fn snapshot(self, output: PathBuf, consent: Consent) -> anyhow::Result<Found<u64>> {
        stoppable(move |stop| {
            let failed = || format!("there is no snapshot in {}", output.display());
            replace(&output, |file| {
                self.inspect(&stop, |inspector| {
                    agree(inspector, consent, 1)?;
                    Ok(take(inspector, file)?)
                })
            })
            .with_context(failed)
        })
    }

    /// Takes a snapshot and reads it, with at most `top` of its objects.
    ///
    /// # Errors
    /// Whatever keeps it from being taken or read.
    pub fn histogram(self, top: usize, consent: Consent) -> anyhow::Result<Found<HeapSummary>> {
        stoppable(move |stop| {
            let mut file = temporary()?;
            let taken = self.inspect(&stop, |inspector| {
                agree(inspector, consent, 1)?;
                take_aside(inspector, &mut file)
            })?;
            let value = heap_snapshot::summary(from_start(file)?, top).context(UNREADABLE)?;
            Ok(taken.with(value))
        })
    }

    /// Takes two snapshots, one so much later than the other, and compares them. Both are taken over one connection: V8 numbers
    /// objects anew once nobody is connected.
    ///
    /// # Errors
    /// Whatever keeps them from being taken or read.
    pub fn diff(self, interval: Duration, consent: Consent) -> anyhow::Result<Found<HeapComparison>> {
        stoppable(move |stop| {
            let (mut before, mut after) = (temporary()?, temporary()?);
            let taken = self.inspect(&stop, |inspector| {
                agree(inspector, consent, 2)?;
                take_aside(inspector, &mut before)?;
                say(&format!(
                    "memtrace: the second snapshot is taken in {} (Ctrl-C: at once)",
                    units::duration(interval)
                ));
                inspector.wait(interval)?;
                inspector.ignore_stop();
                take_aside(inspector, &mut after)
            })?;
            let value = heap_snapshot::comparison(from_start(before)?, from_start(after)?)
                .map_err(|(error, _)| anyhow::Error::new(error).context(UNREADABLE))?;
            Ok(taken.with(value))
        })
    }

    /// Samples allocations for a while, or until the user or the program ends that; the profile goes into a file too.
    ///
    /// # Errors
    /// Whatever keeps it from being sampled or written.
    pub fn sample(
        self,
        sampling: Sampling,
        duration: Duration,
        output: Option<PathBuf>,
    ) -> anyhow::Result<Found<HeapSample>> {
        stoppable(move |stop| match output {
            None => self.sample_into(sampling, duration, &mut io::sink(), &stop),
            Some(path) => replace(&path, |file| self.sample_into(sampling, duration, file, &stop))
                .with_context(|| format!("there is no profile in {}", path.display())),
        })
    }

    fn sample_into(
        self,
        sampling: Sampling,
        duration: Duration,
        file: &mut dyn Write,
        stop: &Stop,
    ) -> anyhow::Result<Found<HeapSample>> {
        let taken = self.inspect(stop, |inspector| {
            if sampling.allocated && inspector.version() < KEEPS_COLLECTED {
                bail!(
                    "--allocated takes node {KEEPS_COLLECTED} or newer, process {} is node {}: its sampling knows only what lives",
                    self.pid,
                    inspector.version()
                );
            }
            inspector.start_sampling(sampling)?;
            let begun = Instant::now();
            say(&format!(
                "memtrace: sampling process {} for {} (Ctrl-C ends it earlier)",
                self.pid,
                units::duration(duration)
            ));
            inspector.wait(duration)?;
            if inspector.is_ending() {
                say(&format!("memtrace: process {} has come to its end: this is its heap then", self.pid));
            }
            inspector.ignore_stop();
            let lasted = begun.elapsed();
            Ok((inspector.stop_sampling()?, lasted))
        })?;
        let Found {
            value: (text, lasted),
            still_open,
        } = taken;
        file.write_all(text.as_bytes())?;
        let value = HeapSample {
            pid: self.pid,
            duration_ns: lasted.as_nanos().try_into().unwrap_or(u64::MAX),
            interval: sampling.interval,
            allocated: sampling.allocated,
            ..parse_sampling(&text)?
        };
        Ok(Found { value, still_open })
    }

    /// Opens the inspector, works with it, and closes it, whatever becomes of the work.
    fn inspect<T>(
        self,
        stop: &Stop,
        work: impl FnOnce(&mut Inspector) -> anyhow::Result<T>,
    ) -> anyhow::Result<Found<T>> {
        target::check(self.pid)?;
        let mut inspector = Inspector::open(self.pid, self.port, stop)?;
        if inspector.is_ours() {
            log::info!(
                "the inspector of process {} is open at {}",
                self.pid,
                inspector.address()
            );
        } else {
            log::info!(
                "the inspector of process {} was open at {}",
                self.pid,
                inspector.address()
            );
        }
        let done = work(&mut inspector);
        if done.is_err() && inspector.is_snapshotting() {
            say(&format!(
                "memtrace: process {} still makes its snapshot, its inspector is left when that is done (Ctrl-C: at once, and open)",
                self.pid
            ));
        }
        let still_open = inspector.close().err();
        match (done, still_open) {
            (Ok(value), still_open) => Ok(Found { value, still_open }),
            (Err(error), None) => Err(error),
            (Err(error), Some(still_open)) => Err(error.context(still_open)),
        }
    }
}

impl<T> Found<T> {
    fn with<U>(self, value: U) -> Found<U> {
        Found {
            value,
            still_open: self.still_open,
        }
    }
}

/// What is said of a snapshot that was just taken.
const UNREADABLE: &str = "failed to read the snapshot that was taken";

/// How often the user may ask to stop before everything is left as it is: once to end what is done, once to leave the inspector open.
const MOST_ASKED: u32 = 2;

/// Does something in a thread of its own, and hands on what the user wants meanwhile.
fn stoppable<T: Send + 'static>(work: impl FnOnce(Stop) -> anyhow::Result<T> + Send + 'static) -> anyhow::Result<T> {
    let runtime = crate::session::runtime()?;
    let mut signals = crate::session::listen(&runtime)?;
    let stop = Stop::default();
    let handed = stop.clone();
    let done = runtime.block_on(async {
        let mut working = tokio::task::spawn_blocking(move || work(handed));
        loop {
            tokio::select! {
                done = &mut working => return done.context("the thread that speaks with the inspector has ended")?,
                signal = signals.next() => if signals::ends(signal) {
                    stop.ask();
                    if stop.asked() > MOST_ASKED {
                        bail!("given up: an inspector that was opened for this may still be open");
                    }
                },
            }
        }
    });
    runtime.shutdown_background();
    done
}

/// Says what snapshots cost, and asks.
fn agree(inspector: &mut Inspector, consent: Consent, snapshots: u32) -> anyhow::Result<()> {
    let usage = inspector.heap_usage()?;
    let cost = Cost::of(inspector.pid(), usage);
    consent.obtain(&cost.words(inspector.pid(), snapshots), inspector)
}

/// Takes a snapshot; its bytes.
fn take(inspector: &mut Inspector, file: &mut dyn Write) -> Result<u64, inspector::Error> {
    let mut bytes = 0;
    inspector.snapshot(&mut |piece| {
        bytes += piece.len() as u64;
        file.write_all(piece)
    })?;
    Ok(bytes)
}

/// Takes a snapshot into a file without a name.
fn take_aside(inspector: &mut Inspector, file: &mut File) -> anyhow::Result<()> {
    let mut file = BufWriter::new(file);
    let taken = take(inspector, &mut file).map_err(anyhow::Error::new);
    taken.and_then(|_bytes| Ok(file.flush()?)).with_context(|| {
        format!(
            "no snapshot in a temporary file in {} (TMPDIR is another folder)",
            std::env::temp_dir().display()
        )
    })
}

fn temporary() -> anyhow::Result<File> {
    tempfile::tempfile().with_context(|| {
        format!(
            "failed to make a temporary file in {} (TMPDIR is another folder)",
            std::env::temp_dir().display()
        )
    })
}

fn from_start(mut file: File) -> anyhow::Result<BufReader<File>> {
    file.seek(SeekFrom::Start(0))
        .context("failed to read a temporary file")?;
    Ok(BufReader::with_capacity(64 << 10, file))
}
