//! Where V8 tells of the heap of JavaScript's objects: functions of its own, in a file whose version is known.

use memtrace_common::{
    Op, Shape,
    v8_heap::{Told, space::Numbers},
};
use object::ReadRef;

use super::{
    AttachPoint, Detail, Kind,
    code::Code,
    elf::{Elf, Function},
    placement::{self, Cost, Jumps, Placement},
    v8_shortage,
};

/// What is done at such a place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tells {
    /// Bytes were taken.
    Allocated,
    /// A page is made for one large object.
    Large,
    /// How much was taken of an area is forgotten.
    Forgotten,
    /// A pause for a collection begins.
    Pause,
    /// It ends.
    Collected,
    /// A scavenge has copied what lives.
    Survived,
    /// It has run out of memory, or has come near the limit of a heap.
    Shortage,
}

/// What tells of V8's heap in a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct V8Heap {
    /// V8's version, for people.
    pub version: String,
    /// Where the probes go.
    pub points: Vec<AttachPoint>,
    /// What is not told of it, a sentence each.
    pub untold: Vec<String>,
}

/// How versions of V8 differ: major and minor number, and what probes are told.
struct Version {
    numbers: (u32, u32),
    told: Told,
    /// How far from its begin an isolate has the limit of its old objects, in bytes.
    limit_at: u32,
}

/// Those that are known. In all of them the object bytes before and after a collection, and then the memory before and after it, are words
/// in a row of `GCTracer`, whose current event begins with its second word (src/heap/gc-tracer.h). 10.2 counts a large object where it counts
/// all others only while a profiler or a marker looks on (`LargeObjectSpace::AdvanceAndInvokeAllocationObservers`). 10.2 and 11.3 forget what was taken
/// of an area when a function is compiled beside the program (`Heap::PublishPendingAllocations`): from then on they count from there. Where a space
/// has the address of its area is `SpaceWithLinearArea::allocation_info_`. The last numbers are where an isolate has its heap (`Isolate::heap_`,
/// src/execution/isolate.h), and the heap the limit of its old objects (`Heap::max_old_generation_size_`, src/heap/heap.h), as
/// `Heap::InvokeNearHeapLimitCallback` is compiled.
const VERSIONS: [Version; 4] = [
    Version::new((10, 2), 7, 0xc8, Numbers::V10, 0xc638 + 0xe0),
    Version::new((11, 3), 7, 0x50, Numbers::V11, 0xd2c0 + 0xe0),
    Version::new((12, 4), 7, 0, Numbers::V12, 0xdea0 + 0x48),
    Version::new((13, 6), 8, 0, Numbers::V13, 0xeff8 + 0x50),
];

impl Version {
    const fn new(numbers: (u32, u32), sizes: u8, area: u8, spaces: Numbers, limit_at: u32) -> Self {
        Self {
            numbers,
            told: Told {
                sizes,
                area: area / 8,
                early: matches!(spaces, Numbers::V10),
                numbers: spaces,
                // Of each file its own.
                pauses_at: 0,
            },
            limit_at,
        }
    }
}

/// Beginnings of the functions' symbols, as their arguments differ from version to version; for people; what each tells; and the place of
/// the argument that its probe takes, in the order of [`Shape`].
const FUNCTIONS: [(&str, &str, Tells, u8); 6] = [
    (
        "_ZN2v88internal17AllocationCounter26AdvanceAllocationObserversE",
        "v8::internal::AllocationCounter::AdvanceAllocationObservers",
        Tells::Allocated,
        1,
    ),
    (
        "_ZN2v88internal15MemoryAllocator17AllocateLargePageE",
        "v8::internal::MemoryAllocator::AllocateLargePage",
        Tells::Large,
        2,
    ),
    (
        "_ZN2v88internal19SpaceWithLinearArea23MarkLabStartInitializedE",
        "v8::internal::SpaceWithLinearArea::MarkLabStartInitialized",
        Tells::Forgotten,
        0,
    ),
    (
        "_ZN2v88internal8GCTracer20StartObservablePauseE",
        "v8::internal::GCTracer::StartObservablePause",
        Tells::Pause,
        0,
    ),
    (
        "_ZN2v88internal8GCTracer19StopObservablePauseE",
        "v8::internal::GCTracer::StopObservablePause",
        Tells::Collected,
        0,
    ),
    (
        "_ZN2v88internal18ScavengerCollector18ClearOldEphemeronsE",
        "v8::internal::ScavengerCollector::ClearOldEphemerons",
        Tells::Survived,
        0,
    ),
];

/// What counts the areas of V8 10.2 when a pause begins.
const PAUSES: &str = "_ZN2v88internal19SpaceWithLinearArea24PauseAllocationObserversE";

