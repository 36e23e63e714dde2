//! The page of a sample: what is an estimate says so, with its error bar.

use std::fs;

use memtrace::{profile::Profile, render::units};
use memtrace_tests::{
    Truth,
    exported::{document, memory_sites, recorded},
    require, require_tool,
};
use serde_json::Value;

use crate::{
    browser::{has_playwright, page, seen, text},
    checks::{assert_clean, assert_numbers},
};

/// Which column of the table of sites is the error bar: the number, the measure and its share come before.
const ERROR: usize = 3;

fn truth(name: &str) -> Truth {
    let path = format!("{}/fixtures/{name}.truth.json", env!("CARGO_MANIFEST_DIR"));
    Truth::from_line(&fs::read_to_string(path).expect("the truth lies beside the recording"))
}

/// The live bytes of heap blocks, and half the error bar of their sum.
fn estimate(profile: &Profile) -> (f64, f64) {
    let heap = profile.sites.iter().filter(|site| site.is_sampled());
    let live: u64 = heap.map(|site| site.live.bytes).sum();
    let error = profile.total_error(|site| profile.live_error(site, site.live));
    (live as f64, error.expect("it is a sample") as f64)
}

#[test]
fn estimates_have_their_error_bars() {
    require_tool!("node");
    require_tool!("chromium");
    require!(has_playwright());
    let profile = recorded("sampled");
    let document = document(&profile);
    let seen = &seen(&[("sampled", page(&profile))])[0];
    assert_clean(seen);
    assert_numbers(seen, &document);

    let head = text(seen, "/head");
    assert!(head.contains("estimated from a sample; nothing was lost"), "{head}");
    let health = text(seen, "/views/health/text");
    assert!(
        health.contains("Sums of heap blocks are estimates") && health.contains("19 times of 20"),
        "{health}"
    );
    let total = profile.total_error(|site| profile.live_error(site, site.live));
    let total = format!("± {}", units::bytes(total.expect("it is a sample")));
    let tiles = seen["tiles"].as_array().expect("tiles");
    let live = tiles
        .iter()
        .filter_map(Value::as_str)
        .find(|tile| tile.starts_with("live"));
    assert!(
        live.is_some_and(|live| live.contains(&total)),
        "{total} is not in {tiles:?}"
    );

    let rows = seen["views"]["sites"]["rows"].as_array().expect("rows");
    let (mut drawn, mut whole) = (0, 0);
    for (row, site) in rows.iter().zip(memory_sites(&document)) {
        // What is always taken has none: mappings, and blocks that are larger than the interval.
        if let Some(error) = site["live_error_bytes"].as_u64().filter(|&error| error > 0) {
            assert_eq!(row[ERROR]["text"], format!("± {}", units::bytes(error)));
            assert_eq!(row[ERROR]["exact"], units::plural(error, "byte"));
            drawn += 1;
        } else {
            assert_eq!((&row[ERROR]["text"], &row[ERROR]["exact"]), (&"".into(), &"".into()));
            whole += 1;
        }
    }
    assert!(drawn > 5 && whole > 3, "{drawn} were drawn, {whole} were not");
    let leaks = text(seen, "/views/leaks/text");
    assert!(leaks.contains(" ± "), "{leaks}");
}

/// The estimate of the recording is one: not the truth, but within its error bar.
#[test]
fn the_sample_is_one() {
    let (found, error) = estimate(&recorded("sampled"));
    let truth = truth("sampled");
    let heap = truth.sites.iter().filter(|(name, _)| {
        let mapped = ["site_mmap", "site_mremap", "site_brk", "site_reserve", "site_sbrk"];
        !mapped.iter().any(|mapped| name.starts_with(mapped))
    });
    let wanted: f64 = heap.map(|(_, sums)| sums.bytes as f64).sum();
    assert_ne!(found.to_bits(), wanted.to_bits());
    assert!((found - wanted).abs() <= error, "{found} ± {error}, and {wanted}");
}
