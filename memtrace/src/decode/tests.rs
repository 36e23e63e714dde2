//! What the decoder promises, for every kind of record and for any bytes.

use memtrace_common::{
    Op,
    event::{
        Alloc, Break, Fork, Free, Header, Image, JsAllocated, JsCollected, JsSampled, JsShortage, JsSurvived, Kind,
        Map, Pairs, Program, Realloc, Remap, StackHead, Unmap, Weighted,
    },
    limits::MAX_FRAMES,
    young::LIFETIMES,
};
use proptest::prelude::*;

use super::{Event, Malformed, decode, encode, encode_stack};

const HEADER: Header = Header {
    kind: 0,
    op: 0,
    flags: 0x0155,
    pid: 7,
    tid: 8,
    incarnation: 3,
    time_ns: 0x0102_0304_0506_0708,
};

fn header(kind: Kind, op: Op) -> Header {
    Header {
        kind: kind as u8,
        op: op as u8,
        ..HEADER
    }
}

/// One event of each kind but the stack.
fn one_of_each() -> Vec<Event<'static>> {
    let free = |kind, op| Free {
        header: header(kind, op),
        address: 1 << 46,
    };
    let unmap = |kind, op| Unmap {
        header: header(kind, op),
        address: 1 << 45,
        size: 5000,
    };
    vec![
        Event::Alloc(Alloc {
            header: header(Kind::Alloc, Op::Calloc),
            address: 16,
            size: 17,
            stack: 18,
        }),
        Event::Weighted(Weighted {
            alloc: Alloc {
                header: header(Kind::Weighted, Op::Malloc),
                address: 16,
                size: 17,
                stack: 18,
            },
            weight: 19,
            reserved: 0,
        }),
        Event::Pairs(Pairs {
            header: header(Kind::Pairs, Op::Malloc),
            stack: 1,
            count: 2,
            bytes: 3,
            class: 4,
            reserved: 0,
            lifetimes: [5; LIFETIMES],
        }),
        Event::Free(free(Kind::Free, Op::FreeSized)),
        Event::ReallocBegin(free(Kind::ReallocBegin, Op::Realloc)),
        Event::ReallocEnd(Realloc {
            header: header(Kind::ReallocEnd, Op::Reallocarray),
            old: 1,
            address: 2,
            size: 3,
            stack: 4,
        }),
        Event::Map(Map {
            header: header(Kind::Map, Op::MmapReserve),
            address: 1,
            size: 2,
            stack: 3,
        }),
        Event::UnmapBegin(unmap(Kind::UnmapBegin, Op::Munmap)),
        Event::UnmapFailed(unmap(Kind::UnmapFailed, Op::Munmap)),
        Event::RemapBegin(unmap(Kind::RemapBegin, Op::Mremap)),
        Event::RemapEnd(Remap {
            header: header(Kind::RemapEnd, Op::Mremap),
            old: 1,
            old_size: 2,
            address: 3,
            size: 4,
            stack: 5,
        }),
        Event::Break(Break {
            header: header(Kind::Break, Op::Brk),
            address: 1,
            stack: 2,
        }),
        Event::Exec(program(Kind::Exec)),
        Event::Join(program(Kind::Join)),
        Event::Fork(Fork {
            header: of_kind(Kind::Fork),
            child: 1,
            child_incarnation: 2,
        }),
        Event::Exit(of_kind(Kind::Exit)),
        Event::Code(of_kind(Kind::Code)),
        Event::Image(Image {
            header: of_kind(Kind::Image),
            address: 1,
            size: 2,
            offset: 3,
            inode: 4,
            device: 5,
            reserved: 0,
        }),
    ]
    .into_iter()
    .chain(of_js_heap())
    .collect()
}

/// Those of heaps of JavaScript.
fn of_js_heap() -> [Event<'static>; 5] {
    [
        Event::JsAllocated(JsAllocated {
            header: of_kind(Kind::JsAllocated),
            bytes: 1,
            space: 2,
            reserved: 0,
        }),
        Event::JsCollected(JsCollected {
            header: of_kind(Kind::JsCollected),
            pause_ns: 1,
            kind: 2,
            reason: 3,
            before_bytes: 4,
            after_bytes: 5,
            before_memory: 6,
            after_memory: 7,
        }),
        Event::JsSampled(JsSampled {
            header: of_kind(Kind::JsSampled),
            weight: 1,
            stack: 2,
            space: 3,
            reserved: 0,
        }),
        Event::JsSurvived(JsSurvived {
            header: of_kind(Kind::JsSurvived),
            stack: 1,
            fate: 2,
            collections: 3,
        }),
        Event::JsShortage(JsShortage {
            header: of_kind(Kind::JsShortage),
            stack: 1,
            limit: 2,
            what: 3,
            reserved: 0,
            words: [4; 64],
        }),
    ]
}

/// A header of a record that is about no operation.
fn of_kind(kind: Kind) -> Header {
    Header {
        kind: kind as u8,
        ..HEADER
    }
}

fn program(kind: Kind) -> Program {
    Program {
        header: of_kind(kind),
        command: *b"server\0\0\0\0\0\0\0\0\0\0",
    }
}

