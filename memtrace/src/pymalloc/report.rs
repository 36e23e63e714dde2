//! What would be traced of an interpreter's pymalloc, for `memtrace doctor`.

use memtrace_common::pymalloc::Heap;

use super::{
    FindError, ProcessMemory, census,
    interpreter::Interpreter,
    rows::{self, Mode},
};
use crate::{
    plan::pymalloc::{Class, Followed, Functions, Pools, PymallocPlan, analyse},
    process::FileBytes,
};

/// An interpreter, and what is known of its allocator.
#[derive(Debug)]
pub struct Report {
    /// The file that it is in.
    pub file: String,
    /// Its version.
    pub version: String,
    /// What it calls for objects, and where probes would go; or why that is not known.
    pub allocator: Result<(Mode, PymallocPlan), String>,
}

/// Looks at the interpreter of a process; `None` where it has none.
pub fn look(pid: u32) -> Option<Report> {
    let (memory, interpreter) = match found(pid)? {
        Ok(found) => found,
        Err(report) => return Some(report),
    };
    let allocator = allocator(&memory, &interpreter);
    Some(Report {
        version: interpreter.version.to_string(),
        file: interpreter.file,
        allocator,
    })
}

/// The interpreter of a process with its memory, or what is to be said of it.
fn found(pid: u32) -> Option<Result<(ProcessMemory, Interpreter), Report>> {
    let memory = ProcessMemory::open(pid).ok()?;
    match Interpreter::find(pid) {
        Ok(interpreter) => Some(Ok((memory, interpreter))),
        Err(FindError::Version { file, why }) => Some(Err(Report {
            file,
            version: "of an unknown version".to_owned(),
            allocator: Err(why),
        })),
        Err(FindError::None(_) | FindError::Mappings { .. }) => None,
    }
}

/// An interpreter whose every object might be followed.
#[derive(Debug)]
pub struct Traceable {
    /// The file that it is in.
    pub file: String,
    /// Its version.
    pub version: String,
    /// What is followed; or why not all calls would be seen.
    pub allocator: Result<Exactly, String>,
}

/// What is followed of an interpreter.
#[derive(Debug)]
pub struct Exactly {
    /// What it calls for objects.
    pub mode: Mode,
    /// Where probes go.
    pub followed: Followed,
    /// Where its heap is, when probes must know that.
    pub heap: Option<Heap>,
}

/// Looks whether probes would see every call of the pymalloc of a process; `None` where it has no interpreter.
pub fn traceable(pid: u32) -> Option<Traceable> {
    let (memory, interpreter) = match found(pid)? {
        Ok(found) => found,
        Err(Report {
            file,
            version,
            allocator,
        }) => {
            let why = allocator.err().unwrap_or_default();
            return Some(Traceable {
                file,
                version,
                allocator: Err(why),
            });
        }
    };
    Some(Traceable {
        file: interpreter.file.clone(),
        version: interpreter.version.to_string(),
        allocator: exactly(&memory, &interpreter),
    })
}

fn exactly(memory: &ProcessMemory, interpreter: &Interpreter) -> Result<Exactly, String> {
    let (mode, plan) = allocator(memory, interpreter)?;
    let followed = Followed::new(interpreter.file.clone(), &plan)?;
    let heap = match plan.class {
        Class::Direct => None,
        // With PYTHONMALLOC=malloc there is none, and no probe to ask for it.
        Class::Promoted if mode == Mode::Malloc => None,
        Class::Promoted => {
            let heap = census::place(memory, interpreter);
            Some(heap.map_err(|why| format!("{why}, so which blocks it gives is not known"))?)
        }
    };
    Ok(Exactly { mode, followed, heap })
}

fn allocator(memory: &ProcessMemory, interpreter: &Interpreter) -> Result<(Mode, PymallocPlan), String> {
    let (mode, functions) = functions(memory, interpreter)?;
    let file = interpreter.module.file().ok_or(CLOSED)?;
    Ok((mode, analyse(&FileBytes::new(file), &functions)?))
}

/// What is said of a file that is not open.
const CLOSED: &str = "its file cannot be opened";

/// What an interpreter calls for objects.
fn functions(memory: &ProcessMemory, interpreter: &Interpreter) -> Result<(Mode, Functions), String> {
    if interpreter.is_free_threaded(memory) {
        return Err("it is free-threaded: objects come from mimalloc, which is not supported yet".to_owned());
    }
    let rows = rows::find(memory, interpreter)?;
    if rows.memory != rows.objects {
        return Err("memory and objects have allocators of their own, which is not supported yet".to_owned());
    }
    let stated = |row: rows::Row| row.map(|function| function.wrapping_sub(interpreter.bias));
    let functions = Functions {
        own: stated(rows.objects),
        raw: stated(rows.raw),
    };
    Ok((rows.mode, functions))
}

/// Where the interpreter of a process takes pools, or why that is not known; `None` where it has none, or takes none.
pub fn pools(pid: u32) -> Option<Result<Pools, String>> {
    let (memory, interpreter) = found(pid)?.ok()?;
    let what = format!("Python {} in {}", interpreter.version, interpreter.file);
    let found = pools_of(&memory, &interpreter).map_err(|why| format!("{what}: {why}"));
    found.transpose()
}

fn pools_of(memory: &ProcessMemory, interpreter: &Interpreter) -> Result<Option<Pools>, String> {
    let (mode, functions) = functions(memory, interpreter)?;
    if mode == Mode::Malloc {
        return Ok(None);
    }
    let heap =
        census::place(memory, interpreter).map_err(|why| format!("{why}, so how large its pools are is not known"))?;
    let file = interpreter.module.file().ok_or(CLOSED)?;
    let name = interpreter.file.clone();
    Pools::find(name, &FileBytes::new(file), &functions, heap.pool).map(Some)
}
