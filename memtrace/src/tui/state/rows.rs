//! Rows are made anew where the profile, the table, the filter, the order or the baseline is another one; the same row stays chosen.

use std::sync::Arc;

use super::{Notice, State, baseline::Baseline};
use crate::{
    profile::filter::{Filter, FramePattern},
    tui::table::{self, Column, Table},
};

/// How a table is sorted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sort {
    pub(super) column: Column,
    /// Whether the smallest is first.
    pub(super) reversed: bool,
}

impl Sort {
    pub(super) const fn first(table: Table) -> Self {
        Self {
            column: table.first_sort(),
            reversed: false,
        }
    }
}

impl State {
    /// Makes the filtered profile anew, and the rows.
    pub(super) fn refilter(&mut self) {
        let filtered = match (&self.shown, self.as_filter()) {
            (Some(shown), Some(filter)) => filter.apply(shown).ok().map(Arc::new),
            _ => None,
        };
        self.filtered = filtered;
        self.remake();
    }

    /// Another filter, or none.
    pub(super) fn set_filter(&mut self, pattern: &str) {
        if pattern.is_empty() {
            self.filter = None;
        } else {
            match FramePattern::new(pattern) {
                Ok(pattern) => self.filter = Some(pattern),
                Err(error) => {
                    self.notice = Some(Notice::warning(error.to_string()));
                    return;
                }
            }
        }
        if let Some(baseline) = &mut self.baseline {
            baseline.forget_rows();
        }
        self.refilter();
    }

    fn as_filter(&self) -> Option<Filter> {
        let pattern = self.filter.clone()?;
        Some(Filter {
            frames: vec![pattern],
            ..Filter::default()
        })
    }

    /// Makes the rows anew.
    pub(super) fn remake(&mut self) {
        let chosen = self.row().map(|row| row.key);
        let filter = self.as_filter();
        let mut rows = self
            .profile()
            .map_or_else(Vec::new, |profile| table::rows(self.table, profile));
        if let Some(baseline) = &mut self.baseline {
            table::compare(&mut rows, baseline.live(self.table, filter.as_ref()));
        }
        let Sort { column, reversed } = self.sorts[self.table as usize];
        table::sort(&mut rows, column, reversed);
        // Who has not moved looks at what is first, whatever it is.
        let again = chosen.filter(|_| self.selected > 0 || self.first > 0);
        let found = again.and_then(|key| rows.iter().position(|row| row.key == key));
        self.rows = rows;
        if let Some(found) = found {
            self.selected = found;
        }
        if self.row().map(|row| row.key) != chosen {
            self.pane_first = 0;
        }
        self.keep_in_sight();
    }

    /// Looks at another table.
    pub(super) fn turn_to(&mut self, table: Table) {
        self.table = table;
        (self.selected, self.first, self.pane_first) = (0, 0, 0);
        self.rows.clear();
        self.remake();
    }

    /// Sorts by another column, or the other way round.
    pub(super) fn sort(&mut self, column: Column, reversed: bool) {
        self.sorts[self.table as usize] = Sort { column, reversed };
        self.remake();
    }

    /// Marks what is shown, or forgets what was marked.
    pub(super) fn mark(&mut self, on: bool) {
        self.baseline = self.shown.clone().filter(|_| on).map(Baseline::new);
        self.remake();
    }

    /// Chooses another row.
    pub(super) fn select(&mut self, row: usize) {
        let row = row.min(self.rows.len().saturating_sub(1));
        if row != self.selected {
            self.pane_first = 0;
        }
        self.selected = row;
        self.keep_in_sight();
    }

    /// Has the chosen row on the screen.
    pub(super) fn keep_in_sight(&mut self) {
        self.selected = self.selected.min(self.rows.len().saturating_sub(1));
        let lines = usize::from(self.areas().rows.height).max(1);
        let last = self.rows.len().saturating_sub(lines);
        self.first = self
            .first
            .min(self.selected)
            .max((self.selected + 1).saturating_sub(lines))
            .min(last);
    }
}
