//! What the page of a profile and that of a comparison begin with.

use serde::Serialize;

use crate::render::Measure;

use super::{
    DATA_VERSION,
    places::{CodeFields, Places, codes},
    words::{self, Measures},
};

/// The fields that both have.
#[derive(Debug, Serialize)]
pub(super) struct Head {
    version: u32,
    kind: &'static str,
    measures: Vec<Measures>,
    /// The measure that is shown first, and its unit.
    first: &'static str,
    unit: &'static str,
    codes: Vec<CodeFields>,
    places: Places,
    /// How many rows a reader has asked for.
    top: usize,
}

impl Head {
    /// That of a page which shows `measure` first; `unknown` says why one cannot be shown.
    pub(super) fn new(
        kind: &'static str,
        measure: Measure,
        unknown: impl Fn(Measure) -> Option<&'static str>,
        places: Places,
        top: usize,
    ) -> Self {
        Self {
            version: DATA_VERSION,
            kind,
            measures: words::measures(unknown),
            first: words::key(measure),
            unit: words::unit(measure),
            codes: codes(),
            places,
            top,
        }
    }
}
