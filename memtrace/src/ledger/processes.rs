//! All programs of all processes, by incarnation.

use std::{
    collections::VecDeque,
    ops::{Index, IndexMut},
};

use rustc_hash::{FxHashMap, FxHashSet};

use super::process::{Process, State};

/// Programs that are known to be over after nothing else is known of them: as many as end in two minutes, at 500 a second.
const GONE: usize = 1 << 16;

/// No place.
const NOWHERE: usize = usize::MAX;

/// Programs by incarnation and by pid. Their places are used again; a place is known by the incarnation that it holds.
#[derive(Debug)]
pub(super) struct Processes {
    places: Vec<Process>,
    vacant: Vec<usize>,
    by_incarnation: FxHashMap<u32, usize>,
    /// Those that are alive: one for each pid.
    by_pid: FxHashMap<u32, usize>,
    /// The one that the last event was about, which is alive, or [`NOWHERE`].
    pub(super) current: usize,
    gone: Gone,
}

impl Default for Processes {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            vacant: Vec::new(),
            by_incarnation: FxHashMap::default(),
            by_pid: FxHashMap::default(),
            current: NOWHERE,
            gone: Gone::default(),
        }
    }
}

/// The incarnations that are over, the newest of them: so that an event that comes too late does not bring one back.
#[derive(Debug, Default)]
struct Gone {
    known: FxHashSet<u32>,
    order: VecDeque<u32>,
}

impl Gone {
    fn insert(&mut self, incarnation: u32) {
        if !self.known.insert(incarnation) {
            return;
        }
        self.order.push_back(incarnation);
        if self.order.len() > GONE
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

impl Index<usize> for Processes {
    type Output = Process;

    fn index(&self, place: usize) -> &Process {
        &self.places[place]
    }
}

impl IndexMut<usize> for Processes {
    fn index_mut(&mut self, place: usize) -> &mut Process {
        &mut self.places[place]
    }
}

impl Processes {
    /// The process of the last event.
    #[inline]
    pub(super) fn current(&self) -> Option<&Process> {
        self.places.get(self.current)
    }

    /// The place of an incarnation that is known, alive or not.
    pub(super) fn find(&self, incarnation: u32) -> Option<usize> {
        self.by_incarnation.get(&incarnation).copied()
    }

    /// The place of the program that a process runs.
    pub(super) fn running(&self, pid: u32) -> Option<usize> {
        self.by_pid.get(&pid).copied()
    }

    /// Whether an incarnation is over and no longer known.
    pub(super) fn is_gone(&self, incarnation: u32) -> bool {
        self.gone.known.contains(&incarnation)
    }

    /// How many are alive.
    pub(super) fn alive(&self) -> usize {
        self.by_pid.len()
    }

    /// Adds one that is alive. What its pid ran before is to be ended.
    pub(super) fn add(&mut self, process: Process) -> usize {
        let (pid, incarnation) = (process.pid, process.incarnation);
        let place = if let Some(place) = self.vacant.pop() {
            self.places[place] = process;
            place
        } else {
            self.places.push(process);
            self.places.len() - 1
        };
        self.by_incarnation.insert(incarnation, place);
        self.by_pid.insert(pid, place);
        place
    }

    /// One is no longer alive.
    pub(super) fn end(&mut self, place: usize) {
        let pid = self.places[place].pid;
        // Its pid may run another program by now.
        if self.by_pid.get(&pid) == Some(&place) {
            self.by_pid.remove(&pid);
        }
        if self.current == place {
            self.current = NOWHERE;
        }
    }

    /// Takes one out that is no longer alive.
    pub(super) fn remove(&mut self, place: usize) -> Process {
        let process = std::mem::take(&mut self.places[place]);
        self.by_incarnation.remove(&process.incarnation);
        self.gone.insert(process.incarnation);
        self.vacant.push(place);
        process
    }

    /// All that are known.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Process> {
        let places = self.places.iter();
        places.filter(|process| process.state != State::Vacant)
    }

    /// The same, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Process> {
        let places = self.places.iter_mut();
        places.filter(|process| process.state != State::Vacant)
    }

    /// Places that there are, in use or not.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }
}
