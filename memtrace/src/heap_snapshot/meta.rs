//! What a snapshot says of its own layout.

use serde::Deserialize;

use super::{
    error::Error,
    graph::{EdgeKind, NodeKind},
};

/// The most fields that a node or an edge can have. V8 writes 7 at most (version 13).
const MOST_FIELDS: usize = 64;

/// The most types of nodes. V8 has 15 (version 13).
const MOST_TYPES: usize = 256;

/// The member `snapshot` of a file.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    meta: Meta,
    pub(super) node_count: u64,
    pub(super) edge_count: u64,
    /// Where the root is among the numbers of the nodes.
    #[serde(default)]
    pub(super) root_index: Option<u64>,
    /// Bytes of the embedder that are in no node.
    #[serde(default)]
    pub(super) extra_native_bytes: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Meta {
    node_fields: Vec<String>,
    node_types: Vec<Types>,
    edge_fields: Vec<String>,
    edge_types: Vec<Types>,
    #[serde(default)]
    location_fields: Option<Vec<String>>,
}

/// What a field's values are: names of types by number, or a word.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Types {
    Names(Vec<String>),
    Word(#[expect(dead_code, reason = "what the word is does not matter")] String),
}

/// Which number of a node is what.
#[derive(Clone, Debug)]
pub(super) struct NodeLayout {
    pub(super) fields: usize,
    pub(super) kind: usize,
    pub(super) name: usize,
    pub(super) id: usize,
    pub(super) self_size: usize,
    pub(super) edge_count: usize,
    pub(super) detachedness: Option<usize>,
}

/// Which number of an edge is what.
#[derive(Clone, Debug)]
pub(super) struct EdgeLayout {
    pub(super) fields: usize,
    pub(super) kind: usize,
    pub(super) name: usize,
    pub(super) to: usize,
}

/// Which number of a location is what.
#[derive(Clone, Debug)]
pub(super) struct LocationLayout {
    pub(super) fields: usize,
    pub(super) object: usize,
    pub(super) script: usize,
    pub(super) line: usize,
    pub(super) column: usize,
}

/// The layout of a file.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) node: NodeLayout,
    pub(super) edge: EdgeLayout,
    pub(super) location: Option<LocationLayout>,
    /// Names of the types of nodes by number.
    pub(super) node_types: Vec<String>,
    pub(super) node_kinds: Vec<NodeKind>,
    pub(super) edge_kinds: Vec<EdgeKind>,
}

impl Header {
    pub(super) fn parse(json: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(json)
            .map_err(|error| Error::Contradicts(format!("\"snapshot\" cannot be read: {error}")))
    }

    /// The layout that it describes.
    pub(super) fn layout(&self) -> Result<Layout, Error> {
        let meta = &self.meta;
        let node = Fields::new("node_fields", &meta.node_fields)?;
        let edge = Fields::new("edge_fields", &meta.edge_fields)?;
        let node_layout = NodeLayout {
            fields: node.names.len(),
            kind: node.place("type")?,
            name: node.place("name")?,
            id: node.place("id")?,
            self_size: node.place("self_size")?,
            edge_count: node.place("edge_count")?,
            detachedness: node.place("detachedness").ok(),
        };
        let edge_layout = EdgeLayout {
            fields: edge.names.len(),
            kind: edge.place("type")?,
            name: edge.place("name_or_index")?,
            to: edge.place("to_node")?,
        };
        let node_types = types("node_types", &meta.node_types, node_layout.kind)?;
        let edge_types = types("edge_types", &meta.edge_types, edge_layout.kind)?;
        let location = match meta.location_fields.as_deref() {
            None | Some([]) => None,
            Some(names) => {
                let fields = Fields::new("location_fields", names)?;
                Some(LocationLayout {
                    fields: fields.names.len(),
                    object: fields.place("object_index")?,
                    script: fields.place("script_id")?,
                    line: fields.place("line")?,
                    column: fields.place("column")?,
                })
            }
        };
        Ok(Layout {
            node: node_layout,
            edge: edge_layout,
            location,
            node_kinds: node_types.iter().map(|name| NodeKind::of(name)).collect(),
            edge_kinds: edge_types.iter().map(|name| EdgeKind::of(name)).collect(),
            node_types: node_types.to_vec(),
        })
    }
}

/// Names of the fields of something.
struct Fields<'a> {
    list: &'static str,
    names: &'a [String],
}

impl<'a> Fields<'a> {
    fn new(list: &'static str, names: &'a [String]) -> Result<Self, Error> {
        if names.len() > MOST_FIELDS {
            return Err(Error::Contradicts(format!("{list} has {} fields", names.len())));
        }
        Ok(Self { list, names })
    }

    fn place(&self, wanted: &str) -> Result<usize, Error> {
        let place = self.names.iter().position(|name| name == wanted);
        place.ok_or_else(|| Error::Contradicts(format!("{} has no \"{wanted}\"", self.list)))
    }
}

/// The names of types in a field.
fn types<'a>(list: &str, types: &'a [Types], field: usize) -> Result<&'a [String], Error> {
    match types.get(field) {
        Some(Types::Names(names)) if names.len() <= MOST_TYPES => Ok(names),
        _ => Err(Error::Contradicts(format!("{list} does not name the types"))),
    }
}