/// Finds the places in a file that has V8 of this version: major and minor number, and all in words.
///
/// # Errors
/// Why nothing would tell of the heap, or not all that is allocated in it.
pub fn find<'data, R: ReadRef<'data>>(file: R, numbers: (u32, u32), in_words: String) -> Result<V8Heap, String> {
    let version = VERSIONS.iter().find(|version| version.numbers == numbers);
    let version = version.ok_or_else(|| format!("how V8 {}.{} counts is not known", numbers.0, numbers.1))?;
    let elf = Elf::parse(file)?;
    let functions = elf.functions(|symbol| {
        symbol.starts_with(PAUSES)
            || FUNCTIONS.iter().any(|(begin, ..)| symbol.starts_with(begin))
            || v8_shortage::is_wanted(symbol)
    })?;
    let code = Code::new(&elf);
    let wanted = FUNCTIONS.iter().filter(|(begin, _, tells, _)| match tells {
        Tells::Large => version.told.early,
        Tells::Forgotten => version.told.area != 0,
        // Without it the rest is told all the same.
        Tells::Survived => one(&functions, begin).is_some(),
        Tells::Allocated | Tells::Pause | Tells::Collected | Tells::Shortage => true,
    });
    let place = |begin: &str, name: &str| {
        let function = one(&functions, begin);
        function.map(|function| function.svma).ok_or_else(|| {
            format!(
                "it has no symbol of {name}: it is stripped, or its makers have hidden it; use a build of node that has its symbols, as the \
                 official ones have"
            )
        })
    };
    let pauses = if version.told.early {
        Some(place(
            PAUSES,
            "v8::internal::SpaceWithLinearArea::PauseAllocationObservers",
        )?)
    } else {
        None
    };
    let points: Result<Vec<_>, String> = wanted
        .map(|&(begin, name, tells, argument)| {
            let svma = place(begin, name)?;
            let mut point = point(&elf, &code, svma, (name, tells), (argument, version.told))
                .ok_or_else(|| format!("{name} is at no place of the file that has code"))?;
            if let (Tells::Allocated, Some(pauses)) = (tells, pauses) {
                let probe = svma.wrapping_add(point.placement.beyond.into());
                let pauses_at = i32::try_from(pauses.wrapping_sub(probe).cast_signed());
                point.detail = Detail::V8(Told {
                    pauses_at: pauses_at.map_err(|_far| format!("{name} is too far from what calls it"))?,
                    ..version.told
                });
            }
            Ok(point)
        })
        .collect();
    let mut heap = V8Heap {
        version: in_words,
        points: points?,
        untold: Vec::new(),
    };
    match v8_shortage::find(&elf, &code, &functions, (version.limit_at, version.told.early)) {
        Ok(points) => heap.points.extend(points),
        Err(why) => heap
            .untold
            .push(format!("that V8 runs out of memory is not told: {why}")),
    }
    Ok(heap)
}

/// The function whose symbol begins so, where there is one and only one.
fn one<'a>(functions: &'a [Function], begin: &str) -> Option<&'a Function> {
    let mut found = functions.iter().filter(|function| function.name.starts_with(begin));
    let first = found.next()?;
    found.all(|other| other.svma == first.svma).then_some(first)
}

fn point<'data, R: ReadRef<'data>>(
    elf: &Elf<'data, R>,
    code: &Code<'_, 'data, R>,
    svma: u64,
    (name, tells): (&str, Tells),
    (argument, told): (u8, Told),
) -> Option<AttachPoint> {
    let entry = elf.code_offset(svma)?;
    let shape = Shape {
        size: Some(argument),
        ..Shape::default()
    };
    let (placement, there) = placement::place(code, svma, shape, &Jumps::of(code, [svma]));
    let placement = if there == shape {
        placement
    } else {
        // The program reads it where it is at the entry.
        Placement::at_entry(Cost::Stepped(
            "its argument moves before an instruction that is emulated",
        ))
    };
    Some(AttachPoint {
        symbol: name.to_owned(),
        offset: entry + u64::from(placement.beyond),
        placement,
        kind: Kind::V8(tells),
        // It is about none.
        op: Op::Malloc,
        detail: Detail::V8(told),
        from_entry: 0,
        semaphore: 0,
        of_one_trap: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_refused() {
        let nothing: &[u8] = &[];
        assert!(find(nothing, (9, 4), String::new()).unwrap_err().contains("V8 9.4"));
        assert!(find(nothing, (10, 2), String::new()).is_err());
        // A file that has code, and no V8.
        let own = std::fs::read("/proc/self/exe").unwrap();
        let why = find(&*own, (13, 6), String::new()).unwrap_err();
        assert!(why.contains("no symbol of v8::internal::AllocationCounter"), "{why}");
    }

    #[test]
    fn a_symbol_that_two_functions_have_tells_of_neither() {
        let function = |name: &str, svma| Function {
            name: name.to_owned(),
            svma,
            indirect: false,
        };
        let functions = [
            function("_Z1aEv", 1),
            function("_Z1aEi", 1),
            function("_Z1bEv", 2),
            function("_Z1bEi", 3),
        ];
        assert_eq!(one(&functions, "_Z1aE").unwrap().svma, 1);
        assert_eq!(one(&functions, "_Z1bE"), None);
        assert_eq!(one(&functions, "_Z1cE"), None);
    }
}
