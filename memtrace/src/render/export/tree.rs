//! A tree of calls, made of stacks.

use rustc_hash::FxHashMap;

/// A tree of calls. A node is a number; a node's parent has a smaller one.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    children: FxHashMap<(Option<usize>, usize), usize>,
}

/// One call under its callers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// The caller's node.
    pub(super) parent: Option<usize>,
    /// What is called, as numbered by whoever makes the tree.
    pub(super) key: usize,
}

impl Tree {
    /// The node at the end of a path from the root; `None` for an empty path.
    pub(super) fn path(&mut self, keys: impl IntoIterator<Item = usize>) -> Option<usize> {
        keys.into_iter().fold(None, |parent, key| {
            let next = self.nodes.len();
            let node = *self.children.entry((parent, key)).or_insert_with(|| {
                self.nodes.push(Node { parent, key });
                next
            });
            Some(node)
        })
    }

    /// All nodes by number.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_beginnings_are_shared() {
        let mut tree = Tree::default();
        assert_eq!(tree.path([7, 8, 9]), Some(2));
        assert_eq!(tree.path([7, 8]), Some(1));
        assert_eq!(tree.path([8, 8]), Some(4));
        assert_eq!(tree.path([]), None);
        let parents: Vec<_> = tree.nodes().iter().map(|node| (node.parent, node.key)).collect();
        assert_eq!(
            parents,
            [(None, 7), (Some(0), 8), (Some(1), 9), (None, 8), (Some(3), 8)]
        );
    }
}
