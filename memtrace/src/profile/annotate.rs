//! Memory by the lines of a source file.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::{Profile, Site, calltree::Amounts};

/// The sums of a file's lines.
#[derive(Clone, Debug, Default)]
pub struct Annotation {
    /// The file as debug information names it.
    pub file: String,
    /// The lines that are in a stack, by number.
    pub lines: BTreeMap<u32, LineSums>,
    /// Of the sites that come through the file, each once.
    pub total: Amounts,
}

/// The sums of a line.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LineSums {
    /// What the line itself asks for: it is that of the first frame that does not only pass a request on.
    pub own: Amounts,
    /// What is allocated on behalf of it: it is anywhere in the stack from there on. A site counts once, also where recursion comes
    /// through the line more than once.
    pub total: Amounts,
}

/// Why there are no lines to show.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum AnnotateError {
    /// No stack has a line of it.
    #[error("failed to find source file {asked}: no call stack has a line of it{}", hint(.known))]
    NotFound {
        /// What was asked for.
        asked: String,
        /// Files that there are, those of the same name first.
        known: Vec<String>,
    },
    /// Several files end so.
    #[error("failed to choose source file {asked}: it may be {}; give more of the path", .candidates.join(" or "))]
    Ambiguous {
        /// What was asked for.
        asked: String,
        /// What it may be.
        candidates: Vec<String>,
    },
}

/// Files that an error names.
const NAMED: usize = 8;

fn hint(known: &[String]) -> String {
    match known {
        [] => " (no frame has a source line: the program and its libraries have no debug information)".to_owned(),
        known => format!(" (there is {})", known.join(", ")),
    }
}

/// Adds up what the lines of a file are behind. `path` is the file as debug information names it, or the end of that from a `/` on; a
/// longer path than debug information has is taken too, if it ends in it.
///
/// # Errors
///
/// A file that is in no stack, or several that it may be.
pub fn annotate(profile: &Profile, path: &str) -> Result<Annotation, AnnotateError> {
    let file = find(profile, path)?.to_owned();
    let mut annotation = Annotation {
        file,
        ..Annotation::default()
    };
    for site in profile.memory_sites() {
        annotation.add(profile, site);
    }
    Ok(annotation)
}

impl Annotation {
    fn add(&mut self, profile: &Profile, site: &Site) {
        let amounts = Amounts::of(site);
        let stack = profile.calling_stack(site);
        let line = |index: usize| {
            let frame = stack.get(index)?;
            frame.line.filter(|_| frame.file.as_deref() == Some(&self.file))
        };
        let lines: BTreeSet<u32> = (0..stack.len()).filter_map(line).collect();
        let own = line(0);
        if lines.is_empty() {
            return;
        }
        self.total = self.total.plus(amounts);
        for number in lines {
            let sums = self.lines.entry(number).or_default();
            sums.total = sums.total.plus(amounts);
            if own == Some(number) {
                sums.own = sums.own.plus(amounts);
            }
        }
    }
}

