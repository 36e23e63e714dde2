//! What is in a program's heap by its own account: a snapshot of V8's.
//!
//! Sizes are bytes. The words are those of Chrome's `DevTools`: *shallow* is an object's own size, *retained* what would go with it.

use serde::Serialize;

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeapSummary {
    /// Objects and parts of the engine, all that the file has.
    pub nodes: u64,
    /// References.
    pub edges: u64,
    /// Bytes of all of it.
    pub total: u64,
    /// What they are of.
    pub kinds: HeapKinds,
    /// Classes, those that retain most first.
    pub classes: Vec<HeapClass>,
    /// The objects that retain most.
    pub objects: Vec<HeapObject>,
    /// How many are detached.
    pub detached_count: u64,
    /// Those of the detached ones that retain most.
    pub detached: Vec<HeapObject>,
}

/// Bytes by what they are of. What is none of these is other objects of the program.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct HeapKinds {
    /// Code and what belongs to it.
    pub code: u64,
    /// Strings.
    pub strings: u64,
    /// Arrays of the program.
    pub arrays: u64,
    /// Contents of array buffers; part of `native`.
    pub typed_arrays: u64,
    /// The engine's own.
    pub system: u64,
    /// Outside V8's heap.
    pub native: u64,
}

/// Where code is, in V8's numbers: the file's name is not in a snapshot.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ScriptPlace {
    /// V8's number of the script.
    pub script_id: u32,
    /// Line, from 0.
    pub line: u32,
    /// Column, from 0.
    pub column: u32,
}

/// Objects with the same constructor, or of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeapClass {
    /// Its name; names of the engine's are in round brackets, those of plain objects are their properties in curly ones.
    pub name: String,
    /// Where the constructor is, if it is the program's.
    pub place: Option<ScriptPlace>,
    /// Objects that have bytes.
    pub count: u64,
    /// Bytes of the objects themselves.
    pub shallow: u64,
    /// Bytes that would go with all of them.
    pub retained: u64,
    /// The least distance from what is global.
    pub distance: Option<u32>,
    /// How many are detached.
    pub detached: u64,
}

/// An object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeapObject {
    /// Its number, which it keeps in later snapshots.
    pub id: u32,
    /// V8's type of it.
    pub kind: String,
    /// Its class.
    pub class: String,
    /// Its name: a constructor's, a function's, or what a string holds.
    pub name: String,
    /// Bytes of its own.
    pub shallow: u64,
    /// Bytes that would go with it.
    pub retained: u64,
    /// Steps from what is global; from 100000000 on, only the engine itself leads to it. Nothing where only weak references do.
    pub distance: Option<u32>,
    /// Whether it is detached.
    pub detached: bool,
}

/// A reference from one object to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeapReference {
    /// V8's type of it.
    pub kind: &'static str,
    /// Name or index.
    pub name: String,
    /// Both in one: `.name`, `[3]`, `->variable`, `{internal}`.
    pub shown: String,
}

/// A step of a way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeapStep {
    /// From the object of the step before; nothing at the first.
    pub reference: Option<HeapReference>,
    /// Where it leads.
    pub object: HeapObject,
}

/// Why an object is there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeapPath {
    /// The object.
    pub object: HeapObject,
    /// The shortest way to it, from the root on. It has one step where only weak references lead to it.
    pub steps: Vec<HeapStep>,
    /// Each would take the object with it: the nearest one first.
    pub dominators: Vec<HeapObject>,
}

/// All of a snapshot, as a comparison tells it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct HeapSide {
    /// Objects that have bytes.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What is different in a class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeapClassChange {
    /// As in [`HeapClass`].
    pub name: String,
    /// As in [`HeapClass`].
    pub place: Option<ScriptPlace>,
    /// Objects that are new.
    pub added_count: u64,
    /// Their bytes.
    pub added_bytes: u64,
    /// Objects that are gone.
    pub removed_count: u64,
    /// Their bytes.
    pub removed_bytes: u64,
}

impl HeapClassChange {
    /// By how many objects it has grown.
    pub fn count_delta(&self) -> i128 {
        i128::from(self.added_count) - i128::from(self.removed_count)
    }

    /// By how many bytes it has grown. An object that is in both counts for nothing, also where its size has changed.
    pub fn bytes_delta(&self) -> i128 {
        i128::from(self.added_bytes) - i128::from(self.removed_bytes)
    }
}

/// Two snapshots of one program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeapComparison {
    /// The earlier one.
    pub before: HeapSide,
    /// The later one.
    pub after: HeapSide,
    /// Classes with something new or gone, those that have grown most first.
    pub classes: Vec<HeapClassChange>,
}
