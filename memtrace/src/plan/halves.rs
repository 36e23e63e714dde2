//! The functions of the user's pairs, as far as a file has them.

use memtrace_common::Op;
use object::ReadRef;

use super::{
    Found,
    choice::{self, points},
    code::Code,
    elf::{Elf, Function},
    flow::{self, Functions},
    mangled,
    pair::{Location, Pair, Place},
    placement::{self, Jumps},
    point::AttachPoint,
    table::block,
};

/// What a file has of one function of a pair.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Half {
    /// It gets a probe.
    Found,
    /// It is not in the file.
    Absent,
    /// It is, but cannot be hooked: the reason.
    Refused(String),
}

/// What a file has of a pair.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Halves {
    /// The pair as the user wrote it.
    pub pair: String,
    /// The function that allocates, with its place as the user wrote it.
    pub alloc: (String, Half),
    /// The function that frees.
    pub free: (String, Half),
}

/// Looks for a pair in the file at `path`.
pub(super) fn find<'data, R: ReadRef<'data>>(
    path: &str,
    elf: &Elf<'data, R>,
    code: &Code<'_, 'data, R>,
    functions: &[Function],
    pair: &Pair,
) -> (Halves, Option<Found>) {
    let mut hooks = Vec::new();
    let mut all = Vec::new();
    let mut half = |location: &Location, op| {
        let half = match look(path, elf, code, functions, location, (op, pair)) {
            Ok(points) if points.is_empty() => Half::Absent,
            Ok(points) => {
                hooks.push(location.to_string());
                all.extend(points);
                Half::Found
            }
            Err(reason) => Half::Refused(reason),
        };
        (location.to_string(), half)
    };
    let halves = Halves {
        pair: pair.text.clone(),
        alloc: half(&pair.alloc, Op::PairAlloc),
        free: half(&pair.free, Op::PairFree),
    };
    let found = (!all.is_empty()).then(|| Found {
        name: pair.name(),
        hooks,
        points: all,
        two_traps: Vec::new(),
        one_trap: Vec::new(),
    });
    (halves, found)
}

/// The attach points of one function, none when it is not there.
fn look<'data, R: ReadRef<'data>>(
    path: &str,
    elf: &Elf<'data, R>,
    code: &Code<'_, 'data, R>,
    functions: &[Function],
    location: &Location,
    (op, pair): (Op, &Pair),
) -> Result<Vec<AttachPoint>, String> {
    if !location.may_be_in(path) {
        return Ok(Vec::new());
    }
    let name = location.to_string();
    let shape = match op {
        Op::PairFree => block(0),
        _ => pair.size.shape(),
    };
    match &location.place {
        &Place::Offset(offset) => {
            let svma = elf
                .code_at(offset)
                .ok_or("there is no code at this offset of the file")?;
            if !code.is_instruction(svma) {
                return Err("no instruction begins at this offset of the file".to_owned());
            }
            // The user may mean this very instruction.
            let placement = placement::here(code, svma);
            Ok(points(elf, &name, (offset, placement), op, shape, &[]))
        }
        Place::Symbol(symbol) => {
            let mut all: Vec<AttachPoint> = Vec::new();
            for function in functions.iter().filter(|function| function.name == *symbol) {
                if function.indirect {
                    return Err("its code is chosen at run time (IFUNC)".to_owned());
                }
                let Some(offset) = elf.code_offset(function.svma) else {
                    continue;
                };
                let exits = if op == Op::PairAlloc && mangled::may_throw(symbol) {
                    flow::exits(code, function.svma, |_| false, &Functions::default()).map_err(choice::throws)?
                } else {
                    Vec::new()
                };
                let jumps = Jumps::of(code, [function.svma]);
                let (placement, shape) = placement::place(code, function.svma, shape, &jumps);
                all.extend(points(elf, symbol, (offset, placement), op, shape, &exits));
            }
            Ok(all)
        }
    }
}
