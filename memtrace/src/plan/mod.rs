//! Which functions of which files get a probe: from the exports of the mapped files to an [`AttachPlan`]. Pure.

mod allocators;
mod elf;

use memtrace_common::{Cookie, Op};
use thiserror::Error;

use self::allocators::{HOOKS, REQUIRED, WRAPPERS, family};
pub use self::elf::{Export, Exports, exports};

/// Most allocators in one process: what a cookie can number.
const MAX_ALLOCATORS: usize = 256;

/// A mapped file, as far as planning needs it.
#[derive(Debug)]
pub struct Candidate {
    /// Index of the module.
    pub module: u32,
    /// Path as the target sees it.
    pub path: String,
    /// What it exports, or why that is not known.
    pub exports: Result<Exports, String>,
}

/// What is done at an attach point.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A function that only frees.
    Free,
    /// A function that allocates.
    Allocate,
    /// A wrapper of a mapping system call.
    Wrapper,
}

/// One place to put probes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AttachPoint {
    /// Index of the module.
    pub module: u32,
    /// Name of the function.
    pub symbol: String,
    /// Offset in the module's file.
    pub offset: u64,
    /// What is done there.
    pub kind: Kind,
    /// What the probes are told; 0 for wrappers.
    pub cookie: u64,
}

/// An allocator that was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// Its name.
    pub name: &'static str,
    /// The file it is in.
    pub path: String,
    /// Functions that are hooked.
    pub hooks: Vec<String>,
}

/// What to attach where.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AttachPlan {
    /// The allocators, in the order of the numbers in the cookies.
    pub allocators: Vec<Found>,
    /// In the order in which to attach: what frees comes first, for an allocation that is seen while its free is not
    /// would look like a leak.
    pub points: Vec<AttachPoint>,
    /// What the reader of a report must know, a sentence each.
    pub notes: Vec<String>,
}

/// Why nothing can be hooked.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error(
    "found no allocator to hook in the target: looked for malloc and free among the exported functions of {looked_at}; {hint}"
)]
pub struct PlanError {
    looked_at: String,
    hint: &'static str,
}

/// Names that planning asks a file for.
pub fn wanted(name: &str) -> bool {
    HOOKS.iter().any(|(hook, _)| *hook == name) || WRAPPERS.contains(&name) || MARKS.contains(&name)
}

/// Symbols that tell allocators apart.
const MARKS: [&str; 7] = [
    "gnu_get_libc_version",
    "mallocx",
    "je_mallocx",
    "tc_malloc",
    "MallocExtension_GetNumericProperty",
    "mi_malloc",
    "__libc_malloc_impl",
];

/// Plans the probes for a process.
///
/// # Errors
/// When no mapped file exports an allocator.
pub fn plan(candidates: &[Candidate]) -> Result<AttachPlan, PlanError> {
    let mut plan = AttachPlan::default();
    for candidate in candidates {
        let short = candidate.path.rsplit('/').next().unwrap_or(&candidate.path);
        let exports = match &candidate.exports {
            // The dynamic loader has a malloc of its own for its first steps; nobody else calls it.
            _ if short.starts_with("ld-linux") => continue,
            Ok(exports) => exports,
            Err(_) => continue,
        };
        if REQUIRED.iter().all(|name| exports.functions.contains_key(*name)) && plan.allocators.len() < MAX_ALLOCATORS {
            add_allocator(&mut plan, candidate.module, &candidate.path, short, exports);
        }
        if exports.functions.contains_key("gnu_get_libc_version") {
            add_wrappers(&mut plan, candidate.module, exports);
        }
    }
    if plan.allocators.is_empty() {
        return Err(nothing(candidates));
    }
    plan.notes.extend(unread(candidates));
    if plan.allocators.len() > 1 {
        let names: Vec<_> = plan
            .allocators
            .iter()
            .map(|found| format!("{} ({})", found.name, found.path))
            .collect();
        plan.notes
            .push(format!("several allocators are hooked: {}", names.join(", ")));
    }
    plan.points.sort_by_key(|point| match point.kind {
        Kind::Free => 0,
        Kind::Wrapper => 1,
        Kind::Allocate if point.symbol.starts_with("realloc") => 2,
        Kind::Allocate => 3,
    });
    Ok(plan)
}

fn add_allocator(plan: &mut AttachPlan, module: u32, path: &str, short: &str, exports: &Exports) {
    let allocator = u8::try_from(plan.allocators.len()).unwrap_or(u8::MAX);
    let mut hooks = Vec::new();
    let mut offsets: Vec<u64> = Vec::new();
    for (symbol, op) in HOOKS {
        let Some(export) = exports.functions.get(symbol) else {
            continue;
        };
        if export.indirect {
            plan.notes.push(format!(
                "{symbol} of {path} is chosen at run time (IFUNC) and is not hooked"
            ));
            continue;
        }
        hooks.push(symbol.to_owned());
        if offsets.contains(&export.offset) {
            continue;
        }
        offsets.push(export.offset);
        plan.points.push(AttachPoint {
            module,
            symbol: symbol.to_owned(),
            offset: export.offset,
            kind: kind(op),
            cookie: Cookie { op, allocator }.pack(),
        });
    }
    let name = family(short, |symbol| exports.functions.contains_key(symbol));
    plan.allocators.push(Found {
        name,
        path: path.to_owned(),
        hooks,
    });
}

const fn kind(op: Op) -> Kind {
    if op.is_free() { Kind::Free } else { Kind::Allocate }
}

