//! What grew between two censuses, as the JSON document has it.

use serde::Serialize;

use crate::profile::census::{Amount, Census, Change, Comparison, Growth};

/// A Python program: what it had at the beginning and at the end.
#[derive(Serialize)]
pub(super) struct CensusFields<'a> {
    pid: u32,
    command: &'a str,
    python: &'a str,
    before: SideFields,
    after: SideFields,
    types: Vec<Change>,
}

/// The sums of a census.
#[derive(Serialize)]
struct SideFields {
    arenas: Amount,
    blocks: Amount,
    untyped: Amount,
    unowned: Amount,
    complete: bool,
}

/// The fields of a program.
pub(super) fn census_fields(growth: &Growth) -> CensusFields<'_> {
    let Growth { before, after } = growth;
    CensusFields {
        pid: after.pid,
        command: &after.command,
        python: &after.python,
        before: side(before),
        after: side(after),
        types: Comparison::new(before, after).types,
    }
}

fn side(census: &Census) -> SideFields {
    SideFields {
        arenas: census.arenas,
        blocks: census.blocks,
        untyped: census.unknown.plus(census.unread),
        unowned: census.unowned,
        complete: census.health.is_good(),
    }
}
