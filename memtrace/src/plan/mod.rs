//! What to hook in a file: every allocator in it, found by symbols, static probes, and the user's word. Pure.
//!
//! [`analyse`] is made once for each distinct file, whatever process maps it; [`judge`] says what the files of a process come
//! to together.

mod choice;
mod code;
mod content;
mod elf;
mod families;
mod flow;
mod halves;
mod judge;
mod mangled;
mod named;
mod once;
mod one_trap;
mod pair;
mod placement;
mod point;
pub mod pymalloc;
mod table;
mod usdt;
mod v8_heap;
mod v8_shortage;

use memtrace_common::Op;
use object::ReadRef;

use self::{
    code::Code,
    elf::{Elf, Function},
    placement::Jumps,
};
pub use self::{
    halves::{Half, Halves},
    judge::{PlanError, judge},
    one_trap::OneTrap,
    pair::{Location, Pair, Place, Size},
    placement::{Cost, Placement},
    point::{AttachPoint, Checking, Detail, Kind},
    v8_heap::{Tells, V8Heap, find as v8_heap},
};

/// Wrappers of mapping system calls in the C library, at whose entry the caller's frame pointer is intact.
const WRAPPERS: [(&str, Op); 5] = [
    ("mmap", Op::Mmap),
    ("mmap64", Op::Mmap),
    ("mremap", Op::Mremap),
    ("brk", Op::Brk),
    ("sbrk", Op::Brk),
];

/// A function that every C library has and nobody else.
const C_LIBRARY: &str = "__libc_start_main";

/// Frees all blocks of a heap at once, and is told of rather than followed.
const HEAP_DESTROY: &str = "mi_heap_destroy";

/// What the user asks for beside what is found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Request {
    /// Functions that allocate and free.
    pub pairs: Vec<Pair>,
    /// Interpreters whose objects are followed.
    pub python: Vec<pymalloc::Followed>,
    /// Interpreters whose pools are told of.
    pub pools: Vec<pymalloc::Pools>,
    /// Whether every allocation is seen at entry and return, also where one probe would do.
    pub two_traps: bool,
}

/// An allocator in a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// Its name, for people.
    pub name: String,
    /// Functions that are hooked, named as in the file.
    pub hooks: Vec<String>,
    /// Where the probes go.
    pub points: Vec<AttachPoint>,
    /// Functions of which one probe might see a whole allocation, and does not: why.
    pub two_traps: Vec<(String, &'static str)>,
    /// Functions of which one probe sees whole allocations: what else goes with them.
    pub one_trap: Vec<OneTrap>,
}

/// A heap that cannot be seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Runtime {
    /// Whose it is.
    pub name: &'static str,
    /// What that means and what can be done, a sentence.
    pub note: &'static str,
}

/// What is in a file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Analysis {
    /// The allocators that are hooked.
    pub allocators: Vec<Found>,
    /// The C library's wrappers of mapping calls.
    pub wrappers: Vec<AttachPoint>,
    /// Where an interpreter's allocator takes pools.
    pub pools: Option<AttachPoint>,
    /// Heaps that cannot be seen.
    pub runtimes: Vec<Runtime>,
    /// What was recognised and is not hooked, with the reason, a sentence each.
    pub unhooked: Vec<String>,
    /// What there is of the pairs that were asked for, in their order.
    pub pairs: Vec<Halves>,
    /// Whether it needs no dynamic loader.
    pub is_static: bool,
    /// What tells of the heap of JavaScript's objects.
    pub v8_heap: Option<V8Heap>,
}

impl Analysis {
    /// All attach points, in the order in which to attach.
    pub fn points(&self) -> impl Iterator<Item = &AttachPoint> {
        let found = self.allocators.iter().flat_map(|found| &found.points);
        let v8 = self.v8_heap.iter().flat_map(|heap| &heap.points);
        let mut points: Vec<_> = found.chain(&self.wrappers).chain(&self.pools).chain(v8).collect();
        points.sort_by_key(|point| point.order());
        points.into_iter()
    }

    /// Whether the file has V8.
    pub fn has_v8(&self) -> bool {
        self.runtimes.iter().any(|runtime| runtime.name == content::V8)
    }

    /// The heap of JavaScript's objects is counted.
    pub fn counts(&mut self, heap: V8Heap) {
        for runtime in self.runtimes.iter_mut().filter(|runtime| runtime.name == content::V8) {
            runtime.note = content::V8_COUNTED;
        }
        self.v8_heap = Some(heap);
    }
}

/// Analyses the file that the target knows by `name`. `debug` is its separate debug file, of the same build.
///
/// Compressed symbols inside the file (`.gnu_debugdata`) are not read.
///
/// # Errors
/// What is wrong with the file.
pub fn analyse<'data, 'debug, R: ReadRef<'data>, D: ReadRef<'debug>>(
    name: &str,
    file: R,
    debug: Option<D>,
    request: &Request,
) -> Result<Analysis, String> {
    let elf = Elf::parse(file)?;
    let short_name = name.rsplit('/').next().unwrap_or(name);
    let mut analysis = Analysis {
        is_static: elf.is_static(),
        ..Analysis::default()
    };
    let functions = functions(&elf, debug, request)?;
    let code = Code::new(&elf);
    // The dynamic loader has a malloc of its own for its first steps; nobody else calls it. musl's is the C library as well.
    if !short_name.starts_with("ld-linux") {
        find_allocators((name, short_name), &elf, &code, &functions, request, &mut analysis);
    }
    if let Some(followed) = request.python.iter().find(|followed| followed.file == name)
        && let Some(found) = pymalloc::found(&elf, &code, followed)
    {
        analysis.allocators.push(found);
        // Its objects are seen now.
        analysis.runtimes.retain(|runtime| runtime.name != content::CPYTHON);
    }
    let pools = request.pools.iter().find(|pools| pools.file == name);
    analysis.pools = pools.map(pymalloc::Pools::point);
    for pair in &request.pairs {
        let (halves, found) = halves::find(name, &elf, &code, &functions, pair);
        analysis.pairs.push(halves);
        analysis.allocators.extend(found);
    }
    Ok(analysis)
}

