//! What a snapshot holds: objects and who refers to whom, in columns.

use rustc_hash::FxHashMap;

use super::strings::Strings;

/// What kind of node it is, as far as rules depend on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NodeKind {
    Hidden,
    Array,
    String,
    Object,
    Code,
    Closure,
    RegExp,
    Native,
    Synthetic,
    ConsString,
    SlicedString,
    Other,
}

impl NodeKind {
    pub(super) fn of(name: &str) -> Self {
        match name {
            "hidden" => Self::Hidden,
            "array" => Self::Array,
            "string" => Self::String,
            "object" => Self::Object,
            "code" => Self::Code,
            "closure" => Self::Closure,
            "regexp" => Self::RegExp,
            "native" => Self::Native,
            "synthetic" => Self::Synthetic,
            "concatenated string" => Self::ConsString,
            "sliced string" => Self::SlicedString,
            _ => Self::Other,
        }
    }
}

/// What kind of reference an edge is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum EdgeKind {
    Context,
    Element,
    Property,
    Internal,
    Hidden,
    Shortcut,
    Weak,
    Other,
}

impl EdgeKind {
    /// By the number that it has in [`Edge`].
    const ALL: [Self; 8] = [
        Self::Context,
        Self::Element,
        Self::Property,
        Self::Internal,
        Self::Hidden,
        Self::Shortcut,
        Self::Weak,
        Self::Other,
    ];

    pub(super) fn of(name: &str) -> Self {
        match name {
            "context" => Self::Context,
            "element" => Self::Element,
            "property" => Self::Property,
            "internal" => Self::Internal,
            "hidden" => Self::Hidden,
            "shortcut" => Self::Shortcut,
            "weak" => Self::Weak,
            _ => Self::Other,
        }
    }

    /// As V8 calls it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Context => "context",
            Self::Element => "element",
            Self::Property => "property",
            Self::Internal => "internal",
            Self::Hidden => "hidden",
            Self::Shortcut => "shortcut",
            Self::Weak => "weak",
            Self::Other => "other",
        }
    }

    /// Whether its name is a string; else it is an index.
    pub(super) const fn is_named(self) -> bool {
        !matches!(self, Self::Element | Self::Hidden)
    }
}

/// Nodes that can be numbered beside the kind of an edge: those of a file of some 20 GB.
pub(super) const MOST_NODES: u32 = 1 << 29;

/// A reference, in eight bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    /// The kind in the upper 3 bits, the target in the others.
    packed: u32,
    /// Number of a string, or an index ([`EdgeKind::is_named`]).
    pub(super) name: u32,
}

impl Edge {
    /// `to` must be below [`MOST_NODES`].
    pub(super) const fn new(kind: EdgeKind, to: u32, name: u32) -> Self {
        Self {
            packed: (kind as u32) << 29 | to & (MOST_NODES - 1),
            name,
        }
    }

    pub(super) const fn kind(self) -> EdgeKind {
        EdgeKind::ALL[(self.packed >> 29) as usize]
    }

    pub(super) const fn to(self) -> u32 {
        self.packed & (MOST_NODES - 1)
    }
}

/// Sizes in bytes: few need more than 16 bits.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    small: Vec<u16>,
    /// Those for which `small` has its largest value.
    large: FxHashMap<u32, u64>,
}

impl Sizes {
    pub(super) const fn new(small: Vec<u16>) -> Self {
        Self {
            small,
            large: FxHashMap::with_hasher(rustc_hash::FxBuildHasher),
        }
    }

    pub(super) fn push(&mut self, size: u64) {
        let node = u32::try_from(self.small.len()).unwrap_or(u32::MAX);
        self.small.push(0);
        self.set(node, size);
    }

    pub(super) fn get(&self, node: u32) -> u64 {
        match self.small[node as usize] {
            u16::MAX => self.large.get(&node).copied().unwrap_or(u64::from(u16::MAX)),
            small => u64::from(small),
        }
    }

    pub(super) fn set(&mut self, node: u32, size: u64) {
        let small = u16::try_from(size).unwrap_or(u16::MAX);
        if small == u16::MAX {
            self.large.insert(node, size);
        }
        self.small[node as usize] = small;
    }
}

/// Where the code that made an object is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Place {
    pub(super) script: u32,
    pub(super) line: u32,
    pub(super) column: u32,
}

/// Places of the objects that have one.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) distinct: Vec<Place>,
    /// Node and number of its place, by node.
    pub(super) of_node: Vec<(u32, u32)>,
}

impl Places {
    /// The number of a node's place.
    pub(super) fn of(&self, node: u32) -> Option<u32> {
        let end = self.of_node.partition_point(|&(at, _)| at <= node);
        let (at, place) = *self.of_node.get(end.checked_sub(1)?)?;
        (at == node).then_some(place)
    }
}

/// All nodes and edges. Nodes are numbered in the order of the file; a node's edges are beside each other.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) node_types: Vec<String>,
    pub(super) node_kinds: Vec<NodeKind>,
    /// Number of each node's type.
    pub(super) types: Vec<u8>,
    /// Number of the string that is its name.
    pub(super) names: Vec<u32>,
    pub(super) ids: Vec<u32>,
    pub(super) sizes: Sizes,
    /// 1 attached, 2 detached, 0 not known; empty where the file has no such field.
    pub(super) detachedness: Vec<u8>,
    /// Where each node's edges begin, and the end of the last.
    pub(super) first_edge: Vec<u32>,
    pub(super) edges: Vec<Edge>,
    pub(super) strings: Strings,
    pub(super) places: Places,
    pub(super) root: u32,
    pub(super) extra_native_bytes: u64,
}

impl Graph {
    /// Number of nodes; they are numbered from 0.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the reader allows no more than MOST_NODES"
    )]
    pub(super) fn len(&self) -> u32 {
        self.types.len() as u32
    }

    pub(super) fn kind(&self, node: u32) -> NodeKind {
        self.node_kinds[usize::from(self.types[node as usize])]
    }

    pub(super) fn name(&self, node: u32) -> &str {
        self.strings.get(self.names[node as usize])
    }

    /// Numbers of its edges.
    pub(super) fn edge_range(&self, node: u32) -> std::ops::Range<usize> {
        self.first_edge[node as usize] as usize..self.first_edge[node as usize + 1] as usize
    }

    pub(super) fn edges_of(&self, node: u32) -> &[Edge] {
        &self.edges[self.edge_range(node)]
    }

    /// Whether the root refers to it as to something of the program, and not of the engine.
    pub(super) fn is_user_root(&self, node: u32) -> bool {
        self.kind(node) != NodeKind::Synthetic || self.is_document_root(node)
    }

    /// Whether it holds the documents of a browser.
    pub(super) fn is_document_root(&self, node: u32) -> bool {
        self.kind(node) == NodeKind::Synthetic && self.name(node) == "(Document DOM trees)"
    }
}

/// One bit for each of something.
#[derive(Debug)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn new(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    pub(super) fn get(&self, index: usize) -> bool {
        self.0[index / 64] >> (index % 64) & 1 == 1
    }

    pub(super) fn set(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_however_large() {
        let mut sizes = Sizes::default();
        let all = [0, 24, 65_534, 65_535, 65_536, 5 << 32, u64::MAX];
        for size in all {
            sizes.push(size);
        }
        let found: Vec<_> = (0..7).map(|node| sizes.get(node)).collect();
        assert_eq!(found, all);
        sizes.set(5, 8);
        sizes.set(1, 70_000);
        assert_eq!([sizes.get(5), sizes.get(1)], [8, 70_000]);
    }
}