fn add_wrappers(plan: &mut AttachPlan, module: u32, exports: &Exports) {
    let mut offsets: Vec<u64> = Vec::new();
    for symbol in WRAPPERS {
        if let Some(export) = exports.functions.get(symbol).filter(|export| !export.indirect)
            && !offsets.contains(&export.offset)
        {
            offsets.push(export.offset);
            let symbol = symbol.to_owned();
            plan.points.push(AttachPoint {
                module,
                symbol,
                offset: export.offset,
                kind: Kind::Wrapper,
                cookie: 0,
            });
        }
    }
}

/// Says which files could not be searched.
fn unread(candidates: &[Candidate]) -> Option<String> {
    let unread: Vec<_> = candidates
        .iter()
        .filter(|candidate| candidate.exports.is_err())
        .collect();
    let error = |candidate: &Candidate| candidate.exports.as_ref().err().cloned();
    let first = error(unread.first()?)?;
    let same = unread.iter().all(|candidate| error(candidate).as_ref() == Some(&first));
    let reason = if same { &first } else { "for several reasons" };
    Some(format!(
        "{} could not be searched for an allocator: {reason}",
        some_of(unread.iter().map(|candidate| candidate.path.as_str()).collect())
    ))
}

/// A few of the paths, for a program may have mapped thousands.
fn some_of(mut paths: Vec<&str>) -> String {
    const FEW: usize = 8;
    let more = paths.len().saturating_sub(FEW);
    paths.truncate(FEW);
    let named = paths.join(", ");
    match more {
        0 if named.is_empty() => "no file at all".to_owned(),
        0 => named,
        _ => format!("{named} and {more} more"),
    }
}

fn nothing(candidates: &[Candidate]) -> PlanError {
    let unread = candidates.iter().filter(|candidate| candidate.exports.is_err()).count();
    let looked_at = some_of(candidates.iter().map(|candidate| candidate.path.as_str()).collect());
    let linked_statically = candidates
        .first()
        .and_then(|executable| executable.exports.as_ref().ok())
        .is_some_and(|exports| !exports.dynamic);
    PlanError {
        looked_at: match unread {
            0 => looked_at,
            _ => format!("{looked_at} ({unread} could not be read)"),
        },
        hint: if linked_statically {
            "the program is linked statically, which is not supported yet"
        } else {
            "an allocator linked into the program without exporting its functions is not supported yet"
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(path: &str, functions: &[(&str, u64)]) -> Candidate {
        let functions = functions
            .iter()
            .map(|&(name, offset)| {
                (
                    name.to_owned(),
                    Export {
                        offset,
                        indirect: false,
                    },
                )
            })
            .collect();
        Candidate {
            module: 7,
            path: path.to_owned(),
            exports: Ok(Exports {
                functions,
                dynamic: true,
            }),
        }
    }

    #[test]
    fn aliases_are_hooked_once_and_frees_come_first() {
        let libc = candidate(
            "/lib/libc.so.6",
            &[
                ("malloc", 1),
                ("free", 2),
                ("cfree", 2),
                ("memalign", 3),
                ("aligned_alloc", 3),
                ("gnu_get_libc_version", 9),
            ],
        );
        let plan = plan(&[libc]).unwrap();
        assert_eq!(plan.allocators[0].name, "glibc");
        assert_eq!(
            plan.allocators[0].hooks,
            ["malloc", "free", "cfree", "aligned_alloc", "memalign"]
        );
        let points: Vec<_> = plan
            .points
            .iter()
            .map(|point| (point.symbol.as_str(), point.kind))
            .collect();
        assert_eq!(
            points,
            [
                ("free", Kind::Free),
                ("malloc", Kind::Allocate),
                ("aligned_alloc", Kind::Allocate)
            ]
        );
    }

    #[test]
    fn of_thousands_of_files_a_few_are_named() {
        let unread = |number: usize| Candidate {
            exports: Err("gone".to_owned()),
            ..candidate(&format!("/lib/{number}.so"), &[])
        };
        let mut all: Vec<_> = (0..5000).map(unread).collect();
        let error = plan(&all).unwrap_err().to_string();
        assert!(
            error.contains("/lib/7.so and 4992 more (5000 could not be read)"),
            "{error}"
        );
        all.push(candidate("/lib/libc.so.6", &[("malloc", 1), ("free", 2)]));
        let plan = plan(&all).unwrap();
        assert_eq!(plan.notes.len(), 1, "{:?}", plan.notes);
        assert!(plan.notes[0].ends_with("/lib/7.so and 4992 more could not be searched for an allocator: gone"));
        assert_eq!(plan.allocators.len(), 1);
    }

    #[test]
    fn an_allocator_needs_both_ends() {
        let error = plan(&[candidate("/bin/x", &[("malloc", 1)])]).unwrap_err();
        assert!(error.to_string().contains("/bin/x"), "{error}");
    }

    #[test]
    fn the_loaders_malloc_is_left_alone_and_several_allocators_are_told() {
        let functions = [("malloc", 1), ("free", 2)];
        assert!(plan(&[candidate("/lib64/ld-linux-x86-64.so.2", &functions)]).is_err());
        let both = plan(&[
            candidate("/lib/libjemalloc.so.2", &functions),
            candidate("/lib/libc.so.6", &functions),
        ])
        .unwrap();
        assert_eq!(both.allocators.len(), 2);
        assert!(both.notes[0].contains("libjemalloc"), "{:?}", both.notes);
    }
}
