//! The tables of functions and modules: the sums that every other output has, and nothing in them that is no function.

use std::collections::BTreeMap;

use memtrace::{
    profile::{Frame, Profile, code::Unit},
    render::{escape, units},
};
use memtrace_tests::{made, require, require_tool};
use serde_json::Value;

use crate::{
    SMALL,
    browser::{has_playwright, page, seen, text},
    checks::assert_clean,
};

const LOST: &str = "[no stack: ring was full]";

/// A service in two groups, whose blocks come through `operator new`, and some of whose stacks were lost.
fn profile() -> Profile {
    let mut profile = made::profile(SMALL);
    profile.groups = vec!["group one".into(), "group two".into()];
    let new = u32::try_from(profile.frames.len()).expect("a few frames");
    profile.frames.push(Frame {
        function: Some("operator new(unsigned long)".into()),
        module: "libstdc++.so.6".into(),
        ..profile.frames[0].clone()
    });
    for stack in &mut profile.stacks {
        stack.insert(1, new);
    }
    for (index, site) in profile.sites.iter_mut().enumerate() {
        site.group = Some(index % 2);
        if index % 5 == 2 {
            site.stack = None;
        }
    }
    profile.health.stacks.lost = 80;
    profile.finished()
}

fn name(frame: &Frame, unit: Unit) -> String {
    let module = escape::text(&frame.module).into_owned();
    match (unit, &frame.function) {
        (Unit::Module, _) => module,
        (_, Some(function)) => format!("{} — {module}", escape::text(function)),
        (_, None) => format!("{module}+{:#x}", frame.offset),
    }
}

/// What each row of a table has to be: own and with callees, by name.
fn wanted(profile: &Profile, unit: Unit) -> BTreeMap<String, (u64, u64)> {
    let sums = profile
        .by_code(unit)
        .into_iter()
        .filter(|sums| sums.total.live.bytes > 0);
    let frame = |index: u32| &profile.frames[usize::try_from(index).expect("it fits")];
    sums.map(|sums| {
        let name = sums
            .frame
            .map_or_else(|| LOST.to_owned(), |index| name(frame(index), unit));
        (name, (sums.own.live.bytes, sums.total.live.bytes))
    })
    .collect()
}

#[test]
fn functions_and_modules_are_those_of_other_outputs() {
    require_tool!("node");
    require_tool!("chromium");
    require!(has_playwright());
    let profile = profile();
    let seen = &seen(&[("tables", page(&profile))])[0];
    assert_clean(seen);
    for (view, unit) in [("functions", Unit::Function), ("modules", Unit::Module)] {
        let wanted = wanted(&profile, unit);
        let foot = text(seen, &format!("/views/{view}/text"));
        assert!(foot.contains(&units::plural(wanted.len() as u64, "row")), "{foot}");
        let rows = seen["views"][view]["rows"].as_array().expect("rows");
        assert_eq!(rows.len(), wanted.len().min(20));
        let mut lost = false;
        for row in rows {
            let name = row[5]["text"].as_str().expect("a name");
            let &(own, through) = wanted.get(name).unwrap_or_else(|| panic!("{name} is no {view}"));
            let exact = [&row[1]["exact"], &row[3]["exact"]];
            assert_eq!(
                exact.map(Value::as_str),
                [own, through]
                    .map(|sum| units::plural(sum, "byte"))
                    .each_ref()
                    .map(|text| Some(text.as_str())),
                "{name}"
            );
            lost |= name == LOST;
        }
        assert!(lost, "the stacks that were lost are among the largest: {rows:?}");
    }
    let sites = text(seen, "/views/sites/text");
    assert!(sites.contains(LOST), "{sites}");
    // What lies below the calling function is in the stack alone.
    assert_eq!(
        seen["below"],
        serde_json::json!(["malloc", "operator new(unsigned long)"])
    );
}

/// A group is found, but is no function.
#[test]
fn a_search_counts_functions_alone() {
    require_tool!("node");
    require_tool!("chromium");
    require!(has_playwright());
    let mut profile = profile();
    profile.groups = vec!["cache group".into(), "group two".into()];
    let seen = &seen(&[("groups", page(&profile))])[0];
    let matching = |frame: &&Frame| {
        let text = format!("{} {}", frame.function.as_deref().unwrap_or_default(), frame.module);
        text.contains("cache") || text.contains("worker")
    };
    let mut names: Vec<String> = (profile.sites.iter())
        .flat_map(|site| profile.stack(site))
        .filter(matching)
        .map(|frame| name(frame, Unit::Function))
        .collect();
    names.sort();
    names.dedup();
    let found = text(seen, "/search/found");
    let lost = format!("{} in ", units::plural(names.len() as u64, "function"));
    assert!(found.starts_with(&lost), "{found}, and {}", names.len());
}
