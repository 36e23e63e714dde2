//! Call paths as a tree of text: what is behind how much of the memory.

use std::{
    cmp::Reverse,
    io::{self, Write},
};

use unicode_width::UnicodeWidthStr as _;

use crate::{
    profile::{
        Amount, Frame, Measure, Profile,
        calltree::{self, CallTree, Direction, Label, Node},
    },
    units::{bytes, count, percent},
};

use super::{
    escape, header, label,
    layout::{COLUMNS, elide, truncate, wrap},
};

/// What is shown of the tree.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What is measured.
    pub measure: Measure,
    /// Which end of the stacks is the top, and whether the allocator's own frames are shown.
    pub tree: calltree::Options,
    /// Levels from the top that are shown; of a deeper path one line says how many are below.
    pub depth: usize,
    /// What has a smaller share of all, from 0 to 1, is added up in one line.
    pub min_share: f64,
    /// No line is wider, in columns.
    pub columns: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            measure: Measure::default(),
            tree: calltree::Options::default(),
            depth: usize::MAX,
            // What has less is rarely what somebody looks for.
            min_share: 0.01,
            columns: COLUMNS,
        }
    }
}

/// Columns of the numbers before a path with the blanks after them.
const NUMBERS: usize = 32;
/// Fewest columns for the name of a function: branches that leave less are not followed.
const NAME: usize = 16;

/// Writes the tree.
///
/// # Errors
///
/// Only those of `out`.
pub fn write(profile: &Profile, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let measure = options.measure;
    let title = match options.tree.direction {
        Direction::Callees => "Functions and what they call: ",
        Direction::Callers => "Functions and who calls them: ",
    };
    header::short(profile, title, options.columns, out)?;
    let tree = CallTree::new(profile, options.tree);
    let total = tree.total.value(measure);
    let nothing = match measure.unknown(profile) {
        Some(why) => Some(format!("Nothing can be shown: {why}.")),
        None if total == 0 => Some(format!("Nothing to show: {}.", measure.named(0))),
        None => None,
    };
    if let Some(nothing) = nothing {
        for line in wrap(&nothing, options.columns) {
            writeln!(out, "{}", elide(&line, options.columns))?;
        }
        return Ok(());
    }
    let mut view = View {
        profile,
        tree: &tree,
        options,
        total,
        out,
    };
    view.line(["bytes", "blocks", "share"], measure.name())?;
    view.children(&tree.roots, None, "", 1)
}

/// A tree that is being written.
struct View<'a> {
    profile: &'a Profile,
    tree: &'a CallTree,
    options: &'a Options,
    total: u64,
    out: &'a mut dyn Write,
}

