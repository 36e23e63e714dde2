//! What holds of pages that were seen, against `profile.json`.

use std::{cmp::Reverse, time::Duration};

use memtrace::render::units;
use memtrace_tests::exported::{memory_sites, sum};
use serde_json::{Value, json};

use crate::browser::text;

/// What holds of every page.
pub(crate) fn assert_clean(seen: &Value) {
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
pub(crate) fn assert_numbers(seen: &Value, document: &Value) {
    let amounts = [
        ("live", "live", "live"),
        ("allocated", "allocated", "allocated"),
        ("temporary", "temporary", "temporary"),
        ("live at the peak", "at_peak", "peak"),
    ];
    // What is chosen elsewhere is drawn, and not only said, when the graph is seen again.
    let (said, drawn) = (text(seen, "/elsewhere/exact"), text(seen, "/elsewhere/root"));
    assert!(drawn.contains(&format!("({said})")), "{said} is said, drawn is {drawn}");
    assert_ne!(said, text(seen, "/measures/live bytes/exact"));
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
pub(crate) fn best_score(document: &Value) -> u64 {
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
    let first = suspected.min_by_key(|site| (rank(site), Reverse(site["suspected"]["bytes"].as_u64())));
    first.expect("one is suspected")["score"].as_u64().expect("a score")
}

/// Whether a site has a match of `cache|worker` in its stack: in a function or a module.
pub(crate) fn matches(site: &Value) -> bool {
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
pub(crate) fn assert_brush(brush: &Value, document: &Value) {
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

/// What the view of a heap says is what the profile has.
pub(crate) fn assert_javascript(javascript: &str, heap: &Value) {
    let first = &heap["functions"][0];
    let share = units::percent(first["share"].as_f64().expect("a share"));
    let name = first["function"].as_str().expect("a name");
    let collections = units::plural(
        heap["after_full"].as_array().expect("a list").len() as u64,
        "collection",
    );
    let functions = heap["functions"].as_array().expect("a list");
    let number = |function: &Value, key: &str| function[key].as_u64().expect("a number");
    let followed: u64 = functions.iter().map(|function| number(function, "followed")).sum();
    let followed = units::plural(followed, "object") + " followed";
    let old = functions
        .iter()
        .map(|function| number(function, "estimated_promoted_bytes"));
    let old = units::bytes(old.max().expect("a function"));
    for wanted in [
        "3.0 GiB allocated",
        "mark-compact",
        &collections,
        &share,
        name,
        &followed,
        &old,
    ] {
        assert!(javascript.contains(wanted), "{wanted} is not in {javascript}");
    }
}
