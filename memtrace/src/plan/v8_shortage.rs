//! Where V8 tells that it has run out of memory, or has come near the limit of a heap: functions of V8 and node, in a file whose version is known.

use memtrace_common::{
    Op,
    v8_heap::shortage::{Place, Shortage},
};
use object::ReadRef;

use super::{
    AttachPoint, Detail, Kind,
    code::Code,
    elf::{Elf, Function},
    placement,
    v8_heap::Tells,
};

/// By which all other ways of V8 to give up go. 10.2 passes whether it is the heap as a `bool`, later versions as a part of something.
const FATAL: &str = "v8::internal::V8::FatalProcessOutOfMemory";
const FATAL_EARLY: &str = "_ZN2v88internal2V823FatalProcessOutOfMemoryEPNS0_7IsolateEPKcb";
const FATAL_LATER: &str = "_ZN2v88internal2V823FatalProcessOutOfMemoryEPNS0_7IsolateEPKcRKNS_10OOMDetailsE";

/// What node has V8 call at a limit: symbol, name for people, and what it means. A program that has V8 without node has neither.
const OF_NODE: [(&str, &str, Shortage); 2] = [
    (
        "_ZN4node6worker6Worker13NearHeapLimitEPvmm",
        "node::worker::Worker::NearHeapLimit",
        Shortage::Worker,
    ),
    (
        "_ZN4node11Environment21NearHeapLimitCallbackEPvmm",
        "node::Environment::NearHeapLimitCallback",
        Shortage::Snapshot,
    ),
];

/// Whether the functions of such a symbol are asked for. Parts of them that the compiler has put elsewhere have longer names.
pub(super) fn is_wanted(symbol: &str) -> bool {
    [FATAL_EARLY, FATAL_LATER].contains(&symbol) || OF_NODE.iter().any(|(of_node, ..)| *of_node == symbol)
}

/// The places among `functions`, of a V8 that has the limit of old objects so many bytes behind the begin of an isolate; `early` is 10.2.
///
/// # Errors
/// Why nothing tells of the end.
pub(super) fn find<'data, R: ReadRef<'data>>(
    elf: &Elf<'data, R>,
    code: &Code<'_, 'data, R>,
    functions: &[Function],
    (limit_at, early): (u32, bool),
) -> Result<Vec<AttachPoint>, String> {
    let fatal = (if early { FATAL_EARLY } else { FATAL_LATER }, FATAL, Shortage::Heap);
    let mut points = Vec::new();
    for (symbol, name, means) in std::iter::once(fatal).chain(OF_NODE) {
        let Some(function) = functions.iter().find(|function| function.name == symbol) else {
            if means.is_fatal() {
                return Err(format!("it has no symbol of {name}"));
            }
            continue;
        };
        let offset = elf.code_offset(function.svma);
        points.push(AttachPoint {
            symbol: name.to_owned(),
            offset: offset.ok_or_else(|| format!("{name} is at no place of the file that has code"))?,
            // It is hit once; arguments and stack are as they are passed.
            placement: placement::here(code, function.svma),
            kind: Kind::V8(Tells::Shortage),
            // It is about none.
            op: Op::Malloc,
            detail: Detail::Shortage(Place {
                means,
                limit_at: if means.is_fatal() { limit_at } else { 0 },
                early,
            }),
            from_entry: 0,
            semaphore: 0,
            of_one_trap: false,
        });
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_those_of_one_function_each() {
        assert!(is_wanted(FATAL_EARLY) && is_wanted(FATAL_LATER));
        assert!(is_wanted(OF_NODE[0].0) && is_wanted(OF_NODE[1].0));
        // One that calls it, and a part that was put elsewhere.
        assert!(!is_wanted(
            "_ZN2v88internal2V823FatalProcessOutOfMemoryEPNS0_7IsolateEPKcS5_"
        ));
        assert!(!is_wanted("_ZN4node6worker6Worker13NearHeapLimitEPvmm.cold"));
    }

    #[test]
    fn a_file_without_them_says_what_is_missing() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        let elf = Elf::parse(&*own).unwrap();
        let why = find(&elf, &Code::new(&elf), &[], (0xc718, true)).unwrap_err();
        assert!(why.contains("no symbol of v8::internal::V8::FatalProcess"), "{why}");
    }
}
