//! The HTML report in a browser: it shows the numbers of `profile.json`, can be used by mouse and keyboard, loads nothing, and runs
//! nothing of a hostile target. Needs node, Chromium and playwright-core, but neither root nor a network.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use memtrace::{
    profile::{Profile, diff::Comparison},
    render::{Measure, html, units},
};
use memtrace_tests::{
    exported::{self, document, memory_sites, sum},
    made::{self, Size},
    programs, require, require_tool,
};
use serde_json::{Value, json};

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

fn playwright() -> PathBuf {
    programs::target().join("tools/readers/node_modules/playwright-core")
}

/// What the tests need besides Chromium and node.
fn has_playwright() -> Result<(), String> {
    let folder = playwright();
    let missing = || format!("needs playwright-core of npm, which is not in {}", folder.display());
    folder.is_dir().then_some(()).ok_or_else(missing)
}

fn reader(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("readers").join(name)
}

/// What node prints when it runs a script.
fn printed(script: &str, arguments: &[&std::ffi::OsStr]) -> String {
    let output = Command::new("node")
        .arg(reader(script))
        .args(arguments)
        .output()
        .expect("node starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).expect("the output is text")
}

/// A page in memory.
fn page(profile: &Profile) -> Vec<u8> {
    let mut bytes = Vec::new();
    html::write(profile, Measure::Live, &mut bytes).expect("memory takes all");
    bytes
}

/// What was seen of pages, by their names. They and pictures of them are in `target/tmp/pages`, to be looked at.
fn seen(pages: &[(&str, Vec<u8>)]) -> Vec<Value> {
    let shots = programs::target().join("tmp/pages");
    fs::create_dir_all(&shots).expect("a folder for pictures");
    let chromium = memtrace_tests::requirements::find("chromium").expect("it is there");
    let mut arguments = vec![
        playwright().into_os_string(),
        chromium.into_os_string(),
        shots.clone().into_os_string(),
    ];
    for (name, bytes) in pages {
        let path = shots.join(format!("{name}.html"));
        fs::write(&path, bytes).expect("the file can be written");
        arguments.push(path.into_os_string());
    }
    let arguments: Vec<_> = arguments.iter().map(std::ffi::OsString::as_os_str).collect();
    let lines = printed("page.cjs", &arguments);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .expect("a text that was seen")
}

/// What holds of every page.
fn assert_clean(seen: &Value) {
    for list in ["errors", "requests", "dialogs"] {
        assert_eq!(seen[list], json!([]), "{list} of {}", seen["name"]);
    }
    assert_eq!(
        (&seen["foreign"], &seen["status"]),
        (&json!(0), &Value::Null),
        "{}",
        seen["name"]
    );
    // The script itself; the data has been read and taken out.
    assert_eq!(seen["scripts"], 1);
    assert_eq!(seen["theme"], "dark");
    assert_eq!(seen["keys"], true);
    assert!(
        text(seen, "/lacking/old").contains("no DecompressionStream"),
        "{}",
        seen["lacking"]
    );
    assert!(
        text(seen, "/lacking/script").contains("needs JavaScript"),
        "{}",
        seen["lacking"]
    );
    for (tab, pixels) in seen["overflow"].as_object().expect("tabs") {
        assert_eq!(pixels, 0, "{tab} of {} is wider than a narrow window", seen["name"]);
    }
}

/// The numbers of the page are those of the document.
fn assert_numbers(seen: &Value, document: &Value) {
    let amounts = [
        ("live", "live", "live"),
        ("allocated", "allocated", "allocated"),
        ("temporary", "temporary", "temporary"),
        ("live at the peak", "at_peak", "peak"),
    ];
    for (name, amount, _) in amounts {
        let known = memory_sites(document).filter(|site| !site[amount].is_null());
        let known: Vec<&Value> = known.collect();
        for (unit, of, noun) in [("bytes", "bytes", "byte"), ("blocks", "count", "block")] {
            let shown = &seen["measures"][format!("{name} {unit}")];
            if known.is_empty() {
                assert!(
                    shown["unknown"].as_str().is_some_and(|why| why.contains("not known")),
                    "{shown}"
                );
                continue;
            }
            let total = sum(known.iter().copied(), amount, of);
            assert_eq!(shown["exact"], units::plural(total, noun), "{name} {unit}");
            let value = if of == "bytes" {
                units::bytes(total)
            } else {
                units::count(total)
            };
            assert!(
                text(shown, "/words").starts_with(&format!("{value} ")) || total == 0,
                "{shown}"
            );
        }
    }
    let rows = seen["views"]["sites"]["rows"].as_array().expect("rows");
    let sites: Vec<&Value> = memory_sites(document).collect();
    assert_eq!(rows.len(), sites.len().min(20));
    for (row, site) in rows.iter().zip(&sites) {
        let live = site["live"]["bytes"].as_u64().expect("a number");
        assert_eq!(row[1]["text"], units::bytes(live));
        assert_eq!(row[1]["exact"], units::plural(live, "byte"));
    }
    let suspected = document["sites"]
        .as_array()
        .expect("sites")
        .iter()
        .filter(|site| !site["verdict"].is_null() && site["suppressed_by"].as_array().is_some_and(Vec::is_empty));
    let leaks = suspected.count();
    if leaks > 0 {
        let text = text(seen, "/views/leaks/text");
        assert!(text.contains(&format!("score {}", best_score(document))), "{text}");
    }
    let health = text(seen, "/views/health/text");
    assert!(
        health.contains(document["health"]["summary"].as_str().expect("a summary")),
        "{health}"
    );
    for note in document["health"]["notes"].as_array().expect("notes") {
        assert!(health.contains(note.as_str().expect("a note")), "{health}");
    }
}

/// The score of the first suspected site that the report names.
fn best_score(document: &Value) -> u64 {
    let rank = |site: &Value| match site["verdict"].as_str() {
        Some("leaked") => 0,
        Some("growing") => 1,
        _ => 2,
    };
    let suspected = document["sites"]
        .as_array()
        .expect("sites")
        .iter()
        .filter(|site| !site["verdict"].is_null() && site["suppressed_by"].as_array().is_some_and(Vec::is_empty));
    let first = suspected.min_by_key(|site| (rank(site), std::cmp::Reverse(site["suspected"]["bytes"].as_u64())));
    first.expect("one is suspected")["score"].as_u64().expect("a score")
}

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
    for share in [0.0004, 0.9991, 0.9999, 1.0 / 3.0] {
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
    assert!(words("/views/processes/text").contains("service (pid 4251)"));
}

/// Whether a site has a match of `cache|worker` in its stack: in a function or a module.
fn matches(site: &Value) -> bool {
    let frames = site["stack"].as_array().into_iter().flatten();
    let has = |text: &Value| {
        text.as_str()
            .is_some_and(|text| text.contains("cache") || text.contains("worker"))
    };
    frames
        .into_iter()
        .any(|frame| has(&frame["function"]) || has(&frame["module"]))
}

/// What a range shows is the change of live bytes between its ends, by the histories.
fn assert_brush(brush: &Value, document: &Value) {
    let range = text(brush, "/byMouse/range");
    let moments = document["timeline"].as_array().expect("moments");
    let at = |seconds: f64| units::duration(Duration::from_secs_f64(seconds));
    let index = |word: &str| {
        let found = moments
            .iter()
            .position(|moment| at(moment["at_seconds"].as_f64().unwrap_or(0.0)) == word);
        found.expect("a range begins and ends at moments")
    };
    let (from, to) = range
        .strip_prefix("from ")
        .and_then(|range| range.split_once(" to "))
        .expect("a range");
    let (from, to) = (index(from), index(to));
    assert!(from < to, "{range}");
    let (mut more, mut less) = (0, 0);
    for site in memory_sites(document) {
        let live = |index: usize| site["history"][index][1].as_u64().expect("a history");
        more += live(to).saturating_sub(live(from));
        less += live(from).saturating_sub(live(to));
    }
    assert_eq!(brush["byMouse"]["flame"]["exact"], units::plural(more, "byte"));
    assert_eq!(brush["byMouse"]["less"]["exact"], units::plural(less, "byte"));
    assert!(
        text(brush, "/byMouse/words").contains(&format!("{} more", units::bytes(more))),
        "{brush}"
    );
    assert_eq!(brush["cleared"]["range"], "no range");
    let keys: Vec<&str> = brush["byKeys"]
        .as_array()
        .expect("ranges")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let range = |from: u64, to: u64| {
        let [from, to] = [from, to].map(|moment| units::duration(Duration::from_secs(moment * 5)));
        format!("from {from} to {to}")
    };
    let wanted = [
        range(0, 1),
        range(0, 2),
        range(0, 3),
        range(1, 4),
        range(1, 3),
        "no range".to_owned(),
    ];
    assert_eq!(keys, wanted);
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
