//! What one probe is told of an allocation: what was planned, or, to try whether that is found out, something else.

use memtrace_common::{Once, When};

use crate::{
    cli::Mutant,
    plan::{AttachPoint, Detail},
};

/// What those probes are told that see whole allocations.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::session) struct Told(pub(in crate::session) Option<Mutant>);

impl Told {
    /// The points as probes are told of them.
    pub(super) fn places(self, mut points: Vec<(AttachPoint, u16)>) -> Vec<(AttachPoint, u16)> {
        if let Some(mutant) = self.0 {
            for (point, _) in &mut points {
                if let Detail::Once(once) = &mut point.detail {
                    *once = altered(*once, mutant);
                }
            }
        }
        points
    }
}

/// A place that is not the planned one.
const fn altered(once: Once, mutant: Mutant) -> Once {
    match mutant {
        Mutant::Size => Once {
            size: another(once.size),
            ..once
        },
        Mutant::Result => Once {
            result: another(once.result),
            ..once
        },
        Mutant::When => Once {
            when: match once.when {
                // Overflow, which nothing leads to where the way is always the same.
                When::Always => When::Holds(0),
                When::Holds(condition) => When::not(condition),
            },
            ..once
        },
    }
}

/// Another of the sixteen registers: half of them on, so that it is no neighbour in a calling convention.
const fn another(register: u8) -> u8 {
    (register + 8) % 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_tells_something_else_and_one_thing_only() {
        for when in [When::Always, When::Holds(4)] {
            let once = Once {
                size: 5,
                result: 11,
                when,
            };
            let altered = [Mutant::Size, Mutant::Result, Mutant::When].map(|mutant| altered(once, mutant));
            let parts = altered.map(|other| {
                [
                    other.size != once.size,
                    other.result != once.result,
                    other.when != once.when,
                ]
            });
            assert_eq!(
                parts,
                [[true, false, false], [false, true, false], [false, false, true]]
            );
        }
    }
}
