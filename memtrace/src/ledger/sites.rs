//! Sums by site.
//!
//! The sums of a site, which every event changes, lie apart from what only a report needs.

use hashbrown::{HashTable, hash_table::Entry};
use memtrace_common::{Op, event::Pairs, op::Class, young};

use super::{history::History, own::Own, spread::Spread};
use crate::profile::{self, Amount};

/// What a site is: an operation, a call stack, and the group of the process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Key {
    pub(super) op: Op,
    /// Number of the stack, or [`NO_STACK`].
    pub(super) stack: u32,
    pub(super) group: u32,
}

/// For what has no stack, or one that is not known.
pub(super) const NO_STACK: u32 = u32::MAX;

/// The site of everything that a process has a copy of since it was forked, and that is memory. It is no site of a report, and
/// counts for no total: the memory is that of the parent until one of both writes to it.
pub(super) const INHERITED: u32 = 0;
/// The same for mapped files.
const INHERITED_FILE: u32 = 1;
/// The same for reserved address space, and for what may be anybody's.
const INHERITED_RESERVED: u32 = 2;
/// Sites that are none.
pub(super) const APART: usize = 3;

/// The site of a copy of something.
pub(super) const fn inherited(op: Op) -> u32 {
    match op.class() {
        Class::File => INHERITED_FILE,
        Class::Reserved | Class::Pages | Class::Pools => INHERITED_RESERVED,
        Class::Heap | Class::Mapped => INHERITED,
    }
}

impl Key {
    /// The fold brings what the group and the operation change down to the bits that choose the bucket.
    const fn hash(self) -> u64 {
        let word = (self.stack as u64 | (self.group as u64) << 32) ^ (self.op as u64) << 56;
        let product = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        product ^ product >> 32
    }
}

/// In which sums besides its own a site counts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Counts {
    /// In none.
    #[default]
    Apart,
    /// As live memory.
    Memory,
    /// As memory that a process has inherited.
    Inherited,
}

/// The sums of one site.
///
/// Sizes come from the registers of the target, which may be hostile, so a sum of them must not be able to stop the
/// collector. Live bytes wrap around: what was added is what is later subtracted, so they find their way back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    /// Ever allocated.
    pub(super) allocated: Amount,
    /// Not yet freed.
    pub(super) live: Amount,
    counts: Counts,
}

/// What was live when its process ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    pub(super) amount: Amount,
    /// Kernel time of the first and of the last of these allocations, in nanoseconds; without those of processes whose tables
    /// are still there, because a free that comes late may take them out.
    pub(super) oldest_ns: u64,
    pub(super) newest_ns: u64,
    /// What was neither freed nor left: it went with its program, which was replaced.
    pub(super) gone: Amount,
    /// What was live when frees stopped being seen.
    pub(super) unknown: Amount,
}

impl Default for Left {
    fn default() -> Self {
        Self {
            amount: Amount::default(),
            oldest_ns: u64::MAX,
            newest_ns: 0,
            gone: Amount::default(),
            unknown: Amount::default(),
        }
    }
}

impl Left {
    /// Something of that age is left for good.
    pub(super) fn note(&mut self, time_ns: u64) {
        self.oldest_ns = self.oldest_ns.min(time_ns);
        self.newest_ns = self.newest_ns.max(time_ns);
    }
}

/// All sites, and the sums of those that are memory.
#[derive(Debug)]
pub(super) struct Sites {
    index: HashTable<u32>,
    keys: Vec<Key>,
    sums: Vec<Sums>,
    left: Vec<Left>,
    spreads: Vec<Spread>,
    /// Live bytes over time.
    histories: Vec<History>,
    /// Live bytes of all sites whose class is memory.
    pub(super) live_bytes: u64,
    /// The most there ever was of that.
    pub(super) peak_bytes: u64,
    /// That, before blocks were looked at for a moment only.
    peak_before: u64,
}

