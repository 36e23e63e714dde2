//! The places in Python code that stacks go through, each once, whichever process it was in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use crate::{
    process::Location,
    profile::{Frame, FrameKind},
};

/// Most places that are kept. A program of a hundred thousand functions has allocated at some million lines.
const MOST: usize = 1 << 22;

/// Name of the module that Python places are in.
pub(in crate::session) const MODULE: &str = "[python]";

/// A place: function, file, line.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(in crate::session) struct Place {
    /// Qualified name, where the version has one.
    pub(in crate::session) function: Arc<str>,
    /// Path of the source, as the interpreter has it.
    pub(in crate::session) file: Arc<str>,
    /// The line, where it is known.
    pub(in crate::session) line: Option<u32>,
}

/// Places by number; they are only added. Clones share them.
#[derive(Clone, Debug, Default)]
pub(in crate::session) struct Names(Arc<Mutex<Store>>);

#[derive(Debug, Default)]
struct Store {
    /// The module's number.
    module: Option<u32>,
    all: Vec<Place>,
    numbers: FxHashMap<Place, u32>,
}

impl Names {
    /// The number of a place; those that there is no room for are one, which says so.
    pub(super) fn number(&self, place: Place) -> u32 {
        let mut store = self.store();
        if let Some(&number) = store.numbers.get(&place) {
            return number;
        }
        let place = match store.all.len() {
            MOST.. => return u32::try_from(MOST - 1).unwrap_or(u32::MAX),
            len if len == MOST - 1 => Place {
                function: "(more places in Python code than are kept)".into(),
                file: "".into(),
                line: None,
            },
            _ => place,
        };
        let number = u32::try_from(store.all.len()).unwrap_or(u32::MAX);
        store.all.push(place.clone());
        store.numbers.insert(place, number);
        number
    }

    /// Says which module they are in.
    pub(super) fn set_module(&self, module: u32) {
        self.store().module = Some(module);
    }

    /// The module they are in, once there is one.
    pub(in crate::session) fn module(&self) -> Option<u32> {
        self.store().module
    }

    /// Those from a number on.
    pub(in crate::session) fn since(&self, first: usize) -> Vec<Place> {
        self.store().all.get(first..).unwrap_or_default().to_vec()
    }

    /// The frames of those of the locations that are Python's.
    pub(in crate::session) fn frames(&self, locations: impl Iterator<Item = Location>) -> Vec<(Location, Vec<Frame>)> {
        let store = self.store();
        let Some(module) = store.module else { return Vec::new() };
        let ours = locations.filter(|at| at.module == module);
        let frame = |at: Location| {
            let place = store.all.get(usize::try_from(at.address).ok()?)?;
            Some((at, vec![place.frame()]))
        };
        ours.filter_map(frame).collect()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The frame of a place.
    pub(in crate::session) fn frame(&self) -> Frame {
        Frame {
            function: Some(self.function.as_ref().to_owned()),
            module: MODULE.to_owned(),
            offset: 0,
            file: (!self.file.is_empty()).then(|| self.file.as_ref().to_owned()),
            line: self.line,
            inlined: false,
            kind: FrameKind::Python,
        }
    }
}
