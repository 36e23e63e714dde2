//! speedscope's own format: <https://www.speedscope.app/file-format-schema.json>.
//!
//! One list of samples for each measure, over one table of frames.

use std::io::{self, Write};

use serde::{Serialize, ser::SerializeSeq as _};
use serde_json::Serializer;

use super::{
    level::{Shown, Table, levels},
    remarks::{exporter, title},
};
use crate::{
    profile::{Amount, Profile, Site},
    render::{Measure, json_lines::Compact},
};

/// A list of samples.
struct Sums {
    name: &'static str,
    /// `bytes`, or `none` for blocks.
    unit: &'static str,
    of: fn(&Site) -> u64,
}

const SUMS: [Sums; 4] = [
    Sums {
        name: "live bytes",
        unit: "bytes",
        of: |site| site.live.bytes,
    },
    Sums {
        name: "allocated bytes",
        unit: "bytes",
        of: |site| site.allocated.bytes,
    },
    Sums {
        name: "live blocks",
        unit: "none",
        of: |site| site.live.count,
    },
    Sums {
        name: "allocated blocks",
        unit: "none",
        of: |site| site.allocated.count,
    },
];

/// Writes a profile; the measure is the list that is shown first.
pub(super) fn write(profile: &Profile, measure: Measure, out: &mut dyn Write) -> io::Result<()> {
    let mut frames = Table::new();
    // Levels have a number of their own, so that each is put into words once.
    let mut by_level = Table::new();
    let mut shown = Vec::new();
    let stacks: Vec<(&Site, Vec<usize>)> = profile
        .memory_sites()
        .filter(|site| site.live != Amount::default() || site.allocated != Amount::default())
        .map(|site| {
            let numbers = levels(profile, site).into_iter().map(|level| {
                let (number, new) = by_level.add(level);
                if new {
                    shown.push(frames.number(level.shown(profile)));
                }
                shown[number]
            });
            (site, numbers.collect())
        })
        .collect();
    let document = Document {
        schema: "https://www.speedscope.app/file-format-schema.json",
        exporter: exporter(),
        name: title(profile),
        active_profile_index: usize::from(measure != Measure::Live),
        shared: Shared {
            frames: frames.all().iter().map(frame).collect(),
        },
        profiles: SUMS.each_ref().map(|sums| samples(sums, &stacks)),
    };
    document.serialize(&mut Serializer::with_formatter(&mut *out, Compact))?;
    writeln!(out)
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    exporter: String,
    name: String,
    #[serde(rename = "activeProfileIndex")]
    active_profile_index: usize,
    shared: Shared<'a>,
    profiles: [ListFields<'a>; SUMS.len()],
}

#[derive(Serialize)]
struct Shared<'a> {
    frames: Vec<FrameFields<'a>>,
}

#[derive(Serialize)]
struct FrameFields<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
struct ListFields<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    unit: &'static str,
    #[serde(rename = "startValue")]
    start: u64,
    #[serde(rename = "endValue")]
    end: u64,
    samples: List<'a, &'a [usize]>,
    weights: List<'a, u64>,
}

/// What one sum gives of each stack that has any of it, made while it is written.
struct List<'a, T> {
    stacks: &'a [(&'a Site, Vec<usize>)],
    of: fn(&Site) -> u64,
    value: fn(u64, &'a [usize]) -> T,
}

impl<T: Serialize> Serialize for List<'_, T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for (site, stack) in self.stacks {
            let weight = (self.of)(site);
            if weight > 0 {
                list.serialize_element(&(self.value)(weight, stack))?;
            }
        }
        list.end()
    }
}

fn frame(shown: &Shown) -> FrameFields<'_> {
    FrameFields {
        name: &shown.name,
        file: shown.file.as_deref(),
        line: shown.line,
    }
}

fn samples<'a>(sums: &Sums, stacks: &'a [(&'a Site, Vec<usize>)]) -> ListFields<'a> {
    let weights = stacks.iter().map(|(site, _)| (sums.of)(site));
    ListFields {
        kind: "sampled",
        name: sums.name,
        unit: sums.unit,
        start: 0,
        end: weights.fold(0, u64::saturating_add),
        samples: List {
            stacks,
            of: sums.of,
            value: |_, stack| stack,
        },
        weights: List {
            stacks,
            of: sums.of,
            value: |weight, _| weight,
        },
    }
}
