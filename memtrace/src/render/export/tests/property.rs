//! Random profiles.

use memtrace_common::op::Op;
use proptest::prelude::*;

use super::formats::sums_are_kept;
use crate::profile::{
    Frame, FrameKind, Profile,
    fixture::{self, SiteSpec},
};

fn frame() -> impl Strategy<Value = Frame> {
    let name = prop_oneof!["[a-c]", "([=+@;,\"\\-<>&' \u{1b}\n]|\\PC){0,6}"];
    (
        proptest::option::of(name.clone()),
        name.clone(),
        0..20_000_u64,
        proptest::option::of(name),
        proptest::option::of(0..50_u32),
        any::<bool>(),
    )
        .prop_map(|(function, module, offset, file, line, inlined)| Frame {
            function,
            module,
            offset,
            file,
            line,
            inlined,
            kind: FrameKind::Native,
        })
}

fn site() -> impl Strategy<Value = (SiteSpec, Option<usize>)> {
    let stack = proptest::option::of(proptest::collection::vec(frame(), 0..6));
    let op = prop_oneof![Just(Op::Malloc), Just(Op::Mmap), Just(Op::MmapFile)];
    (
        op,
        stack,
        0..1_000_u64,
        0..10_u64,
        0..100_u64,
        proptest::option::of(0..3_usize),
    )
        .prop_map(|(op, stack, bytes, count, more, group)| {
            let mut spec = SiteSpec::new(op)
                .live(bytes, count)
                .allocated(bytes + more, count + more);
            if let Some(stack) = stack {
                spec = spec.stack(stack);
            }
            (spec, group)
        })
}

fn profile() -> impl Strategy<Value = Profile> {
    (
        proptest::collection::vec(site(), 0..12),
        proptest::collection::vec("\\PC{0,4}", 0..3),
    )
        .prop_map(|(sites, groups)| {
            let sites = sites.into_iter().map(|(spec, group)| match group {
                Some(group) => spec.group(group),
                None => spec,
            });
            let mut profile = fixture::profile(sites);
            profile.groups = groups;
            profile
        })
}

proptest! {
    #[test]
    fn sums_are_those_of_the_profile(profile in profile()) {
        sums_are_kept(&profile);
    }
}
