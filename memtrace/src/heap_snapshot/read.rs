//! A file of V8's becomes a [`Graph`].

use std::io::Read;

use rustc_hash::FxHashMap;

use super::{
    error::{Error, room},
    graph::{Edge, Graph, MOST_NODES, NodeKind, Place, Places, Sizes},
    meta::{Header, Layout},
    source::Source,
    strings::Strings,
};

/// Bytes that the member `snapshot` can have. V8 writes some 1500.
const MOST_HEADER: usize = 1 << 20;

/// What has been read so far. The members come in the order in which V8 writes them: nodes need the header, edges the nodes.
#[derive(Default)]
struct Parts {
    header: Option<(Header, Layout)>,
    nodes: Option<Nodes>,
    edges: Option<Vec<Edge>>,
    places: Places,
    strings: Option<Strings>,
    /// The highest number of a string that anything names.
    highest_name: u32,
}

struct Nodes {
    types: Vec<u8>,
    names: Vec<u32>,
    ids: Vec<u32>,
    sizes: Sizes,
    detachedness: Vec<u8>,
    first_edge: Vec<u32>,
}

/// Reads a snapshot.
pub(super) fn read(input: impl Read) -> Result<Graph, Error> {
    let mut source = Source::new(input);
    let mut parts = Parts::default();
    let mut key = Vec::new();
    source.expect(b'{')?;
    loop {
        key.clear();
        source.string(&mut key)?;
        source.expect(b':')?;
        let again = match key.as_slice() {
            b"snapshot" => parts.header.is_some(),
            b"nodes" => parts.nodes.is_some(),
            b"edges" => parts.edges.is_some(),
            b"locations" => !parts.places.of_node.is_empty(),
            b"strings" => parts.strings.is_some(),
            _ => false,
        };
        if again {
            return Err(source.malformed("a member comes a second time".into()));
        }
        match key.as_slice() {
            b"snapshot" => parts.header(&mut source)?,
            b"nodes" => parts.nodes(&mut source)?,
            b"edges" => parts.edges(&mut source)?,
            b"locations" => parts.locations(&mut source)?,
            b"strings" => {
                source.place = "its strings";
                parts.strings = Some(Strings::read(&mut source)?);
            }
            _ => {
                source.place = "what is not needed of it";
                source.value(0, &mut Vec::new())?;
            }
        }
        source.place = "its members";
        if !source.has_more(b'}')? {
            break;
        }
    }
    if !source.is_at_end()? {
        return Err(source.malformed("there is more after its end".into()));
    }
    parts.graph()
}

/// A number that fits 32 bits.
fn small(what: &'static str, value: u64) -> Result<u32, Error> {
    u32::try_from(value).map_err(|_over| Error::TooLarge {
        what,
        most: u64::from(u32::MAX),
    })
}

/// Takes an array of records of so many numbers each; says how many there were.
fn records<R: Read>(
    source: &mut Source<R>,
    record: &mut [u64],
    mut take: impl FnMut(&[u64]) -> Result<(), Error>,
) -> Result<u64, Error> {
    let (mut filled, mut count) = (0, 0);
    source.numbers(|number| {
        record[filled] = number;
        filled += 1;
        if filled == record.len() {
            filled = 0;
            count += 1;
            take(record)?;
        }
        Ok(())
    })?;
    if filled > 0 {
        return Err(source.malformed("the last entry is incomplete".into()));
    }
    Ok(count)
}

fn counted(what: &str, said: u64, found: u64) -> Result<(), Error> {
    if said == found {
        return Ok(());
    }
    Err(Error::Contradicts(format!(
        "it says that it has {said} {what}, and has {found}"
    )))
}

/// Where a member comes too early.
fn too_early<R: Read>(source: &Source<R>, missing: &str) -> Error {
    source.malformed(format!("it comes before \"{missing}\", which V8 writes first"))
}

impl Parts {
    fn header<R: Read>(&mut self, source: &mut Source<R>) -> Result<(), Error> {
        source.place = "its header";
        let mut json = Vec::new();
        source.value(MOST_HEADER, &mut json)?;
        let header = Header::parse(&json)?;
        let layout = header.layout()?;
        self.header = Some((header, layout));
        Ok(())
    }

    fn nodes<R: Read>(&mut self, source: &mut Source<R>) -> Result<(), Error> {
        source.place = "its nodes";
        let Some((header, layout)) = &self.header else {
            return Err(too_early(source, "snapshot"));
        };
        if header.node_count > u64::from(MOST_NODES) {
            return Err(Error::TooLarge {
                what: "nodes",
                most: u64::from(MOST_NODES),
            });
        }
        let count = usize::try_from(header.node_count).unwrap_or(usize::MAX);
        let place = &layout.node;
        let mut nodes = Nodes {
            types: room("nodes", count)?,
            names: room("nodes", count)?,
            ids: room("nodes", count)?,
            sizes: Sizes::new(room("nodes", count)?),
            detachedness: room("nodes", if place.detachedness.is_some() { count } else { 0 })?,
            first_edge: room("nodes", count + 1)?,
        };
        nodes.first_edge.push(0);
        let (mut edges, mut highest) = (0_u64, self.highest_name);
        let found = records(source, &mut vec![0; place.fields], |record| {
            if nodes.types.len() == count {
                return Err(Error::Contradicts(format!(
                    "it says that it has {count} nodes, and has more"
                )));
            }
            let kind = u8::try_from(record[place.kind]).ok();
            let Some(kind) = kind.filter(|&kind| usize::from(kind) < layout.node_kinds.len()) else {
                return Err(Error::Contradicts(format!(
                    "a node is of type {}, which it does not name",
                    record[place.kind]
                )));
            };
            nodes.types.push(kind);
            let name = small("strings", record[place.name])?;
            highest = highest.max(name);
            nodes.names.push(name);
            nodes.ids.push(small("ids", record[place.id])?);
            nodes.sizes.push(record[place.self_size]);
            if let Some(field) = place.detachedness {
                nodes.detachedness.push(match record[field] {
                    1 => 1,
                    2 => 2,
                    _ => 0,
                });
            }
            edges = edges.saturating_add(record[place.edge_count]);
            nodes.first_edge.push(small("edges", edges)?);
            Ok(())
        })?;
        counted("nodes", header.node_count, found)?;
        counted("edges of nodes", header.edge_count, edges)?;
        self.highest_name = highest;
        self.nodes = Some(nodes);
        Ok(())
    }

