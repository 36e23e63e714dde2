//! What is packed is what the profile has, and nothing of it is outside.

use std::{collections::BTreeMap, io::Read as _};

use flate2::read::ZlibDecoder;
use serde_json::Value;

use super::*;
use crate::{
    profile::{Amount, Site, fixture},
    render::{diff::tests::pair, label, tests::rendered},
};

fn page_of(profile: &Profile) -> String {
    rendered(|out| write(profile, Measure::Live, out))
}

/// What lies between two texts of a page.
fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = page.split_once(before).unwrap();
    rest.split_once(after).unwrap().0
}

/// What a page has packed.
fn unpacked(page: &str) -> Value {
    let packed = between(page, r#"id="data">"#, "</script>");
    let mut text = String::new();
    let packed = BASE64.decode(packed.as_bytes()).unwrap();
    ZlibDecoder::new(&*packed).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn numbers(list: &Value) -> Vec<u64> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|number| number.as_u64().unwrap())
        .collect()
}

/// The names of a stack, root first.
fn names(document: &Value, node: u64) -> Vec<String> {
    let places = &document["places"];
    let at = |list: &Value, index: u64| list[usize::try_from(index).unwrap()].as_u64().unwrap();
    let mut found = Vec::new();
    let mut node = i64::try_from(node).unwrap();
    while let Ok(index) = u64::try_from(node) {
        let function = at(&places["frames"]["function"], at(&places["nodes"]["frame"], index));
        let name = at(&places["functions"]["name"], function);
        found.push(
            places["strings"][usize::try_from(name).unwrap()]
                .as_str()
                .unwrap()
                .to_owned(),
        );
        node -= i64::try_from(at(&places["nodes"]["up"], index)).unwrap();
    }
    found.reverse();
    found
}

#[test]
fn sums_and_stacks_are_those_of_the_profile() {
    for (name, profile) in fixture::all() {
        let document = unpacked(&page_of(&profile));
        let sites = &document["sites"];
        assert_eq!(sites["memory"], profile.memory_sites().count(), "{name}");
        let sum = |key: &str, unit: &str| {
            let all = numbers(&sites["amounts"][key][unit]);
            all[..profile.memory_sites().count()]
                .iter()
                .fold(0, |sum: u64, next| sum.saturating_add(*next))
        };
        let (live, allocated) = (profile.totals.live, profile.totals.allocated);
        for (key, wanted) in [("live", live), ("allocated", allocated)] {
            let found = Amount {
                bytes: sum(key, "bytes"),
                count: sum(key, "count"),
            };
            assert_eq!(found, wanted, "{key} of {name}");
        }
        let others = profile.sites.iter().filter(|site| !site.op.class().is_memory());
        for (site, node) in profile.memory_sites().chain(others).zip(numbers(&sites["node"])) {
            let frames: Vec<_> = profile.stack(site).rev().map(label::function).collect();
            let mut wanted: Vec<_> = profile
                .group(site)
                .map(|group| label::command(group).into_owned())
                .into_iter()
                .collect();
            if frames.is_empty() {
                wanted.extend([label::no_stack(&profile, site).to_owned(), site.op.name().to_owned()]);
            }
            wanted.extend(frames);
            assert_eq!(names(&document, node), wanted, "{name}");
        }
        assert_eq!(
            document["leaks"].as_array().unwrap().len(),
            profile.suspects().count(),
            "{name}"
        );
        for (leak, (site, suspicion)) in document["leaks"].as_array().unwrap().iter().zip(profile.suspects()) {
            let index = usize::try_from(leak["site"].as_u64().unwrap()).unwrap();
            assert_eq!(leak["score"], suspicion.score);
            assert_eq!(numbers(&sites["amounts"]["live"]["bytes"])[index], site.live.bytes);
        }
        assert_eq!(document["words"]["accuracy"], profile.health.accuracy().summary);
    }
}

#[test]
fn histories_come_back() {
    for (_, profile) in fixture::all() {
        let document = unpacked(&page_of(&profile));
        let histories = &document["histories"];
        let moments = numbers(&histories["moments"]);
        let (steps, changes) = (numbers(&histories["step"]), &histories["change"]);
        let mut at = 0;
        let others = profile.sites.iter().filter(|site| !site.op.class().is_memory());
        let sites: Vec<&Site> = profile.memory_sites().chain(others).collect();
        for (site, length) in sites.iter().zip(numbers(&histories["length"])) {
            assert_eq!(length, site.history.len() as u64);
            let (mut index, mut bytes) = (0, 0);
            for (time, wanted) in site.history.iter() {
                index += steps[at];
                bytes += changes[at].as_i64().unwrap();
                at += 1;
                assert_eq!(
                    u128::from(moments[usize::try_from(index).unwrap() - 1]),
                    time.as_nanos()
                );
                assert_eq!(u64::try_from(bytes), Ok(wanted));
            }
        }
    }
}

/// All that is in a page beside the packed data is ours, whatever the target is called.
#[test]
fn nothing_of_the_target_is_outside_of_the_data() {
    let without_data = |page: &str| {
        let data = between(page, r#"id="data">"#, "</script>");
        page.replace(data, "")
    };
    let ours = without_data(&page_of(&fixture::empty()));
    for (name, profile) in fixture::all() {
        let page = page_of(&profile);
        let data = between(&page, r#"id="data">"#, "</script>");
        assert!(
            data.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)),
            "{name}"
        );
        assert_eq!(without_data(&page), ours, "{name}");
    }
    assert_eq!(ours.matches("</script").count(), 2);
}

/// The policy names what is in the page, and the page names nothing of elsewhere.
#[test]
fn the_policy_is_of_this_page() {
    let page = page_of(&fixture::normal());
    for (element, kind) in [("style", "style"), ("script type=\"module\"", "script")] {
        let content = between(&page, &format!("<{element}>"), &format!("</{kind}>"));
        let hash = BASE64.encode(&Sha256::digest(content.as_bytes()));
        assert!(page.contains(&format!("{kind}-src 'sha256-{hash}'")), "{kind}");
    }
    assert!(page.contains("default-src 'none'") && page.contains("summary.txt"));
    let elsewhere: BTreeMap<_, _> = page.match_indices("://").collect();
    // The name of SVG's elements is no address.
    assert_eq!(elsewhere.len(), page.matches("http://www.w3.org/2000/svg").count());
    for risky in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function(",
    ] {
        assert!(!SCRIPT.contains(risky), "{risky}");
    }
}

#[test]
fn both_sides_of_a_comparison_are_packed() {
    let (before, after) = pair();
    let comparison = Comparison::new(&before, &after);
    let document = unpacked(&rendered(|out| write_diff(&comparison, Measure::Live, out)));
    for (side, profile) in [("before", &before), ("after", &after)] {
        let all = numbers(&document["sites"][side]["live"]["bytes"]);
        assert_eq!(all.iter().sum::<u64>(), profile.totals.live.bytes, "{side}");
    }
    assert_eq!(
        document["words"]["notes"].as_array().unwrap().len(),
        crate::render::diff::notes(&comparison).len()
    );
}
