//! From sums to blocks: what is new, and what has changed since the last moment.
//!
//! Pure: it makes contents, and [`super::FileWriter`] writes them.

use std::{io, time::Duration};

use rustc_hash::FxHashMap;

use super::{
    block::Kind,
    content::{
        self, Changes, Detail, ModuleFacts, Moment, NamedFrame, Names, NewSites, NewStacks, ProcessNews, SiteDetail,
        Sums,
    },
    state::{SiteState, numbers},
};
use crate::{
    ledger::{JsTold, Ledger, ProcessFacts, SiteSums, Snapshot, Stacks},
    process::Location,
    profile::{self, Frame},
};

/// Entries of one block, so that none is larger than a reader takes.
const ENTRIES: usize = 1 << 16;

/// Contents of blocks, in their order.
pub type Contents = Vec<(Kind, Vec<u8>)>;

/// Remembers what has been written.
#[derive(Debug, Default)]
pub struct Series {
    /// Numbers of the nodes of the tree of stacks, by caller and place.
    nodes: FxHashMap<(u32, Location), u32>,
    last_address: u64,
    stacks: usize,
    modules: usize,
    groups: usize,
    sites: Vec<SiteState>,
    processes: FxHashMap<u32, ProcessFacts>,
    who: FxHashMap<u32, profile::Process>,
    details: Vec<Option<Box<SiteDetail>>>,
    js_heaps: JsTold,
    js_shortages: u64,
}

impl Series {
    /// How many modules have been written.
    pub const fn modules(&self) -> usize {
        self.modules
    }

    /// New modules, stacks, groups, processes and sites.
    ///
    /// # Errors
    /// None that can be acted on.
    pub fn news(
        &mut self,
        ledger: &Ledger,
        modules: &[ModuleFacts],
        groups: &[String],
        who: &[(u32, profile::Process)],
    ) -> io::Result<Contents> {
        let mut contents = Contents::new();
        if !modules.is_empty() {
            self.modules += modules.len();
            contents.push((content::MODULES, content::pack_json(&modules)?));
        }
        while self.stacks < ledger.stacks.len() {
            contents.push((content::STACKS, content::pack(&self.new_stacks(&ledger.stacks))?));
        }
        let news = ProcessNews {
            groups: groups.get(self.groups..).unwrap_or_default().to_vec(),
            processes: who
                .iter()
                .filter(|(incarnation, process)| self.who.get(incarnation) != Some(process))
                .cloned()
                .collect(),
        };
        let js_heaps = ledger.js_heaps.news(&mut self.js_heaps);
        if !js_heaps.is_empty() {
            contents.push((content::JS_HEAPS, content::pack(&js_heaps)?));
        }
        let js_shortages = ledger.js_shortages.news(&mut self.js_shortages);
        if !js_shortages.is_empty() {
            contents.push((content::JS_SHORTAGES, content::pack(&js_shortages)?));
        }
        self.groups = self.groups.max(groups.len());
        if !news.groups.is_empty() || !news.processes.is_empty() {
            self.who.extend(news.processes.iter().cloned());
            contents.push((content::PROCESSES, content::pack_json(&news)?));
        }
        loop {
            let mut new = NewSites::default();
            for key in ledger.site_keys(self.sites.len()).take(ENTRIES) {
                new.ops.push(key.op as u8);
                new.stacks.push(key.stack.map_or(0, |stack| stack.saturating_add(1)));
                new.groups.push(key.group);
            }
            if new.ops.is_empty() {
                return Ok(contents);
            }
            self.sites
                .resize(self.sites.len() + new.ops.len(), SiteState::default());
            contents.push((content::SITES, content::pack(&new)?));
        }
    }

