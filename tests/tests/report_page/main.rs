//! The HTML report in a browser: it shows the numbers of `profile.json`, can be used by mouse and keyboard, loads nothing, and runs
//! nothing of a hostile target. Needs node, Chromium and playwright-core, but neither root nor a network.

mod browser;
mod checks;
mod sampled;
mod tables;

use std::{path::Path, time::Duration};

use memtrace::{
    profile::diff::Comparison,
    render::{Measure, html, units},
};
use memtrace_tests::{
    exported::{self, document, memory_sites, sum},
    made::{self, Size},
    require, require_tool,
};
use serde_json::{Value, json};

use crate::{
    browser::{has_playwright, page, printed, seen, text},
    checks::{assert_brush, assert_clean, assert_javascript, assert_numbers, matches},
};

/// A service of which all can be looked at.
const SMALL: Size = Size {
    sites: 400,
    functions: 160,
    depth: 12,
    scattered: 8,
};

/// As large as a page must be able to be.
const LARGE: Size = Size {
    sites: 100_000,
    functions: 20_000,
    depth: 20,
    scattered: 8,
};

/// What a page of 100,000 sites may take at most, in bytes.
const MOST: usize = 20 << 20;

#[test]
fn numbers_read_as_in_the_text() {
    require_tool!("node");
    let mut wanted: Vec<(Value, String)> = Vec::new();
    let sizes = (0..53).flat_map(|shift| [(1_u64 << shift) - 1, 1 << shift, (1 << shift) * 10 / 7, 3 << shift >> 1]);
    for size in sizes.chain([52_377, 1_048_524, 1_048_525, 9_007_199_254_740_991]) {
        wanted.push((json!(["bytes", size]), units::bytes(size)));
        wanted.push((json!(["count", size]), units::count(size)));
        let time = Duration::from_nanos(size);
        wanted.push((json!(["duration", size]), units::duration(time)));
        let rate = size as f64 / 16.0 - 1_000.0;
        wanted.push((json!(["rate", rate]), units::rate(rate)));
    }
    for part in 0..=1_600_u32 {
        let share = f64::from(part) / 1_600.0;
        wanted.push((json!(["percent", share]), units::percent(share)));
    }
    for share in [0.0004, 0.9991, 0.9999, 1.0 / 3.0, 3.0 / 2000.0] {
        wanted.push((json!(["percent", share]), units::percent(share)));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../memtrace/src/render/html/assets/format.js");
    let asked: Vec<&Value> = wanted.iter().map(|(asked, _)| asked).collect();
    let asked = serde_json::to_string(&asked).expect("it is JSON");
    let made = printed("format.cjs", &[script.as_os_str(), asked.as_ref()]);
    let made: Vec<String> = serde_json::from_str(&made).expect("a list of texts");
    for ((asked, text), made) in wanted.iter().zip(&made) {
        assert_eq!(made, text, "{asked}");
    }
    assert_eq!(made.len(), wanted.len());
}

#[test]
fn a_page_can_be_used_by_mouse_and_keyboard() {
    require_tool!("node");
    require_tool!("chromium");
    require!(has_playwright());
    let profile = made::profile(SMALL);
    let document = document(&profile);
    let seen = &seen(&[("normal", page(&profile))])[0];
    assert_clean(seen);
    assert_numbers(seen, &document);

    let words = |pointer: &str| text(seen, pointer);
    assert!(words("/zoom/inside/words").contains("zoomed into"), "{}", seen["zoom"]);
    assert!(words("/zoom/byKey/words").contains("zoomed into"), "{}", seen["zoom"]);
    assert_eq!(seen["zoom"]["back"], seen["zoom"]["before"]);
    assert_eq!(seen["zoom"]["after"], seen["zoom"]["before"]);
    assert!(words("/zoom/byKey/line").contains("Copy stack"), "{}", seen["zoom"]);
    assert!(
        seen["zoom"]["tip"].as_array().is_some_and(|lines| lines.len() >= 3),
        "{}",
        seen["zoom"]
    );

    assert!(
        words("/search/wrong").contains("no regular expression"),
        "{}",
        seen["search"]
    );
    let matching: Vec<&Value> = memory_sites(&document).filter(|site| matches(site)).collect();
    let found = format!(
        "in {}: {}, {}",
        units::plural(matching.len() as u64, "site"),
        units::bytes(sum(matching.iter().copied(), "live", "bytes")),
        units::percent(sum(matching.iter().copied(), "live", "bytes") as f64 / profile.totals.live.bytes as f64)
    );
    assert!(
        words("/search/found").ends_with(&found),
        "{found} is not in {}",
        seen["search"]
    );
    assert_eq!(words("/search/none"), "");

    assert_brush(&seen["brush"], &document);
    // Turned around, all is still there.
    let live = &seen["measures"]["live bytes"]["exact"];
    assert_eq!(seen["callers"]["exact"], *live);
    let tabbed = seen["tabbed"].as_array().expect("names");
    for control in [
        "theme",
        "help",
        "tab-flame",
        "search",
        "Range of time",
        "memtrace flame graph",
    ] {
        let at = |name: &Value| name.as_str().is_some_and(|name| name.contains(control));
        let is_canvas = control == "memtrace flame graph"
            && tabbed
                .iter()
                .any(|name| name.as_str().is_some_and(|name| name.contains("to the allocator")));
        assert!(
            is_canvas || tabbed.iter().any(at),
            "Tab does not come to {control}: {tabbed:?}"
        );
    }
    let resident = words("/views/resident/text");
    let last = document["resident"]["readings"]
        .as_array()
        .and_then(|readings| readings.last())
        .expect("a reading");
    assert!(
        resident.contains(&units::bytes(last["rss"].as_u64().expect("a number"))),
        "{resident}"
    );
    let old = last["spaces"]
        .as_array()
        .and_then(|spaces| spaces.first())
        .expect("a space");
    let pages = old["pages"].to_string();
    assert!(
        resident.contains("Pages of V8, 1 heap") && resident.contains(&pages),
        "{pages} in {resident}"
    );
    assert!(words("/views/processes/text").contains("service (pid 4251)"));
    assert_javascript(words("/views/javascript/text"), &document["javascript_heaps"][0]);
}

#[test]
fn a_hostile_target_reaches_nothing() {
    require_tool!("node");
    require_tool!("chromium");
    require!(has_playwright());
    let profile = exported::hostile();
    let bytes = page(&profile);
    let clear = String::from_utf8(bytes.clone()).expect("a page is text");
    for name in ["owned", "\u{1b}", "quoted", "HYPERLINK", "größe", "\u{202e}"] {
        assert!(!clear.contains(name), "{name} is in the page as it is");
    }
    let seen = &seen(&[("hostile", bytes)])[0];
    assert_clean(seen);
    assert_numbers(seen, &document(&profile));
    let sites = text(seen, "/views/functions/text");
    assert!(sites.contains("</script><b>\"quoted\" & 'that'"), "{sites}");
    assert!(sites.contains("a\\u{202e}b\\u0041\\"), "{sites}");
}

#[test]
fn a_comparison_shows_what_grew_first() {
    require_tool!("node");
    require_tool!("chromium");
    require!(has_playwright());
    let before = made::profile(SMALL);
    let mut after = made::profile(SMALL);
    for (index, site) in after.sites.iter_mut().enumerate() {
        site.live.bytes = match index % 4 {
            0 => site.live.bytes * 2,
            1 => site.live.bytes / 2,
            _ => site.live.bytes,
        };
    }
    let after = after.finished();
    let comparison = Comparison::new(&before, &after);
    let mut bytes = Vec::new();
    html::write_diff(&comparison, Measure::Live, &mut bytes).expect("memory takes all");
    let seen = &seen(&[("diff", bytes)])[0];
    assert_clean(seen);
    let changes = comparison
        .changes
        .iter()
        .map(|change| change.after.live.bytes.saturating_sub(change.before.live.bytes));
    let more: u64 = changes.clone().sum();
    assert_eq!(seen["measures"]["live bytes"]["exact"], units::plural(more, "byte"));
    let first = &seen["views"]["sites"]["rows"][0][1];
    let most = changes.max().expect("sites");
    assert_eq!(first["text"], format!("+{}", units::bytes(most)));
}

/// Stacks that have nothing in common but their functions are the most that can be.
#[test]
fn the_worst_hundred_thousand_stacks_fit() {
    let size = page(&made::profile(Size { scattered: 1, ..LARGE })).len();
    println!("{size} bytes");
    assert!(size < MOST, "{size} bytes");
}

#[test]
fn a_hundred_thousand_stacks_fit_and_open() {
    require_tool!("node");
    require_tool!("chromium");
    require!(has_playwright());
    let profile = made::profile(LARGE);
    let bytes = page(&profile);
    println!("{} sites: {} bytes", profile.sites.len(), bytes.len());
    assert!(bytes.len() < MOST, "{} bytes", bytes.len());
    let seen = &seen(&[("large", bytes)])[0];
    assert_clean(seen);
    let live = units::plural(profile.totals.live.bytes, "byte");
    assert_eq!(seen["measures"]["live bytes"]["exact"], live);
    for (what, time) in [
        ("opened", &seen["loaded"]),
        ("zoomed", &seen["zoom"]["time"]),
        ("searched", &seen["search"]["time"]),
        ("a range brushed", &seen["brush"]["time"]),
        ("turned around", &seen["inverted"]),
        ("sites listed", &seen["views"]["sites"]["time"]),
        ("functions listed", &seen["views"]["functions"]["time"]),
    ] {
        println!("{what}: {time} ms");
    }
}
