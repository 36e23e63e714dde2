//! What the files look like, and that they hold what the profile holds.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{bytes, message, text};
use crate::{
    profile::{Amount, FrameIndex, Module, Profile, fixture},
    render::{Measure, escape, export::Format},
};

#[test]
fn every_format_is_always_the_same_and_clean() {
    for (name, profile) in fixture::all() {
        for format in Format::ALL {
            for measure in [Measure::Live, Measure::Allocated] {
                let content = bytes(&profile, format.name, measure);
                assert_eq!(
                    content,
                    bytes(&profile, format.name, measure),
                    "{} of {name}",
                    format.name
                );
                if format.name != "pprof" {
                    let content = String::from_utf8(content).unwrap();
                    let bad = content
                        .chars()
                        .find(|&c| escape::is_unsafe(c) && !matches!(c, '\r' | '\n'));
                    assert_eq!(bad, None, "{} of {name}", format.name);
                    assert!(content.ends_with('\n'));
                }
            }
        }
    }
}

#[test]
fn names_are_unique() {
    for (index, format) in Format::ALL.iter().enumerate() {
        assert_eq!(Format::named(format.name).unwrap().file, format.file);
        assert!(Format::ALL[..index].iter().all(|other| other.file != format.file));
    }
    assert!(Format::named("svg").is_none());
}

#[test]
fn files() {
    for (name, profile) in [("many", fixture::many()), ("hostile", fixture::hostile())] {
        for format in ["speedscope", "firefox", "heapprofile"] {
            let document: Value = serde_json::from_str(&text(&profile, format, Measure::Live)).unwrap();
            let pretty = serde_json::to_string_pretty(&document)
                .unwrap()
                .replace(env!("CARGO_PKG_VERSION"), "VERSION");
            insta::assert_snapshot!(format!("{format}_{name}"), pretty);
        }
        insta::assert_snapshot!(format!("csv_{name}"), text(&profile, "csv", Measure::Live));
    }
    for (name, mut profile) in [("normal", fixture::normal()), ("sampled", fixture::sampled())] {
        profile.modules = vec![Module {
            name: "libc.so.6".into(),
            path: "/usr/lib/x86_64-linux-gnu/libc.so.6".into(),
            build_id: Some("0badc0de".into()),
        }];
        let message = format!("{:#?}", message(&profile, Measure::Live)).replace(env!("CARGO_PKG_VERSION"), "VERSION");
        insta::assert_snapshot!(format!("pprof_{name}"), message);
    }
}

#[test]
fn inlined_calls_share_an_address_in_pprof() {
    let profile = fixture::normal();
    let message = message(&profile, Measure::Live);
    let name = |id: u64| {
        let function = message.function.iter().find(|function| function.id == id).unwrap();
        message.string_table[usize::try_from(function.name).unwrap()].as_str()
    };
    let location = message
        .location
        .iter()
        .find(|location| location.line.len() > 1)
        .unwrap();
    let names: Vec<_> = location.line.iter().map(|line| name(line.function_id)).collect();
    assert_eq!(names, ["createStringObject", "aeProcessEvents"]);
}

#[test]
fn addresses_lead_back_to_the_offset_in_the_file() {
    let mut profile = fixture::normal();
    // One that cannot be laid out beside the others.
    profile.frames[0].offset = u64::MAX;
    profile.frames[1].offset = 0x7fff_ffff_f123;
    let message = message(&profile, Measure::Live);
    let mut offsets: BTreeMap<u64, usize> = BTreeMap::new();
    for location in message.location.iter().filter(|location| location.address != 0) {
        let mapping = message
            .mapping
            .iter()
            .find(|mapping| mapping.id == location.mapping_id)
            .unwrap();
        assert!((mapping.memory_start..mapping.memory_limit).contains(&location.address));
        *offsets
            .entry(location.address - mapping.memory_start + mapping.file_offset)
            .or_default() += 1;
    }
    assert!(
        offsets.contains_key(&0x7fff_ffff_f123) && offsets.contains_key(&0x1234),
        "{offsets:x?}"
    );
    for (index, mapping) in message.mapping.iter().enumerate() {
        let apart = |other: &super::Message| {
            other.mapping[..index]
                .iter()
                .all(|other| other.memory_limit <= mapping.memory_start || mapping.memory_start == 0)
        };
        assert!(apart(&message));
    }
}

