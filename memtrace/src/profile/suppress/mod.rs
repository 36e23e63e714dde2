//! Sites that are known, and not to be told as leaks: files in the syntax of `LeakSanitizer`, and the C library's own.
//!
//! What is suppressed is counted and named in the leak report: it does not vanish.

mod template;

use std::collections::BTreeSet;

use thiserror::Error;

use self::template::Template;
use super::{Amount, Frame, Profile, Site};

/// The patterns for what the C library keeps.
const RUNTIME: &str = include_str!("runtime.supp");
/// Beginnings of the files of the C and C++ runtimes.
const RUNTIME_MODULES: [&str; 14] = [
    "ld-linux",
    "ld-musl",
    "ld-2.",
    "libc.so",
    "libc-2.",
    "libc.musl",
    "libm.so",
    "libm-2.",
    "libpthread",
    "libdl",
    "libgcc_s.so",
    "libstdc++.so",
    "libc++.so",
    "libc++abi.so",
];
/// Of these those of the dynamic loader.
const LOADERS: [&str; 3] = ["ld-linux", "ld-musl", "ld-2."];

/// A line of a suppression file that is none.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error(
    "line {line} is no suppression: {text:?} (a suppression is `leak:` and a part of the name of a function, a file or a module; a comment begins with #)"
)]
pub struct BadLine {
    /// Its number, from 1 on.
    pub line: usize,
    /// What it says.
    pub text: String,
}

/// All patterns, in their order.
#[derive(Clone, Debug, Default)]
pub struct Suppressions(Vec<Pattern>);

/// One pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// What it says.
    pub text: String,
    /// Where it says so: file and line. `None` for the C library's.
    pub place: Option<String>,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    /// A frame's function, module or source file has a name like that.
    Name(Template),
    /// A frame's function has, and is the C library's.
    Runtime(Template),
    /// All frames are of the runtime, and the dynamic loader called them.
    BeforeMain,
}

/// What the suppressions came to.
#[derive(Clone, Debug, Default)]
pub struct Suppressed {
    /// How many sites.
    pub sites: u64,
    /// What would have been suspected of them.
    pub amount: Amount,
    /// Patterns with what each is about; a site that several are about is in each.
    pub by_pattern: Vec<(Pattern, u64, Amount)>,
    /// The user's patterns that are about no suspected site.
    pub unused: Vec<Pattern>,
}

impl Suppressions {
    /// Those for what the C library keeps to the end of every program.
    pub fn of_the_runtime() -> Self {
        let mut patterns = vec![Pattern {
            text: "made by the dynamic loader before main".into(),
            place: None,
            rule: Rule::BeforeMain,
        }];
        patterns.extend(lines(RUNTIME).filter_map(|(_, text)| {
            let name = text.strip_prefix("leak:")?;
            Some(Pattern {
                text: name.to_owned(),
                place: None,
                rule: Rule::Runtime(Template::new(name)),
            })
        }));
        Self(patterns)
    }

    /// Adds those of a file.
    ///
    /// # Errors
    /// A line that is neither a suppression of leaks nor a comment.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), BadLine> {
        for (line, text) in lines(text) {
            let name = text.strip_prefix("leak:").filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| BadLine {
                line,
                text: text.to_owned(),
            })?;
            self.0.push(Pattern {
                text: name.to_owned(),
                place: Some(format!("{file}:{line}")),
                rule: Rule::Name(Template::new(name)),
            });
        }
        Ok(())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns, in the order in which they were given.
    pub fn patterns(&self) -> &[Pattern] {
        &self.0
    }
}

/// Lines that are more than a comment, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.lines().map(str::trim));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

impl Rule {
    /// Whether a stack with this frame is meant.
    fn is_about(&self, frame: &Frame) -> bool {
        let function = frame.function.as_deref().unwrap_or_default();
        match self {
            Self::Name(name) => {
                name.matches(function)
                    || name.matches(&frame.module)
                    || frame.file.as_deref().is_some_and(|file| name.matches(file))
            }
            Self::Runtime(name) => {
                // As debug information calls the C library's own copy of what it exports.
                let function = function.strip_prefix("__GI_").unwrap_or(function);
                is_of(&RUNTIME_MODULES, frame) && name.matches(function)
            }
            Self::BeforeMain => false,
        }
    }
}

fn is_of(modules: &[&str], frame: &Frame) -> bool {
    modules.iter().any(|module| frame.module.starts_with(module))
}

impl Profile {
    /// For each site the patterns that are about its stack, as indices into those of the settings.
    pub(super) fn suppressing(&self, sites: &[&Site]) -> Vec<Vec<usize>> {
        let patterns = self.settings.suppressions.patterns();
        if patterns.is_empty() {
            return vec![Vec::new(); sites.len()];
        }
        // Few frames are many stacks.
        let by_frame: Vec<Vec<usize>> = (self.frames.iter())
            .map(|frame| {
                (0..patterns.len())
                    .filter(|&index| patterns[index].rule.is_about(frame))
                    .collect()
            })
            .collect();
        let of_site = |site: &&Site| {
            let stack = site.stack.and_then(|stack| self.stacks.get(stack));
            let frames = stack
                .into_iter()
                .flatten()
                .filter_map(|&frame| by_frame.get(frame as usize));
            let mut found: BTreeSet<usize> = frames.flatten().copied().collect();
            if self.is_before_main(site) {
                found.extend((0..patterns.len()).filter(|&index| matches!(patterns[index].rule, Rule::BeforeMain)));
            }
            found.into_iter().collect()
        };
        sites.iter().map(of_site).collect()
    }

    /// Whether the dynamic loader, and no other code than the runtime's, led to an allocation. A stack that was cut ends elsewhere.
    fn is_before_main(&self, site: &Site) -> bool {
        let outermost = self.stack(site).next_back();
        outermost.is_some_and(|frame| is_of(&LOADERS, frame))
            && self.stack(site).all(|frame| is_of(&RUNTIME_MODULES, frame))
    }

    /// What is suppressed.
    pub fn suppressed(&self) -> Suppressed {
        let mut all = Suppressed::default();
        let patterns = self.settings.suppressions.patterns();
        let mut by_pattern = vec![(0, Amount::default()); patterns.len()];
        let suspicions = self.sites.iter().filter_map(|site| site.suspicion.as_ref());
        for suspicion in suspicions.filter(|suspicion| suspicion.is_suppressed()) {
            all.sites += 1;
            all.amount = sum(all.amount, suspicion.amount);
            for &index in &suspicion.suppressed_by {
                if let Some((sites, amount)) = by_pattern.get_mut(index) {
                    *sites += 1;
                    *amount = sum(*amount, suspicion.amount);
                }
            }
        }
        for (pattern, (sites, amount)) in patterns.iter().zip(by_pattern) {
            if sites > 0 {
                all.by_pattern.push((pattern.clone(), sites, amount));
            } else if pattern.place.is_some() {
                all.unused.push(pattern.clone());
            }
        }
        all
    }
}

fn sum(a: Amount, b: Amount) -> Amount {
    Amount {
        bytes: a.bytes.saturating_add(b.bytes),
        count: a.count.saturating_add(b.count),
    }
}

#[cfg(test)]
mod tests;
