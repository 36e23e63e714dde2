//! Memory of JavaScript programs, told by the functions of V8 and node that got it.

use std::cmp::Reverse;

use memtrace_common::op::Class;
use rustc_hash::FxHashMap;

use super::{Profile, Site};

/// V8's pages: its heap gets all of them there.
const PAGES: &str = "v8::internal::MemoryAllocator::Allocate";

/// Contents of buffers: `Buffer`, `ArrayBuffer`, typed arrays. Node's allocator, and V8's own way to it.
const BUFFERS: [&str; 2] = [
    "node::NodeArrayBufferAllocator::",
    "v8::internal::BackingStore::Allocate",
];

/// Everything of V8's own.
const ENGINE: &str = "v8::internal::";

/// What of the memory that was taken since observation began is JavaScript's, in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct JavaScript {
    /// Mapped by V8 for its heap, and still mapped.
    pub heap: u64,
    /// Live contents of buffers, which objects of JavaScript keep.
    pub buffers: u64,
    /// That is the least there are: at times of the allocator nothing but its mappings was seen.
    pub at_least: bool,
}

impl JavaScript {
    /// `None` where no function of V8 allocated anything.
    pub fn of(profile: &Profile) -> Option<Self> {
        let calls = |site: &Site, begins: &str| profile.goes_through(site, begins);
        let mut found = Self {
            at_least: profile.pages_alone().is_some(),
            ..Self::default()
        };
        // What the allocator took when a buffer was asked for.
        let mut for_buffers = 0_u64;
        let mut is_there = false;
        for site in &profile.sites {
            let sum = match site.op.class() {
                // V8 maps pages without access, and makes them accessible afterwards.
                Class::Mapped | Class::Reserved | Class::Pages if calls(site, PAGES) => &mut found.heap,
                Class::Heap if profile.is_buffer(site) => &mut found.buffers,
                Class::Pages if profile.is_buffer(site) => &mut for_buffers,
                _ => {
                    is_there = is_there || calls(site, ENGINE);
                    continue;
                }
            };
            is_there = true;
            *sum = sum.saturating_add(site.live.bytes);
        }
        // The blocks that were seen lie in what the allocator took, so the two are not added.
        found.buffers = found.buffers.max(for_buffers);
        is_there.then_some(found)
    }
}

/// Live blocks by who asked for them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Askers<'a> {
    /// Bytes of contents of buffers, whoever of JavaScript asked.
    pub buffers: u64,
    /// Bytes of all others by the file whose code asked, most first; without a name where it is not known.
    pub modules: Vec<(&'a str, u64)>,
}

impl Profile {
    /// Whether a stack has a function whose name begins so.
    fn goes_through(&self, site: &Site, begins: &str) -> bool {
        let mut functions = self.stack(site).filter_map(|frame| frame.function.as_deref());
        functions.any(|function| function.starts_with(begins))
    }

    /// Whether it is of contents of buffers.
    fn is_buffer(&self, site: &Site) -> bool {
        BUFFERS.iter().any(|begins| self.goes_through(site, begins))
    }

    /// Live blocks of allocators, by who asked for them: frames that only pass a request on are passed over, as everywhere.
    pub fn askers(&self) -> Askers<'_> {
        let mut found = Askers::default();
        let mut modules: FxHashMap<&str, u64> = FxHashMap::default();
        let heap = |site: &&Site| site.op.class() == Class::Heap && site.live.bytes > 0;
        for site in self.sites.iter().filter(heap) {
            let sum = if self.is_buffer(site) {
                &mut found.buffers
            } else {
                let asker = self.calling_stack(site).into_iter().next();
                modules.entry(asker.map_or("", |frame| &frame.module)).or_default()
            };
            *sum = sum.saturating_add(site.live.bytes);
        }
        found.modules = modules.into_iter().collect();
        found.modules.sort_by_key(|&(module, bytes)| (Reverse(bytes), module));
        found
    }
}

#[cfg(test)]
mod tests {
    use memtrace_common::op::Op;

    use super::*;
    use crate::profile::fixture::{SiteSpec, frame, profile};

    fn site(op: Op, functions: &[&str], live: u64) -> SiteSpec {
        let stack = functions.iter().map(|function| frame(function, "node"));
        SiteSpec::new(op).stack(stack).live(live, 1).allocated(live, 1)
    }

    #[test]
    fn pages_and_buffers_are_told_from_the_rest() {
        let page = "v8::internal::MemoryAllocator::AllocatePage(v8::internal::Space*)";
        let buffer = "node::NodeArrayBufferAllocator::Allocate(unsigned long)";
        let of = |sites: Vec<SiteSpec>| JavaScript::of(&profile(sites));
        assert_eq!(of(vec![site(Op::Malloc, &["leak", "main"], 7)]), None);
        let engine = site(
            Op::Malloc,
            &[
                "operator new(unsigned long)",
                "v8::internal::Zone::Expand(unsigned long)",
            ],
            9,
        );
        assert_eq!(of(vec![engine]), Some(JavaScript::default()));
        let found = of(vec![
            site(Op::MmapReserve, &["mmap", page], 1),
            site(Op::Mmap, &["mmap", page, "v8::internal::Heap::AllocateRaw()"], 10),
            site(Op::Malloc, &["calloc", page], 100),
            site(Op::Mmap, &["mmap", "uv_thread_create"], 1_000),
            site(Op::Calloc, &["calloc", buffer], 10_000),
            site(
                Op::Malloc,
                &["malloc", "v8::internal::BackingStore::Allocate(v8::internal::Isolate*)"],
                100_000,
            ),
        ]);
        assert_eq!(
            found,
            Some(JavaScript {
                heap: 11,
                buffers: 110_000,
                at_least: false,
            })
        );
    }

    #[test]
    fn live_blocks_are_told_by_the_file_whose_code_asked() {
        let block = |functions: &[(&str, &str)], live| {
            let stack = functions.iter().map(|(function, module)| frame(function, module));
            SiteSpec::new(Op::Malloc).stack(stack).live(live, 1).allocated(live, 1)
        };
        let buffer = ("node::NodeArrayBufferAllocator::Allocate(unsigned long)", "node");
        let all = profile([
            block(&[("calloc", "libc.so.6"), buffer, ("main", "node")], 1),
            block(
                &[
                    ("operator new(unsigned long)", "libstdc++.so.6"),
                    ("parse", "addon.node"),
                ],
                10,
            ),
            block(&[("grow", "addon.node"), ("main", "node")], 100),
            block(&[("main", "node")], 1_000),
            block(&[], 10_000),
            // Mapped, and freed.
            site(Op::Mmap, &["main"], 100_000),
            block(&[("main", "gone")], 0),
        ]);
        let wanted = Askers {
            buffers: 1,
            modules: vec![("", 10_000), ("node", 1_000), ("addon.node", 110)],
        };
        assert_eq!(all.askers(), wanted);
    }
}
