//! A heap of JavaScript that grows, and samples of who has allocated there.

use std::time::Duration;

use memtrace::profile::{
    FrameKind, JsHeap, Profile,
    js_heap::{Collection, Kind, Pauses},
    js_sites::{JsSite, Writer},
    js_space::{BySpace, Space},
    js_survival::Fates,
};

/// Collections, of which each eighth is a full one.
const COLLECTIONS: u64 = 240;

/// Bytes that a sample stands for.
const WEIGHT: u64 = 1 << 20;

/// Its samples are of the profile's stacks that have a function of JavaScript.
pub(super) fn js_heap(profile: &Profile) -> JsHeap {
    let collection = |number: u64| {
        let stays = (10 << 20) + number * 50_000;
        let is_full = number % 8 == 7;
        Collection {
            at: Duration::from_secs(number),
            kind: if is_full { Kind::MarkCompact } else { Kind::Scavenge },
            reason: 1,
            pause: Some(Duration::from_micros(1_500)),
            before_bytes: stays + (9 << 20),
            after_bytes: if is_full { stays } else { stays + (number % 8) * 500_000 },
            before_memory: 60 << 20,
            after_memory: 40 << 20,
        }
    };
    let collections: Vec<Collection> = (0..COLLECTIONS).map(collection).collect();
    let pauses = |count: u64| Pauses {
        count,
        all: Duration::from_micros(1_500) * u32::try_from(count).expect("few"),
        longest: Duration::from_micros(1_500),
    };
    let is_javascript = |stack: &[u32]| {
        let mut frames = stack.iter().filter_map(|&frame| profile.frames.get(frame as usize));
        frames.any(|frame| frame.kind == FrameKind::JavaScript)
    };
    let stacks = (0..)
        .zip(&profile.stacks)
        .filter(|(_, stack)| is_javascript(stack))
        .take(40);
    let sites = stacks.map(|(stack, _)| {
        let samples = 1 + stack as u64 % 9;
        let mut spaces = BySpace::default();
        spaces.add(Space::Young, samples * WEIGHT);
        JsSite {
            writer: Writer::Stack(stack),
            samples,
            bytes: samples * WEIGHT,
            squares: (samples * WEIGHT * WEIGHT) as f64,
            spaces,
            fates: Fates {
                followed: 5 * samples,
                survived: 2 * samples,
                promoted: samples + stack as u64 % 2,
            },
        }
    });
    JsHeap {
        pid: profile.target.pid,
        tid: profile.target.pid,
        allocated: 3 << 30,
        since_collection: 1 << 20,
        step: Duration::from_secs(1),
        steps: vec![(Duration::ZERO, 3 << 30)],
        sums: vec![
            (Kind::Scavenge, pauses(COLLECTIONS - COLLECTIONS / 8)),
            (Kind::MarkCompact, pauses(COLLECTIONS / 8)),
        ],
        after_full: (collections.iter())
            .filter(|collection| collection.kind == Kind::MarkCompact)
            .map(|collection| (collection.at, collection.after_bytes))
            .collect(),
        collections,
        sites: sites.collect(),
        ..JsHeap::default()
    }
}
