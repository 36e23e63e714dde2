//! The page uses nothing that the browsers which it asks for do not have.

use super::{PAGE, SCRIPT, STYLE};

/// What is asked for, wherever it is said.
const NEEDED: &str = "Chrome 89, Firefox 113 or Safari 16.4";

/// What came later to one of them at least, and is likely to be written without a thought: in which release it came to the last of
/// Chrome, Firefox and Safari that lacked it, as MDN's tables of compatibility say.
const LATER: [(&str, &str); 40] = [
    // Scripts.
    (".at(", "Chrome 92"),
    (".findLast", "Chrome 97"),
    (".toSorted(", "Firefox 115"),
    (".toReversed(", "Firefox 115"),
    (".toSpliced(", "Firefox 115"),
    (".with(", "Firefox 115"),
    (".union(", "Firefox 127"),
    (".intersection(", "Firefox 127"),
    (".difference(", "Firefox 127"),
    (".getOrInsert", "not in all yet"),
    (".isWellFormed(", "Firefox 119"),
    (".checkVisibility(", "Safari 17.4"),
    ("Object.hasOwn(", "Chrome 93"),
    ("Object.groupBy(", "Safari 17.4"),
    ("Map.groupBy(", "Safari 17.4"),
    ("Array.fromAsync(", "Chrome 121"),
    ("Promise.withResolvers(", "Safari 17.4"),
    ("Promise.try(", "Safari 18.2"),
    ("RegExp.escape(", "Chrome 136"),
    ("URL.canParse(", "Safari 17"),
    ("Iterator.", "Safari 18.4"),
    ("AbortSignal.any(", "Safari 17.4"),
    ("structuredClone(", "Chrome 98"),
    ("requestIdleCallback(", "not in Safari"),
    ("scheduler.", "not in Safari"),
    ("startViewTransition(", "Safari 18"),
    ("static {", "Chrome 94"),
    (" in this)", "Chrome 91"),
    ("{ cause", "Chrome 93"),
    // Styles.
    (":has(", "Firefox 121"),
    ("color-mix(", "Chrome 111"),
    ("light-dark(", "Safari 17.5"),
    ("oklch(", "Chrome 111"),
    ("@layer", "Chrome 99"),
    ("@container", "Chrome 105"),
    ("@scope", "Firefox 146"),
    ("@starting-style", "Firefox 129"),
    ("dvh", "Chrome 108"),
    ("accent-color", "Chrome 93"),
    ("text-wrap:", "Safari 17.5"),
];

#[test]
fn nothing_is_used_that_came_later() {
    for (feature, release) in LATER {
        for (name, text) in [("script", SCRIPT), ("style", STYLE), ("page", PAGE)] {
            assert!(!text.contains(feature), "the {name} has {feature}: {release}");
        }
    }
}

/// The one that Chrome 89 is asked for, and the one that is the reason for both others.
#[test]
fn what_is_asked_for_is_needed() {
    assert!(SCRIPT.contains("\nawait "));
    assert!(SCRIPT.contains("new DecompressionStream("));
}

#[test]
fn the_page_and_its_description_ask_for_the_same() {
    let described = include_str!("../../../../docs/html.md");
    for (name, text) in [("page", PAGE), ("script", SCRIPT), ("description", described)] {
        let said = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(NEEDED), "{name}");
        assert_eq!(said.matches("Safari 1").count(), 1, "{name}");
    }
}
