//! `leaks.xml`: the check for CI, in the form that `JUnit`'s Ant task began and that Jenkins, GitLab and others read.
//!
//! A test case is named by the functions of its site, so that it is the same one in the next run. Cases of sites fail when the whole
//! does, by what they are part of it; what does not count is skipped, with its reason.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
};

use crate::{
    profile::{Check, Profile, Site, Suspicion},
    units::{bytes, plural},
};

use super::{escape, label};

/// Name of the suite, and class of its cases.
const NAME: &str = "memtrace.leaks";
/// The case for the sum of all sites.
const TOTAL: &str = "total";
/// Functions that name a case: enough to tell sites apart for people, few enough to survive a change further out.
const NAMED: usize = 3;
/// Frames in the text of a case.
const FRAMES: usize = 32;

/// What comes of a case.
enum Outcome {
    Passed,
    Failed,
    /// It does not count, for this reason.
    Skipped(String),
}

/// Writes the test cases of a profile that was checked; of another one, nothing.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    let Some(check) = profile.check() else { return Ok(()) };
    let mut names = BTreeMap::new();
    let mut cases = vec![total(profile, check)];
    let suspected = profile
        .sites
        .iter()
        .filter_map(|site| Some((site, site.suspicion.as_ref()?)));
    for (site, suspicion) in suspected {
        cases.push(case(profile, check, site, suspicion, &mut names));
    }
    let count = |wanted: fn(&Outcome) -> bool| cases.iter().filter(|case| wanted(&case.outcome)).count().to_string();
    let (tests, failures) = (
        cases.len().to_string(),
        count(|outcome| matches!(outcome, Outcome::Failed)),
    );
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    let seconds = format!("{:.3}", profile.observed.as_secs_f64());
    let mut xml = Writer::new_with_indent(&mut *out, b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let sums = [
        ("name", NAME),
        ("tests", &tests),
        ("failures", &failures),
        ("errors", "0"),
        ("time", &seconds),
    ];
    xml.write_event(Event::Start(BytesStart::new("testsuites").with_attributes(sums)))?;
    let suite = BytesStart::new("testsuite").with_attributes(sums);
    xml.write_event(Event::Start(suite.with_attributes([("skipped", skipped.as_str())])))?;
    for case in cases {
        case.write(&mut xml)?;
    }
    xml.write_event(Event::End(BytesEnd::new("testsuite")))?;
    xml.write_event(Event::End(BytesEnd::new("testsuites")))?;
    writeln!(out)
}

struct Case {
    name: String,
    outcome: Outcome,
    message: String,
    text: String,
}

impl Case {
    fn write<W: Write>(self, xml: &mut Writer<W>) -> io::Result<()> {
        let (tag, message) = match &self.outcome {
            Outcome::Passed => ("system-out", None),
            Outcome::Failed => ("failure", Some(self.message.as_str())),
            Outcome::Skipped(reason) => ("skipped", Some(reason.as_str())),
        };
        let case = xml
            .create_element("testcase")
            .with_attributes([("classname", NAME), ("name", &self.name)]);
        case.write_inner_content(|xml| {
            let mut inner = xml.create_element(tag);
            if let Some(message) = message {
                inner = inner.with_attribute(("message", message));
            }
            if matches!(self.outcome, Outcome::Failed) {
                inner = inner.with_attribute(("type", "leak"));
            }
            inner.write_text_content(BytesText::new(&self.text))?;
            Ok(())
        })?;
        Ok(())
    }
}

fn total(profile: &Profile, check: Check) -> Case {
    let found = format!("{} in {}", bytes(check.found), plural(check.sites, "site"));
    let message = format!("{found} leaked or growing, {} may be", bytes(check.limit));
    Case {
        name: TOTAL.to_owned(),
        outcome: if check.failed { Outcome::Failed } else { Outcome::Passed },
        text: format!("{message}\nnumbers: {}\n", profile.health.accuracy().summary),
        message,
    }
}

