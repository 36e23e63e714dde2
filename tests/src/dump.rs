//! What `memtrace dump` says.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Finished, Frame, Memtrace};

/// A thread of a dump.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Name (`comm`).
    pub name: String,
    /// The document's entry.
    pub entry: Value,
    /// The stack's entry, or null.
    pub stack: Value,
}

impl Thread {
    /// Frames with code of their own, leaf first.
    pub fn frames(&self) -> Vec<Frame> {
        let own = self.entries().filter(|frame| frame["inlined"] != true);
        own.map(|frame| Frame {
            module: frame["module"].as_str().unwrap_or("").to_owned(),
            offset: frame["offset"].as_u64().unwrap_or(u64::MAX),
        })
        .collect()
    }

    /// Functions of a module, leaf first.
    pub fn functions(&self, module: &str) -> Vec<String> {
        let inside = self.entries().filter(|frame| frame["module"] == module);
        inside
            .map(|frame| frame["function"].as_str().unwrap_or("?").to_owned())
            .collect()
    }

    fn entries(&self) -> impl Iterator<Item = &Value> {
        self.stack["frames"].as_array().into_iter().flatten()
    }

    /// Whether its stack was read without touching it.
    pub fn was_resting(&self) -> bool {
        self.entry["taken"]["how"] == "waiting"
    }

    /// Whether the stack is whole.
    pub fn is_whole(&self) -> bool {
        self.stack["end"] == "start"
    }
}

/// Dumps a process with more options; its threads by number.
pub fn dump(pid: u32, options: &[&str]) -> BTreeMap<u32, Thread> {
    let finished = Memtrace::finished(["dump", "--json", "--pid", &pid.to_string()].iter().chain(options));
    assert!(finished.status.success(), "{finished:?}");
    threads(&finished)
}

/// The threads of the first process of a document.
pub fn threads(finished: &Finished) -> BTreeMap<u32, Thread> {
    let document: Value =
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"));
    let process = &document["processes"][0];
    let threads = process["threads"].as_array().expect("a list of threads");
    threads
        .iter()
        .map(|thread| {
            let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
            let stack = number(&thread["stack"]).map_or(Value::Null, |index| process["stacks"][index as usize].clone());
            let name = thread["name"].as_str().unwrap_or("").to_owned();
            let entry = thread.clone();
            (
                number(&thread["tid"]).expect("a thread's number"),
                Thread { name, entry, stack },
            )
        })
        .collect()
}
