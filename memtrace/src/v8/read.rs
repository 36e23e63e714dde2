//! Reads whose the frames of a stack are from the memory of a process, as the BPF side does: the same steps with the same checks, and what is
//! told of functions and of compiled code is the same.
//!
//! The memory is the target's: whatever is in it, reading ends when what it was allowed is used up.

mod code;
mod memory;

use memtrace_common::{
    event::{Header, JavaScriptFunction, Kind, about},
    javascript::{
        EngineLayout, FILE_BYTES, FRAME_WORDS, Key, NAME_BYTES, NO_POSITION,
        read::{self, Look, Place, Seen},
        string::{Characters, is_string, length, pair},
    },
};
use rustc_hash::{FxHashMap, FxHashSet};

use self::memory::Words;
use super::Compiled;
use crate::process::metered::{Allowance, Fill};

/// Longest source that is read with the stack, in bytes: it takes a millisecond.
const SOURCE_BYTES: u64 = 1 << 20;

/// Longest position table that is read, in bytes. That of a function of ten thousand lines has some hundred KiB.
const TABLE_BYTES: u64 = 1 << 20;

/// Types of frames at most, which V8 numbers from 1 on (`StackFrame::Type`, src/execution/frames.h); it has some 30.
const FRAME_TYPES: u64 = 64;

/// A frame that is left by its frame pointer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Asked {
    /// What lies below the frame pointer; 0 for what is not the frame's.
    pub words: [u64; FRAME_WORDS],
    /// The address (avma) that it is at.
    pub address: u64,
    /// Whether that is a return address. It is the next instruction of one that was stopped there.
    pub is_call: bool,
}

/// Whose a frame is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owner {
    /// Nobody's that is known.
    Unknown,
    /// V8's own: it has a mark that says so.
    Engine,
    /// A function of JavaScript's, of which this is the identity.
    Function {
        /// As the BPF side makes it.
        id: u64,
        /// Where in the function, likewise.
        position: u64,
    },
}

/// A function, as the BPF side tells of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// The fixed part.
    pub head: JavaScriptFunction,
    /// Its name in UTF-16, and that of its script.
    pub name: Vec<u8>,
    /// See [`Self::name`].
    pub file: Vec<u8>,
    /// The source of its script, or nothing.
    pub source: Vec<u8>,
    /// Its position table, or nothing.
    pub table: Vec<u8>,
}

/// Compiled code of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct OfFunction {
    /// The identity of the function.
    pub function: u64,
    /// The number of the code in positions.
    pub number: u64,
    /// What there is to it.
    pub code: Compiled,
}

/// What was read for a stack.
#[derive(Debug, Default)]
pub struct Told {
    /// All functions of its frames, and those that were compiled into these.
    pub functions: Vec<Function>,
    /// The code of its frames.
    pub codes: Vec<OfFunction>,
    /// Frames that look like JavaScript's, of which the function could not be told.
    pub untold: u32,
    /// Whether what was allowed was used up.
    pub is_cut: bool,
}

/// Reads the frames of one stack of a thread that does not run meanwhile.
pub struct Reader<'a, M> {
    memory: Words<'a, M>,
    layout: &'a EngineLayout,
    pid: u32,
    tid: u32,
    /// The table of codes (avma), or 0.
    table: u64,
    left: usize,
    /// Functions that were told of, and whether with a position table.
    functions: FxHashMap<u64, bool>,
    /// Code that was looked at, and whether there is something to be told of it.
    codes: FxHashMap<u64, bool>,
    /// Scripts whose source was told.
    sources: FxHashSet<(u32, u32)>,
    told: Told,
}

/// A name, as far as it is read.
#[derive(Default)]
struct Text {
    /// In UTF-16.
    bytes: Vec<u8>,
    is_cut: bool,
}

impl<'a, M: Fill> Reader<'a, M> {
    /// Reads for a thread of a process, no more than is allowed.
    pub fn new(memory: &'a M, layout: &'a EngineLayout, (pid, tid): (u32, u32), allowance: Allowance) -> Self {
        Self {
            memory: Words::new(memory, allowance.bytes),
            layout,
            pid,
            tid,
            table: 0,
            left: allowance.entries,
            functions: FxHashMap::default(),
            codes: FxHashMap::default(),
            sources: FxHashSet::default(),
            told: Told::default(),
        }
    }

    /// What was read, and what is left of what was allowed.
    pub fn finish(self) -> (Told, Allowance) {
        let left = Allowance {
            entries: self.left,
            bytes: self.memory.left(),
        };
        (self.told, left)
    }

