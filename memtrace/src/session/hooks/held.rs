//! The probes on functions of one program, or of every process.

use std::sync::Arc;

use super::analyses::Analysed;
use crate::{
    probe::{Links, On},
    process::Module,
};

/// See the module's description.
#[derive(Default)]
pub(super) struct Held {
    /// All but those below.
    pub(super) rest: Links,
    /// Those of functions of which one probe sees whole allocations: others may have to take their place.
    pub(super) one_trap: Links,
    /// The files in which there are such functions.
    pub(super) files: Vec<(Arc<Analysed>, Arc<Module>)>,
}

impl Held {
    /// All links.
    pub(super) fn both(&mut self) -> [&mut Links; 2] {
        [&mut self.rest, &mut self.one_trap]
    }

    /// To how many places programs are attached.
    pub(super) fn len(&self) -> usize {
        self.rest.len() + self.one_trap.len()
    }

    /// Whether nothing is attached.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps others' links too.
    pub(super) fn append(&mut self, others: Self) {
        self.rest.append(others.rest);
        self.one_trap.append(others.one_trap);
        self.files.extend(others.files);
    }

    /// Takes off, aside, what is not to be on.
    pub(super) fn pause(&mut self, on: On) {
        for links in self.both() {
            links.pause(on).close_aside();
        }
    }

    /// All links, to be closed.
    pub(super) fn into_links(self) -> Links {
        let mut links = self.rest;
        links.append(self.one_trap);
        links
    }

    /// See [`Links::close_aside`].
    pub(super) fn close_aside(self) {
        self.into_links().close_aside();
    }

    /// See [`Links::make_way`].
    pub(super) fn make_way(self) {
        self.into_links().make_way();
    }
}
