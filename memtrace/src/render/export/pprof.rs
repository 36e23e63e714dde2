//! pprof's format, as Go's heap profiles use it: `profile.proto`, compressed.

mod places;

use std::io::{self, BufWriter, Write};

use flate2::{Compression, write::GzEncoder};
use prost::Message as _;

use self::places::Places;
use super::{
    level::Table,
    proto::{Label, Profile as Message, Sample, ValueType},
    remarks::remarks,
};
use crate::{
    profile::{Profile, Site},
    render::{Measure, escape, label},
};

/// Name and unit of each value of a sample, in Go's order.
const VALUES: [(&str, &str); 4] = [
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
];

/// Writes a profile; the measure is what is shown unless asked for otherwise.
pub(super) fn write(profile: &Profile, measure: Measure, out: &mut dyn Write) -> io::Result<()> {
    // The time in its header stays zero, so that equal profiles are equal files.
    let zip = GzEncoder::new(&mut *out, Compression::default());
    let mut parts = Parts {
        out: BufWriter::new(zip),
        bytes: Vec::new(),
    };
    let mut strings = Strings::new();
    let mut places = Places::new(profile);
    for site in profile.memory_sites() {
        let value = values(site);
        if value.iter().any(|&value| value > 0) {
            let sample = Sample {
                location_id: places.stack(site),
                value: value.to_vec(),
                label: labels(profile, site, &mut strings),
            };
            parts.write(&Message {
                sample: vec![sample],
                ..Message::default()
            })?;
        }
    }
    let mut value_type = |(kind, unit)| ValueType {
        kind: strings.number(kind),
        unit: strings.number(unit),
    };
    let sample_type = VALUES.map(&mut value_type);
    let space = value_type(("space", "bytes"));
    let default = sample_type[if measure == Measure::Live { 3 } else { 1 }];
    let comment = remarks(profile).iter().map(|remark| strings.number(remark)).collect();
    let period = profile.health.sampling.as_ref().map_or(1, |sampling| {
        sampling.interval_bytes.saturating_mul(u64::from(sampling.times))
    });
    let (mapping, location, function) = places.finish(&mut strings);
    parts.write(&Message {
        sample_type: sample_type.to_vec(),
        mapping,
        location,
        function,
        string_table: strings.0.all().to_vec(),
        duration_nanos: i64::try_from(profile.observed.as_nanos()).unwrap_or(i64::MAX),
        period_type: Some(space),
        period: whole(period),
        comment,
        default_sample_type: default.kind,
        ..Message::default()
    })?;
    parts
        .out
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .finish()?;
    Ok(())
}

/// Writes messages that are read as one.
struct Parts<W: Write> {
    out: W,
    bytes: Vec<u8>,
}

impl<W: Write> Parts<W> {
    fn write(&mut self, message: &Message) -> io::Result<()> {
        self.bytes.clear();
        message.encode(&mut self.bytes)?;
        self.out.write_all(&self.bytes)
    }
}

/// The string table; the first string is empty.
struct Strings(Table<String>);

impl Strings {
    fn new() -> Self {
        let mut table = Table::new();
        table.add(String::new());
        Self(table)
    }

    fn number(&mut self, string: &str) -> i64 {
        i64::try_from(self.0.number(string.to_owned())).unwrap_or(0)
    }
}

/// The format has signed numbers.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// As [`VALUES`] names them.
fn values(site: &Site) -> [i64; 4] {
    let (allocated, live) = (site.allocated, site.live);
    [allocated.count, allocated.bytes, live.count, live.bytes].map(whole)
}

/// The operation, what is claimed of the site, and what sites are kept apart by.
fn labels(profile: &Profile, site: &Site, strings: &mut Strings) -> Vec<Label> {
    let group = site.group.and_then(|group| profile.groups.get(group));
    let verdict = site
        .suspicion
        .as_ref()
        .map(|suspicion| label::verdict(suspicion.verdict));
    let words = [
        ("op", Some(site.op.name().into())),
        ("group", group.map(|group| escape::text(group))),
        ("verdict", verdict.map(Into::into)),
    ];
    let words = words.into_iter().filter_map(|(key, word)| Some((key, word?)));
    words
        .map(|(key, word)| Label {
            key: strings.number(key),
            str: strings.number(&word),
        })
        .collect()
}
