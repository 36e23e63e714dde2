//! A census of the heap: every arena, every pool, every block, and the type of each that has one.

use std::{
    io,
    ops::Range,
    time::{Duration, Instant},
};

use memtrace_common::pymalloc::Heap;
use thiserror::Error;

use super::{
    arena::Array,
    interpreter::{FindError, Interpreter},
    memory::{Memory, ProcessMemory},
    pools,
    walk::Walk,
};
use crate::{
    profile::census::{Census, FORMAT_VERSION},
    target::TargetInfo,
};

/// Minor versions of Python 3 whose heap is known here.
const KNOWN: std::ops::RangeInclusive<u8> = 8..=14;

/// How often the lists of pools are looked for: a program that runs may change them just then.
const TRIES: usize = 5;

/// Why there is no census.
#[derive(Debug, Error)]
pub enum CensusError {
    /// No interpreter.
    #[error(transparent)]
    Find(#[from] FindError),
    /// Its memory cannot be opened.
    #[error("failed to open the memory of process {pid}: {source}; run memtrace as root")]
    Memory {
        /// The process.
        pid: u32,
        /// The system's answer.
        source: io::Error,
    },
    /// Not a version that is known.
    #[error("{file} is Python {version}, whose heap is not known here: 3.8 to 3.14 are")]
    Unknown {
        /// Where the interpreter is.
        file: String,
        /// Its version.
        version: String,
    },
    /// It has no pymalloc.
    #[error(
        "{0} is a free-threaded Python, whose objects come from mimalloc rather than pymalloc: a census of that is not supported yet"
    )]
    FreeThreaded(String),
    /// Its state cannot be found.
    #[error("{file}, Python {version}: {why}, so its heap cannot be read")]
    State {
        /// Where the interpreter is.
        file: String,
        /// Its version.
        version: String,
        /// What is missing.
        why: &'static str,
    },
}

/// Takes a census of a process, which goes on running.
///
/// # Errors
/// Why there is none.
pub fn take(target: &TargetInfo) -> Result<Census, CensusError> {
    let pid = target.pid;
    let start = Instant::now();
    let memory = ProcessMemory::open(pid).map_err(|source| CensusError::Memory { pid, source })?;
    let interpreter = Interpreter::find(pid)?;
    let census = of(&memory, &interpreter, || start.elapsed())?;
    Ok(Census {
        pid,
        command: target.command.clone(),
        ..census
    })
}

/// Takes it of the memory of a process.
pub(super) fn of(
    memory: &impl Memory,
    interpreter: &Interpreter,
    elapsed: impl Fn() -> Duration,
) -> Result<Census, CensusError> {
    let (file, version) = (interpreter.file.clone(), interpreter.version.to_string());
    if !KNOWN.contains(&interpreter.version.minor) {
        return Err(CensusError::Unknown { file, version });
    }
    if interpreter.is_free_threaded(memory) {
        return Err(CensusError::FreeThreaded(file));
    }
    let arrays = match arrays(memory, interpreter) {
        Ok((_, array)) => vec![array],
        Err(why) => return Err(CensusError::State { file, version, why }),
    };
    let mut census = Walk::all(memory, interpreter, &arrays);
    census.census_version = FORMAT_VERSION;
    census.python = version;
    census.file = file;
    census.seconds = elapsed().as_secs_f64();
    Ok(census)
}

/// Where the heap of an interpreter lies.
///
/// # Errors
/// What is missing.
pub(super) fn place(memory: &impl Memory, interpreter: &Interpreter) -> Result<Heap, &'static str> {
    let (lists, array) = arrays(memory, interpreter)?;
    Ok(Heap {
        lists,
        arenas: array.holder,
        pool: array.pool as u64,
    })
}

/// The lists of pools and the array of arenas, of the main interpreter.
fn arrays(memory: &impl Memory, interpreter: &Interpreter) -> Result<(u64, Array), &'static str> {
    let mut why = "its lists of pools (usedpools) were not found";
    for _ in 0..TRIES {
        let lists = match pools::find(memory, &interpreter.data)[..] {
            [lists] => lists,
            [] => continue,
            _ => {
                why = "there are several lists of pools (usedpools), and which are its own is not known";
                continue;
            }
        };
        match array(memory, interpreter, lists) {
            Ok(array) => return Ok((lists, array)),
            Err(reason) => why = reason,
        }
    }
    Err(why)
}

fn array(memory: &impl Memory, interpreter: &Interpreter, lists: u64) -> Result<Array, &'static str> {
    let known = pools::listed(memory, lists);
    let Some((_, header)) = known.first() else {
        return Err("all its lists of pools are empty: nothing comes from pymalloc (PYTHONMALLOC=malloc, perhaps)");
    };
    // From 3.12 on both are in one structure.
    let behind = lists + pools::BYTES as u64;
    let array = Array::behind(memory, behind, header.size).filter(|array| array.holds_most(memory, &known));
    let data: &[Range<u64>] = &interpreter.data;
    array
        .or_else(|| Array::find(memory, data, &known))
        .ok_or("its array of arenas was not found")
}