impl Default for Sites {
    fn default() -> Self {
        let mut sites = Self {
            index: HashTable::new(),
            keys: Vec::new(),
            sums: Vec::new(),
            left: Vec::new(),
            spreads: Vec::new(),
            histories: Vec::new(),
            live_bytes: 0,
            peak_bytes: 0,
            peak_before: 0,
        };
        // In the order of their numbers. A range that is moved stays what it was, so each has an operation of its class.
        for (op, counts) in [
            (Op::Mmap, Counts::Inherited),
            (Op::MmapFile, Counts::Apart),
            (Op::MmapReserve, Counts::Apart),
        ] {
            let key = Key {
                op,
                stack: NO_STACK,
                group: 0,
            };
            sites.push(key, counts);
        }
        sites
    }
}

impl Sites {
    fn push(&mut self, key: Key, counts: Counts) -> u32 {
        // The limit on sites is far below.
        let site = u32::try_from(self.keys.len()).unwrap_or(u32::MAX - 1);
        self.keys.push(key);
        self.sums.push(Sums {
            counts,
            ..Sums::default()
        });
        self.left.push(Left::default());
        self.spreads.push(Spread::default());
        self.histories.push(History::default());
        site
    }

    /// The index of a site, if there is one.
    pub(super) fn find(&self, key: Key) -> Option<u32> {
        let found = self.index.find(key.hash(), |&site| self.keys[site as usize] == key);
        found.copied()
    }

    /// The index of a site, made when it is new.
    pub(super) fn index(&mut self, key: Key) -> u32 {
        if let Some(site) = self.find(key) {
            return site;
        }
        let counts = if key.op.class().is_memory() {
            Counts::Memory
        } else {
            Counts::Apart
        };
        let site = self.push(key, counts);
        let keys = &self.keys;
        let entry = self
            .index
            .entry(key.hash(), |_| false, |&site| keys[site as usize].hash());
        if let Entry::Vacant(entry) = entry {
            entry.insert(site);
        }
        site
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len() - APART
    }

    /// The operation of a site.
    pub(super) fn op(&self, site: u32) -> Op {
        self.keys[site as usize].op
    }

    /// Whether it is a site of a report.
    const fn is_real(site: u32) -> bool {
        site as usize >= APART
    }

    /// Whether its bytes count as live memory.
    pub(super) fn is_memory(&self, site: u32) -> bool {
        self.sums[site as usize].counts == Counts::Memory
    }

    /// A process has allocated something, each of `size` bytes.
    #[inline]
    pub(super) fn allocate(&mut self, site: u32, size: u64, amount: Amount, own: &mut Own) {
        let sums = &mut self.sums[site as usize];
        let memory = sums.counts == Counts::Memory;
        for allocated in std::iter::once(&mut sums.allocated).chain(memory.then_some(&mut own.allocated)) {
            allocated.bytes = allocated.bytes.saturating_add(amount.bytes);
            allocated.count += amount.count;
        }
        let sizes = &mut self.spreads[site as usize].sizes;
        sizes.add(young::size_class(size), amount.count);
        self.add(site, amount, own);
    }

    /// So many blocks of a process were freed after so many nanoseconds.
    #[inline]
    pub(super) fn note_lifetime(&mut self, site: u32, nanoseconds: u64, count: u64) {
        if Self::is_real(site) {
            let lifetimes = &mut self.spreads[site as usize].lifetimes;
            lifetimes.add(young::lifetime_class(nanoseconds), count);
        }
    }

    /// A process has allocated and freed blocks.
    pub(super) fn pass(&mut self, site: u32, pairs: &Pairs, own: &mut Own) {
        // More than come together in the time between two sums, unless a recording is damaged.
        let count = pairs.count.min(u32::MAX.into());
        self.spreads[site as usize].pass(pairs);
        let sums = &mut self.sums[site as usize];
        let memory = sums.counts == Counts::Memory;
        for allocated in std::iter::once(&mut sums.allocated).chain(memory.then_some(&mut own.allocated)) {
            allocated.bytes = allocated.bytes.saturating_add(pairs.bytes);
            allocated.count += count;
        }
    }

    /// Something of a process is live.
    #[inline]
    pub(super) fn add(&mut self, site: u32, amount: Amount, own: &mut Own) {
        let sums = &mut self.sums[site as usize];
        sums.live.add(amount);
        match sums.counts {
            Counts::Memory => {
                self.live_bytes = self.live_bytes.wrapping_add(amount.bytes);
                self.peak_bytes = self.peak_bytes.max(self.live_bytes);
                own.live.add(amount);
                own.peak_live_bytes = own.peak_live_bytes.max(own.live.bytes);
            }
            Counts::Inherited => own.inherited.add(amount),
            Counts::Apart => {}
        }
    }

