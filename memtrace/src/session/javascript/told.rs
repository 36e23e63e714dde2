//! What was told of functions and of compiled code: what stands for a frame in a stack.

use memtrace_common::javascript::{NO_POSITION, code};

use super::{codes::Codes, functions::Functions};
use crate::{
    decode::{JavaScript, Piece},
    session::runtime::Place,
    v8::{Compiled, Grammar},
};

/// See the module's description.
#[derive(Debug, Default)]
pub(in crate::session) struct Told {
    functions: Functions,
    codes: Codes,
}

impl Told {
    /// Of a function.
    pub(in crate::session) fn define(&mut self, function: &JavaScript<'_>) {
        self.functions.define(function);
    }

    /// Of a piece of compiled code.
    pub(in crate::session) fn piece(&mut self, piece: &Piece<'_>) {
        self.codes.add(piece);
    }

    /// Of all of the code of a function.
    pub(in crate::session) fn code(&mut self, incarnation: u32, function: u64, number: u64, code: Compiled) {
        self.codes.insert(incarnation, function, number, code);
    }

    /// What the reader of a report must know.
    pub(in crate::session) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.functions.without_lines > 0 {
            notes.push(format!(
                "the sources of {} scripts of JavaScript could not be read (they were moved or freed meanwhile): frames in them have no line",
                self.functions.without_lines
            ));
        }
        if self.codes.left_out > 0 {
            notes.push(
                "more compiled code of JavaScript was told of than is kept: frames in the rest of it have no line, and not the functions that \
                 were compiled into theirs"
                    .to_owned(),
            );
        }
        notes
    }

    /// A program is gone.
    pub(in crate::session) fn forget(&mut self, incarnation: u32) {
        self.functions.forget(incarnation);
        self.codes.forget(incarnation);
    }

    /// What stands for a frame in stacks, innermost first: functions that were compiled into another one have a frame of their own. `None`
    /// where the native frame says more, because the function is built in and has no name.
    ///
    /// The interpreter is code of the engine's file. A frame elsewhere is not its own, even where what it has noted of its place is there: code that a
    /// loop was compiled into while it ran takes the interpreter's frame over, with that.
    pub(in crate::session) fn places(
        &mut self,
        incarnation: u32,
        (id, position): (u64, u64),
        in_file: bool,
        grammar: Option<&Grammar>,
    ) -> Option<Vec<Place>> {
        if self.functions.is_nameless(incarnation, id) {
            return None;
        }
        let levels = code::place(position).and_then(|place| self.codes.levels(incarnation, id, place, grammar?));
        let place = |id, position, inlined| {
            let place = self.functions.place(incarnation, id, position);
            Place {
                inlined,
                ..place.unwrap_or_else(Place::unknown)
            }
        };
        let Some(levels) = levels else {
            let is_interpreted = in_file && code::place(position).is_none();
            let position = if is_interpreted { position } else { NO_POSITION };
            return Some(vec![place(id, position, false)]);
        };
        let named = levels.iter().enumerate().filter_map(|(depth, level)| {
            let function = level.function.unwrap_or(id);
            let position = level.offset.map_or(NO_POSITION, |offset| u64::from(offset) + 1);
            (!self.functions.is_nameless(incarnation, function))
                .then(|| place(function, position, depth + 1 < levels.len()))
        });
        Some(named.collect())
    }
}
