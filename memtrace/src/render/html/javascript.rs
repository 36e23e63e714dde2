//! Heaps of JavaScript on the page: what the summary says of each, and what it cannot draw.

use serde::Serialize;

use crate::{
    profile::{JsHeap, Profile, js_heap::Collection, js_sites::JsFunction},
    render::{js_heap, js_sites, js_survival},
    units::precise,
};

use super::history::nanoseconds;

/// Columns of a function's name: a page has room, and elides what is longer only where it is no name any more.
const NAME: usize = 160;

/// All that are told of.
#[derive(Debug, Serialize)]
pub(super) struct HeapsFields {
    heaps: Vec<HeapFields>,
    /// A sentence on the others.
    rest: Option<String>,
}

/// That of a thread.
#[derive(Debug, Serialize)]
struct HeapFields {
    heading: String,
    sentences: Vec<String>,
    kinds: Vec<KindFields>,
    /// Bytes in objects before and after each collection.
    objects: Curve,
    /// What full collections left.
    full: Curve,
    sample: Option<SampleFields>,
}

/// Bytes over time.
#[derive(Debug, Default, Serialize)]
struct Curve {
    /// Nanoseconds since the start.
    at: Vec<u64>,
    bytes: Vec<u64>,
}

impl FromIterator<(u64, u64)> for Curve {
    fn from_iter<Points: IntoIterator<Item = (u64, u64)>>(points: Points) -> Self {
        let (at, bytes) = points.into_iter().unzip();
        Self { at, bytes }
    }
}

/// Collections of a kind.
#[derive(Debug, Serialize)]
struct KindFields {
    name: &'static str,
    count: u64,
    /// In words, as all of a kind together and the longest.
    paused: String,
    longest: String,
}

/// Where objects were allocated, by a sample.
#[derive(Debug, Serialize)]
struct SampleFields {
    introduction: String,
    missed: Option<String>,
    functions: Vec<FunctionFields>,
    young: Option<YoungFields>,
}

/// Who has allocated, and what part of all, from 0 to 1.
#[derive(Debug, Serialize)]
struct FunctionFields {
    name: String,
    samples: u64,
    share: f64,
    low: f64,
    high: f64,
    /// So many bytes.
    about: u64,
}

/// What became of the young ones of these objects.
#[derive(Debug, Serialize)]
struct YoungFields {
    introduction: String,
    functions: Vec<FatesFields>,
}

/// Of whose objects what part became old, from 0 to 1.
#[derive(Debug, Serialize)]
struct FatesFields {
    name: String,
    followed: u64,
    survived: u64,
    share: f64,
    low: f64,
    high: f64,
    /// So many bytes.
    about: u64,
}

/// Those of a profile; `None` where no thread ran JavaScript.
pub(super) fn heaps(profile: &Profile) -> Option<HeapsFields> {
    let told = js_heap::told(profile);
    (!told.heaps.is_empty()).then(|| HeapsFields {
        heaps: told.heaps.into_iter().map(|heap| of_thread(profile, heap)).collect(),
        rest: told.rest,
    })
}

fn of_thread(profile: &Profile, heap: &JsHeap) -> HeapFields {
    let both = |collection: &Collection| {
        let at = nanoseconds(collection.at);
        [(at, collection.before_bytes), (at, collection.after_bytes)]
    };
    HeapFields {
        heading: js_heap::heading(profile, heap),
        sentences: (js_heap::of_spaces(heap).into_iter())
            .chain(js_heap::of_collections(profile, heap))
            .collect(),
        kinds: (heap.sums.iter())
            .map(|(kind, pauses)| KindFields {
                name: kind.name(),
                count: pauses.count,
                paused: precise(pauses.all),
                longest: precise(pauses.longest),
            })
            .collect(),
        objects: heap.collections.iter().flat_map(both).collect(),
        full: (heap.after_full.iter())
            .map(|&(at, bytes)| (nanoseconds(at), bytes))
            .collect(),
        sample: (!heap.sites.is_empty()).then(|| sample(profile, heap)),
    }
}

fn sample(profile: &Profile, heap: &JsHeap) -> SampleFields {
    let functions = profile.js_functions(&heap.sites);
    SampleFields {
        introduction: js_sites::introduction(heap),
        missed: js_sites::missed(heap),
        functions: (functions.iter())
            .map(|function| FunctionFields {
                name: js_sites::name(&function.allocator, NAME),
                samples: function.samples,
                share: function.share.value,
                low: function.share.low,
                high: function.share.high,
                about: js_sites::about(heap, function.share.value),
            })
            .collect(),
        young: young(heap, &functions),
    }
}

fn young(heap: &JsHeap, functions: &[JsFunction]) -> Option<YoungFields> {
    let rows = js_survival::rows(heap, functions);
    (!rows.is_empty()).then(|| YoungFields {
        introduction: js_survival::introduction(&rows),
        functions: (rows.iter())
            .map(|row| FatesFields {
                name: js_sites::name(&row.function.allocator, NAME),
                followed: row.function.fates.followed,
                survived: row.function.fates.survived,
                share: row.promoted.value,
                low: row.promoted.low,
                high: row.promoted.high,
                about: row.about,
            })
            .collect(),
    })
}
