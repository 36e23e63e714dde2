//! How one program names its stacks, and which sites they lead to.

use hashbrown::{HashTable, hash_table::Entry};
use memtrace_common::Op;
use rustc_hash::FxHashMap;

/// What an identity stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// The identity's second, independent value: two stacks that share an identity cannot be told apart later, but that they
    /// exist shows in it.
    pub(super) check: u64,
    /// Number of the stack.
    pub(super) stack: u32,
}

/// The site of an operation and an identity.
#[derive(Clone, Copy, Debug)]
struct Cached {
    id: u64,
    site: u32,
    op: Op,
}

/// The identities of the stacks of one program, which dies with it: the incarnation is mixed into them, so no other
/// program has the same.
#[derive(Debug, Default)]
pub(super) struct Identities {
    by_id: FxHashMap<u64, Known>,
    sites: HashTable<Cached>,
}

/// Identities are mixed well already, so their low bits choose the bucket; the operation goes into the upper half, which the
/// multiplication brings to the top, where hashbrown takes its tag from.
const fn hash(op: Op, id: u64) -> u64 {
    (id ^ (op as u64) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Identities {
    /// The site of an event, if it was asked for before.
    #[inline]
    pub(super) fn site(&self, op: Op, id: u64) -> Option<u32> {
        let found = self
            .sites
            .find(hash(op, id), |cached| cached.id == id && cached.op == op);
        found.map(|cached| cached.site)
    }

    /// Remembers the site of an event.
    pub(super) fn remember(&mut self, op: Op, id: u64, site: u32) {
        let entry = self.sites.entry(
            hash(op, id),
            |cached| cached.id == id && cached.op == op,
            |cached| hash(cached.op, cached.id),
        );
        if let Entry::Vacant(entry) = entry {
            entry.insert(Cached { id, site, op });
        }
    }

    /// The sites are others from now on.
    pub(super) fn forget_sites(&mut self) {
        self.sites.clear();
    }

    pub(super) fn get(&self, id: u64) -> Option<Known> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn insert(&mut self, id: u64, known: Known) {
        self.by_id.insert(id, known);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }
}

const _: () = assert!(size_of::<Cached>() == 16);
