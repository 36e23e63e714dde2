//! The fields of resident memory in JSON.

use serde::Serialize;

use crate::profile::{
    Resident,
    resident::{Parts, Reading},
    spaces::{Space, SpaceUse},
};

/// Resident memory as [`super::json`] describes it.
#[derive(Serialize)]
pub(super) struct ResidentFields {
    read_times: u64,
    read_seconds: f64,
    read_longest_seconds: f64,
    readings: Vec<ReadingFields>,
}

#[derive(Serialize)]
struct ReadingFields {
    at_seconds: f64,
    rss: u64,
    #[serde(flatten)]
    parts: Parts,
    pss: u64,
    swap: u64,
    huge: u64,
    lazy_free: u64,
    absent: u64,
    coarse: u64,
    processes: u32,
    others: u32,
    others_rss: u64,
    heaps: u32,
    spaces: Vec<SpaceFields>,
}

/// A space of V8's heaps that has pages.
#[derive(Serialize)]
struct SpaceFields {
    space: &'static str,
    #[serde(flatten)]
    found: SpaceUse,
}

/// The fields of resident memory.
pub(super) fn resident_fields(resident: &Resident) -> ResidentFields {
    let Resident { readings, effort } = resident;
    ResidentFields {
        read_times: effort.times,
        read_seconds: effort.all.as_secs_f64(),
        read_longest_seconds: effort.longest.as_secs_f64(),
        readings: readings.iter().map(reading_fields).collect(),
    }
}

fn reading_fields(reading: &Reading) -> ReadingFields {
    let Reading {
        at,
        rss,
        parts,
        pss,
        swap,
        huge,
        lazy_free,
        absent,
        coarse,
        processes,
        others,
        others_rss,
        heaps,
        ref spaces,
    } = *reading;
    let space = |(space, found): (Space, SpaceUse)| SpaceFields {
        space: space.key(),
        found,
    };
    ReadingFields {
        at_seconds: at.as_secs_f64(),
        rss,
        parts,
        pss,
        swap,
        huge,
        lazy_free,
        absent,
        coarse,
        processes,
        others,
        others_rss,
        heaps,
        spaces: spaces.used().map(space).collect(),
    }
}
