//! The places in Python or JavaScript code that stacks go through, each once, whichever process it was in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use crate::{
    process::{Location, Modules},
    profile::{Frame, FrameKind},
};

/// Most places that are kept. A program of a hundred thousand functions has allocated at some million lines.
const MOST: usize = 1 << 22;

/// Name of the module that the places of a language are in.
const fn module_of(kind: FrameKind) -> &'static str {
    match kind {
        FrameKind::JavaScript => "[javascript]",
        _ => "[python]",
    }
}

/// A place: function, file, line.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(in crate::session) struct Place {
    /// Qualified name, where the version has one.
    pub(in crate::session) function: Arc<str>,
    /// Path of the source, as the interpreter has it.
    pub(in crate::session) file: Arc<str>,
    /// The line, where it is known.
    pub(in crate::session) line: Option<u32>,
    /// Whether the function was compiled into the next one.
    pub(in crate::session) inlined: bool,
}

impl Place {
    /// That of a frame whose function the BPF side has not told of.
    pub(in crate::session) fn unknown() -> Self {
        Self {
            function: "<unknown>".into(),
            file: "".into(),
            line: None,
            inlined: false,
        }
    }
}

/// Places by number; they are only added. Clones share them.
#[derive(Clone, Debug)]
pub(in crate::session) struct Names {
    /// The language.
    pub(in crate::session) kind: FrameKind,
    store: Arc<Mutex<Store>>,
}

#[derive(Debug, Default)]
struct Store {
    /// The module's number.
    module: Option<u32>,
    all: Vec<Place>,
    numbers: FxHashMap<Place, u32>,
}

impl Names {
    /// Those of a language.
    pub(in crate::session) fn of(kind: FrameKind) -> Self {
        Self {
            kind,
            store: Arc::default(),
        }
    }

    /// The number of a place; those that there is no room for are one, which says so.
    pub(in crate::session) fn number(&self, place: Place) -> u32 {
        let mut store = self.store();
        if let Some(&number) = store.numbers.get(&place) {
            return number;
        }
        let place = match store.all.len() {
            MOST.. => return u32::try_from(MOST - 1).unwrap_or(u32::MAX),
            len if len == MOST - 1 => Place {
                function: "(more places in the code than are kept)".into(),
                file: "".into(),
                line: None,
                inlined: false,
            },
            _ => place,
        };
        let number = u32::try_from(store.all.len()).unwrap_or(u32::MAX);
        store.all.push(place.clone());
        store.numbers.insert(place, number);
        number
    }

    /// The module they are in, which is made if there is none yet.
    pub(in crate::session) fn module_among(&self, modules: &Modules) -> u32 {
        *self
            .store()
            .module
            .get_or_insert_with(|| modules.intern_name(module_of(self.kind)))
    }

    /// The module they are in, once there is one.
    pub(in crate::session) fn module(&self) -> Option<u32> {
        self.store().module
    }

    /// Those from a number on.
    pub(in crate::session) fn since(&self, first: usize) -> Vec<Place> {
        self.store().all.get(first..).unwrap_or_default().to_vec()
    }

    /// The frames of those of the locations that are theirs.
    pub(in crate::session) fn frames(&self, locations: impl Iterator<Item = Location>) -> Vec<(Location, Vec<Frame>)> {
        let store = self.store();
        let Some(module) = store.module else { return Vec::new() };
        let ours = locations.filter(|at| at.module == module);
        let frame = |at: Location| {
            let place = store.all.get(usize::try_from(at.address).ok()?)?;
            Some((at, vec![place.frame(self.kind)]))
        };
        ours.filter_map(frame).collect()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The frame of a place in a language.
    pub(in crate::session) fn frame(&self, kind: FrameKind) -> Frame {
        Frame {
            function: Some(self.function.as_ref().to_owned()),
            module: module_of(kind).to_owned(),
            offset: 0,
            file: (!self.file.is_empty()).then(|| self.file.as_ref().to_owned()),
            line: self.line,
            inlined: self.inlined,
            kind,
        }
    }
}