#[test]
fn what_is_out_of_range_does_no_harm() {
    let mut profile = fixture::many();
    profile.stacks[0] = vec![FrameIndex::MAX, 0];
    profile.sites[1].stack = Some(usize::MAX);
    profile.sites[2].group = Some(usize::MAX);
    profile.sites[0].live = Amount {
        bytes: u64::MAX,
        count: u64::MAX,
    };
    profile.sites[0].allocated = profile.sites[0].live;
    for format in Format::ALL {
        assert!(!bytes(&profile, format.name, Measure::Live).is_empty());
    }
    let message = message(&profile, Measure::Live);
    assert_eq!(message.sample[0].value, [i64::MAX; 4]);
}

#[test]
fn formulas_are_text_in_spreadsheets() {
    let mut profile = fixture::hostile();
    let attacks = [
        "=HYPERLINK(\"http://evil\")",
        "+1",
        "-1+cmd|' /C calc'!A0",
        "@SUM(1)",
        " =1",
        "a;=1",
        "x\",=1",
        "\t=1",
    ];
    for (frame, attack) in profile.frames.iter_mut().zip(attacks) {
        frame.function = Some(attack.into());
        frame.module = attack.into();
        frame.file = Some(attack.into());
    }
    profile.groups = vec!["=1+1".into(), "b".into()];
    profile.sites[0].group = Some(0);
    let text = text(&profile, "csv", Measure::Live);
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let mut seen = 0;
    for row in reader.records() {
        for (name, cell) in header.iter().zip(&row.unwrap()) {
            // The numbers are ours.
            if cell.parse::<f64>().is_err() || matches!(name, "function" | "stack") {
                for part in cell.split(';') {
                    assert!(!part.trim_start().starts_with(['=', '+', '-', '@']), "{name}: {cell}");
                    seen += usize::from(part.starts_with('\''));
                }
            }
        }
    }
    assert!(seen > 16, "{seen}");
    assert!(text.contains("'=HYPERLINK"), "{text}");
}

/// The sums of a speedscope file, by list.
fn speedscope_sums(profile: &Profile) -> Vec<u64> {
    let document: Value = serde_json::from_str(&text(profile, "speedscope", Measure::Live)).unwrap();
    let lists = document["profiles"].as_array().unwrap();
    let sum = |list: &Value| {
        assert_eq!(
            list["samples"].as_array().unwrap().len(),
            list["weights"].as_array().unwrap().len()
        );
        let weights = list["weights"].as_array().unwrap();
        weights.iter().map(|weight| weight.as_u64().unwrap()).sum::<u64>()
    };
    lists.iter().map(sum).collect()
}

/// Bytes of each thread of a file for the Firefox Profiler, after a look at its tables.
fn firefox_sums(profile: &Profile) -> Vec<u64> {
    let document: Value = serde_json::from_str(&text(profile, "firefox", Measure::Live)).unwrap();
    let shared = &document["shared"];
    let column = |table: &str, name: &str| shared[table][name].as_array().unwrap().clone();
    let length = |table: &str| usize::try_from(shared[table]["length"].as_u64().unwrap()).unwrap();
    for table in [
        "sources",
        "stackTable",
        "frameTable",
        "funcTable",
        "resourceTable",
        "nativeSymbols",
    ] {
        for (name, values) in shared[table].as_object().unwrap() {
            if name != "length" {
                assert_eq!(values.as_array().unwrap().len(), length(table), "{table}.{name}");
            }
        }
    }
    let strings = shared["stringArray"].as_array().unwrap().len();
    let inside = |table: &str, name: &str, limit: usize| {
        for value in column(table, name) {
            assert!(value.is_null() || value == -1 || usize::try_from(value.as_u64().unwrap()).unwrap() < limit);
        }
    };
    inside("stackTable", "frame", length("frameTable"));
    inside("frameTable", "func", length("funcTable"));
    inside("funcTable", "name", strings);
    inside("funcTable", "resource", length("resourceTable"));
    inside("funcTable", "source", length("sources"));
    inside("sources", "filename", strings);
    inside("resourceTable", "name", strings);
    inside("resourceTable", "lib", document["libs"].as_array().unwrap().len());
    for (index, prefix) in column("stackTable", "prefix").iter().enumerate() {
        assert!(
            prefix
                .as_u64()
                .is_none_or(|prefix| usize::try_from(prefix).unwrap() < index)
        );
    }
    let threads = document["threads"].as_array().unwrap();
    let sum = |thread: &Value| {
        let allocations = &thread["nativeAllocations"];
        let weights = allocations["weight"].as_array().unwrap();
        for name in ["time", "stack"] {
            assert_eq!(allocations[name].as_array().unwrap().len(), weights.len());
        }
        weights.iter().map(|weight| weight.as_u64().unwrap()).sum::<u64>()
    };
    threads.iter().map(sum).collect()
}

