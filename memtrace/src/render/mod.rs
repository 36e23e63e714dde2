//! What a [`Profile`] looks like: one file per format.
//!
//! A renderer sees a profile and a writer, nothing else: it does not symbolize, judge, sort by chance, open
//! files or read a clock. The same profile gives the same bytes. A new format is a module and a row in
//! [`FILES`].

pub mod annotate;
pub(crate) mod bars;
pub mod census;
pub mod diff;
pub mod dump;
pub mod escape;
mod excerpt;
pub mod export;
pub mod flamegraph;
pub mod folded;
mod header;
mod health;
pub mod heap;
pub mod histogram;
pub mod html;
mod js_heap;
pub(crate) mod js_shortage;
mod js_sites;
pub mod js_stacks;
mod js_survival;
pub mod json;
mod json_census;
mod json_js_heap;
mod json_js_shortage;
mod json_lines;
mod json_process;
mod json_resident;
#[cfg(test)]
mod json_schema;
mod json_site;
pub mod junit;
pub(crate) mod label;
pub(crate) mod layout;
pub mod leaks;
pub mod lines;
pub mod live;
mod nothing;
pub(crate) mod processes;
mod resident;
mod suppressions;
pub mod text;
pub mod timeline;
pub mod tree;
mod windows;

use std::io::{self, Write};

use crate::profile::Profile;
pub use crate::{profile::Measure, units};

/// What can be chosen of the files' form.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What the flame graph, the folded stacks and the tree measure.
    pub measure: Measure,
}

/// A file of the output folder.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Its name in the folder.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Whether a profile has anything for it.
    has: fn(&Profile) -> bool,
    render: fn(&Profile, Options, &mut dyn Write) -> io::Result<()>,
}

impl File {
    /// Whether it is written of a profile.
    pub fn is_of(&self, profile: &Profile) -> bool {
        (self.has)(profile)
    }

    /// Writes its content.
    ///
    /// # Errors
    ///
    /// Only those of `out`.
    pub fn render(&self, profile: &Profile, options: Options, out: &mut dyn Write) -> io::Result<()> {
        (self.render)(profile, options, out)
    }
}

const fn always(_profile: &Profile) -> bool {
    true
}

/// Every file that `-o DIR` writes of a profile that has anything for it, in the order they are named to the user.
pub const FILES: &[File] = &[
    File {
        name: "summary.txt",
        about: "the summary, as on the terminal",
        has: always,
        render: |profile, _, out| text::write(profile, out),
    },
    File {
        name: "leaks.txt",
        about: "suspected leaks and why",
        has: always,
        render: |profile, _, out| leaks::write(profile, out),
    },
    File {
        name: "leaks.json",
        about: "suspected leaks for programs",
        has: always,
        render: |profile, _, out| json::write(profile, json::Sites::Suspected, out),
    },
    File {
        name: "profile.json",
        about: "every site for programs",
        has: always,
        render: |profile, _, out| json::write(profile, json::Sites::All, out),
    },
    File {
        name: "tree.txt",
        about: "call paths as a tree",
        has: always,
        render: |profile, options, out| {
            let tree = tree::Options {
                measure: options.measure,
                ..tree::Options::default()
            };
            tree::write(profile, &tree, out)
        },
    },
    File {
        name: "lines.txt",
        about: "memory by source line",
        has: always,
        render: |profile, _, out| lines::write(profile, &lines::Options::default(), out),
    },
    File {
        name: "histogram.txt",
        about: "sizes and lifetimes of blocks",
        has: always,
        render: |profile, _, out| histogram::write(profile, None, &histogram::Options::default(), out),
    },
    File {
        name: "timeline.txt",
        about: "memory over time",
        has: always,
        render: |profile, _, out| timeline::write(profile, &timeline::Options::default(), out),
    },
    File {
        name: "flamegraph.svg",
        about: "flame graph: open it in a browser",
        has: always,
        render: |profile, options, out| flamegraph::write(profile, options.measure, out),
    },
    File {
        name: "report.html",
        about: "all of it as one page: open it in a browser",
        has: always,
        render: |profile, options, out| html::write(profile, options.measure, out),
    },
    File {
        name: "stacks.folded",
        about: "folded stacks for other flame graph tools",
        has: always,
        render: |profile, options, out| folded::write(profile, options.measure, out),
    },
    File {
        name: "javascript.svg",
        about: "flame graph of what JavaScript allocated, by a sample: open it in a browser",
        has: js_stacks::are_there,
        render: |profile, _, out| flamegraph::javascript::write(profile, out),
    },
    File {
        name: "javascript.folded",
        about: "its folded stacks for other flame graph tools",
        has: js_stacks::are_there,
        render: |profile, _, out| js_stacks::write(profile, out),
    },
    File {
        name: "leaks.xml",
        about: "the check's result for CI, as JUnit's test cases",
        has: |profile| profile.check().is_some(),
        render: |profile, _, out| junit::write(profile, out),
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::fixture;

    /// What a file of a profile holds.
    pub(super) fn rendered(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
        let mut bytes = Vec::new();
        write(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn every_file_of_every_profile_is_clean_and_always_the_same() {
        for (profile_name, profile) in fixture::all() {
            for file in FILES.iter().filter(|file| file.is_of(&profile)) {
                for measure in Measure::ALL {
                    let render = || rendered(|out| file.render(&profile, Options { measure }, out));
                    let content = render();
                    assert_eq!(content, render(), "{} of {profile_name}", file.name);
                    // The newline is ours; inferno's script holds a tab or two.
                    let bad = content
                        .chars()
                        .find(|&c| escape::is_unsafe(c) && !matches!(c, '\n' | '\t'));
                    assert_eq!(bad, None, "{} of {profile_name}", file.name);
                    assert!(
                        content.is_empty() || content.ends_with(['\n', '>']),
                        "{} of {profile_name}",
                        file.name
                    );
                }
            }
        }
    }

    #[test]
    fn plain_text_fits_eighty_columns() {
        use unicode_width::UnicodeWidthStr as _;
        for (name, profile) in fixture::all() {
            for line in rendered(|out| text::write(&profile, out))
                .lines()
                .chain(rendered(|out| leaks::write(&profile, out)).lines())
            {
                assert!(line.width() <= layout::COLUMNS, "{name}: {line}");
                assert_eq!(line.trim_end(), line, "{name}");
            }
        }
    }
}