/// The one file that is meant.
fn find<'profile>(profile: &'profile Profile, path: &str) -> Result<&'profile str, AnnotateError> {
    let stacks = profile.memory_sites().flat_map(|site| profile.calling_stack(site));
    let files: BTreeSet<&str> = stacks
        .filter(|frame| frame.line.is_some())
        .filter_map(|frame| frame.file.as_deref())
        .collect();
    let asked = path.trim_start_matches("./");
    if let Some(file) = files.get(path).or_else(|| files.get(asked)) {
        return Ok(file);
    }
    let ending =
        |whole: &str, end: &str| !end.is_empty() && whole.strip_suffix(end).is_some_and(|head| head.ends_with('/'));
    let mut candidates: Vec<&str> = files.iter().copied().filter(|file| ending(file, asked)).collect();
    if candidates.is_empty() {
        candidates = files.iter().copied().filter(|file| ending(asked, file)).collect();
    }
    match candidates.as_slice() {
        [file] => Ok(file),
        [] => {
            let name = |file: &str| file.rsplit('/').next().unwrap_or_default().to_owned();
            let mut known: Vec<&str> = files.into_iter().collect();
            known.sort_by_key(|file| name(file) != name(path));
            Err(AnnotateError::NotFound {
                asked: path.to_owned(),
                known: known.into_iter().take(NAMED).map(str::to_owned).collect(),
            })
        }
        several => Err(AnnotateError::Ambiguous {
            asked: path.to_owned(),
            candidates: several.iter().take(NAMED).map(|&file| file.to_owned()).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use memtrace_common::op::Op;
    use proptest::prelude::*;

    use super::*;
    use crate::profile::{
        Amount,
        fixture::{self, SiteSpec, frame, line},
    };

    fn site(lines: &[(&str, u32)], live: u64) -> SiteSpec {
        let frames = lines.iter().map(|(file, number)| line("f", "app", file, *number));
        let malloc = std::iter::once(frame("malloc", "libc.so.6"));
        SiteSpec::new(Op::Malloc).stack(malloc.chain(frames)).live(live, 1)
    }

    #[test]
    fn lines_have_their_own_and_what_is_behind_them_once() {
        let profile = fixture::profile([
            site(&[("/s/a.c", 5), ("/s/a.c", 9), ("/s/a.c", 9)], 10),
            site(&[("/s/b.c", 1), ("/s/a.c", 5)], 7),
            site(&[("/s/b.c", 1)], 3),
        ]);
        let found = annotate(&profile, "a.c").unwrap();
        let live: Vec<_> = found
            .lines
            .iter()
            .map(|(number, sums)| (*number, sums.own.live.bytes, sums.total.live.bytes))
            .collect();
        assert_eq!(
            (live, found.total.live),
            (vec![(5, 10, 17), (9, 0, 10)], Amount { bytes: 17, count: 2 })
        );
    }

    #[test]
    fn files_are_found_by_the_end_of_their_path() {
        let profile = fixture::profile([
            site(&[("/s/lib/a.c", 1)], 1),
            site(&[("/s/app/a.c", 1), ("src/m.c", 2)], 1),
        ]);
        let found = |path: &str| annotate(&profile, path).map(|annotation| annotation.file);
        assert_eq!(found("lib/a.c").as_deref(), Ok("/s/lib/a.c"));
        assert_eq!(found("/s/app/a.c").as_deref(), Ok("/s/app/a.c"));
        assert_eq!(found("./m.c").as_deref(), Ok("src/m.c"));
        assert_eq!(found("/home/me/src/m.c").as_deref(), Ok("src/m.c"));
        let error = found("a.c").unwrap_err().to_string();
        assert!(error.contains("/s/app/a.c or /s/lib/a.c; give more"), "{error}");
        let error = found("x/m.c").unwrap_err();
        assert!(
            matches!(&error, AnnotateError::NotFound { known, .. } if known[0] == "src/m.c"),
            "{error}"
        );
        assert!(found("b/a.c").is_err() && found(".c").is_err() && found("").is_err());
        let error = annotate(&fixture::empty(), "a.c").unwrap_err().to_string();
        assert!(error.contains("no debug information"), "{error}");
    }

    proptest! {
        #[test]
        fn each_site_is_of_one_line_itself_at_most(
            sites in prop::collection::vec((prop::collection::vec(("[ab]", 1..5_u32), 0..6), 0..100_u64), 0..9),
        ) {
            let specs = sites.iter().map(|(lines, live)| {
                let lines: Vec<_> = lines.iter().map(|(file, number)| (&**file, *number)).collect();
                site(&lines, *live)
            });
            let profile = fixture::profile(specs);
            let Ok(found) = annotate(&profile, "a") else { return Ok(()) };
            let through: u64 = sites.iter().filter(|(lines, _)| lines.iter().any(|(file, _)| file == "a")).map(|(_, live)| live).sum();
            prop_assert_eq!(found.total.live.bytes, through);
            let own: u64 = found.lines.values().map(|sums| sums.own.live.bytes).sum();
            let first: u64 = sites.iter().filter(|(lines, _)| lines.first().is_some_and(|(file, _)| file == "a")).map(|(_, live)| live).sum();
            prop_assert_eq!(own, first);
            prop_assert!(found.lines.values().all(|sums| sums.own.live.bytes <= sums.total.live.bytes && sums.total.live.bytes <= through));
        }
    }
}