/// The sizes in a `.heapprofile`, of its nodes and of its samples.
fn heapprofile_sums(profile: &Profile, measure: Measure) -> [u64; 2] {
    fn sum(node: &Value) -> u64 {
        let children = node["children"].as_array().unwrap();
        node["selfSize"].as_u64().unwrap() + children.iter().map(sum).sum::<u64>()
    }
    let document: Value = serde_json::from_str(&text(profile, "heapprofile", measure)).unwrap();
    let samples = document["samples"].as_array().unwrap();
    [
        sum(&document["head"]),
        samples.iter().map(|sample| sample["size"].as_u64().unwrap()).sum(),
    ]
}

/// Sums of a column over the rows of a class of memory.
fn csv_sum(profile: &Profile, column: &str) -> u64 {
    let text = text(profile, "csv", Measure::Live);
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|one| one == name).unwrap();
    let rows = reader.records().map(Result::unwrap);
    let memory = rows.filter(|row| matches!(&row[at("class")], "heap" | "mapped"));
    memory.map(|row| row[at(column)].parse::<u64>().unwrap()).sum()
}

/// Fails unless every format has the sums of the profile.
pub(super) fn sums_are_kept(profile: &Profile) {
    let sites = || profile.memory_sites();
    let live = Amount {
        bytes: sites().map(|site| site.live.bytes).sum(),
        count: sites().map(|site| site.live.count).sum(),
    };
    let allocated = Amount {
        bytes: sites().map(|site| site.allocated.bytes).sum(),
        count: sites().map(|site| site.allocated.count).sum(),
    };
    assert_eq!((live, allocated), (profile.totals.live, profile.totals.allocated));

    let message = message(profile, Measure::Live);
    let value = |index: usize| {
        message
            .sample
            .iter()
            .map(|sample| u64::try_from(sample.value[index]).unwrap())
            .sum::<u64>()
    };
    assert_eq!(
        [value(0), value(1), value(2), value(3)],
        [allocated.count, allocated.bytes, live.count, live.bytes]
    );
    let known = |id: &u64| *id > 0 && *id <= message.location.len() as u64;
    assert!(
        message
            .sample
            .iter()
            .all(|sample| !sample.location_id.is_empty() && sample.location_id.iter().all(known))
    );

    assert_eq!(
        speedscope_sums(profile),
        [live.bytes, allocated.bytes, live.count, allocated.count]
    );
    assert_eq!(firefox_sums(profile), [live.bytes, allocated.bytes]);
    assert_eq!(heapprofile_sums(profile, Measure::Live), [live.bytes; 2]);
    assert_eq!(heapprofile_sums(profile, Measure::Allocated), [allocated.bytes; 2]);
    assert_eq!(csv_sum(profile, "live_bytes"), live.bytes);
    assert_eq!(csv_sum(profile, "allocated_count"), allocated.count);
}

#[test]
fn sums_of_all_fixtures_are_kept() {
    for (_, profile) in fixture::all() {
        sums_are_kept(&profile);
    }
}

#[test]
fn a_stack_of_any_depth_is_written() {
    let frames = (0..5_000).map(|depth| fixture::frame(&format!("f{depth}"), "m"));
    let site = fixture::SiteSpec::new(memtrace_common::op::Op::Malloc)
        .stack(frames)
        .live(1, 1);
    let profile = fixture::profile([site]);
    for format in Format::ALL {
        assert!(!bytes(&profile, format.name, Measure::Live).is_empty());
    }
}
