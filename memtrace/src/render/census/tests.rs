use super::*;
use crate::profile::census::{Amount, Health, Pools, Size, Type};

fn amount(count: u64, bytes: u64) -> Amount {
    Amount { count, bytes }
}

fn census(leaked: u64) -> Census {
    let kind = |name: &str, types: u64, count: u64, bytes: u64| Type {
        name: name.to_owned(),
        types,
        objects: amount(count, bytes),
    };
    let types = vec![
        kind("Order", 1, 20_000 + leaked, (20_000 + leaked) * 48),
        kind("collections.OrderedDict", 1, 7, 448),
        kind("\u{1b}[2J<script>\u{202e}", 3, 2, 64),
        kind(&"long".repeat(60), 1, 1, 32),
    ];
    Census {
        census_version: 1,
        pid: 4242,
        command: "a\u{1b}b".to_owned(),
        python: "3.11.2".to_owned(),
        file: "/usr/bin/python3.11".to_owned(),
        seconds: 0.0123,
        interpreters: 1,
        arenas: amount(3, 3 << 20),
        pools: Pools {
            bytes_each: 16384,
            used: 61,
            free: 2,
        },
        blocks: amount(20_018 + leaked, (20_000 + leaked) * 48 + 800),
        free: amount(100, 4800),
        unowned: amount(3, 96),
        unknown: amount(5, 160),
        types,
        sizes: vec![Size {
            block: 48,
            pools: 60,
            used: 20_000 + leaked,
            free: 100,
        }],
        ..Census::default()
    }
}

fn shown(census: &Census, top: usize) -> String {
    let mut out = Vec::new();
    write(census, &Options { top, columns: 80 }, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_census_as_text() {
    insta::assert_snapshot!(shown(&census(0), 10));
}

#[test]
fn what_is_wrong_is_said_and_what_is_not_shown_is_summed_up() {
    let mut bad = census(0);
    bad.health = Health {
        torn_pools: 1,
        unreadable_pools: 2,
        gone_arenas: 3,
        new_arenas: 4,
        types_limited: true,
    };
    bad.debug_hooks = true;
    bad.interpreters = 2;
    bad.unread = amount(9, 432);
    insta::assert_snapshot!(shown(&bad, 1));
}

#[test]
fn growth_as_text_and_for_programs() {
    let (before, mut after) = (census(0), census(500));
    after.types[1].objects = amount(3, 192);
    let comparison = Comparison::new(&before, &after);
    let mut out = Vec::new();
    write_diff(&comparison, &Options { top: 10, columns: 80 }, &mut out).unwrap();
    out.extend_from_slice(b"----\n");
    write_diff_json(&comparison, &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn the_file_is_read_as_it_was_written() {
    let census = census(3);
    let mut out = Vec::new();
    write_json(&census, &mut out).unwrap();
    assert!(!out.contains(&0x1b), "escaped");
    assert_eq!(Census::parse(&out).unwrap(), census);
    let newer = String::from_utf8(out)
        .unwrap()
        .replace("\"census_version\":1", "\"census_version\":2")
        .replace("\"census_version\": 1", "\"census_version\": 2");
    assert!(Census::parse(newer.as_bytes()).unwrap_err().contains("format 2"));
    assert!(Census::parse(b"{}").unwrap_err().contains("no census"));
    assert!(Census::parse(b"\xff").is_err());
}
