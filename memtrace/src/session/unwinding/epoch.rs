//! Whether code is mapped where other code was before.

use super::{Code, Layout};

/// Places remembered at most; a program that has had more begins a new epoch.
const MAX_PLACES: usize = 1 << 14;

/// What has been mapped where, and in which epoch.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    /// Code of files since the epoch began, not overlapping, by address.
    places: Vec<Place>,
    incarnation: u32,
    /// The epoch's number.
    number: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Place {
    start: u64,
    end: u64,
    /// Module, and address minus offset in the file: together they say what an address means.
    module: u32,
    base: u64,
}

impl Epochs {
    /// The number of the epoch that a layout belongs to. A new one begins when an address means something else than before.
    /// Code in anonymous memory has no meaning that could be compared.
    pub(super) fn of(&mut self, layout: &Layout) -> u64 {
        let now: Vec<Place> = layout
            .code
            .iter()
            .filter(|code| code.module.has_file())
            .map(place)
            .collect();
        let before = std::mem::take(&mut self.places);
        let contradicts = |new: &Place| {
            // Places do not overlap, so they are in the order of their ends too.
            let first = before.partition_point(|old| old.end <= new.start);
            let overlapping = before[first..].iter().take_while(|old| old.start < new.end);
            overlapping
                .into_iter()
                .any(|old| (old.module, old.base) != (new.module, new.base))
        };
        if self.incarnation != layout.incarnation || before.len() > MAX_PLACES || now.iter().any(contradicts) {
            self.incarnation = layout.incarnation;
            self.number += 1;
            self.places = now;
            return self.number;
        }
        // What is not mapped any more is remembered, unless a larger piece of the same is there.
        let gone = before
            .into_iter()
            .filter(|old| !now.iter().any(|new| new.start < old.end && old.start < new.end));
        self.places = gone.chain(now.iter().copied()).collect();
        self.places.sort_unstable_by_key(|place| place.start);
        self.number
    }
}

fn place(code: &Code) -> Place {
    Place {
        start: code.start,
        end: code.end,
        module: code.index,
        base: code.start.wrapping_sub(code.offset),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, sync::Arc};

    use super::*;
    use crate::process::Module;

    /// Pieces of code: start, end, offset in the file, module.
    fn layout(incarnation: u32, pieces: &[(u64, u64, u64, u32)]) -> Layout {
        let file = || File::open("/dev/null").unwrap();
        let code = pieces.iter().map(|&(start, end, offset, index)| Code {
            start,
            end,
            offset,
            index,
            module: Arc::new(Module::of(String::new(), file())),
        });
        Layout {
            incarnation,
            covers: 0,
            code: code.collect(),
        }
    }

    #[test]
    fn only_another_meaning_of_an_address_begins_an_epoch() {
        let mut epochs = Epochs::default();
        let first = epochs.of(&layout(1, &[(0x1000, 0x3000, 0, 0), (0x5000, 0x6000, 0x1000, 1)]));
        assert_eq!(first, epochs.of(&layout(1, &[(0x1000, 0x3000, 0, 0)])), "unmapped");
        assert_eq!(
            first,
            epochs.of(&layout(1, &[(0x1000, 0x3000, 0, 0), (0x5000, 0x6000, 0x1000, 1)])),
            "the same again"
        );
        assert_eq!(
            first,
            epochs.of(&layout(1, &[(0x2000, 0x3000, 0x1000, 0)])),
            "a part of it"
        );
        assert_eq!(first, epochs.of(&layout(1, &[(0x7000, 0x9000, 0, 2)])), "elsewhere");
    }

    #[test]
    fn code_in_the_place_of_other_code_begins_one_even_after_a_while() {
        let mut epochs = Epochs::default();
        let first = epochs.of(&layout(1, &[(0x1000, 0x3000, 0, 0)]));
        epochs.of(&layout(1, &[]));
        let second = epochs.of(&layout(1, &[(0x2000, 0x4000, 0, 1)]));
        assert_ne!(first, second);
        let third = epochs.of(&layout(1, &[(0x2000, 0x4000, 0x1000, 1)]));
        assert_ne!(second, third, "the same file from another offset");
        assert_ne!(
            third,
            epochs.of(&layout(2, &[(0x2000, 0x4000, 0x1000, 1)])),
            "another program"
        );
    }
}
