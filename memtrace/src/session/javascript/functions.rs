//! The functions of JavaScript of each program, as the BPF side has told of them.

use std::{collections::hash_map::Entry, sync::Arc};

use memtrace_common::{event::about, javascript::NO_POSITION};
use rustc_hash::{FxHashMap, FxHashSet};

use super::sources;
use crate::{
    decode::JavaScript,
    session::runtime::Place,
    v8::positions::{Lines, position},
};

/// Functions of one program that are kept.
const MOST: usize = 1 << 20;

/// A script: its thread, its number and the length of its source.
type Script = (u32, u32, u32);

/// A function.
#[derive(Debug)]
struct Function {
    name: Arc<str>,
    file: Arc<str>,
    script: Script,
    table: Option<Box<[u8]>>,
}

/// A program.
#[derive(Debug, Default)]
struct Program {
    functions: FxHashMap<u64, Function>,
    /// Where lines begin, of scripts whose source could be read.
    scripts: FxHashMap<Script, Option<Lines>>,
}

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Functions {
    programs: FxHashMap<u32, Program>,
    /// Names, each once.
    strings: FxHashSet<Arc<str>>,
    /// Scripts whose source could not be read.
    pub(super) without_lines: u64,
}

impl Functions {
    /// Keeps a function. The source of its script is read from the process where it is not told.
    pub(super) fn define(&mut self, told: &JavaScript<'_>) {
        let head = &told.head;
        let script = (head.header.tid, head.script, head.source_length);
        let program = self.programs.entry(head.header.incarnation).or_default();
        if head.script != 0 {
            let lines = program.scripts.entry(script);
            let is_new = matches!(lines, Entry::Vacant(_));
            let lines = lines.or_default();
            if lines.is_none() {
                let file = text(told.file, head.file_width).filter(|_| head.about & about::EVALUATED == 0);
                *lines = sources::lines(head, told.source, &file.unwrap_or_default());
                match (is_new, lines.is_some()) {
                    (true, false) => self.without_lines += 1,
                    (false, true) => self.without_lines -= 1,
                    _ => {}
                }
            }
        }
        let cut = |text: String, bit: u8| if head.about & bit == 0 { text } else { text + "…" };
        let name = text(told.name, head.name_width).map(|name| cut(name, about::NAME_CUT));
        let start = u32::try_from(head.start).ok();
        let lines = program.scripts.get(&script).and_then(Option::as_ref);
        let name = name.unwrap_or_else(|| nameless(head.script, start, lines));
        let file = text(told.file, head.file_width).map(|file| cut(file, about::FILE_CUT));
        let file = match file {
            Some(file) if head.about & about::EVALUATED != 0 => format!("eval at {file}"),
            Some(file) => file,
            None if head.script != 0 => "<anonymous>".to_owned(),
            None => String::new(),
        };
        let mut string = |text: String| {
            let known = self.strings.get(text.as_str()).cloned();
            known.unwrap_or_else(|| {
                let new: Arc<str> = text.into();
                self.strings.insert(Arc::clone(&new));
                new
            })
        };
        let function = Function {
            name: string(name),
            file: string(file),
            script,
            table: (!told.table.is_empty()).then(|| told.table.into()),
        };
        if let Some(known) = program.functions.get(&head.id)
            && function.table.is_none()
            && known.table.is_some()
        {
            return;
        }
        if program.functions.len() < MOST {
            program.functions.insert(head.id, function);
        }
    }

    /// Where a function is, at a position as the BPF side tells it.
    pub(super) fn place(&self, incarnation: u32, id: u64, at: u64) -> Option<Place> {
        let program = self.programs.get(&incarnation)?;
        let function = program.functions.get(&id)?;
        let line = || {
            if at == NO_POSITION {
                return None;
            }
            let offset = u32::try_from(at - 1).ok()?;
            let position = position(function.table.as_deref()?, offset)?;
            Some(program.scripts.get(&function.script)?.as_ref()?.place(position).0)
        };
        Some(Place {
            function: Arc::clone(&function.name),
            file: Arc::clone(&function.file),
            line: line(),
            inlined: false,
        })
    }

    /// Whether a function has no name, and no place to be called by.
    pub(super) fn is_nameless(&self, incarnation: u32, id: u64) -> bool {
        let function = self
            .programs
            .get(&incarnation)
            .and_then(|program| program.functions.get(&id));
        function.is_some_and(|function| function.name.is_empty())
    }

    /// A program is gone.
    pub(super) fn forget(&mut self, incarnation: u32) {
        self.programs.remove(&incarnation);
        if self.programs.is_empty() {
            self.strings.clear();
        }
    }
}

/// What a function without a name is called: by where it begins.
fn nameless(script: u32, start: Option<u32>, lines: Option<&Lines>) -> String {
    match (start, lines) {
        _ if script == 0 => String::new(),
        (Some(0), _) => "<top level>".to_owned(),
        (Some(start), Some(lines)) => {
            let (line, column) = lines.place(start);
            format!("<anonymous:{line}:{column}>")
        }
        _ => "<anonymous>".to_owned(),
    }
}

