//! How much of what grew is JavaScript's, in words.

use crate::{
    profile::{Profile, javascript::JavaScript},
    units::bytes,
};

/// JavaScript is said not to be the reason when it has less than one of so many bytes of what grew.
const LITTLE_SHARE: i128 = 5;

/// How much of what grew is JavaScript's, where there is any.
pub(super) fn sentence(profile: &Profile, grew: i128) -> Option<String> {
    let JavaScript {
        heap,
        buffers,
        at_least,
    } = JavaScript::of(profile)?;
    let taken = i128::from(heap.saturating_add(buffers));
    if grew <= 0 {
        return None;
    }
    let least = if at_least { "at least " } else { "" };
    let said = format!(
        "{} are mapped for V8's heap, and {least}{} are in buffers",
        bytes(heap),
        bytes(buffers)
    );
    if at_least && taken < grew / LITTLE_SHARE {
        // Buffers may lie in memory that the allocator had before.
        return Some(format!(
            "JavaScript: of what was taken meanwhile, {said}. Not every call of the allocator was seen: with --every-call it is known how \
             much is not JavaScript's."
        ));
    }
    Some(if taken < grew / LITTLE_SHARE {
        format!("It is not JavaScript: of what was taken meanwhile, {said}.")
    } else if heap >= buffers {
        format!(
            "JavaScript: of what was taken meanwhile, {said}. Of which classes its objects are, and who made them, say `memtrace heap \
             histogram` and `memtrace heap sample`."
        )
    } else {
        format!(
            "JavaScript: of what was taken meanwhile, {said}. Objects of JavaScript keep buffers (Buffer, ArrayBuffer), and are small \
             themselves: the sites with NodeArrayBufferAllocator below say who made them."
        )
    })
}

#[cfg(test)]
mod tests {
    use memtrace_common::op::Op;

    use super::*;
    use crate::profile::fixture::{SiteSpec, frame, profile};

    const MIB: u64 = 1 << 20;

    fn said(heap: u64, buffers: u64, grew: u64) -> Option<String> {
        let site = |op, function, live| {
            SiteSpec::new(op)
                .stack([frame(function, "node")])
                .live(live, 1)
                .allocated(live, 1)
        };
        let sites = [
            site(Op::MmapReserve, "v8::internal::MemoryAllocator::AllocatePage()", heap),
            site(
                Op::Calloc,
                "node::NodeArrayBufferAllocator::Allocate(unsigned long)",
                buffers,
            ),
        ];
        sentence(&profile(sites), grew.into())
    }

    #[test]
    fn what_was_not_seen_is_not_denied() {
        let frames = [frame("v8::internal::MemoryAllocator::AllocatePage()", "node")];
        let mut seen = profile([SiteSpec::new(Op::MmapAny).stack(frames).live(5 * MIB, 5)]);
        let step = |step: &str| crate::profile::StepTime {
            step: step.into(),
            seconds: 1.0,
        };
        seen.health.budget = Some(crate::profile::Budget {
            steps: vec![step("sampled"), step("pages")],
            ..Default::default()
        });
        insta::assert_snapshot!(
            [80 * MIB, 6 * MIB]
                .map(|grew| sentence(&seen, grew.into()).unwrap())
                .join("\n")
        );
    }

    #[test]
    fn what_grew_is_named() {
        let sentences = [
            said(70 * MIB, 5 * MIB, 80 * MIB),
            said(5 * MIB, 70 * MIB, 80 * MIB),
            said(5 * MIB, 5 * MIB, 80 * MIB),
        ];
        insta::assert_snapshot!(sentences.map(Option::unwrap).join("\n"));
        assert_eq!(said(70 * MIB, 0, 0), None, "nothing grew");
        let other = SiteSpec::new(Op::Malloc).stack([frame("leak", "app")]).live(9, 1);
        assert_eq!(sentence(&profile([other]), 80 << 20), None, "no program of JavaScript");
    }
}
