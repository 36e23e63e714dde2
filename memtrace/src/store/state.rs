//! What is known at a moment of a recording.

use memtrace_common::limits::MAX_MERGED;
use rustc_hash::FxHashMap;

use super::content::{ModuleFacts, SiteDetail, Sums};
use crate::{
    ledger::{CallStack, JsHeaps, JsShortages, ProcessFacts, SiteKey, SiteSums},
    process::Location,
    profile, resident,
};

/// The numbers of a site, in the order of the bits of [`super::content::Changes::masks`].
pub type SiteState = [u64; 10];

/// The sums of a site as numbers.
pub(super) const fn numbers(sums: &SiteSums) -> SiteState {
    let SiteSums {
        live,
        allocated,
        left,
        unknown,
        gone,
    } = sums;
    [
        live.bytes,
        live.count,
        allocated.bytes,
        allocated.count,
        left.bytes,
        left.count,
        unknown.bytes,
        unknown.count,
        gone.bytes,
        gone.count,
    ]
}

/// The same the other way round.
pub(super) const fn sums(numbers: &SiteState) -> SiteSums {
    const fn amount(bytes: u64, count: u64) -> profile::Amount {
        profile::Amount { bytes, count }
    }
    SiteSums {
        live: amount(numbers[0], numbers[1]),
        allocated: amount(numbers[2], numbers[3]),
        left: amount(numbers[4], numbers[5]),
        unknown: amount(numbers[6], numbers[7]),
        gone: amount(numbers[8], numbers[9]),
    }
}

/// Everything that is known at a moment.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Kernel time in nanoseconds.
    pub time_ns: u64,
    /// The modules.
    pub modules: Vec<ModuleFacts>,
    /// Nodes of the tree of stacks, from 1 on: the caller's node, and where the frame lies.
    nodes: Vec<(u32, Location)>,
    /// Leaf of each stack, and whether it is whole.
    stacks: Vec<(u32, bool)>,
    /// What the sites are.
    pub keys: Vec<SiteKey>,
    /// Their numbers.
    pub(super) sums: Vec<SiteState>,
    /// What else is known of them.
    pub details: Vec<Option<Box<SiteDetail>>>,
    /// Kernel time of the details, nanoseconds.
    pub detailed_ns: u64,
    /// Names of the groups.
    pub groups: Vec<String>,
    /// Who the programs are, by incarnation.
    pub who: FxHashMap<u32, profile::Process>,
    /// Their sums.
    pub processes: FxHashMap<u32, ProcessFacts>,
    /// Resident memory over time, by incarnation; 0 is all together.
    pub resident: FxHashMap<u32, resident::Series>,
    /// Heaps of JavaScript.
    pub js_heaps: JsHeaps,
    /// When V8 ran short of memory; stacks are by number.
    pub js_shortages: JsShortages,
    /// The numbers of the whole observation.
    pub totals: Sums,
}

impl State {
    /// The sums of each site.
    pub fn site_sums(&self) -> impl ExactSizeIterator<Item = SiteSums> {
        self.sums.iter().map(sums)
    }

    /// How many stacks there are.
    pub const fn stacks(&self) -> usize {
        self.stacks.len()
    }

    /// A stack by number; empty for one that is not there.
    pub fn stack(&self, number: u32) -> CallStack {
        let Some(&(leaf, whole)) = self.stacks.get(number as usize) else {
            return CallStack::default();
        };
        let mut locations = Vec::new();
        let mut node = leaf;
        while let Some(&(caller, location)) = node.checked_sub(1).and_then(|index| self.nodes.get(index as usize)) {
            if locations.len() == MAX_MERGED {
                break;
            }
            locations.push(location);
            node = caller;
        }
        CallStack {
            locations: locations.into(),
            whole,
        }
    }

    /// Where the newest frame lies.
    pub(super) fn last_address(&self) -> u64 {
        self.nodes.last().map_or(0, |(_, location)| location.address)
    }

    /// Adds a frame below a caller's.
    pub(super) fn add_node(&mut self, back: u32, location: Location) -> Option<()> {
        let number = u32::try_from(self.nodes.len()).ok()?.checked_add(1)?;
        let caller = number.checked_sub(back)?;
        if back == 0 || location.module as usize >= self.modules.len() {
            return None;
        }
        self.nodes.push((caller, location));
        Some(())
    }

    /// Adds a stack.
    pub(super) fn add_stack(&mut self, leaf: u32, whole: bool) -> Option<()> {
        (leaf as usize <= self.nodes.len()).then(|| self.stacks.push((leaf, whole)))
    }

    /// Adds a site.
    pub(super) fn add_site(&mut self, key: SiteKey) -> Option<()> {
        if key.stack.is_some_and(|stack| stack as usize >= self.stacks.len()) {
            return None;
        }
        self.keys.push(key);
        self.sums.push(SiteState::default());
        self.details.push(None);
        Some(())
    }
}
