//! Kinds of plain objects (`{}`), which have no constructor to be called by: the properties that many have in common.

use rustc_hash::{FxHashMap, FxHashSet};

use super::graph::{EdgeKind, Graph, NodeKind};

/// Characters that a name can have, unless its first property alone is longer. This and the two below are those of Chrome's `DevTools`.
const MOST_CHARACTERS: usize = 120;

/// Fewer objects are no kind of their own.
const LEAST_OBJECTS: usize = 2;

/// Nor are fewer than one in so many.
const LEAST_SHARE: usize = 1000;

/// A kind: objects that have all of these properties, and perhaps more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Interface {
    /// `{a, b}`
    pub(super) name: String,
    /// Names of the properties.
    pub(super) properties: Vec<String>,
}

/// Whether it is of no class but `Object`.
fn is_plain(graph: &Graph, object: Option<u32>, node: u32) -> bool {
    Some(graph.names[node as usize]) == object && graph.kind(node) == NodeKind::Object
}

/// Plain objects.
fn plain(graph: &Graph) -> impl Iterator<Item = u32> {
    let object = graph.strings.find("Object");
    (0..graph.len()).filter(move |&node| is_plain(graph, object, node))
}

/// Numbers of the names of its properties.
fn properties(graph: &Graph, node: u32) -> impl Iterator<Item = u32> {
    let edges = graph.edges_of(node).iter();
    edges
        .filter(|edge| edge.kind() == EdgeKind::Property)
        .map(|edge| edge.name)
}

/// Finds the kinds that many objects are of, those of most objects first.
pub(super) fn infer(graph: &Graph) -> Vec<Interface> {
    let proto = graph.strings.find("__proto__");
    let mut widths: FxHashMap<u32, usize> = FxHashMap::default();
    let mut candidates: FxHashMap<Box<[u32]>, usize> = FxHashMap::default();
    let mut counts: Vec<usize> = Vec::new();
    let (mut total, mut list) = (0, Vec::new());
    for node in plain(graph) {
        total += 1;
        list.clear();
        // That of the brace.
        let mut width = 1;
        for name in properties(graph, node).filter(|&name| Some(name) != proto) {
            let own = *widths
                .entry(name)
                .or_insert_with(|| formatted(graph.strings.get(name)).encode_utf16().count());
            if width > 1 && width + own > MOST_CHARACTERS {
                break;
            }
            // With the comma and the blank after the one before.
            width += own + if list.is_empty() { 0 } else { 2 };
            list.push(name);
        }
        if list.is_empty() {
            continue;
        }
        if let Some(&candidate) = candidates.get(list.as_slice()) {
            counts[candidate] += 1;
        } else {
            candidates.insert(list.as_slice().into(), counts.len());
            counts.push(1);
        }
    }
    let mut sorted: Vec<_> = candidates.into_iter().collect();
    // Of those of equally many, the one that was met first.
    sorted.sort_by_key(|&(_, candidate)| (std::cmp::Reverse(counts[candidate]), candidate));
    sorted
        .into_iter()
        .take_while(|&(_, candidate)| counts[candidate] >= LEAST_OBJECTS && counts[candidate] * LEAST_SHARE >= total)
        .map(|(list, _)| {
            let names: Vec<_> = list.iter().map(|&name| formatted(graph.strings.get(name))).collect();
            Interface {
                name: format!("{{{}}}", names.join(", ")),
                properties: list.iter().map(|&name| graph.strings.get(name).to_owned()).collect(),
            }
        })
        .collect()
}

/// A property's name as it stands in that of a kind: quoted where it could be taken for several.
pub(super) fn formatted(name: &str) -> String {
    if name.contains([',', '\'', '"', '{', '}']) {
        serde_json::to_string(name).unwrap_or_default()
    } else {
        name.to_owned()
    }
}

/// A place in the tree of sorted properties.
#[derive(Debug, Default)]
struct State {
    next: FxHashMap<u32, usize>,
    /// The kind that has exactly the properties on the way here, and how many they are.
    kind: Option<(usize, usize)>,
}

/// Calls `found` with each plain object and its kind: that with the most properties, of several the first.
pub(super) fn apply(graph: &Graph, kinds: &[Interface], mut found: impl FnMut(u32, usize)) {
    let tree = tree(graph, kinds);
    let used: FxHashSet<u32> = tree.iter().flat_map(|state| state.next.keys().copied()).collect();
    let mut known: FxHashMap<Box<[u32]>, Option<usize>> = FxHashMap::default();
    let mut list = Vec::new();
    for node in plain(graph) {
        list.clear();
        list.extend(properties(graph, node).filter(|name| used.contains(name)));
        let kind = if let Some(&kind) = known.get(list.as_slice()) {
            kind
        } else {
            let as_it_was = list.as_slice().into();
            list.sort_unstable();
            list.dedup();
            let kind = best(&tree, &list);
            known.insert(as_it_was, kind);
            kind
        };
        if let Some(kind) = kind {
            found(node, kind);
        }
    }
}

fn tree(graph: &Graph, kinds: &[Interface]) -> Vec<State> {
    let wanted: FxHashSet<&str> = kinds
        .iter()
        .flat_map(|kind| &kind.properties)
        .map(String::as_str)
        .collect();
    let numbers: FxHashMap<&str, u32> = (0..u32::try_from(graph.strings.len()).unwrap_or(u32::MAX))
        .filter_map(|number| wanted.get(graph.strings.get(number)).map(|&name| (name, number)))
        .collect();
    let mut tree = vec![State::default()];
    for (index, kind) in kinds.iter().enumerate() {
        // What this snapshot has no name for, none of its objects has.
        let list: Option<Vec<u32>> = kind
            .properties
            .iter()
            .map(|name| numbers.get(name.as_str()).copied())
            .collect();
        let Some(mut list) = list else { continue };
        list.sort_unstable();
        let count = list.len();
        let mut at = 0;
        for name in list {
            let next = tree.len();
            let known = *tree[at].next.entry(name).or_insert(next);
            if known == next {
                tree.push(State::default());
            }
            at = known;
        }
        // The properties in another order are the same kind: that of more objects.
        tree[at].kind.get_or_insert((count, index));
    }
    tree
}

fn best(tree: &[State], properties: &[u32]) -> Option<usize> {
    let mut states = vec![0];
    let mut best: Option<(usize, usize)> = None;
    for property in properties {
        for at in 0..states.len() {
            let Some(&next) = tree[states[at]].next.get(property) else {
                continue;
            };
            states.push(next);
            if let Some((count, kind)) = tree[next].kind
                && best.is_none_or(|(most, first)| (count, std::cmp::Reverse(kind)) > (most, std::cmp::Reverse(first)))
            {
                best = Some((count, kind));
            }
        }
    }
    best.map(|(_, kind)| kind)
}
