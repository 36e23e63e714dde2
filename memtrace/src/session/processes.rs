//! The processes that are or were observed: who they are, and what code they have mapped.

use std::time::Instant;

use memtrace_common::event::Image;
use rustc_hash::FxHashMap;

use super::description::{Description, container_of, executable};
use crate::{
    options::Split,
    process::{AddressSpace, Location, Modules},
};

/// How many times as long as reading the mappings took they are not read again: a program that maps code all the time must not
/// keep the loop from the ring.
const REST: u32 = 10;

/// Ended processes whose descriptions are kept before those that no report needs go.
const MOST_ENDED: usize = 8192;

/// A process that is there.
struct Living {
    space: AddressSpace,
    /// Until when the mappings are not read again.
    rest_until: Instant,
    /// Whether it waits in [`Processes::outdated`].
    outdated: bool,
    /// Whether its mappings were handed out as they are.
    known: bool,
}

/// The mappings of a program as they were read.
pub(super) struct Fresh {
    pub(super) pid: u32,
    pub(super) incarnation: u32,
    pub(super) began_ns: Option<u64>,
    /// Whether the process was gone before they could be read: then it is what the kernel has told of.
    pub(super) gone: bool,
    pub(super) space: AddressSpace,
}

/// All of them, by incarnation.
pub(super) struct Processes {
    modules: Modules,
    living: FxHashMap<u32, Living>,
    descriptions: FxHashMap<u32, Description>,
    incarnations: FxHashMap<u32, u32>,
    /// Those whose mappings are to be read again.
    outdated: Vec<u32>,
    /// What was read since it was asked for last.
    fresh: Vec<Fresh>,
    split: Split,
    groups: Vec<String>,
    by_name: FxHashMap<String, u32>,
    /// How many there were, programs that replaced others not counted.
    seen: u64,
}

impl Processes {
    pub(super) fn new(modules: Modules, split: Split) -> Self {
        Self {
            modules,
            living: FxHashMap::default(),
            descriptions: FxHashMap::default(),
            incarnations: FxHashMap::default(),
            outdated: Vec::new(),
            fresh: Vec::new(),
            split,
            // Processes that no group is known of yet.
            groups: Vec::new(),
            by_name: FxHashMap::default(),
            seen: 0,
        }
    }

    /// The modules of all processes.
    pub(super) const fn modules(&self) -> &Modules {
        &self.modules
    }

    /// How many are there now.
    pub(super) fn living(&self) -> usize {
        self.living.len()
    }

    /// How many there were.
    pub(super) const fn seen(&self) -> u64 {
        self.seen
    }

    /// Numbers of those that are there.
    pub(super) fn living_pids(&self) -> impl Iterator<Item = u32> {
        self.incarnations.keys().copied()
    }

    /// Incarnations of those that are there.
    pub(super) fn incarnations(&self) -> Vec<u32> {
        self.living.keys().copied().collect()
    }

    /// The incarnation of a process that is there.
    pub(super) fn incarnation(&self, pid: u32) -> Option<u32> {
        self.incarnations.get(&pid).copied()
    }

    /// The incarnation of a process that is there, if it is still the one in which this program was seen first.
    pub(super) fn incarnation_since(&self, pid: u32, first: u32) -> Option<u32> {
        let incarnation = self.incarnation(pid)?;
        (self.descriptions.get(&incarnation)?.first == first).then_some(incarnation)
    }

    /// Who a process is or was.
    pub(super) fn description(&self, incarnation: u32) -> Option<&Description> {
        self.descriptions.get(&incarnation)
    }

    /// The mappings of a process that is there.
    pub(super) fn space(&self, incarnation: u32) -> Option<&AddressSpace> {
        self.living.get(&incarnation).map(|living| &living.space)
    }

    /// Names of the groups so far.
    pub(super) fn groups(&self) -> &[String] {
        &self.groups
    }

