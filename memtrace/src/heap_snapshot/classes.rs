//! Which class a node is counted in, as Chrome's `DevTools` names them.

use rustc_hash::FxHashMap;

use super::{
    detached::Detached,
    graph::{Graph, NodeKind, Place},
    interfaces::{self, Interface},
};

/// A class: objects with the same constructor.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Class {
    pub(super) name: Box<str>,
    /// Constructors of one name may be several.
    pub(super) place: Option<Place>,
}

/// The class of each node.
#[derive(Debug)]
pub(super) struct Classes {
    pub(super) distinct: Vec<Class>,
    /// Number of each node's class.
    pub(super) of: Vec<u32>,
}

/// What names of strings come to: looked up for each node, so by number.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
enum Key {
    /// The name of an object.
    Named { name: u32, is_detached: bool },
    /// A kind of plain objects.
    Kind(usize),
    /// A type of nodes.
    Type(u8),
}

/// Tells the class of each node.
pub(super) fn classify(graph: &Graph, detached: &Detached, kinds: &[Interface]) -> Classes {
    let mut table = Table::default();
    let mut keys: FxHashMap<(Key, Option<u32>), u32> = FxHashMap::default();
    let mut class = |key: Key, place: Option<u32>| {
        *keys.entry((key, place)).or_insert_with(|| {
            let place = place.and_then(|place| graph.places.distinct.get(place as usize).copied());
            table.number(name(graph, kinds, key), place)
        })
    };
    let mut places = graph.places.of_node.iter().peekable();
    let mut of = Vec::with_capacity(graph.types.len());
    for node in 0..graph.len() {
        let mut place = None;
        while let Some(&(_, number)) = places.next_if(|&&(at, _)| at <= node) {
            place = Some(number);
        }
        let key = match graph.kind(node) {
            NodeKind::Object | NodeKind::Native => Key::Named {
                name: graph.names[node as usize],
                is_detached: detached.is_prefixed(node),
            },
            _ => Key::Type(graph.types[node as usize]),
        };
        of.push(class(key, place));
    }
    interfaces::apply(graph, kinds, |node, kind| {
        of[node as usize] = class(Key::Kind(kind), graph.places.of(node));
    });
    Classes {
        distinct: table.distinct,
        of,
    }
}

fn name(graph: &Graph, kinds: &[Interface], key: Key) -> Box<str> {
    match key {
        Key::Kind(kind) => kinds[kind].name.as_str().into(),
        Key::Named { name, is_detached } => {
            let name = graph.strings.get(name);
            if is_detached {
                element(&format!("Detached {name}")).into()
            } else {
                element(name).into()
            }
        }
        Key::Type(number) => {
            let number = usize::from(number);
            match graph.node_kinds[number] {
                NodeKind::Hidden => "(system)".into(),
                NodeKind::Code => "(compiled code)".into(),
                NodeKind::Closure => "Function".into(),
                NodeKind::RegExp => "RegExp".into(),
                _ => format!("({})", graph.node_types[number]).into(),
            }
        }
    }
}

/// Elements of a page are told apart by their tag only: `<div id="a">` is a `<div>`.
fn element(name: &str) -> String {
    const DETACHED: &str = "Detached <";
    let from = if name.starts_with('<') {
        0
    } else if name.starts_with(DETACHED) {
        DETACHED.len()
    } else {
        return name.to_owned();
    };
    match name[from..].find(' ') {
        Some(blank) => format!("{}>", &name[..from + blank]),
        None => name.to_owned(),
    }
}

/// Numbers of classes by content: what is called the same is one class.
#[derive(Default)]
struct Table {
    distinct: Vec<Class>,
    numbers: FxHashMap<Class, u32>,
}

impl Table {
    fn number(&mut self, name: Box<str>, place: Option<Place>) -> u32 {
        let class = Class { name, place };
        let next = u32::try_from(self.distinct.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(class).or_insert_with_key(|class| {
            self.distinct.push(class.clone());
            next
        })
    }
}
