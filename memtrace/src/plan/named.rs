//! The allocators of a file, with their names: who offers `malloc` there.

use object::ReadRef;

use super::{
    Found,
    choice::{Candidate, Choice},
    content,
    elf::{Elf, Function},
    families::Group,
};

/// Whose unprefixed names are: by an own name of the same `malloc`, by a symbol beside it. Some allocators take the C library's
/// own names too, and programs that are linked statically have functions of both, so the C libraries come last.
const MARKS: [(Mark, &str); 10] = [
    (Mark::Malloc("tc_malloc"), "tcmalloc"),
    (Mark::Malloc("TCMallocInternalMalloc"), "tcmalloc"),
    (Mark::Malloc("mi_malloc"), "mimalloc"),
    (Mark::Beside("mallocx"), "jemalloc"),
    (Mark::Malloc("__libc_malloc_impl"), "musl"),
    (Mark::Malloc("__libc_malloc"), "glibc"),
    (Mark::Beside("MallocExtension_GetNumericProperty"), "tcmalloc"),
    (Mark::Beside("mi_malloc"), "mimalloc"),
    (Mark::Beside("gnu_get_libc_version"), "glibc"),
    (Mark::Beside("__libc_malloc_impl"), "musl"),
];

/// A symbol that tells an allocator.
enum Mark {
    /// Another name of its `malloc`.
    Malloc(&'static str),
    /// Something else that it has.
    Beside(&'static str),
}

/// The same by the beginning of the file's name.
const FILES: [(&str, &str); 6] = [
    ("libjemalloc", "jemalloc"),
    ("libtcmalloc", "tcmalloc"),
    ("libmimalloc", "mimalloc"),
    ("libsnmalloc", "snmalloc"),
    ("ld-musl", "musl"),
    ("libc.musl", "musl"),
];

/// Symbols that tell allocators apart.
pub(super) fn is_mark(symbol: &str) -> bool {
    MARKS
        .iter()
        .any(|(Mark::Malloc(mark) | Mark::Beside(mark), _)| *mark == symbol)
}

fn by_mark(functions: &[Function]) -> Option<&'static str> {
    let at = |name: &str| {
        functions
            .iter()
            .find(|function| function.name == name)
            .map(|function| function.svma)
    };
    let malloc = at("malloc");
    let holds = |mark: &Mark| match *mark {
        Mark::Malloc(name) => malloc.is_some() && at(name) == malloc,
        Mark::Beside(name) => at(name).is_some(),
    };
    MARKS.iter().find(|(mark, _)| holds(mark)).map(|(_, name)| *name)
}

/// Who offers the names without a prefix.
fn family<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>, short_name: &str, functions: &[Function]) -> &'static str {
    let by_file = || FILES.iter().find(|(file, _)| short_name.starts_with(file));
    by_mark(functions)
        .or_else(|| by_file().map(|(_, name)| *name))
        .or_else(|| content::allocator(elf, false))
        .unwrap_or("unknown allocator")
}