    /// A process that was there when observation began, or enters it later. Its group is given back.
    pub(super) fn add(&mut self, incarnation: u32, description: Description, space: AddressSpace) -> u32 {
        self.seen += u64::from(!self.incarnations.contains_key(&description.pid));
        self.incarnations.insert(description.pid, incarnation);
        let group = self.group(&description);
        self.descriptions.insert(incarnation, description);
        let living = Living {
            space,
            rest_until: Instant::now(),
            outdated: false,
            // A program that begins is still to be read.
            known: false,
        };
        self.living.insert(incarnation, living);
        group
    }

    /// A program begins in a process, or was seen for the first time. Its group is given back.
    pub(super) fn begin(&mut self, pid: u32, incarnation: u32, command: String, began_ns: Option<u64>) -> u32 {
        let before = self.incarnations.get(&pid).copied();
        let old = before.and_then(|before| self.descriptions.get(&before));
        let (first, parent) = old.map_or((incarnation, None), |old| (old.first, old.parent));
        if let Some(before) = before {
            self.remove(before);
            if let Some(description) = self.descriptions.get_mut(&before) {
                description.replaced = true;
            }
        }
        let description = Description {
            pid,
            first,
            command,
            executable: executable(pid),
            container: container_of(pid),
            parent,
            began_ns,
            replaced: false,
        };
        let space = AddressSpace::unread(pid, &self.modules);
        // The same process with another program is not another process.
        self.seen -= u64::from(before.is_some());
        let group = self.add(incarnation, description, space);
        self.outdate(incarnation);
        group
    }

    /// A process was forked. Its group is given back.
    pub(super) fn fork(&mut self, parent: u32, child: u32, pid: u32, began_ns: u64) -> u32 {
        let of_parent = self.descriptions.get(&parent).cloned();
        let description = Description {
            pid,
            first: child,
            parent: of_parent.as_ref().map(|parent| parent.pid),
            began_ns: Some(began_ns),
            ..of_parent.unwrap_or_default()
        };
        let space = self.space(parent).map(|parent| parent.forked(pid));
        let space = space.unwrap_or_else(|| AddressSpace::unread(pid, &self.modules));
        let group = self.add(child, description, space);
        if let Some(living) = self.living.get_mut(&child) {
            // They are its parent's.
            living.known = true;
        }
        group
    }

    /// A process or its program is gone; `false` when that was known.
    pub(super) fn end(&mut self, incarnation: u32) -> bool {
        let Some(living) = self.remove(incarnation) else {
            return false;
        };
        if let Some(description) = self.descriptions.get(&incarnation)
            && !living.known
            && !living.space.code().is_empty()
        {
            self.fresh.push(Fresh {
                pid: description.pid,
                incarnation,
                began_ns: description.began_ns,
                gone: true,
                space: living.space,
            });
        }
        true
    }

    fn remove(&mut self, incarnation: u32) -> Option<Living> {
        let living = self.living.remove(&incarnation)?;
        if let Some(description) = self.descriptions.get(&incarnation)
            && self.incarnations.get(&description.pid) == Some(&incarnation)
        {
            self.incarnations.remove(&description.pid);
        }
        Some(living)
    }

    /// Whether there are descriptions that may be given up.
    pub(super) fn has_many_ended(&self) -> bool {
        self.descriptions.len() - self.living.len() > MOST_ENDED
    }

    /// Gives up descriptions of ended processes that are not wanted.
    pub(super) fn forget(&mut self, wanted: impl Fn(u32) -> bool) {
        let living = &self.living;
        self.descriptions
            .retain(|incarnation, _| living.contains_key(incarnation) || wanted(*incarnation));
    }

    /// Code of a process was mapped since its mappings were read.
    pub(super) fn outdate(&mut self, incarnation: u32) {
        if let Some(living) = self.living.get_mut(&incarnation) {
            living.space.outdated();
            if !std::mem::replace(&mut living.outdated, true) {
                self.outdated.push(incarnation);
            }
        }
    }

