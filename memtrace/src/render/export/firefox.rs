//! The Firefox Profiler's processed format, version 60: the first with one set of tables for all threads. Newer versions of the
//! profiler upgrade it as they load it
//! (<https://github.com/firefox-devtools/profiler/blob/main/docs-developer/CHANGELOG-formats.md>).
//!
//! A thread for each measure, whose native allocations are the sites: one each, with the site's bytes.

mod tables;

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;

use self::tables::{Shared, Tables};
use super::remarks::{exporter, remarks, title};
use crate::{
    profile::Profile,
    render::{Measure, json_lines::Compact},
};

/// The version that is written.
const VERSION: u32 = 60;

/// Gecko's own format of which that was processed: any that is no newer than what a reader knows.
const GECKO_VERSION: u32 = 32;

/// Writes a profile; the measure is the thread that comes first.
pub(super) fn write(profile: &Profile, measure: Measure, out: &mut dyn Write) -> io::Result<()> {
    let mut tables = Tables::new(profile);
    let stacks: Vec<_> = profile.memory_sites().map(|site| (site, tables.stack(site))).collect();
    let mut measures = [Measure::Live, Measure::Allocated];
    if measure == Measure::Allocated {
        measures.reverse();
    }
    let threads = measures.map(|measure| {
        let sites = stacks.iter().filter(|(site, _)| measure.value(site) > 0);
        let (weight, stack): (Vec<_>, Vec<_>) = sites.map(|&(site, stack)| (measure.value(site), stack)).unzip();
        thread(profile, measure, weight, stack)
    });
    let remarks = remarks(profile);
    let document = Document {
        meta: Meta::new(profile, &remarks),
        libs: tables.libs(),
        pages: [],
        shared: tables.shared(),
        threads,
    };
    document.serialize(&mut Serializer::with_formatter(&mut *out, Compact))?;
    writeln!(out)
}

#[derive(Serialize)]
struct Document<'a> {
    meta: Meta<'a>,
    libs: Vec<tables::Lib>,
    pages: [(); 0],
    shared: Shared<'a>,
    threads: [ThreadFields; 2],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    product: String,
    interval: f64,
    start_time: f64,
    process_type: u32,
    stackwalk: u32,
    version: u32,
    preprocessed_profile_version: u32,
    /// No symbols are looked for.
    symbolicated: bool,
    imported_from: String,
    categories: [Category; 1],
    marker_schema: [(); 0],
    extra: [Section<'a>; 1],
}

#[derive(Serialize)]
struct Category {
    name: &'static str,
    color: &'static str,
    subcategories: [&'static str; 1],
}

/// A part of the panel with what is known of a profile.
#[derive(Serialize)]
struct Section<'a> {
    label: &'static str,
    entries: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    label: &'static str,
    format: &'static str,
    value: &'a str,
}

impl<'a> Meta<'a> {
    fn new(profile: &Profile, remarks: &'a [String]) -> Self {
        let entry = |value: &'a String| Entry {
            label: "Note",
            format: "string",
            value,
        };
        Self {
            product: format!("{} (memtrace)", title(profile)),
            interval: 1.0,
            // The wall clock's time is not known.
            start_time: 0.0,
            process_type: 0,
            stackwalk: 1,
            version: GECKO_VERSION,
            preprocessed_profile_version: VERSION,
            symbolicated: true,
            imported_from: exporter(),
            categories: [Category {
                name: "Other",
                color: "grey",
                subcategories: ["Other"],
            }],
            marker_schema: [],
            extra: [Section {
                label: "memtrace",
                entries: remarks.iter().map(entry).collect(),
            }],
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ThreadFields {
    process_type: &'static str,
    process_startup_time: f64,
    process_shutdown_time: Option<f64>,
    register_time: f64,
    unregister_time: Option<f64>,
    paused_ranges: [(); 0],
    name: String,
    process_name: String,
    is_main_thread: bool,
    pid: String,
    tid: u32,
    samples: Samples,
    native_allocations: Allocations,
    markers: Markers,
}

/// None: nothing here is a sample of time.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Samples {
    weight_type: &'static str,
    weight: Option<()>,
    event_delay: [f64; 0],
    stack: [usize; 0],
    time: [f64; 0],
    length: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Allocations {
    time: Vec<u32>,
    weight: Vec<u64>,
    weight_type: &'static str,
    stack: Vec<Option<usize>>,
    length: usize,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Markers {
    data: [(); 0],
    name: [usize; 0],
    start_time: [f64; 0],
    end_time: [f64; 0],
    phase: [u32; 0],
    category: [usize; 0],
    length: usize,
}

fn thread(profile: &Profile, measure: Measure, weight: Vec<u64>, stack: Vec<Option<usize>>) -> ThreadFields {
    let milliseconds = profile.observed.as_secs_f64() * 1e3;
    ThreadFields {
        process_type: "default",
        process_startup_time: 0.0,
        process_shutdown_time: Some(milliseconds),
        register_time: 0.0,
        unregister_time: Some(milliseconds),
        paused_ranges: [],
        name: format!("{} bytes", measure.name()),
        process_name: title(profile),
        is_main_thread: true,
        pid: profile.target.pid.to_string(),
        // Threads are told apart by it.
        tid: if measure == Measure::Live { 1 } else { 2 },
        samples: Samples {
            weight_type: "samples",
            ..Samples::default()
        },
        native_allocations: Allocations {
            time: vec![0; weight.len()],
            length: weight.len(),
            weight,
            weight_type: "bytes",
            stack,
        },
        markers: Markers::default(),
    }
}