    fn edges<R: Read>(&mut self, source: &mut Source<R>) -> Result<(), Error> {
        source.place = "its edges";
        let (Some((header, layout)), Some(nodes)) = (&self.header, &self.nodes) else {
            return Err(too_early(source, "nodes"));
        };
        let count = usize::try_from(header.edge_count).unwrap_or(usize::MAX);
        let mut edges: Vec<Edge> = room("edges", count)?;
        let place = &layout.edge;
        let fields = layout.node.fields as u64;
        let node_count = nodes.types.len() as u64;
        let mut highest = self.highest_name;
        let found = records(source, &mut vec![0; place.fields], |record| {
            if edges.len() == count {
                return Err(Error::Contradicts(format!(
                    "it says that it has {count} edges, and has more"
                )));
            }
            let kind = usize::try_from(record[place.kind]).ok();
            let Some(&kind) = kind.and_then(|kind| layout.edge_kinds.get(kind)) else {
                return Err(Error::Contradicts(format!(
                    "an edge is of type {}, which it does not name",
                    record[place.kind]
                )));
            };
            let to = record[place.to] / fields;
            if to >= node_count || !record[place.to].is_multiple_of(fields) {
                return Err(Error::Contradicts(format!(
                    "an edge leads to {}, where no node is",
                    record[place.to]
                )));
            }
            let name = small("strings", record[place.name])?;
            if kind.is_named() {
                highest = highest.max(name);
            }
            edges.push(Edge::new(kind, small("nodes", to)?, name));
            Ok(())
        })?;
        counted("edges", header.edge_count, found)?;
        self.highest_name = highest;
        self.edges = Some(edges);
        Ok(())
    }

    /// Only those of objects: they part classes of one name.
    fn locations<R: Read>(&mut self, source: &mut Source<R>) -> Result<(), Error> {
        source.place = "its locations";
        let (Some((_, layout)), Some(nodes)) = (&self.header, &self.nodes) else {
            return Err(too_early(source, "nodes"));
        };
        let Some(place) = &layout.location else {
            return source.value(0, &mut Vec::new());
        };
        let fields = layout.node.fields as u64;
        let mut known: FxHashMap<Place, u32> = FxHashMap::default();
        let mut places = Places::default();
        records(source, &mut vec![0; place.fields], |record| {
            let node = record[place.object] / fields;
            let Some(&kind) = usize::try_from(node).ok().and_then(|node| nodes.types.get(node)) else {
                return Err(Error::Contradicts(format!(
                    "a location is that of {}, where no node is",
                    record[place.object]
                )));
            };
            if layout.node_kinds[usize::from(kind)] != NodeKind::Object {
                return Ok(());
            }
            let at = Place {
                script: small("scripts", record[place.script])?,
                line: small("lines", record[place.line])?,
                column: small("columns", record[place.column])?,
            };
            let next = small("locations", places.distinct.len() as u64)?;
            let number = *known.entry(at).or_insert_with(|| {
                places.distinct.push(at);
                next
            });
            places.of_node.push((small("nodes", node)?, number));
            Ok(())
        })?;
        // V8 writes them in the order of the nodes or nearly so. The last one of a node counts.
        places.of_node.shrink_to_fit();
        places.of_node.sort_by_key(|&(node, _)| node);
        self.places = places;
        Ok(())
    }

    fn graph(self) -> Result<Graph, Error> {
        let missing = |what: &str| Error::Contradicts(format!("it has no \"{what}\""));
        let (header, layout) = self.header.ok_or_else(|| missing("snapshot"))?;
        let nodes = self.nodes.ok_or_else(|| missing("nodes"))?;
        let edges = self.edges.ok_or_else(|| missing("edges"))?;
        let strings = self.strings.ok_or_else(|| missing("strings"))?;
        if self.highest_name as usize >= strings.len() && !nodes.types.is_empty() {
            return Err(Error::Contradicts(format!(
                "a name is string {}, and it has {}",
                self.highest_name,
                strings.len()
            )));
        }
        let fields = layout.node.fields as u64;
        let index = header.root_index.unwrap_or(0);
        let root = index / fields;
        if root >= nodes.types.len() as u64 || !index.is_multiple_of(fields) {
            return Err(Error::Contradicts("its root is no node of it".into()));
        }
        Ok(Graph {
            node_types: layout.node_types,
            node_kinds: layout.node_kinds,
            types: nodes.types,
            names: nodes.names,
            ids: nodes.ids,
            sizes: nodes.sizes,
            detachedness: nodes.detachedness,
            first_edge: nodes.first_edge,
            edges,
            strings,
            places: self.places,
            root: small("nodes", root)?,
            extra_native_bytes: header.extra_native_bytes.unwrap_or(0),
        })
    }
}