/// A line below a node.
enum Row<'a> {
    Node(&'a Node),
    /// What the node above has itself.
    Own(&'a Node),
    /// How many are not shown.
    Rest(Vec<&'a Node>),
}

impl View<'_> {
    /// The nodes below one, or at the top: those with enough, most first, and the others in a line.
    fn children(&mut self, children: &[usize], parent: Option<&Node>, prefix: &str, depth: usize) -> io::Result<()> {
        let tree = self.tree;
        let (measure, depth_left) = (self.options.measure, depth <= self.options.depth);
        let value = |node: &Node| node.total.value(measure);
        let mut all: Vec<&Node> = children.iter().map(|&child| &tree.nodes[child]).collect();
        all.retain(|node| value(node) > 0);
        // The sort is stable: equals stay in the order of the sites.
        all.sort_by_key(|node| Reverse(value(node)));
        let room = self.options.columns.saturating_sub(NUMBERS + prefix.width()) >= NAME;
        let enough = |node: &&Node| value(node) as f64 >= self.options.min_share * self.total as f64;
        let shown = if depth_left && room {
            all.iter().take_while(|node| enough(node)).count()
        } else {
            0
        };
        let rest = all.split_off(shown);
        let own = parent.filter(|parent| parent.own.value(measure) > 0 && !(all.is_empty() && rest.is_empty()));
        let mut rows: Vec<Row<'_>> = all.into_iter().map(Row::Node).collect();
        rows.extend(own.map(Row::Own));
        if !rest.is_empty() {
            rows.push(Row::Rest(rest));
        }
        let (alone, last) = (rows.len() == 1 && parent.is_some(), rows.len());
        for (number, row) in (1..).zip(rows) {
            // A path without branches goes straight down, which leaves room for deep ones; below the top it is set in, so that
            // one at the top is seen from the next.
            let (first, next) = match (alone || parent.is_none(), number == last) {
                (true, _) if parent.is_none() => (prefix.to_owned(), format!("{prefix}  ")),
                (true, _) => (prefix.to_owned(), prefix.to_owned()),
                (false, false) => (format!("{prefix}├ "), format!("{prefix}│ ")),
                (false, true) => (format!("{prefix}└ "), format!("{prefix}  ")),
            };
            self.row(&row, &first, &next, depth)?;
        }
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>, first: &str, next: &str, depth: usize) -> io::Result<()> {
        let measure = self.options.measure;
        let (amount, text) = match row {
            Row::Node(node) => (node.total.amount(measure), self.name(node, first)),
            Row::Own(node) => {
                let what = match self.options.tree.direction {
                    Direction::Callees => "[allocated by itself]",
                    Direction::Callers => "[called by nobody]",
                };
                (node.own.amount(measure), format!("{first}{what}"))
            }
            Row::Rest(rest) => {
                let amounts = rest.iter().map(|node| node.total.amount(measure));
                let sum = amounts.fold(Amount::default(), Amount::plus);
                (sum, format!("{first}… {} more", count(rest.len() as u64)))
            }
        };
        let share = percent(measure.of(amount) as f64 / self.total as f64);
        self.line([&bytes(amount.bytes), &count(amount.count), &share], &text)?;
        if let Row::Node(node) = row {
            self.children(&node.children, Some(node), next, depth.saturating_add(1))?;
        }
        Ok(())
    }

    fn line(&mut self, [bytes, blocks, share]: [&str; 3], text: &str) -> io::Result<()> {
        let line = format!("{bytes:>10}  {blocks:>10}  {share:>6}  {text}");
        writeln!(self.out, "{}", truncate(line.trim_end(), self.options.columns))
    }

    /// A node after the branches that lead to it, in what room there is.
    fn name(&self, node: &Node, first: &str) -> String {
        let columns = self.options.columns.saturating_sub(NUMBERS + first.width());
        let mark = if node.recursive { " [recursive]" } else { "" };
        let inline = if node.inlined { " [inlined]" } else { "" };
        let columns = columns.saturating_sub(mark.len() + inline.len());
        let name = match node.label {
            Label::Group(group) => {
                let name = self.profile.groups.get(group).map_or("", String::as_str);
                elide(&label::command(name), columns)
            }
            Label::Function(frame) => usize::try_from(frame)
                .ok()
                .and_then(|frame| self.profile.frames.get(frame))
                .map(|frame| {
                    let shown = Frame {
                        line: node.line,
                        ..frame.clone()
                    };
                    label::frame(&shown, columns)
                })
                .unwrap_or_default(),
            Label::NoStack(taken) => elide(label::no_stack_of(self.profile, taken), columns),
            Label::Op(op) => escape::text(op.name()).into_owned(),
        };
        format!("{first}{name}{inline}{mark}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        profile::fixture::{self, SiteSpec, frame},
        render::tests::rendered,
    };
    use memtrace_common::op::Op;
    use proptest::prelude::*;

    fn text(profile: &Profile, options: &Options) -> String {
        rendered(|out| write(profile, options, out))
    }

    fn callers() -> Options {
        Options {
            tree: calltree::Options {
                direction: Direction::Callers,
                plumbing: false,
            },
            ..Options::default()
        }
    }

    #[test]
    fn trees() {
        for (name, profile) in fixture::all() {
            insta::assert_snapshot!(format!("tree_{name}"), text(&profile, &Options::default()));
            insta::assert_snapshot!(format!("tree_callers_{name}"), text(&profile, &callers()));
        }
        let peak = Options {
            measure: Measure::Peak,
            ..Options::default()
        };
        insta::assert_snapshot!("tree_unknown", text(&fixture::normal(), &peak));
    }

    #[test]
    fn what_is_cut_off_is_added_up() {
        let site = |names: &[&str], bytes| {
            let frames = names.iter().rev().map(|name| frame(name, "m"));
            SiteSpec::new(Op::Malloc).stack(frames).live(bytes, 1)
        };
        let profile = fixture::profile([
            site(&["main", "large", "deep", "deeper"], 900),
            site(&["main", "large"], 50),
            site(&["main", "small"], 30),
            site(&["main", "tiny"], 20),
        ]);
        let options = Options {
            min_share: 0.04,
            depth: 3,
            ..Options::default()
        };
        insta::assert_snapshot!("tree_cut", text(&profile, &options));
    }

    #[test]
    fn sites_that_are_left_by_a_filter_are_named() {
        let filter = crate::profile::filter::Filter {
            ops: vec![Op::Calloc],
            ..Default::default()
        };
        let profile = filter.apply(&fixture::normal()).unwrap();
        assert!(text(&profile, &callers()).contains("only sites by calloc\n"));
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide_and_names_are_clean(
            stacks in prop::collection::vec((prop::collection::vec("\\PC{0,5}|[ab\u{1b}\u{202e}\n]{1,40}", 0..9), 1..1000_u64), 1..8),
            columns in 20..130_usize,
            min_share in 0.0..0.3,
            depth in 0..9_usize,
        ) {
            let sites = stacks.iter().map(|(names, bytes)| {
                SiteSpec::new(Op::Malloc).stack(names.iter().map(|name| frame(name, "m"))).live(*bytes, 1)
            });
            let profile = fixture::profile(sites);
            for options in [Options::default(), callers()] {
                let text = text(&profile, &Options { depth, min_share, columns, ..options });
                for line in text.lines() {
                    prop_assert!(line.width() <= columns, "{line}");
                    prop_assert_eq!(line.trim_end(), line);
                }
                prop_assert!(!text.contains(|c| escape::is_unsafe(c) && c != '\n'));
            }
        }
    }
}