fn case(
    profile: &Profile,
    check: Check,
    site: &Site,
    suspicion: &Suspicion,
    names: &mut BTreeMap<String, u32>,
) -> Case {
    let amount = label::amount(suspicion.amount);
    let verdict = label::verdict(suspicion.verdict);
    let first = suspicion.suppressed_by.first();
    let outcome = if let Some(pattern) = first.and_then(|&index| profile.settings.suppressions.patterns().get(index)) {
        let place = pattern.place.as_deref().unwrap_or("memtrace's own");
        Outcome::Skipped(format!(
            "suppressed by {} ({})",
            escape::text(&pattern.text),
            escape::text(place)
        ))
    } else if !suspicion.verdict.counts() {
        Outcome::Skipped("still live without growing: nothing tells it from what is needed".to_owned())
    } else if check.failed {
        Outcome::Failed
    } else {
        Outcome::Passed
    };
    let mut text = String::from("\n");
    for line in suspicion
        .reasons
        .iter()
        .cloned()
        .chain(label::stack(profile, site, 0, FRAMES))
    {
        text.push_str(&line);
        text.push('\n');
    }
    Case {
        name: name(profile, site, names),
        outcome,
        message: format!("{amount} {verdict}, score {} of 100", suspicion.score),
        text,
    }
}

/// `malloc: read_config < main`; sites that would have the same name are numbered.
fn name(profile: &Profile, site: &Site, names: &mut BTreeMap<String, u32>) -> String {
    let frames = profile.calling_stack(site);
    let functions: Vec<_> = frames.into_iter().take(NAMED).map(label::function).collect();
    let place = if functions.is_empty() {
        label::no_stack(profile, site).to_owned()
    } else {
        functions.join(" < ")
    };
    let group = profile
        .group(site)
        .map_or_else(String::new, |group| format!("[{}] ", label::command(group)));
    let name = format!("{group}{}: {place}", site.op.name());
    let times = names.entry(name.clone()).and_modify(|times| *times += 1).or_insert(1);
    match times {
        1 => name,
        times => format!("{name} ({times})"),
    }
}

#[cfg(test)]
mod tests {
    use quick_xml::Reader;

    use super::*;
    use crate::{
        profile::{fixture, suppress::Suppressions},
        render::tests::rendered,
    };

    #[test]
    fn documents() {
        for (name, mut profile) in [("exited", fixture::exited()), ("normal", fixture::normal())] {
            profile.settings.fail_over = Some(1 << 20);
            profile.settings.suppressions = Suppressions::of_the_runtime();
            profile
                .settings
                .suppressions
                .add("known.supp", "leak:dictExpand")
                .unwrap();
            let profile = profile.finished();
            insta::assert_snapshot!(format!("junit_{name}"), rendered(|out| write(&profile, out)));
        }
    }

    #[test]
    fn every_profile_is_well_formed_and_its_counts_are_right() {
        for (name, mut profile) in fixture::all() {
            assert_eq!(rendered(|out| write(&profile, out)), "", "{name} was not checked");
            profile.settings.fail_over = Some(0);
            let profile = profile.finished();
            let text = rendered(|out| write(&profile, out));
            let bad = text.chars().find(|&c| escape::is_unsafe(c) && c != '\n');
            assert_eq!(bad, None, "{name}");
            let mut reader = Reader::from_str(&text);
            let (mut cases, mut failures) = (0, 0);
            loop {
                match reader.read_event().unwrap() {
                    Event::Start(tag) if tag.name().as_ref() == b"testcase" => cases += 1,
                    Event::Start(tag) if tag.name().as_ref() == b"failure" => failures += 1,
                    Event::Eof => break,
                    _ => {}
                }
            }
            assert_eq!(
                cases,
                1 + profile.sites.iter().filter(|site| site.suspicion.is_some()).count(),
                "{name}"
            );
            let check = profile.check().unwrap();
            assert_eq!(failures, check.sites + u64::from(check.failed), "{name}");
            assert!(
                text.contains(&format!("tests=\"{cases}\" failures=\"{failures}\"")),
                "{name}: {text}"
            );
        }
    }
}
