//! V8's sampling heap profile, as Chrome's developer tools save and load it (`.heapprofile`): the type
//! `HeapProfiler.SamplingHeapProfile` of the `DevTools` protocol.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde::Serialize;
use serde_json::Serializer;

use super::{
    level::{Shown, Table, levels},
    tree::Tree,
};
use crate::{
    profile::Profile,
    render::{Measure, json_lines::Compact},
};

/// Writes the bytes of one measure.
pub(super) fn write(profile: &Profile, measure: Measure, out: &mut dyn Write) -> io::Result<()> {
    let mut calls = Table::new();
    let mut by_level = Table::new();
    let mut shown = Vec::new();
    let mut tree = Tree::default();
    let mut sizes: BTreeMap<usize, u64> = BTreeMap::new();
    for site in profile.memory_sites().filter(|site| measure.value(site) > 0) {
        let keys = levels(profile, site).into_iter().map(|level| {
            let (number, new) = by_level.add(level);
            if new {
                shown.push(calls.number(level.shown(profile)));
            }
            shown[number]
        });
        if let Some(node) = tree.path(keys) {
            let size = sizes.entry(node).or_default();
            *size = size.saturating_add(measure.value(site));
        }
    }
    let mut children = vec![Vec::new(); tree.nodes().len() + 1];
    for (number, node) in tree.nodes().iter().enumerate() {
        children[node.parent.map_or(0, id)].push(number);
    }
    let root = Shown {
        name: "(root)".to_owned(),
        file: None,
        line: None,
    };
    // Stacks can be deeper than a thread's own allows to recurse.
    let mut open = vec![(0, 0)];
    write!(out, "{{\"head\":")?;
    node(&root, 0, 0, out)?;
    while let Some((parent, next)) = open.last_mut() {
        let Some(&child) = children[*parent].get(*next) else {
            write!(out, "]}}")?;
            open.pop();
            continue;
        };
        if *next > 0 {
            write!(out, ",")?;
        }
        *next += 1;
        let key = tree.nodes()[child].key;
        node(
            &calls.all()[key],
            id(child),
            sizes.get(&child).copied().unwrap_or(0),
            out,
        )?;
        open.push((id(child), 0));
    }
    write!(out, ",\"samples\":[")?;
    for (ordinal, (&number, &size)) in sizes.iter().enumerate() {
        let comma = if ordinal == 0 { "" } else { "," };
        let (node, ordinal) = (id(number), ordinal + 1);
        write!(
            out,
            "{comma}{{\"size\":{size},\"nodeId\":{node},\"ordinal\":{ordinal}}}"
        )?;
    }
    writeln!(out, "]}}")
}

/// The number of a node in the file: 0 is the root's, which is no call.
fn id(node: usize) -> usize {
    node + 1
}

/// Writes a node up to its children.
fn node(shown: &Shown, id: usize, size: u64, out: &mut dyn Write) -> io::Result<()> {
    let call = CallFrame {
        function: &shown.name,
        script: "0",
        url: shown.file.as_deref().unwrap_or(""),
        // Counted from 0, and -1 where it is not known.
        line: shown.line.map_or(-1, |line| i64::from(line) - 1),
        column: if shown.line.is_some() { 0 } else { -1 },
    };
    write!(out, "{{\"callFrame\":")?;
    call.serialize(&mut Serializer::with_formatter(&mut *out, Compact))?;
    write!(out, ",\"selfSize\":{size},\"id\":{id},\"children\":[")
}

#[derive(Serialize)]
struct CallFrame<'a> {
    #[serde(rename = "functionName")]
    function: &'a str,
    #[serde(rename = "scriptId")]
    script: &'static str,
    url: &'a str,
    #[serde(rename = "lineNumber")]
    line: i64,
    #[serde(rename = "columnNumber")]
    column: i64,
}