/// Puts the chosen functions together to allocators. One without a function that allocates, or without any that frees, is none.
pub(super) fn allocators<'data, R: ReadRef<'data>>(
    elf: &Elf<'data, R>,
    short_name: &str,
    functions: &[Function],
    choice: &mut Choice,
) -> Vec<Found> {
    let has = |group: fn(Group) -> bool| choice.chosen.iter().any(|candidate| group(candidate.hook.group));
    let unprefixed = has(|group| group == Group::C).then(|| family(elf, short_name, functions));
    let only_named = only(choice.chosen.iter().filter_map(|candidate| match candidate.hook.group {
        Group::Named(family, prefix) => Some(named(family, prefix, unprefixed)),
        _ => None,
    }));
    let name = |candidate: &Candidate| match candidate.hook.group {
        Group::C => unprefixed.unwrap_or("unknown allocator").to_owned(),
        Group::Cpp => unprefixed
            .map(str::to_owned)
            .or_else(|| only_named.clone())
            .unwrap_or_else(|| "C++ operators".to_owned()),
        Group::Rust => "Rust __rust_alloc".to_owned(),
        Group::Named(family, prefix) => named(family, prefix, unprefixed),
    };
    let mut found: Vec<Found> = Vec::new();
    for candidate in &choice.chosen {
        let name = name(candidate);
        let points = candidate.points(elf);
        let two_traps = candidate.two_traps().map(|why| (candidate.symbol.clone(), why));
        let one_trap = candidate.one_trap(elf);
        if let Some(known) = found.iter_mut().find(|known| known.name == name) {
            known.hooks.push(candidate.symbol.clone());
            known.points.extend(points);
            known.two_traps.extend(two_traps);
            known.one_trap.extend(one_trap);
        } else {
            found.push(Found {
                name,
                hooks: vec![candidate.symbol.clone()],
                points,
                two_traps: two_traps.into_iter().collect(),
                one_trap: one_trap.into_iter().collect(),
            });
        }
    }
    let allocates = |found: &Found| {
        found
            .points
            .iter()
            .any(|point| !point.op.is_free() && !point.op.is_resize())
    };
    let frees = |found: &Found| {
        found.points.iter().any(|point| point.op.is_free())
            || choice
                .passing
                .iter()
                .any(|passing| passing.hook.op.is_free() && name(passing) == found.name)
    };
    let mut alone = Vec::new();
    found.retain(|found| {
        let (allocates, frees) = (allocates(found), frees(found));
        if allocates && !frees {
            alone.extend(found.hooks.first().map(|hook| {
                let reason = "no function that frees what it allocates was found beside it";
                (hook.clone(), reason.to_owned())
            }));
        }
        allocates && frees
    });
    choice.refused.append(&mut alone);
    found
}

/// The name of an allocator behind a prefix.
fn named(family: &str, prefix: &str, unprefixed: Option<&str>) -> String {
    match (unprefixed, prefix) {
        // It offers both.
        (Some(unprefixed), _) if unprefixed == family => family.to_owned(),
        (Some(unprefixed @ ("glibc" | "musl")), "__libc_") => unprefixed.to_owned(),
        (_, "je_" | "_rjem_" | "jemalloc_") => format!("{family} ({prefix})"),
        _ => family.to_owned(),
    }
}

/// The one value that all are.
fn only(mut names: impl Iterator<Item = String>) -> Option<String> {
    let first = names.next()?;
    names.all(|name| name == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_told_where_there_are_several() {
        assert_eq!(named("jemalloc", "_rjem_", None), "jemalloc (_rjem_)");
        assert_eq!(named("jemalloc", "je_", Some("jemalloc")), "jemalloc");
        assert_eq!(named("mimalloc", "mi_", Some("glibc")), "mimalloc");
        assert_eq!(named("C library", "__libc_", Some("musl")), "musl");
        assert_eq!(named("C library", "__libc_", Some("jemalloc")), "C library");
    }

    #[test]
    fn allocators_are_told_by_what_else_they_have() {
        let told = |names: &[(&str, u64)]| {
            let function = |&(name, svma): &(&str, u64)| Function {
                name: name.to_owned(),
                svma,
                indirect: false,
            };
            by_mark(&names.iter().map(function).collect::<Vec<_>>())
        };
        assert_eq!(told(&[("malloc", 8), ("__libc_malloc", 8)]), Some("glibc"));
        assert_eq!(
            told(&[("malloc", 8), ("mallocx", 9), ("__libc_malloc", 7)]),
            Some("jemalloc")
        );
        assert_eq!(
            told(&[("malloc", 8), ("__libc_malloc", 8), ("tc_malloc", 8)]),
            Some("tcmalloc")
        );
        // mimalloc under its own names, in a program with the C library's malloc.
        assert_eq!(
            told(&[("malloc", 8), ("mi_malloc", 9), ("__libc_malloc", 8)]),
            Some("glibc")
        );
        assert_eq!(told(&[("malloc", 8), ("gnu_get_libc_version", 9)]), Some("glibc"));
        assert_eq!(told(&[("malloc", 8)]), None);
        assert!(is_mark("mi_malloc") && !is_mark("malloc"));
    }
}