/// The text of a name; `None` where there is none.
fn text(bytes: &[u8], width: u8) -> Option<String> {
    match width {
        _ if bytes.is_empty() => None,
        1 => Some(bytes.iter().copied().map(char::from).collect()),
        2 => {
            let units = bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
            let characters = char::decode_utf16(units);
            Some(
                characters
                    .map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect(),
            )
        }
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use memtrace_common::{
        event::{Header, JavaScriptFunction},
        javascript::{MARK, position as at},
    };

    use super::*;

    /// A script in this process's memory, as the BPF side tells of one that does not lie on the heap.
    const SOURCE: &[u8] = b"first();\nfunction second() {\n  third();\n}\n";

    /// An instruction at 0 calls `third`, which is at 31.
    const TABLE: &[u8] = &[2, 128, 1];

    /// What is told of a function of that script.
    pub(in crate::session::javascript) fn head(id: u64) -> JavaScriptFunction {
        JavaScriptFunction {
            header: Header {
                kind: 0,
                op: 0,
                flags: 0,
                pid: std::process::id(),
                tid: 3,
                incarnation: 7,
                time_ns: 0,
            },
            id: id | MARK,
            source: SOURCE.as_ptr().addr() as u64,
            source_object: 0,
            source_map: 0,
            source_length: u32::try_from(SOURCE.len()).unwrap(),
            script: 5,
            start: 9,
            table_bytes: 0,
            source_bytes: 0,
            reserved: 0,
            name_bytes: 0,
            file_bytes: 0,
            name_width: 1,
            file_width: 1,
            source_width: 1,
            about: 0,
        }
    }

    fn define(functions: &mut Functions, head: JavaScriptFunction, name: &[u8], table: &[u8]) {
        functions.define(&JavaScript {
            head,
            name,
            file: b"/app/a.js",
            source: b"",
            table,
        });
    }

    #[test]
    fn functions_have_names_and_lines_until_their_program_ends() {
        let mut functions = Functions::default();
        define(&mut functions, head(1), b"gr\xf6\xdfe", TABLE);
        let place = |functions: &Functions, at| functions.place(7, 1 | MARK, at);
        let found = place(&functions, at(56, 57)).unwrap();
        assert_eq!(
            (&*found.function, &*found.file, found.line),
            ("größe", "/app/a.js", Some(3))
        );
        assert_eq!(place(&functions, NO_POSITION).unwrap().line, None);
        // It is told of again, compiled: the table stays.
        define(&mut functions, head(1), b"gr\xf6\xdfe", &[]);
        assert_eq!(place(&functions, at(56, 57)).unwrap().line, Some(3));
        assert_eq!(functions.without_lines, 0);
        functions.forget(7);
        assert_eq!(place(&functions, NO_POSITION), None);
    }

    #[test]
    fn functions_without_a_name_are_called_by_their_begin() {
        let mut functions = Functions::default();
        let mut name = |head: JavaScriptFunction| {
            define(&mut functions, head, b"", &[]);
            functions.place(7, head.id, NO_POSITION).unwrap().function
        };
        assert_eq!(&*name(head(1)), "<anonymous:2:1>");
        assert_eq!(&*name(JavaScriptFunction { start: 0, ..head(2) }), "<top level>");
        assert_eq!(&*name(JavaScriptFunction { start: -1, ..head(3) }), "<anonymous>");
        let built_in = JavaScriptFunction { script: 0, ..head(4) };
        name(built_in);
        assert!(functions.is_nameless(7, built_in.id));
    }

    #[test]
    fn what_is_missing_is_said() {
        let mut functions = Functions::default();
        // An object that is none any more.
        let moved = JavaScriptFunction {
            source_object: SOURCE.as_ptr().addr() as u64,
            source_map: 1,
            about: about::NAME_CUT | about::EVALUATED,
            ..head(1)
        };
        define(&mut functions, moved, b"long", TABLE);
        let place = functions.place(7, moved.id, at(56, 57)).unwrap();
        assert_eq!(
            (&*place.function, &*place.file, place.line),
            ("long…", "eval at /app/a.js", None)
        );
        assert_eq!(functions.without_lines, 1);
        define(&mut functions, head(2), b"other", TABLE);
        assert_eq!(functions.without_lines, 0, "it was there the next time");
        let told = JavaScript {
            head: JavaScriptFunction {
                source: 1,
                script: 8,
                ..head(4)
            },
            name: b"told",
            file: b"",
            source: SOURCE,
            table: TABLE,
        };
        functions.define(&told);
        let place = functions.place(7, told.head.id, at(56, 57)).unwrap();
        assert_eq!((&*place.file, place.line), ("<anonymous>", Some(3)));
        let gone = JavaScriptFunction {
            source: 1,
            script: 6,
            ..head(3)
        };
        define(&mut functions, gone, b"other", TABLE);
        assert_eq!(functions.without_lines, 1);
    }

    #[test]
    fn names_have_one_byte_or_two() {
        assert_eq!(text(&[0x44, 0x04, 0x3d, 0xd8, 0x00, 0xde], 2).unwrap(), "ф\u{1f600}");
        assert_eq!(text(&[0, 0xd8], 2).unwrap(), "\u{fffd}");
        assert_eq!(text(b"x", 3), None);
        assert_eq!(text(b"", 1), None);
    }
}
