//! Sums of the tree are those of the profile, whatever the stacks.

use proptest::prelude::*;

use super::*;
use crate::profile::fixture::{self, SiteSpec, frame, line};

fn all_options() -> impl Iterator<Item = Options> {
    [Direction::Callees, Direction::Callers]
        .into_iter()
        .flat_map(|direction| [false, true].map(|plumbing| Options { direction, plumbing }))
}

/// The names from the top to each node with its own and total live bytes, in the order of the nodes.
fn paths(profile: &Profile, tree: &CallTree) -> Vec<(String, u64, u64)> {
    fn walk(profile: &Profile, tree: &CallTree, node: usize, path: &str, out: &mut Vec<(String, u64, u64)>) {
        let Node { label, own, total, .. } = &tree.nodes[node];
        let name = match *label {
            Label::Group(group) => profile.groups[group].clone(),
            Label::Function(frame) => profile.frames[frame as usize].function.clone().unwrap_or_default(),
            Label::NoStack(taken) => format!("[{taken}]"),
            Label::Op(op) => op.name().to_owned(),
        };
        let path = if path.is_empty() {
            name
        } else {
            format!("{path} {name}")
        };
        out.push((path.clone(), own.live.bytes, total.live.bytes));
        for &child in &tree.nodes[node].children {
            walk(profile, tree, child, &path, out);
        }
    }
    let mut out = Vec::new();
    for &root in &tree.roots {
        walk(profile, tree, root, "", &mut out);
    }
    out
}

fn paths_of(profile: &Profile, direction: Direction) -> Vec<(String, u64, u64)> {
    let options = Options {
        direction,
        plumbing: false,
    };
    paths(profile, &CallTree::new(profile, options))
}

fn wanted(all: &[(&str, u64, u64)]) -> Vec<(String, u64, u64)> {
    all.iter()
        .map(|&(path, own, total)| (path.to_owned(), own, total))
        .collect()
}

#[test]
fn both_directions_have_the_same_sites() {
    let site = |names: &[&str], bytes| {
        let frames = names.iter().map(|name| frame(name, "m"));
        SiteSpec::new(Op::Malloc).stack(frames).live(bytes, 1)
    };
    let profile = fixture::profile([
        site(&["malloc", "parse", "main"], 70),
        site(&["malloc", "read", "parse", "main"], 20),
        site(&["malloc", "read", "init", "main"], 10),
    ]);
    let callees = [
        ("main", 0, 100),
        ("main parse", 70, 90),
        ("main parse read", 20, 20),
        ("main init", 0, 10),
        ("main init read", 10, 10),
    ];
    assert_eq!(paths_of(&profile, Direction::Callees), wanted(&callees));
    let callers = [
        ("parse", 0, 70),
        ("parse main", 70, 70),
        ("read", 0, 30),
        ("read parse", 0, 20),
        ("read parse main", 20, 20),
        ("read init", 0, 10),
        ("read init main", 10, 10),
    ];
    assert_eq!(paths_of(&profile, Direction::Callers), wanted(&callers));
}

#[test]
fn recursion_counts_once_and_lines_that_differ_are_none() {
    let call = |number| line("walk", "app", "walk.c", number);
    let profile = fixture::profile([SiteSpec::new(Op::Malloc)
        .stack([call(3), call(9), call(9), line("main", "app", "main.c", 1)])
        .live(10, 1)]);
    let tree = CallTree::new(&profile, Options::default());
    assert_eq!(
        paths(&profile, &tree),
        wanted(&[("main", 0, 10), ("main walk", 10, 10)])
    );
    assert_eq!(tree.nodes[0].line, Some(1));
    assert_eq!((tree.nodes[1].line, tree.nodes[1].recursive), (None, true));
}

#[test]
fn without_frames_there_is_the_reason_and_the_operation() {
    let profile = fixture::profile([
        SiteSpec::new(Op::Malloc).live(7, 1),
        SiteSpec::new(Op::Calloc).stack([]).live(5, 1),
    ]);
    let found = paths_of(&profile, Direction::Callers);
    let all = [
        ("[false]", 0, 7),
        ("[false] malloc", 7, 7),
        ("[true]", 0, 5),
        ("[true] calloc", 5, 5),
    ];
    assert_eq!(found, wanted(&all));
}

#[test]
fn groups_are_above_all() {
    let profile = fixture::many();
    let tree = CallTree::new(&profile, Options::default());
    let roots: Vec<_> = tree.roots.iter().map(|&root| tree.nodes[root].label).collect();
    assert_eq!(roots, [Label::Group(0), Label::Group(1)]);
}

fn check(profile: &Profile) {
    for options in all_options() {
        let tree = CallTree::new(profile, options);
        let sum = |all: &mut dyn Iterator<Item = Amounts>| all.fold(Amounts::default(), Amounts::plus);
        let sites = sum(&mut profile.memory_sites().map(Amounts::of));
        assert_eq!(tree.total, sites);
        assert_eq!(sum(&mut tree.roots.iter().map(|&root| tree.nodes[root].total)), sites);
        assert_eq!(sum(&mut tree.nodes.iter().map(|node| node.own)), sites);
        for (index, node) in tree.nodes.iter().enumerate() {
            let below = sum(&mut node.children.iter().map(|&child| tree.nodes[child].total));
            assert_eq!(below.plus(node.own), node.total);
            assert!(node.children.iter().all(|&child| child > index));
        }
    }
}

#[test]
fn sums_of_fixtures_add_up() {
    for (_, profile) in fixture::all() {
        check(&profile);
    }
}

proptest! {
    #[test]
    fn sums_of_any_stacks_add_up(
        stacks in prop::collection::vec((prop::collection::vec("[abc]|malloc", 0..12), 0..1000_u64, 0..9_u64), 0..12),
    ) {
        let sites = stacks.iter().map(|(names, bytes, count)| {
            let frames = names.iter().map(|name| frame(name, "m"));
            SiteSpec::new(Op::Malloc).stack(frames).live(*bytes, *count)
        });
        check(&fixture::profile(sites));
    }
}