    /// The kernel has told of code that a process has mapped. Of a file that is seen for the first time the mappings are read at
    /// once: the process may be gone soon.
    pub(super) fn note(&mut self, image: &Image) {
        let incarnation = image.header.incarnation;
        let Some(living) = self.living.get_mut(&incarnation) else {
            return;
        };
        if living.space.note(image) {
            living.known = false;
        } else {
            self.read(incarnation);
        }
    }

    /// Reads the mappings of those whose code has changed, unless they were read just now; gives back what was read
    /// since the last time.
    pub(super) fn refresh(&mut self) -> Vec<Fresh> {
        let now = Instant::now();
        let (due, later): (Vec<u32>, Vec<u32>) =
            std::mem::take(&mut self.outdated).into_iter().partition(|incarnation| {
                self.living
                    .get(incarnation)
                    .is_none_or(|living| living.rest_until <= now)
            });
        self.outdated = later;
        for incarnation in due {
            self.read(incarnation);
        }
        std::mem::take(&mut self.fresh)
    }

    /// Reads the mappings of one. Those of a process that is gone stay as they are.
    fn read(&mut self, incarnation: u32) {
        let Some(living) = self.living.get_mut(&incarnation) else {
            return;
        };
        living.outdated = false;
        let begun = Instant::now();
        let result = living.space.refresh();
        living.rest_until = Instant::now() + REST * begun.elapsed();
        if let Err(error) = &result {
            log::debug!("the mappings of a process stay as they were: {error}");
            return;
        }
        living.known = true;
        if let Some(who) = self.descriptions.get(&incarnation) {
            self.fresh.push(Fresh {
                pid: who.pid,
                incarnation,
                began_ns: who.began_ns,
                gone: false,
                space: living.space.clone(),
            });
        }
    }

    /// From now on reads a process's mappings through another thread.
    pub(super) fn look_through(&mut self, incarnation: u32, thread: u32) {
        if let Some(living) = self.living.get_mut(&incarnation) {
            living.space.look_through(thread);
        }
        self.outdate(incarnation);
    }

    /// Where an address (avma) of a process belongs.
    pub(super) fn locate(&mut self, incarnation: u32, address: u64) -> Option<Location> {
        self.living.get_mut(&incarnation)?.space.locate(address)
    }

    /// The number of the group that a process belongs to.
    fn group(&mut self, description: &Description) -> u32 {
        let name = match self.split {
            Split::None => return 0,
            Split::Command => description.command.clone(),
            Split::Process => format!("{} ({})", description.command, description.pid),
            Split::Container => description
                .container
                .clone()
                .unwrap_or_else(|| "outside of containers".to_owned()),
        };
        if let Some(&known) = self.by_name.get(&name) {
            return known;
        }
        let number = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        self.groups.push(name.clone());
        self.by_name.insert(name, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_had_is_handed_out_when_it_ends_and_not_when_it_goes_on_as_another_program() {
        let modules = Modules::default();
        let mut processes = Processes::new(modules.clone(), Split::None);
        let pid = std::process::id();
        let space = AddressSpace::read_into(pid, &modules).unwrap();
        let description = Description {
            pid,
            first: 1,
            ..Description::default()
        };
        processes.add(1, description, space);
        processes.begin(pid, 2, "next".to_owned(), None);
        let fresh = processes.refresh();
        assert_eq!(fresh.len(), 1);
        assert!(fresh.iter().all(|fresh| fresh.incarnation == 2 && !fresh.gone));
        assert!(
            processes.end(2) && processes.refresh().is_empty(),
            "it was handed out already"
        );
        processes.add(
            3,
            Description {
                pid,
                ..Description::default()
            },
            AddressSpace::read_into(pid, &modules).unwrap(),
        );
        assert!(processes.end(3) && !processes.end(3));
        let fresh = processes.refresh();
        assert!(fresh.len() == 1 && fresh.iter().all(|fresh| fresh.incarnation == 3 && fresh.gone));
    }
}