    /// Whose a frame is.
    pub fn owner(&mut self, asked: &Asked) -> Owner {
        if self.left == 0 || self.memory.left() == 0 {
            self.told.is_cut = true;
            return Owner::Unknown;
        }
        self.left -= 1;
        let mut seen = Seen::default();
        let (key, place) = match read::frame(&self.memory, self.layout, &asked.words, &mut seen, self.tid) {
            Look::Function(key, place) => (key, place),
            Look::Other if is_marked(&asked.words) => return Owner::Engine,
            Look::Other => return Owner::Unknown,
            Look::Counted(_) => {
                self.told.untold += 1;
                return Owner::Unknown;
            }
        };
        let id = key.identity(0);
        self.define(&seen, key);
        let position = match place {
            // The interpreter notes its place when it calls, and not before each instruction.
            Place::Bytecode(noted) if asked.is_call => self.place_in_loop(&mut seen, key, asked).or(Some(noted)),
            Place::Code => self.place(&mut seen, key, asked),
            Place::Bytecode(_) | Place::Nowhere => None,
        };
        // A part of what is known could not be paid for.
        if self.memory.left() == 0 {
            self.told.is_cut = true;
        }
        Owner::Function {
            id,
            position: position.unwrap_or(NO_POSITION),
        }
    }
}

/// What is told of functions.
impl<M: Fill> Reader<'_, M> {
    /// Tells of a function that was read, with its position table where it has bytecode.
    fn define(&mut self, seen: &Seen, key: Key) {
        let has_table = seen.bytecode != 0;
        let known = self.functions.get(&key.identity(0));
        if known.is_some_and(|&with_table| with_table || !has_table) {
            return;
        }
        self.functions.insert(key.identity(0), has_table);
        let memory = &self.memory;
        let (name, start) = read::name(memory, self.layout, seen.shared.name);
        let name = self.text(name, NAME_BYTES);
        let mut about = if name.is_cut { about::NAME_CUT } else { 0 };
        let (mut file, mut characters, mut source) = (Text::default(), Characters::NOTHING, Vec::new());
        if key.script != 0 {
            let (named, is_outer) = read::script_name(memory, self.layout, seen.script);
            if is_outer {
                about |= about::EVALUATED;
            }
            file = self.text(named, FILE_BYTES);
            characters = Characters::of(memory, seen.script.source);
            let bytes = u64::from(key.source) * u64::from(characters.width);
            if !self.sources.contains(&(key.script, key.source)) {
                source = memory
                    .content(characters.address, bytes, SOURCE_BYTES)
                    .unwrap_or_default();
            }
        }
        if file.is_cut {
            about |= about::FILE_CUT;
        }
        let table = read::position_table(memory, self.layout, seen.bytecode)
            .and_then(|(address, bytes)| memory.content(address, bytes, TABLE_BYTES))
            .unwrap_or_default();
        if !source.is_empty() {
            self.sources.insert((key.script, key.source));
        }
        let long = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let short = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.told.functions.push(Function {
            head: JavaScriptFunction {
                header: Header {
                    kind: Kind::JavaScriptFunction as u8,
                    op: 0,
                    flags: 0,
                    pid: self.pid,
                    tid: self.tid,
                    incarnation: 0,
                    time_ns: 0,
                },
                id: key.identity(0),
                source: characters.address,
                source_object: characters.object,
                source_map: characters.map,
                source_length: key.source,
                script: key.script,
                start,
                table_bytes: long(&table),
                source_bytes: long(&source),
                reserved: 0,
                name_bytes: short(&name.bytes),
                file_bytes: short(&file.bytes),
                name_width: 2,
                file_width: 2,
                source_width: characters.width,
                about,
            },
            name: name.bytes,
            file: file.bytes,
            source,
            table,
        });
    }

    /// The characters of a string (tagged), no more than so many; nothing of what is none. One that V8 made of others is read part by part.
    fn text(&self, string: u64, most: usize) -> Text {
        let mut text = Text::default();
        let mut parts = vec![string];
        let mut turns = 0;
        while let Some(string) = parts.pop() {
            turns += 1;
            if turns > MOST_PARTS {
                text.is_cut = true;
                break;
            }
            if let Some((first, second)) = pair(&self.memory, string) {
                parts.extend([second, first]);
                continue;
            }
            if !is_string(&self.memory, string) {
                continue;
            }
            let length = length(&self.memory, string) as usize;
            let room = most - text.bytes.len() / 2;
            text.is_cut |= length > room;
            let found = Characters::of(&self.memory, string);
            let bytes = (length.min(room) * usize::from(found.width)) as u64;
            let content = self.memory.content(found.address, bytes, bytes).unwrap_or_default();
            match found.width {
                1 => text.bytes.extend(content.iter().flat_map(|&byte| [byte, 0])),
                _ => text.bytes.extend(content),
            }
            if text.is_cut {
                break;
            }
        }
        text
    }
}

/// Strings that a name is made of at most.
const MOST_PARTS: usize = 64;

/// Whether V8 has marked a frame as one of its own: the type of those that are not JavaScript's is where these have their context.
const fn is_marked(words: &[u64; FRAME_WORDS]) -> bool {
    let mark = words[FRAME_WORDS - 1];
    mark & 1 == 0 && mark >> 1 != 0 && mark >> 1 < FRAME_TYPES
}

#[cfg(test)]
mod tests;
