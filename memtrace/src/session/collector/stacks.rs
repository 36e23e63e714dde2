//! Stacks as they come: their frames are placed in files, and brought together with those of Python.

use std::time::Instant;

use memtrace_common::{
    event::{StackEnd, StackHead, note},
    identity::Identity,
};

use super::{Collector, Notice, REFRESH_PAUSE};
use crate::{ledger::CallStack, process::Location, python::merge::Whole};

impl Collector {
    /// Places the frames of a new stack in the files they belong to, and keeps it.
    pub(super) fn stack(&mut self, head: &StackHead) {
        let header = head.header;
        if self.processes.space(header.incarnation).is_none() {
            self.adopt(header.pid, header.incarnation);
        }
        let mut identity = Identity::new(header.incarnation);
        self.frames.iter().for_each(|&frame| identity.push(frame));
        for &(id, what) in &self.python_frames {
            identity.push(id);
            identity.push(what);
        }
        let identity = identity.finish(head.end, head.epoch);
        let mut locations = self.place(header.incarnation);
        if locations.len() < self.frames.len() && self.refreshed.elapsed() >= REFRESH_PAUSE {
            // Perhaps a library that was loaded since; perhaps a frame pointer that was none.
            self.refreshed = Instant::now();
            self.processes.outdate(header.incarnation);
            locations = self.place(header.incarnation);
        }
        if head.notes & note::EARLY != 0
            && let Some(last) = locations.last()
        {
            self.notices.push(Notice::Wanted(last.module));
        }
        let whole = Whole {
            native: head.end == StackEnd::Start as u8
                && head.notes & note::SIGNAL == 0
                && locations.len() == self.frames.len(),
            python: head.notes & note::PYTHON_CUT == 0,
        };
        if !self.python_frames.is_empty() {
            let modules = self.processes.modules();
            // Without a table the frames may be others, and too few, although they end as they should.
            let sure = Whole {
                native: whole.native && head.notes & note::EARLY == 0,
                ..whole
            };
            locations = self
                .python
                .merge(header.incarnation, &locations, &self.python_frames, sure, modules);
        }
        let stack = CallStack {
            whole: whole.native && whole.python,
            locations: locations.into(),
        };
        let (pid, incarnation) = (head.header.pid, head.header.incarnation);
        if let Some(recording) = &mut self.recording {
            recording.frames.stack(pid, incarnation, identity, &stack);
        }
        if !self.ledger.knows(incarnation) {
            // Where the process comes from is told by an event that waits.
            self.apply();
        }
        self.ledger.add_stack(pid, incarnation, head.id, identity.check, stack);
    }

    /// The locations of the current frames, up to the first address that is not in any mapping: beyond it the chain
    /// of frames cannot be right.
    fn place(&mut self, incarnation: u32) -> Vec<Location> {
        let mut locations = Vec::with_capacity(self.frames.len());
        for (depth, &frame) in self.frames.iter().enumerate() {
            // A return address is the instruction after the call, which may be another line or even function.
            let address = if depth == 0 { frame } else { frame.wrapping_sub(1) };
            match self.processes.locate(incarnation, address) {
                Some(location) => locations.push(location),
                None => break,
            }
        }
        locations
    }
}
