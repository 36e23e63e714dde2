//! Two censuses, compared.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Amount, Census, Type};

/// What changed between two censuses.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison<'a> {
    /// The earlier one.
    #[serde(skip)]
    pub before: &'a Census,
    /// The later one.
    #[serde(skip)]
    pub after: &'a Census,
    /// Whether both are of the same process, by its number and name. A process may have been started anew meanwhile.
    pub same_process: bool,
    /// Every type that either has: what grew most first, what shrank most last.
    pub types: Vec<Change>,
}

/// Objects of a type, then and now.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Change {
    /// The type's name.
    pub name: String,
    /// Its objects in the earlier census.
    pub before: Amount,
    /// In the later one.
    pub after: Amount,
}

impl Change {
    /// By how many bytes it grew.
    pub fn bytes(&self) -> i128 {
        i128::from(self.after.bytes) - i128::from(self.before.bytes)
    }

    /// By how many objects it grew.
    pub fn count(&self) -> i128 {
        i128::from(self.after.count) - i128::from(self.before.count)
    }
}

impl<'a> Comparison<'a> {
    /// Compares.
    pub fn new(before: &'a Census, after: &'a Census) -> Self {
        let mut by_name: BTreeMap<&str, [Amount; 2]> = BTreeMap::new();
        for (side, census) in [before, after].into_iter().enumerate() {
            for Type { name, objects, .. } in &census.types {
                let sum = &mut by_name.entry(name).or_default()[side];
                *sum = sum.plus(*objects);
            }
        }
        let mut types: Vec<Change> = by_name
            .into_iter()
            .map(|(name, [before, after])| Change {
                name: name.to_owned(),
                before,
                after,
            })
            .collect();
        // Of equal ones the order of names stays.
        types.sort_by_key(|change| (std::cmp::Reverse(change.bytes()), std::cmp::Reverse(change.count())));
        Self {
            before,
            after,
            same_process: before.pid == after.pid && before.command == after.command && before.python == after.python,
            types,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(types: &[(&str, u64, u64)]) -> Census {
        Census {
            types: types
                .iter()
                .map(|&(name, bytes, count)| Type {
                    name: name.to_owned(),
                    types: 1,
                    objects: Amount { count, bytes },
                })
                .collect(),
            ..Census::default()
        }
    }

    #[test]
    fn growth_is_first_and_nothing_is_left_out() {
        let before = census(&[("gone", 64, 4), ("same", 16, 1), ("grown", 32, 2)]);
        let after = census(&[("new", 48, 1), ("same", 16, 1), ("grown", u64::MAX, 9)]);
        let comparison = Comparison::new(&before, &after);
        let rows: Vec<_> = comparison
            .types
            .iter()
            .map(|row| (row.name.as_str(), row.bytes(), row.count()))
            .collect();
        let most = i128::from(u64::MAX) - 32;
        assert_eq!(
            rows,
            [("grown", most, 7), ("new", 48, 1), ("same", 0, 0), ("gone", -64, -4)]
        );
        assert!(comparison.same_process);
        let other = Census { pid: 3, ..census(&[]) };
        assert!(!Comparison::new(&before, &other).same_process);
    }
}
