//! Reads resident memory now and then, in another thread, and keeps what came of it.
//!
//! The kernel walks page tables for it, and the target's mapping calls wait meanwhile: so it takes a small part of the time, however
//! large the targets are.

mod read;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use rustc_hash::FxHashMap;
use tokio::{
    task::{JoinError, JoinHandle},
    time::timeout,
};

use self::read::{Round, Subject};
use super::{budget::Budget, collector::Collector, tracer::Tracer};
use crate::{
    clock::now_ns,
    options::Options,
    profile::{
        Resident,
        resident::{Effort, Reading},
    },
    resident::{Known, Series},
    v8::engine::Version,
};

/// Least time from one reading to the next.
const PAUSE: Duration = Duration::from_secs(1);

/// How many times as long as it took it is not read again: 1 % of the time.
const REST: u32 = 99;

/// How long an observation waits for the first reading before it says that it has begun.
const PATIENCE: Duration = Duration::from_millis(100);

/// Processes of which memory is split, the largest; of all others only the total is read.
const LARGEST: usize = 16;

/// Programs that have ended whose readings are kept: 36 KiB each at most.
const MOST_ENDED: usize = 512;

/// Sentences on what could not be read.
const MOST_NOTES: usize = 4;

/// See the module's description.
pub(super) struct Residency {
    is_on: bool,
    /// When the observation began, in nanoseconds of kernel time.
    started_ns: u64,
    due: Instant,
    job: Option<JoinHandle<Round>>,
    known: FxHashMap<u32, Known>,
    series: FxHashMap<u32, Series>,
    sum: Series,
    /// Those with most resident memory, once there are too many.
    largest: Vec<u32>,
    effort: Effort,
    notes: BTreeSet<String>,
    /// The first and the last reading of each since they were asked for, 0 for all together.
    fresh: FxHashMap<u32, (Reading, Option<Reading>)>,
}

/// What a report is made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Residents {
    /// Of all processes together.
    pub(super) sum: Option<Resident>,
    /// Of each, by incarnation.
    pub(super) each: FxHashMap<u32, Resident>,
    /// What a reader must know.
    pub(super) notes: Vec<String>,
}

impl Residency {
    pub(super) fn new(started_ns: u64, options: &Options) -> Self {
        Self {
            is_on: options.resident,
            started_ns,
            due: Instant::now(),
            job: None,
            known: FxHashMap::default(),
            series: FxHashMap::default(),
            sum: Series::default(),
            largest: Vec::new(),
            effort: Effort::default(),
            notes: BTreeSet::new(),
            fresh: FxHashMap::default(),
        }
    }

    /// Takes what was read, and has the next reading done when it is due. To be called when the ledger is as new as it gets.
    pub(super) async fn tick(&mut self, collector: &Collector, tracer: &Tracer) {
        if self.job.as_ref().is_some_and(JoinHandle::is_finished) {
            self.wait().await;
        }
        if self.is_on && self.job.is_none() && Instant::now() >= self.due {
            let round = self.prepare(collector, tracer);
            self.job = Some(tokio::task::spawn_blocking(move || round.read()));
        }
    }

    /// The first reading, which tells what was there before: waited for, unless the targets are so large that it takes long.
    pub(super) async fn begin(&mut self, collector: &Collector, tracer: &Tracer) {
        self.tick(collector, tracer).await;
        if let Some(job) = &mut self.job
            && let Ok(read) = timeout(PATIENCE, job).await
        {
            self.job = None;
            self.done(read);
        }
    }

    /// The last reading.
    pub(super) async fn finish(&mut self, collector: &Collector, tracer: &Tracer) {
        self.wait().await;
        if !self.is_on {
            return;
        }
        let round = self.prepare(collector, tracer);
        self.job = Some(tokio::task::spawn_blocking(move || round.read()));
        self.wait().await;
    }

    /// Reads at once: a program that is held.
    pub(super) fn read_now(&mut self, collector: &Collector, tracer: &Tracer) {
        if self.is_on {
            let round = self.prepare(collector, tracer).read();
            self.take(round);
        }
    }

    async fn wait(&mut self) {
        if let Some(job) = self.job.take() {
            let read = job.await;
            self.done(read);
        }
    }

    fn done(&mut self, read: Result<Round, JoinError>) {
        match read {
            Ok(round) => self.take(round),
            Err(error) => self.note(format!("resident memory could not be read: {error}")),
        }
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < MOST_NOTES {
            self.notes.insert(note);
        }
    }

