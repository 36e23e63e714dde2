//! The Python functions of each program, as the BPF side has told of them.

use std::{fs::File, os::unix::fs::FileExt as _, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::session::runtime::Place;
use crate::{
    decode::Python,
    python::{
        lines::{Form, line},
        text,
    },
};

/// Longest line table that is read, in bytes. That of a function of ten thousand lines has some hundred KiB.
const MOST_TABLE: u64 = 4 << 20;

/// Functions of one program that are kept.
const MOST: usize = 1 << 20;

/// A function.
#[derive(Debug)]
struct Code {
    function: Arc<str>,
    file: Arc<str>,
    first_line: u32,
    form: Form,
    /// Its line table, or `None` when that could not be read.
    table: Option<Box<[u8]>>,
}

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Codes {
    programs: FxHashMap<u32, FxHashMap<u64, Code>>,
    /// Names and paths, each once.
    strings: FxHashSet<Arc<str>>,
    /// Functions whose line table could not be read.
    pub(super) without_lines: u64,
}

impl Codes {
    /// Keeps a function. What a record had no room for is read from the process, if that is still there.
    pub(super) fn define(&mut self, code: &Python<'_>, form: Form) {
        let head = &code.head;
        let cut = |text: Option<String>, is_cut: bool| text.map(|text| if is_cut { text + "…" } else { text });
        let function = cut(text(code.name, head.name_width), head.cut & 1 != 0);
        let file = cut(text(code.file, head.file_width), head.cut & 2 != 0);
        let table = if u64::from(head.table_bytes) == head.table_length {
            Some(code.table.into())
        } else {
            read(head.header.pid, head.table, head.table_length)
        };
        self.without_lines += u64::from(table.is_none());
        let code = Code {
            function: self.string(&function.unwrap_or_else(|| "<unknown>".to_owned())),
            file: self.string(&file.unwrap_or_default()),
            first_line: head.first_line,
            form,
            table,
        };
        let program = self.programs.entry(head.header.incarnation).or_default();
        if program.len() < MOST {
            program.insert(head.id, code);
        }
    }

    /// Where a function is, at an offset in its bytecode.
    pub(super) fn place(&self, incarnation: u32, id: u64, offset: i32) -> Option<Place> {
        let code = self.programs.get(&incarnation)?.get(&id)?;
        let line = match &code.table {
            Some(table) => line(code.form, table, code.first_line, offset),
            None => Some(code.first_line),
        };
        Some(Place {
            function: Arc::clone(&code.function),
            file: Arc::clone(&code.file),
            line,
            inlined: false,
        })
    }

    /// A program is gone.
    pub(super) fn forget(&mut self, incarnation: u32) {
        self.programs.remove(&incarnation);
        if self.programs.is_empty() {
            self.strings.clear();
        }
    }

    fn string(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.strings.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.strings.insert(Arc::clone(&new));
        new
    }
}

/// Reads from the memory of a process.
fn read(pid: u32, address: u64, length: u64) -> Option<Box<[u8]>> {
    if length > MOST_TABLE {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    memory.read_exact_at(&mut bytes, address).ok()?;
    Some(bytes.into())
}

#[cfg(test)]
mod tests {
    use memtrace_common::event::{Header, PythonCode};

    use super::*;

    /// A function at line 10, of which the instruction at 4 is at line 12.
    const TABLE: &[u8] = &[0, 0, 4, 2];

    fn head(id: u64) -> PythonCode {
        PythonCode {
            header: Header {
                kind: 0,
                op: 0,
                flags: 0,
                pid: u32::MAX,
                tid: 0,
                incarnation: 7,
                time_ns: 0,
            },
            id,
            table: 0x1000,
            table_length: 4,
            table_bytes: 4,
            first_line: 10,
            name_bytes: 0,
            file_bytes: 0,
            name_width: 1,
            file_width: 1,
            cut: 0,
            reserved: 0,
        }
    }

    fn define(codes: &mut Codes, head: PythonCode, table: &[u8]) {
        let code = Python {
            head,
            name: b"gr\xf6\xdfe",
            file: b"a.py",
            table,
        };
        codes.define(&code, Form::Advances);
    }

    #[test]
    fn functions_have_names_and_lines_until_their_program_ends() {
        let mut codes = Codes::default();
        define(&mut codes, head(1), TABLE);
        let place = codes.place(7, 1, 4).unwrap();
        assert_eq!(
            (&*place.function, &*place.file, place.line),
            ("größe", "a.py", Some(12))
        );
        assert_eq!(codes.place(7, 1, -1).unwrap().line, Some(10));
        assert_eq!(codes.place(7, 2, 0), None);
        assert_eq!(codes.place(8, 1, 0), None, "of another program");
        codes.forget(7);
        assert_eq!(codes.place(7, 1, 4), None);
    }

    #[test]
    fn what_is_missing_is_said() {
        let mut codes = Codes::default();
        // No such process has the rest of the table.
        let long = PythonCode {
            table_length: 5000,
            table_bytes: 0,
            cut: 1,
            ..head(1)
        };
        define(&mut codes, long, &[]);
        let place = codes.place(7, 1, 4).unwrap();
        assert_eq!((&*place.function, place.line), ("größe…", Some(10)));
        assert_eq!(codes.without_lines, 1);
        let unreadable = PythonCode {
            name_width: 0,
            file_width: 0,
            ..head(2)
        };
        define(&mut codes, unreadable, TABLE);
        let place = codes.place(7, 2, 0).unwrap();
        assert_eq!((&*place.function, &*place.file), ("<unknown>", ""));
    }
}
