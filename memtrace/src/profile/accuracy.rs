//! One verdict out of the counters of [`Health`]: can the numbers be believed?

use memtrace_common::Counter;
use serde::Serialize;

use super::{Health, StackHealth};
use crate::units::count;

/// What can be said of a profile's numbers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Accuracy {
    /// Whether bytes and counts are exact and under their right stack.
    pub exact: bool,
    /// One line for people, such as `exact: nothing was lost`.
    pub summary: String,
}

impl Health {
    /// The verdict. Frees that were applied late or matched nothing leave numbers exact, and so do stacks
    /// that are not complete: those are told as a remark.
    pub fn accuracy(&self) -> Accuracy {
        let StackHealth {
            distinct: _,
            complete: _,
            deep,
            broken,
            // Reasons and remarks that the line on stacks has.
            no_table: _,
            unreadable: _,
            unsupported: _,
            early: _,
            signal: _,
            lost,
            scratch_taken,
            overflow,
            collisions,
        } = self.stacks;
        let lost = lost.saturating_add(scratch_taken);
        let faults = clauses([
            (self.lost_allocations, "allocation lost", "allocations lost"),
            (self.forgotten_frees, "free lost", "frees lost"),
            (self.lost_other, "other record lost", "other records lost"),
            (self.conflicts, "missed free", "missed frees"),
            (self.malformed, "record not understood", "records not understood"),
            (self.late_processes, "process joined late", "processes joined late"),
            (
                self.unhooked_processes,
                "process not fully hooked",
                "processes not fully hooked",
            ),
            (self.not_kept, "allocation without room", "allocations without room"),
            (self.gaps, "time without probes", "times without probes"),
            (
                self.counter(Counter::OneTrapWrong),
                "allocation seen wrong, of those that were checked",
                "allocations seen wrong, of those that were checked",
            ),
            (lost, "stack lost", "stacks lost"),
            (overflow, "stack without room", "stacks without room"),
            (collisions, "stack mixed up", "stacks mixed up"),
        ]);
        let remarks = clauses([
            (deep, "stack cut at the depth limit", "stacks cut at the depth limit"),
            (broken, "stack ends early", "stacks end early"),
        ]);
        let exact = faults.is_empty() && self.sampling.is_none();
        let mut summary = if exact {
            "exact: nothing was lost".to_owned()
        } else if faults.is_empty() {
            "estimated from a sample; nothing was lost".to_owned()
        } else {
            format!("incomplete: {}", faults.join(", "))
        };
        if faults.is_empty() && !remarks.is_empty() {
            summary = format!("{summary}, but {}", remarks.join(", "));
        }
        Accuracy { exact, summary }
    }

    /// What the BPF side has counted.
    fn counter(&self, counter: Counter) -> u64 {
        let found = self.counters.iter().find(|(name, _)| name == counter.name());
        found.map_or(0, |&(_, value)| value)
    }
}

/// The counters that are not zero, in words.
fn clauses<const N: usize>(counters: [(u64, &str, &str); N]) -> Vec<String> {
    let said = counters.into_iter().filter(|&(value, ..)| value > 0);
    said.map(|(value, one, many)| format!("{} {}", count(value), if value == 1 { one } else { many }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_observation_is_exact() {
        let health = Health {
            events: 9,
            unmatched_frees: 3,
            recovered_frees: 2,
            ..Health::default()
        };
        assert_eq!(
            health.accuracy(),
            Accuracy {
                exact: true,
                summary: "exact: nothing was lost".into()
            }
        );
    }

    #[test]
    fn short_stacks_are_a_remark() {
        let stacks = StackHealth {
            broken: 1,
            deep: 1200,
            ..StackHealth::default()
        };
        let found = Health {
            stacks,
            ..Health::default()
        }
        .accuracy();
        assert!(found.exact);
        assert_eq!(
            found.summary,
            "exact: nothing was lost, but 1,200 stacks cut at the depth limit, 1 stack ends early"
        );
    }

    #[test]
    fn processes_that_were_not_seen_whole_are_a_loss() {
        let health = Health {
            process_count: 9,
            late_processes: 1,
            unhooked_processes: 2,
            not_kept: 3,
            ..Health::default()
        };
        let found = health.accuracy();
        assert!(!found.exact);
        assert_eq!(
            found.summary,
            "incomplete: 1 process joined late, 2 processes not fully hooked, 3 allocations without room"
        );
    }

    #[test]
    fn what_was_seen_wrong_is_in_doubt() {
        let found = Health {
            counters: vec![("one_trap_checked".into(), 70), ("one_trap_wrong".into(), 2)],
            ..Health::default()
        }
        .accuracy();
        assert!(!found.exact);
        assert_eq!(
            found.summary,
            "incomplete: 2 allocations seen wrong, of those that were checked"
        );
    }

    #[test]
    fn every_loss_is_named() {
        let stacks = StackHealth {
            lost: 1,
            overflow: 2,
            collisions: 3,
            ..StackHealth::default()
        };
        let health = Health {
            lost_allocations: 1204,
            forgotten_frees: 1,
            lost_other: 4,
            conflicts: 5,
            malformed: 6,
            stacks,
            ..Health::default()
        };
        let found = health.accuracy();
        assert!(!found.exact);
        assert_eq!(
            found.summary,
            "incomplete: 1,204 allocations lost, 1 free lost, 4 other records lost, 5 missed frees, \
             6 records not understood, 1 stack lost, 2 stacks without room, 3 stacks mixed up"
        );
    }
}
