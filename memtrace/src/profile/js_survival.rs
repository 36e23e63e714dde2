//! What becomes of the young objects that a function of JavaScript makes, as far as a sample tells.

use memtrace_common::v8_heap::survival::Fate;

use super::{
    js_sites::{JsFunction, Share},
    js_space::Space,
};

/// Objects that were followed until they died or were moved to the old ones.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Fates {
    /// How many.
    pub followed: u64,
    /// Of these, those that have survived a collection.
    pub survived: u64,
    /// Those that were moved to the old ones.
    pub promoted: u64,
}

impl Fates {
    /// That of one object, which had survived so many collections before.
    pub const fn one(fate: Fate, collections: u32) -> Self {
        let is_promoted = matches!(fate, Fate::Promoted);
        Self {
            followed: 1,
            survived: (is_promoted || collections > 0) as u64,
            promoted: is_promoted as u64,
        }
    }

    /// Adds others.
    pub const fn add(&mut self, others: &Self) {
        self.followed = self.followed.saturating_add(others.followed);
        self.survived = self.survived.saturating_add(others.survived);
        self.promoted = self.promoted.saturating_add(others.promoted);
    }

    /// What part of them was moved to the old ones; `None` where none was followed.
    pub fn promoted_share(&self) -> Option<Share> {
        (self.followed > 0).then(|| Share::of(self.promoted as f64 / self.followed as f64, self.followed as f64))
    }
}

impl JsFunction {
    /// Bytes of its young objects that were moved to the old ones, about, of so many that all functions have allocated.
    pub fn promoted_bytes(&self, allocated: u64) -> Option<f64> {
        let young = self.share.value * self.part_in(Space::Young) * allocated as f64;
        Some(self.fates.promoted_share()?.value * young)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fates_are_counted() {
        let mut fates = Fates::default();
        assert_eq!(fates.promoted_share(), None);
        for (fate, collections) in [
            (Fate::Died, 0),
            (Fate::Died, 2),
            (Fate::Promoted, 0),
            (Fate::Promoted, 1),
        ] {
            fates.add(&Fates::one(fate, collections));
        }
        let counted = Fates {
            followed: 4,
            survived: 3,
            promoted: 2,
        };
        assert_eq!(fates, counted);
        // Wilson's interval of 2 in 4.
        let share = fates.promoted_share().unwrap();
        assert!(
            (share.value - 0.5).abs() < 1e-9 && (share.low - 0.15).abs() < 1e-3 && (share.high - 0.85).abs() < 1e-3,
            "{share:?}"
        );
    }
}
