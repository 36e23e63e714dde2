//! The worker: takes layouts, makes tables in the order in which stacks need them, publishes.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError},
    },
    time::{Duration, Instant},
};

use memtrace_common::limits::{MAX_MAPPINGS, MAX_SPACES};

use super::{Layout, Loaded, Message, files::Files, shared::Shared};
use crate::{
    plan::pymalloc::Followed,
    probe::{ProbeError, Tables},
    process::Module,
    progress::{self, Stage, Total},
};

/// How long finished tables wait for others to be loaded with them. The kernel takes some ten milliseconds for each load,
/// however much it is.
const GATHER: Duration = Duration::from_millis(20);

/// Generations that the cache of rules can tell apart: its keys have 16 bits for them.
const MAX_GENERATION: u32 = 0xffff;

/// The state of the worker's thread.
#[derive(Default)]
pub(super) struct Worker {
    tables: Option<Box<Tables>>,
    files: Files,
    shared: Shared,
    generation: u32,
    /// Modules without a table, those that stacks went through first.
    to_make: VecDeque<(u32, Arc<Module>)>,
    loaded_at: Option<Instant>,
    /// Who waits until nothing is left to be made.
    waiting: Vec<Sender<()>>,
    /// While there is something to make.
    making: Option<Stage>,
}

impl Worker {
    /// Begins, for stacks that begin where these interpreters' objects are followed too.
    pub(super) fn new(python: Vec<Followed>) -> Self {
        Self {
            files: Files::new(python),
            ..Self::default()
        }
    }

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
            if self.to_make.is_empty() && !self.files.has_waiting() && self.tables.is_some() {
                for waits in self.waiting.drain(..) {
                    // Who has lost patience is gone.
                    let _gone = waits.send(());
                }
            }
            // Nothing to make: wait. Something to make: only look.
            let message = if self.to_make.is_empty() {
                if self.files.has_waiting() && self.tables.is_some() {
                    Err(RecvTimeoutError::Timeout)
                } else {
                    messages.recv().map_err(|_closed| RecvTimeoutError::Disconnected)
                }
            } else {
                messages.try_recv().map_err(|error| match error {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                })
            };
            match message {
                Ok(message) => self.take(message)?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => self.make_next()?,
            }
        }
    }

    fn take(&mut self, message: Message) -> Result<(), ProbeError> {
        match message {
            Message::Kernel(tables) => {
                self.tables = Some(tables);
                self.load()?;
                self.publish_all()
            }
            Message::Layout(layout) => self.layout(layout),
            Message::Ahead(layout) => {
                self.plan(&layout);
                Ok(())
            }
            Message::Wanted(module) => {
                if let Some(at) = self.to_make.iter().position(|(waiting, _)| *waiting == module)
                    && let Some(wanted) = self.to_make.remove(at)
                {
                    self.to_make.push_front(wanted);
                }
                Ok(())
            }
            Message::Wait(sender) => {
                self.waiting.push(sender);
                Ok(())
            }
            Message::Forked { parent, child } => {
                self.shared.forked(parent, child);
                Ok(())
            }
            Message::Ended(incarnation) => {
                for gone in self.shared.ended(incarnation) {
                    if let Some(tables) = &mut self.tables {
                        tables.forget(gone);
                    }
                }
                Ok(())
            }
        }
    }

    /// Publishes a new layout at once, with the tables that are there: what is gone must not be used any more.
    fn layout(&mut self, layout: Layout) -> Result<(), ProbeError> {
        // One of the places is taken by the one before all others.
        if layout.code.len() >= MAX_MAPPINGS {
            self.files.note(format!(
                "a target has {} executable mappings; frames in those beyond the first {} are found by frame pointer",
                layout.code.len(),
                MAX_MAPPINGS - 1
            ));
        }
        self.plan(&layout);
        let incarnation = layout.incarnation;
        if let (Some(gone), Some(tables)) = (self.shared.laid_out(layout), &mut self.tables) {
            tables.forget(gone);
        }
        self.publish(incarnation)?;
        if let Some(tables) = &mut self.tables {
            self.files.make_room(|| self.shared.mapped(), tables)?;
        }
        Ok(())
    }

    /// Puts what has no table yet on the list.
    fn plan(&mut self, layout: &Layout) {
        for code in &layout.code {
            let waits = self.to_make.iter().any(|(waiting, _)| *waiting == code.index);
            if !waits && self.files.is_new(code.index) {
                self.to_make.push_back((code.index, Arc::clone(&code.module)));
            }
        }
    }

    /// Makes a table; loads what was made when there is nothing else to make, or when it has waited.
    fn make_next(&mut self) -> Result<(), ProbeError> {
        if let Some((index, module)) = self.to_make.pop_front() {
            self.making
                .get_or_insert_with(|| progress::stage("making unwind tables", Total::Unknown));
            self.files.make(index, &module);
        }
        if self.to_make.is_empty() {
            self.making = None;
        }
        let waited = self.loaded_at.is_some_and(|loaded_at| loaded_at.elapsed() >= GATHER);
        if self.to_make.is_empty() || waited {
            self.load()?;
        }
        Ok(())
    }

    /// Loads what was made, and tells those of it who miss it.
    fn load(&mut self) -> Result<(), ProbeError> {
        let Some(tables) = &mut self.tables else { return Ok(()) };
        self.files.load(tables)?;
        self.files.tell(tables);
        self.loaded_at = Some(Instant::now());
        for incarnation in self.shared.incomplete() {
            self.publish(incarnation)?;
        }
        Ok(())
    }

    fn publish_all(&mut self) -> Result<(), ProbeError> {
        for incarnation in self.shared.owners() {
            self.publish(incarnation)?;
        }
        Ok(())
    }

    fn publish(&mut self, incarnation: u32) -> Result<(), ProbeError> {
        let Some(tables) = &mut self.tables else { return Ok(()) };
        let Some(mut space) = self.shared.space(incarnation, &self.files) else {
            return Ok(());
        };
        if self.shared.needs_generation(&space) {
            loop {
                self.generation += 1;
                if self.generation > MAX_GENERATION {
                    self.generation = 1;
                    tables.forget_rules()?;
                }
                // Those that are still there keep theirs.
                if !self.shared.has_generation(self.generation) {
                    break;
                }
            }
            space.generation = self.generation;
        }
        if tables.publish(&space)? {
            self.shared.published(&space);
        } else {
            self.files.note(format!(
                "more than {MAX_SPACES} processes with code of their own at once: the stacks of the others go by frame pointer"
            ));
        }
        Ok(())
    }
}
