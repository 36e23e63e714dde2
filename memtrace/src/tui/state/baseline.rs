//! A profile that was marked, to see what has changed since.

use std::{sync::Arc, time::Duration};

use rustc_hash::FxHashMap;

use crate::{
    profile::{Profile, filter::Filter},
    tui::table::{self, Table},
};

/// See the module's description.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Baseline {
    profile: Arc<Profile>,
    /// Live bytes of its rows by key, and the table that they are of; `None` when they must be made anew.
    live: Option<(Table, FxHashMap<u64, u64>)>,
}

impl Baseline {
    pub(super) const fn new(profile: Arc<Profile>) -> Self {
        Self { profile, live: None }
    }

    /// When it was, since the start of the observation.
    pub(in crate::tui) fn at(&self) -> Duration {
        self.profile.observed
    }

    /// Live bytes of all memory then.
    pub(in crate::tui) fn live_bytes(&self) -> u64 {
        self.profile.totals.live.bytes
    }

    /// Another filter is in use.
    pub(super) fn forget_rows(&mut self) {
        self.live = None;
    }

    /// Live bytes of the rows of a table by key, behind the filter.
    pub(super) fn live(&mut self, table: Table, filter: Option<&Filter>) -> &FxHashMap<u64, u64> {
        if self.live.as_ref().is_none_or(|(of, _)| *of != table) {
            let filtered = filter.and_then(|filter| filter.apply(&self.profile).ok());
            let held = table::held(table, filtered.as_ref().unwrap_or(&self.profile));
            self.live = Some((table, held));
        }
        &self.live.get_or_insert_with(|| (table, FxHashMap::default())).1
    }
}