    /// Everything that a round needs.
    fn prepare(&mut self, collector: &Collector, tracer: &Tracer) -> Round {
        let all = collector.processes.incarnations();
        self.known.retain(|incarnation, _| all.contains(incarnation));
        let largest = &self.largest;
        let is_split = |incarnation: &u32| all.len() <= LARGEST || largest.contains(incarnation);
        let (split, others): (Vec<u32>, Vec<u32>) = all.iter().partition(|incarnation| is_split(incarnation));
        let pid = |incarnation: u32| collector.processes.description(incarnation).map(|who| who.pid);
        let sees_blocks = tracer.budget.as_ref().is_none_or(Budget::sees_blocks);
        let mut subjects = Vec::with_capacity(split.len());
        for incarnation in split {
            let (Some(pid), Some(memory)) = (pid(incarnation), collector.ledger.memory(incarnation)) else {
                continue;
            };
            subjects.push(Subject {
                pid,
                incarnation,
                memory,
                blocks_seen: sees_blocks && tracer.state().hooks_any(incarnation),
                engine: self.engine_of(incarnation, collector),
                known: self.known_of(incarnation, collector),
            });
        }
        let others = others.into_iter().filter_map(|other| Some((other, pid(other)?)));
        Round {
            at: Duration::from_nanos(now_ns().saturating_sub(self.started_ns)),
            others: others.collect(),
            subjects,
            readings: Vec::new(),
            failed: Vec::new(),
            largest: Vec::new(),
            others_read: Reading::default(),
            took: Duration::ZERO,
        }
    }

    /// Which V8 a program has, if its pages may be looked for.
    fn engine_of(&mut self, incarnation: u32, collector: &Collector) -> Option<Version> {
        match collector.javascript.engine(incarnation)? {
            Ok(version) => Some(version),
            Err(why) => {
                self.note(format!("resident memory has no parts of V8: {why}"));
                None
            }
        }
    }

    /// What is remembered of a program, or of the one that its process was forked from.
    fn known_of(&mut self, incarnation: u32, collector: &Collector) -> Known {
        if let Some(known) = self.known.remove(&incarnation) {
            return known;
        }
        let Some(who) = collector.processes.description(incarnation) else {
            return Known::running();
        };
        if who.began_ns.is_none() {
            return Known::running();
        }
        let parent = who.parent.filter(|_| who.first == incarnation);
        let parent = parent.and_then(|parent| collector.processes.incarnation(parent));
        parent
            .and_then(|parent| self.known.get(&parent))
            .cloned()
            .unwrap_or_default()
    }

    /// Keeps what a round came to.
    fn take(&mut self, round: Round) {
        self.due = Instant::now() + PAUSE.max(round.took * REST);
        if self.effort.times == 0 && round.subjects.is_empty() {
            // It was not known yet which are the largest.
            self.due = Instant::now();
        }
        self.effort.times += 1;
        self.effort.all += round.took;
        self.effort.longest = self.effort.longest.max(round.took);
        for failed in round.failed {
            self.note(failed);
        }
        let mut sum = round.others_read;
        for (incarnation, reading) in round.readings {
            sum.add(&reading);
            self.series.entry(incarnation).or_default().add(reading);
            self.note_fresh(incarnation, &reading);
        }
        sum.at = round.at;
        if sum.processes > 0 {
            self.sum.add(sum);
            self.note_fresh(0, &sum);
        }
        for subject in round.subjects {
            self.known.insert(subject.incarnation, subject.known);
        }
        self.largest = round.largest;
        self.largest.truncate(LARGEST);
        if self.series.len() > MOST_ENDED {
            self.series
                .retain(|incarnation, _| self.known.contains_key(incarnation));
        }
    }

    fn note_fresh(&mut self, incarnation: u32, reading: &Reading) {
        let entry = self.fresh.entry(incarnation);
        entry
            .and_modify(|(_, last)| *last = Some(*reading))
            .or_insert((*reading, None));
    }

    /// The first and the last readings since this was asked for last, by incarnation; 0 is all together.
    pub(super) fn fresh(&mut self) -> Vec<(u32, Reading)> {
        let of_each = self.fresh.drain().flat_map(|(incarnation, (first, last))| {
            let readings = std::iter::once(first).chain(last);
            readings.map(move |reading| (incarnation, reading))
        });
        let mut fresh: Vec<_> = of_each.collect();
        fresh.sort_by_key(|&(incarnation, reading)| (incarnation, reading.at));
        fresh
    }

    /// What is known now.
    pub(super) fn residents(&self) -> Residents {
        let sum = self.sum.resident().map(|resident| Resident {
            effort: self.effort,
            ..resident
        });
        let each = self.series.iter();
        Residents {
            sum,
            each: each
                .filter_map(|(&incarnation, series)| Some((incarnation, series.resident()?)))
                .collect(),
            notes: self.notes.iter().cloned().collect(),
        }
    }
}
