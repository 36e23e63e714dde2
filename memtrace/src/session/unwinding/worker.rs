//! The worker: takes layouts, makes tables in the order in which stacks need them, publishes.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    time::{Duration, Instant},
};

use memtrace_common::{limits::MAX_MAPPINGS, space::Space};

use super::{Layout, Loaded, Message, epoch::Epochs, files::Files, layout::agree};
use crate::probe::{ProbeError, Tables};

/// How long finished tables wait for others to be loaded with them. The kernel takes some ten milliseconds for each load,
/// however much it is.
const GATHER: Duration = Duration::from_millis(20);

/// Generations that the cache of rules can tell apart: its keys have 16 bits for them.
const MAX_GENERATION: u32 = 0xffff;

/// The process that is traced: the first.
const SLOT: u32 = 0;

/// The state of the worker's thread.
#[derive(Default)]
pub(super) struct Worker {
    tables: Option<Box<Tables>>,
    files: Files,
    layout: Option<Layout>,
    /// What the BPF side has.
    published: Option<Box<Space>>,
    /// How many spaces were published.
    copies: u32,
    generation: u32,
    epochs: Epochs,
    epoch: u64,
    /// Modules that stacks went through before they had a table, the last one first in turn.
    wanted: Vec<u32>,
    loaded_at: Option<Instant>,
}

impl Worker {
    /// Works until nobody can send any more, or the kernel refuses something.
    pub(super) fn run(mut self, messages: &Receiver<Message>) -> Self {
        if let Err(error) = self.work(messages) {
            log::warn!("stacks go by frame pointer where tables are missing from now on: {error}");
        }
        self
    }

    /// What the reader of a report should know.
    pub(super) fn loaded(self) -> Loaded {
        self.files.loaded()
    }

    fn work(&mut self, messages: &Receiver<Message>) -> Result<(), ProbeError> {
        loop {
            // Nothing to make: wait. Something to make: only look.
            let message = match self.next_module() {
                None if !self.files.has_waiting() || self.tables.is_none() => {
                    messages.recv().map_err(|_closed| RecvTimeoutError::Disconnected)
                }
                None => Err(RecvTimeoutError::Timeout),
                Some(_) => messages.try_recv().map_err(|error| match error {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                }),
            };
            match message {
                Ok(Message::Kernel(tables)) => {
                    self.tables = Some(tables);
                    self.load()?;
                }
                Ok(Message::Layout(layout)) => self.take(layout)?,
                Ok(Message::Wanted(module)) => self.wanted.push(module),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => self.make_next()?,
            }
        }
    }

    /// Publishes a new layout at once, with the tables that are there: what is gone must not be used any more.
    fn take(&mut self, layout: Layout) -> Result<(), ProbeError> {
        // One of the places is taken by the one before all others.
        if layout.code.len() >= MAX_MAPPINGS {
            self.files.note(format!(
                "the target has {} executable mappings; frames in those beyond the first {} are found by frame pointer",
                layout.code.len(),
                MAX_MAPPINGS - 1
            ));
        }
        self.epoch = self.epochs.of(&layout);
        self.layout = Some(layout);
        self.publish()?;
        if let (Some(layout), Some(tables)) = (&self.layout, &mut self.tables) {
            self.files.make_room(&layout.code, tables)?;
        }
        Ok(())
    }

    /// The module whose table is to be made next: one that a stack went through, else the first in memory, which is
    /// the executable.
    fn next_module(&self) -> Option<u32> {
        let code = &self.layout.as_ref()?.code;
        let missing = |module: u32| self.files.is_new(module) && code.iter().any(|code| code.index == module);
        self.wanted
            .iter()
            .rev()
            .copied()
            .find(|&module| missing(module))
            .or_else(|| code.iter().map(|code| code.index).find(|&module| missing(module)))
    }

    /// Makes a table; loads what was made when there is nothing else to make, or when it has waited.
    fn make_next(&mut self) -> Result<(), ProbeError> {
        let next = self.next_module();
        if let Some(next) = next
            && let Some(layout) = &self.layout
            && let Some(code) = layout.code.iter().find(|code| code.index == next)
        {
            self.files.make(next, &code.module);
        }
        let waited = self.loaded_at.is_some_and(|loaded_at| loaded_at.elapsed() >= GATHER);
        if self.next_module().is_none() || waited {
            self.wanted.clear();
            self.load()?;
        }
        Ok(())
    }

    /// Loads what was made, and tells of it.
    fn load(&mut self) -> Result<(), ProbeError> {
        let Some(tables) = &mut self.tables else { return Ok(()) };
        self.files.load(tables)?;
        self.loaded_at = Some(Instant::now());
        self.publish()
    }

    fn publish(&mut self) -> Result<(), ProbeError> {
        let (Some(layout), Some(tables)) = (&self.layout, &mut self.tables) else {
            return Ok(());
        };
        let mut space = layout.space(&self.files, self.generation, self.epoch);
        if self.published.as_ref().is_none_or(|old| !agree(old, &space)) {
            self.generation += 1;
            if self.generation > MAX_GENERATION {
                self.generation = 1;
                tables.forget_rules()?;
            }
            space.generation = self.generation;
        }
        self.copies = self.copies.wrapping_add(1);
        tables.publish(SLOT, self.copies, &space)?;
        self.published = Some(space);
        Ok(())
    }
}
