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
        for frame in &self.frames {
            identity.push(frame.address);
            if let Some((id, position)) = frame.function {
                identity.push(id);
                identity.push(position);
            }
        }
        for &(id, what) in &self.python_frames {
            identity.push(id);
            identity.push(what);
        }
        let identity = identity.finish(head.end, head.epoch);
        let (mut locations, mut all) = self.place(header.incarnation);
        if !all && self.refreshed.elapsed() >= REFRESH_PAUSE {
            // Perhaps a library that was loaded since; perhaps a frame pointer that was none.
            self.refreshed = Instant::now();
            self.processes.outdate(header.incarnation);
            (locations, all) = self.place(header.incarnation);
        }
        if head.notes & note::EARLY != 0
            && let Some(last) = locations.last()
        {
            self.notices.push(Notice::Wanted(last.module));
        }
        let whole = Whole {
            native: head.end == StackEnd::Start as u8 && head.notes & note::SIGNAL == 0 && all,
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

    /// The locations of the current frames, and whether they are of all: up to the first address that is not in any mapping, beyond which the
    /// chain of frames cannot be right. Where a frame of JavaScript comes later it is, and code that was made just now is left out.
    fn place(&mut self, incarnation: u32) -> (Vec<Location>, bool) {
        let sure = self.frames.iter().rposition(|frame| frame.function.is_some());
        let mut locations = Vec::with_capacity(self.frames.len());
        for (depth, frame) in self.frames.iter().enumerate() {
            // A return address is the instruction after the call, which may be another line or even function.
            let address = if depth == 0 {
                frame.address
            } else {
                frame.address.wrapping_sub(1)
            };
            let location = self.processes.locate(incarnation, address);
            let modules = self.processes.modules();
            if let Some(function) = frame.function {
                // Code that V8 makes as it goes is in no file.
                let in_file = location.and_then(|at| modules.get(at.module));
                let in_file = in_file.is_some_and(|module| module.name.starts_with('/'));
                if (self.javascript).locate(incarnation, function, in_file, modules, &mut locations) {
                    continue;
                }
            }
            match location {
                Some(location) => locations.push(location),
                None if sure.is_some_and(|sure| depth < sure) => {}
                None => return (locations, false),
            }
        }
        (locations, true)
    }
}