/// Offsets in a file, which the target knows by `name`, of probes that are neither at entries nor behind calls: stacks begin there. In
/// their order; none in a file that cannot be read.
pub fn probed<'data, R: ReadRef<'data>>(name: &str, file: R, python: &[pymalloc::Followed]) -> Vec<u64> {
    let probes = Elf::parse(file).map(|elf| usdt::probes(&elf).points);
    let probes = probes.unwrap_or_default();
    let followed = python.iter().filter(|followed| followed.file == name);
    let sites = followed.flat_map(pymalloc::Followed::probed);
    let mut offsets: Vec<_> = probes.iter().map(|point| point.offset).chain(sites).collect();
    offsets.sort_unstable();
    offsets
}

/// The functions that matter, by the file's own symbols and those of its debug file.
fn functions<'data, 'debug, R: ReadRef<'data>, D: ReadRef<'debug>>(
    elf: &Elf<'data, R>,
    debug: Option<D>,
    request: &Request,
) -> Result<Vec<Function>, String> {
    let asked = |symbol: &str| {
        let mut places = request.pairs.iter().flat_map(|pair| [&pair.alloc, &pair.free]);
        places.any(|place| place.symbol().is_some_and(|wanted| wanted == symbol))
    };
    let wanted = |symbol: &str| {
        families::hook(symbol).is_some()
            || named::is_mark(symbol)
            || content::MARKS.contains(&symbol)
            || flow::NEVER_RETURN.contains(&symbol)
            || WRAPPERS.iter().any(|(wrapper, _)| *wrapper == symbol)
            || [C_LIBRARY, HEAP_DESTROY].contains(&symbol)
            || asked(symbol)
    };
    let mut functions = elf.functions(wanted)?;
    // A damaged debug file takes nothing away.
    if let Some(more) = debug.and_then(|debug| Elf::parse(debug).ok()?.functions(wanted).ok()) {
        for function in more {
            if !functions.contains(&function) {
                functions.push(function);
            }
        }
    }
    Ok(functions)
}

fn find_allocators<'data, R: ReadRef<'data>>(
    (name, short_name): (&str, &str),
    elf: &Elf<'data, R>,
    code: &Code<'_, 'data, R>,
    functions: &[Function],
    request: &Request,
    analysis: &mut Analysis,
) {
    let has = |wanted: &str| functions.iter().any(|function| function.name == wanted);
    let mut choice = choice::choose(elf, code, functions, request.two_traps);
    analysis.allocators = named::allocators(elf, short_name, functions, &mut choice);
    let static_probes = usdt::probes(elf);
    choice.refused.extend(static_probes.refused);
    let tells = |kind| static_probes.points.iter().any(|point| point.kind == kind);
    if tells(Kind::StaticAlloc) && tells(Kind::StaticFree) {
        let mut hooks: Vec<_> = static_probes.points.iter().map(|point| point.symbol.clone()).collect();
        hooks.dedup();
        analysis.allocators.push(Found {
            name: usdt::PROVIDER.to_owned(),
            hooks,
            points: static_probes.points,
            two_traps: Vec::new(),
            one_trap: Vec::new(),
        });
    } else if let Some(point) = static_probes.points.first() {
        choice.refused.push((
            point.symbol.clone(),
            "it needs both the probe alloc and the probe free".to_owned(),
        ));
    }
    if has(C_LIBRARY) {
        analysis.wrappers = wrappers(elf, code, functions);
    }
    analysis.runtimes = content::runtimes(elf, short_name, has);
    let refused = choice.refused.iter();
    analysis.unhooked = refused
        .map(|(symbol, reason)| format!("{symbol} of {name} is not hooked: {reason}"))
        .collect();
    if has(HEAP_DESTROY) {
        analysis.unhooked.push(format!(
            "{HEAP_DESTROY} of {name} is not hooked: blocks of a heap that it destroys seem to stay live"
        ));
    }
    if analysis.allocators.is_empty()
        && let Some(found) = content::allocator(elf, true)
    {
        analysis.unhooked.push(format!(
            "{name} seems to have {found} in it, by its strings, but no symbols of it: install its debug symbols, or name its \
             functions with --pair ALLOC:FREE"
        ));
    }
}

fn wrappers<'data, R: ReadRef<'data>>(
    elf: &Elf<'data, R>,
    code: &Code<'_, 'data, R>,
    functions: &[Function],
) -> Vec<AttachPoint> {
    let mut points: Vec<AttachPoint> = Vec::new();
    let shape = memtrace_common::Shape::default();
    for (symbol, op) in WRAPPERS {
        for function in functions
            .iter()
            .filter(|function| function.name == symbol && !function.indirect)
        {
            let Some(offset) = elf.code_offset(function.svma) else {
                continue;
            };
            let (placement, _) = placement::place(code, function.svma, shape, &Jumps::of(code, [function.svma]));
            let offset = offset + u64::from(placement.beyond);
            if points.iter().all(|known| known.offset != offset) {
                points.push(AttachPoint {
                    symbol: symbol.to_owned(),
                    offset,
                    placement,
                    kind: Kind::Wrapper,
                    op,
                    detail: Detail::Shape(shape),
                    from_entry: 0,
                    semaphore: 0,
                    of_one_trap: false,
                });
            }
        }
    }
    points
}

#[cfg(test)]
mod tests;
