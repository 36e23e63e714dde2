//! Names of frames of Python and JavaScript in recordings: each is written before the first stack that has it, so that a recording which ends anywhere
//! has the names that it needs.

use std::{io, sync::Arc};

use rustc_hash::FxHashMap;

use super::names::{Names, Place};
use crate::{
    process::Location,
    profile::{Frame, FrameKind},
    store::{Contents, RuntimeNames, content},
};

/// Places of a block at most.
const BLOCK: usize = 1 << 14;

/// Blocks with the names that are new since there were `written` of them, which is then brought up to date.
///
/// # Errors
/// None that can be acted on.
pub(in crate::session) fn to_record(names: &Names, written: &mut usize) -> io::Result<Contents> {
    let mut contents = Contents::new();
    let Some(module) = names.module() else {
        return Ok(contents);
    };
    for places in names.since(*written).chunks(BLOCK) {
        let first = u32::try_from(*written).unwrap_or(u32::MAX);
        contents.push((
            content::RUNTIME_NAMES,
            content::pack(&block(names.kind, module, first, places))?,
        ));
        *written += places.len();
    }
    Ok(contents)
}

fn block(kind: FrameKind, module: u32, first: u32, places: &[Place]) -> RuntimeNames {
    let mut strings = Vec::new();
    let mut numbers = FxHashMap::<Arc<str>, u32>::default();
    let mut number = |text: &Arc<str>| {
        *numbers.entry(Arc::clone(text)).or_insert_with(|| {
            strings.push(text.as_ref().to_owned());
            u32::try_from(strings.len() - 1).unwrap_or(u32::MAX)
        })
    };
    let functions = places.iter().map(|place| number(&place.function)).collect();
    let files = places.iter().map(|place| number(&place.file)).collect();
    RuntimeNames {
        module,
        kind,
        first,
        functions,
        files,
        lines: places.iter().map(line).collect(),
        strings,
    }
}

/// Set in the line of a function that was compiled into the next one. V8's sources have less than this many units.
const INLINED: u32 = 1 << 31;

/// A place's line as it is written.
fn line(place: &Place) -> u32 {
    let line = place.line.unwrap_or(0) & !INLINED;
    if place.inlined { line | INLINED } else { line }
}

/// The frames of a block's places; what refers to nothing is left out.
pub(in crate::session) fn recorded(block: &RuntimeNames) -> impl Iterator<Item = (Location, Vec<Frame>)> {
    let string = |number: u32| block.strings.get(number as usize);
    let columns = block.functions.iter().zip(&block.files).zip(&block.lines);
    let numbers = u64::from(block.first)..;
    numbers
        .zip(columns)
        .filter_map(move |(address, ((&function, &file), &line))| {
            let place = Place {
                function: string(function)?.as_str().into(),
                file: string(file)?.as_str().into(),
                line: (line & !INLINED != 0).then_some(line & !INLINED),
                inlined: line & INLINED != 0,
            };
            let at = Location {
                module: block.module,
                address,
            };
            Some((at, vec![place.frame(block.kind)]))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Modules;

    fn place(function: &str, line: Option<u32>) -> Place {
        Place {
            function: function.into(),
            file: "a.py".into(),
            line,
            inlined: false,
        }
    }

    #[test]
    fn names_are_written_once_and_read_as_they_were() {
        let names = Names::of(FrameKind::Python);
        let mut written = 0;
        assert!(to_record(&names, &mut written).unwrap().is_empty());
        let module = names.module_among(&Modules::default());
        for (number, line) in [Some(1), None, Some(7)].into_iter().enumerate() {
            assert_eq!(names.number(place("größe", line)) as usize, number);
        }
        assert_eq!(names.number(place("größe", None)), 1, "it is known");
        let contents = to_record(&names, &mut written).unwrap();
        assert_eq!((contents.len(), written), (1, 3));
        assert!(to_record(&names, &mut written).unwrap().is_empty());
        let block = block(FrameKind::Python, module, 0, &names.since(0));
        assert_eq!(block.strings, ["größe", "a.py"]);
        let all: Vec<_> = recorded(&block).collect();
        let locations = (0..3).map(|address| Location { module, address });
        assert_eq!(all, names.frames(locations));
        assert_eq!(all[1].1[0].line, None);
    }

    #[test]
    fn a_damaged_block_names_what_it_can() {
        let mut block = block(
            FrameKind::Python,
            3,
            u32::MAX,
            &[place("f", Some(1)), place("g", Some(2))],
        );
        block.strings.pop();
        block.files = vec![0, 9];
        assert_eq!(recorded(&block).count(), 1);
        block.lines.clear();
        assert_eq!(recorded(&block).count(), 0);
    }
}