    /// Something of a process is no longer live, which [`Sites::add`] has seen before.
    #[inline]
    pub(super) fn subtract(&mut self, site: u32, amount: Amount, own: &mut Own) {
        let sums = &mut self.sums[site as usize];
        sums.live.subtract(amount);
        match sums.counts {
            Counts::Memory => {
                self.live_bytes = self.live_bytes.wrapping_sub(amount.bytes);
                own.live.subtract(amount);
            }
            Counts::Inherited => own.inherited.subtract(amount),
            Counts::Apart => {}
        }
    }

    /// A process has ended, and this was live then.
    pub(super) fn leave(&mut self, site: u32, amount: Amount, own: &mut Own) {
        self.subtract(site, amount, own);
        if !Self::is_real(site) {
            return;
        }
        self.left[site as usize].amount.add(amount);
        if self.is_memory(site) {
            own.at_exit.add(amount);
        }
    }

    /// Of what was left, this was freed before the end after all; `pieces` remain of it.
    pub(super) fn leave_not(&mut self, site: u32, freed: Amount, pieces: u64, own: &mut Own) {
        if !Self::is_real(site) {
            return;
        }
        let memory = self.is_memory(site);
        let left = &mut self.left[site as usize].amount;
        for amount in std::iter::once(left).chain(memory.then_some(&mut own.at_exit)) {
            amount.count += pieces;
            amount.subtract(freed);
        }
    }

    /// Something of a process went with its program.
    pub(super) fn go(&mut self, site: u32, amount: Amount, own: &mut Own) {
        self.subtract(site, amount, own);
        self.left[site as usize].gone.add(amount);
    }

    /// Whether something of a process was freed is not known.
    pub(super) fn forget(&mut self, site: u32, amount: Amount, own: &mut Own) {
        self.subtract(site, amount, own);
        if Self::is_real(site) {
            self.left[site as usize].unknown.add(amount);
        }
    }

    /// The peak is as it was: what was live in a look is no measure of what was live at once. Or, it is kept for the next look.
    pub(super) const fn take_back_peak(&mut self, after_look: bool) {
        if after_look {
            self.peak_bytes = self.peak_before;
        } else {
            self.peak_before = self.peak_bytes;
        }
    }

    /// How the allocations of a site are spread.
    pub(super) fn spread(&self, site: usize) -> profile::Spread {
        self.spreads[site].to_profile()
    }

    /// What each index is.
    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The sums at each index.
    pub(super) fn sums(&self) -> &[Sums] {
        &self.sums
    }

    /// What was left at each index.
    pub(super) fn left(&self) -> &[Left] {
        &self.left
    }

    /// The table that something was left in is dropped: it is not freed any more.
    pub(super) fn leave_for_good(&mut self, site: u32, time_ns: u64) {
        self.left[site as usize].note(time_ns);
    }

    /// All sites by index, from the first that is one.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, Key, &Sums, &History)> {
        let sums = self.keys.iter().zip(&self.sums);
        (0..)
            .zip(sums.zip(&self.histories))
            .skip(APART)
            .map(|(site, ((key, sums), history))| (site, *key, sums, history))
    }

    /// Live memory, and memory ever allocated.
    pub(super) fn memory_sums(&self) -> (Amount, Amount) {
        let (mut live, mut allocated) = (Amount::default(), Amount::default());
        for sums in self.sums.iter().filter(|sums| sums.counts == Counts::Memory) {
            live.add(sums.live);
            allocated.add(sums.allocated);
        }
        (live, allocated)
    }

    /// How many indices there are.
    pub(super) fn indices(&self) -> usize {
        self.keys.len()
    }

    /// Drops every second value of every history.
    pub(super) fn thin(&mut self) {
        self.histories.iter_mut().for_each(History::thin);
    }

    /// Notes live bytes as those of moment `index`.
    pub(super) fn note(&mut self, index: usize) {
        for (history, sums) in self.histories.iter_mut().zip(&self.sums).skip(APART) {
            history.note(index, sums.live.bytes);
        }
    }
}
