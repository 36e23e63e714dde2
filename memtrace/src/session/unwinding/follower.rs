//! Notices that a target's code has changed, and has tables made of what is new.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{Layout, Loaded, Unwinding};
use crate::{
    probe::{CodeChanges, ProbeError, Probes},
    process::AddressSpace,
};

/// How long, for each millisecond that reading the mappings took, they are not read again.
const REST: Duration = Duration::from_millis(10);

/// The process that is traced: the first.
const SLOT: u32 = 0;

/// Follows the code of a target. Does nothing when stacks go by frame pointer alone.
pub(in crate::session) struct Follower {
    unwinding: Option<Unwinding>,
    /// The BPF side's word of new code, once the programs are loaded.
    changes: Option<CodeChanges>,
    /// Kernel monotonic time in nanoseconds up to which `unwinding` knows the target's code.
    covered: u64,
    /// The incarnation that `unwinding` knows the code of.
    incarnation: u32,
    /// Until when the mappings are not read again: a program that maps code all the time must not keep the loop from the
    /// ring.
    rest_until: Instant,
}

impl Follower {
    /// Starts to make tables of what is mapped, `by_tables` or not at all.
    pub(in crate::session) fn start(by_tables: bool, space: &AddressSpace, incarnation: u32) -> io::Result<Self> {
        let mut follower = Self {
            unwinding: by_tables.then(Unwinding::start).transpose()?,
            changes: None,
            covered: 0,
            incarnation: 0,
            rest_until: Instant::now(),
        };
        follower.tell(space, incarnation);
        Ok(follower)
    }

    /// Whether tables are made.
    pub(in crate::session) const fn is_on(&self) -> bool {
        self.unwinding.is_some()
    }

    /// Hands over the loaded programs' maps.
    pub(in crate::session) fn connect(&mut self, probes: &mut Probes) -> Result<(), ProbeError> {
        if let Some(unwinding) = &self.unwinding {
            self.changes = Some(probes.code_changes()?);
            unwinding.connect(probes.tables()?);
        }
        Ok(())
    }

    /// Tells how the code lies by now.
    pub(in crate::session) fn tell(&mut self, space: &AddressSpace, incarnation: u32) {
        self.covered = space.read_ns();
        self.incarnation = incarnation;
        if let Some(unwinding) = &self.unwinding {
            unwinding.layout(Layout::of(space, incarnation));
        }
    }

    /// Reads the mappings again when the BPF side has seen that code was mapped since, or that the program is another.
    pub(in crate::session) fn follow(&mut self, space: &mut AddressSpace, incarnation: u32) -> Result<(), ProbeError> {
        let Some(changes) = &self.changes else { return Ok(()) };
        if Instant::now() < self.rest_until || (incarnation == self.incarnation && changes.last(SLOT)? <= self.covered)
        {
            return Ok(());
        }
        let begun = Instant::now();
        match space.refresh() {
            Ok(_) => self.tell(space, incarnation),
            Err(error) => log::debug!("the mappings of the target stay as they were: {error}"),
        }
        let took = u32::try_from(begun.elapsed().as_millis()).unwrap_or(u32::MAX);
        self.rest_until = Instant::now() + REST.saturating_mul(took.max(1));
        Ok(())
    }

    /// Says that a stack went through a module before its table was there.
    pub(in crate::session) fn want(&self, module: u32) {
        if let Some(unwinding) = &self.unwinding {
            unwinding.wanted(module);
        }
    }

    /// Ends the making of tables.
    pub(in crate::session) fn finish(&mut self) -> Loaded {
        self.unwinding.take().map(Unwinding::finish).unwrap_or_default()
    }
}