#[test]
fn every_kind_comes_back_from_any_alignment() {
    for event in one_of_each() {
        let record = encode(&event);
        assert_eq!(decode(&record), Ok(event));
        let mut shifted = vec![0; 1];
        shifted.extend(&record);
        assert_eq!(decode(&shifted[1..]), Ok(event));
    }
}

#[test]
fn other_lengths_are_refused() {
    for event in one_of_each() {
        let mut record = encode(&event);
        for length in 0..record.len() {
            assert!(
                matches!(decode(&record[..length]), Err(Malformed::Length { .. })),
                "{event:?}"
            );
        }
        record.push(0);
        let length = record.len();
        assert_eq!(
            decode(&record),
            Err(Malformed::Length {
                kind: record[0],
                length
            })
        );
    }
}

#[test]
fn unknown_kinds_and_impossible_operations_are_refused() {
    for number in 0..=u8::MAX {
        let record = [number; 64];
        if Kind::from_u8(number).is_none() {
            assert_eq!(decode(&record), Err(Malformed::Kind(number)));
        }
    }
    for event in one_of_each() {
        let about_no_operation = matches!(
            event,
            Event::Exec(_)
                | Event::Join(_)
                | Event::Fork(_)
                | Event::Exit(_)
                | Event::Code(_)
                | Event::Image(_)
                | Event::JsAllocated(_)
                | Event::JsSampled(_)
                | Event::JsSurvived(_)
                | Event::JsShortage(_)
                | Event::JsCollected(_)
        );
        if about_no_operation {
            continue;
        }
        let good = encode(&event);
        let mut taken = 0;
        for op in 0..=u8::MAX {
            let mut record = good.clone();
            record[1] = op;
            match decode(&record) {
                Ok(_) => taken += 1,
                Err(error) => assert_eq!(error, Malformed::Op { kind: record[0], op }),
            }
        }
        assert!(taken > 0 && taken <= 24, "{event:?}: {taken}");
    }
}

#[test]
fn a_stack_must_be_whole_and_itself() {
    for depth in [0, 1, 2, MAX_FRAMES] {
        let frames: Vec<u64> = (0..depth as u64).map(|frame| 0x5555_0000_0000 + 16 * frame).collect();
        let record = encode_stack(HEADER, &frames);
        let Ok(Event::Stack(stack)) = decode(&record) else {
            panic!("{:?}", decode(&record));
        };
        assert!(stack.frames().map(|frame| frame.address).eq(frames.iter().copied()));
        assert_eq!(stack.head.count as usize, depth);
        assert_eq!(encode(&Event::Stack(stack)), record);
        // Any frame overwritten in flight, the identity, or what else is part of it: incarnation, epoch, end.
        for at in (size_of::<StackHead>()..record.len())
            .step_by(8)
            .chain([12, 24, 32, 44])
        {
            let mut changed = record.clone();
            changed[at] ^= 1;
            assert_eq!(decode(&changed), Err(Malformed::Identity), "depth {depth}, byte {at}");
        }
        assert!(matches!(
            decode(&record[..record.len() - 1]),
            Err(Malformed::Length { .. })
        ));
    }
    let deep = encode_stack(HEADER, &[1; MAX_FRAMES + 1]);
    assert!(matches!(decode(&deep), Err(Malformed::Length { .. })));
    // A count that would overflow when it is multiplied.
    let mut record = encode_stack(HEADER, &[1, 2]);
    let at = std::mem::offset_of!(StackHead, count);
    record[at..at + 4].fill(0xff);
    assert!(matches!(decode(&record), Err(Malformed::Length { .. })));
}

proptest! {
    #[test]
    fn any_bytes_give_an_event_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..1200)) {
        if let Ok(event) = decode(&bytes) {
            prop_assert_eq!(encode(&event), bytes);
        }
    }

    /// Random bytes rarely get past the first checks; these always have a known kind and a fitting length.
    #[test]
    fn any_content_of_a_known_kind_gives_an_event_or_an_error(
        kind in 1_u8..=12, op in 0_u8..=40, length in 24_usize..=64, fill in any::<[u8; 62]>(),
    ) {
        let mut bytes = vec![kind, op];
        bytes.extend(fill);
        bytes.truncate(length);
        if let Ok(event) = decode(&bytes) {
            prop_assert_eq!(encode(&event), bytes);
        }
    }

    #[test]
    fn a_stack_that_is_cut_or_changed_is_refused(
        frames in proptest::collection::vec(any::<u64>(), 1..=MAX_FRAMES), keep in any::<prop::sample::Index>(),
        change in any::<prop::sample::Index>(), bit in 0_u32..8,
    ) {
        let record = encode_stack(HEADER, &frames);
        let is_length = matches!(decode(&record[..keep.index(record.len())]), Err(Malformed::Length { .. }));
        prop_assert!(is_length);
        let mut changed = record;
        let at = size_of::<StackHead>() + change.index(8 * frames.len());
        changed[at] ^= 1 << bit;
        prop_assert_eq!(decode(&changed), Err(Malformed::Identity));
    }
}