    fn new_stacks(&mut self, stacks: &Stacks) -> NewStacks {
        let mut new = NewStacks::default();
        while let Some(stack) = u32::try_from(self.stacks).ok().and_then(|number| stacks.get(number)) {
            if new.back.len() >= ENTRIES || new.leaves.len() >= ENTRIES {
                break;
            }
            let mut node = 0;
            for &location in stack.locations.iter().rev() {
                let next = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX).saturating_add(1);
                let known = *self.nodes.entry((node, location)).or_insert(next);
                if known == next {
                    new.back.push(next - node);
                    new.modules.push(location.module);
                    new.addresses
                        .push(location.address.wrapping_sub(self.last_address).cast_signed());
                    self.last_address = location.address;
                }
                node = known;
            }
            new.leaves.push(node);
            new.whole.push(stack.whole);
            self.stacks += 1;
        }
        new
    }

    /// What has changed since the last moment; [`Series::news`] goes first.
    ///
    /// # Errors
    /// None that can be acted on.
    pub fn moment(
        &mut self,
        sites: impl Iterator<Item = SiteSums>,
        processes: &[ProcessFacts],
        replaced: Vec<u32>,
        sums: &Sums,
    ) -> io::Result<Contents> {
        let mut contents = Contents::new();
        let mut changes = Changes::default();
        // How far the last changed site is behind, in this block.
        let (mut gap, mut passed) = (0, 0);
        for (now, before) in sites.map(|sums| numbers(&sums)).zip(&mut self.sites) {
            gap += 1;
            passed += 1;
            if now == *before {
                continue;
            }
            let mut mask = 0;
            for (bit, (now, before)) in now.iter().zip(&*before).enumerate() {
                if now != before {
                    mask |= 1 << bit;
                    changes.by.push(now.wrapping_sub(*before).cast_signed());
                }
            }
            *before = now;
            changes.sites.push(gap);
            changes.masks.push(mask);
            gap = 0;
            if changes.sites.len() == ENTRIES {
                contents.push((content::CHANGES, content::pack(&std::mem::take(&mut changes))?));
                // Each block counts from the first site on.
                gap = passed;
            }
        }
        if !changes.sites.is_empty() {
            contents.push((content::CHANGES, content::pack(&changes)?));
        }
        let changed = processes
            .iter()
            .filter(|facts| self.processes.get(&facts.incarnation) != Some(facts));
        let processes: Vec<_> = changed.cloned().collect();
        let known = processes.iter().map(|facts| (facts.incarnation, facts.clone()));
        self.processes.extend(known);
        let moment = Moment {
            processes,
            replaced,
            sums: sums.clone(),
        };
        contents.push((content::MOMENT, content::pack(&moment)?));
        Ok(contents)
    }

    /// What is known of sites besides their sums, where that has changed since it was asked for last. The snapshot has the sites
    /// that [`Series::news`] has told of.
    ///
    /// # Errors
    /// None that can be acted on.
    pub fn details(&mut self, snapshot: &Snapshot, now_ns: u64) -> io::Result<Contents> {
        let mut contents = Contents::new();
        let mut detail = Detail::default();
        self.details.resize(snapshot.sites.len().max(self.details.len()), None);
        let mut at = None;
        let ago = |age: Duration| now_ns.saturating_sub(nanoseconds(age));
        for (index, (site, before)) in snapshot.sites.iter().zip(&mut self.details).enumerate() {
            let facts = SiteDetail {
                aged: site.aged,
                live_variance: site.live_variance,
                oldest_ns: site.oldest.map(ago),
                left_oldest_ns: site.exit_oldest.map(ago),
                ages: site
                    .ages
                    .iter()
                    .map(|&(least, amount)| (nanoseconds(least), amount))
                    .collect(),
                sizes: site.spread.sizes.clone(),
                lifetimes: site
                    .spread
                    .lifetimes
                    .iter()
                    .map(|&(least, count)| (nanoseconds(least), count))
                    .collect(),
            };
            if before.as_deref() == Some(&facts) {
                continue;
            }
            let gap = at.map_or(index + 1, |at| index - at);
            detail.sites.push(u32::try_from(gap).unwrap_or(u32::MAX));
            detail.facts.push(facts.clone());
            *before = Some(Box::new(facts));
            at = Some(index);
            if detail.sites.len() == ENTRIES {
                contents.push((content::DETAIL, content::pack(&std::mem::take(&mut detail))?));
                at = None;
            }
        }
        contents.push((content::DETAIL, content::pack(&detail)?));
        Ok(contents)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Names of locations, for blocks.
///
/// # Errors
/// None that can be acted on.
pub fn names(all: impl Iterator<Item = (Location, Vec<Frame>)>) -> io::Result<Contents> {
    let mut contents = Contents::new();
    let mut block = NameBlock::default();
    for (at, frames) in all {
        block.add(at, &frames);
        if block.names.locations.len() == ENTRIES / 4 {
            contents.push((content::NAMES, content::pack(&std::mem::take(&mut block).names)?));
        }
    }
    contents.push((content::NAMES, content::pack(&block.names)?));
    Ok(contents)
}

/// A block of names under construction.
#[derive(Default)]
struct NameBlock {
    names: Names,
    strings: FxHashMap<String, u32>,
    frames: FxHashMap<NamedFrame, u32>,
}

impl NameBlock {
    fn string(&mut self, text: &str) -> u32 {
        if let Some(&number) = self.strings.get(text) {
            return number;
        }
        self.names.strings.push(text.to_owned());
        let number = u32::try_from(self.names.strings.len()).unwrap_or(u32::MAX);
        self.strings.insert(text.to_owned(), number);
        number
    }

    fn add(&mut self, at: Location, frames: &[Frame]) {
        let mut numbers = Vec::with_capacity(frames.len());
        for frame in frames {
            let named = NamedFrame {
                function: frame.function.as_deref().map_or(0, |name| self.string(name)),
                module: self.string(&frame.module),
                offset: frame.offset,
                file: frame.file.as_deref().map_or(0, |name| self.string(name)),
                line: frame.line,
                inlined: frame.inlined,
            };
            let next = u32::try_from(self.names.frames.len()).unwrap_or(u32::MAX);
            let number = *self.frames.entry(named).or_insert(next);
            if number == next {
                self.names.frames.push(named);
            }
            numbers.push(number);
        }
        self.names.locations.push((at.module, at.address, numbers));
    }
}
