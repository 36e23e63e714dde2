//! Resident memory in the summary: what it is made of, and in words what grew.

mod askers;
mod javascript;
pub(super) mod spaces;

use std::io::{self, Write};

use crate::{
    profile::{
        Profile, Resident,
        resident::{Change, Part, Reading},
    },
    units::{bytes, duration, plural, processes},
};

use super::layout::{COLUMNS, wrap};

/// A part of live bytes that is not resident and deserves a sentence: one of so many.
const ABSENT_SHARE: u64 = 10;

/// What may be done about memory that an allocator holds, by its name in reports.
const REMEDIES: &[(&str, &str)] = &[
    (
        "glibc",
        "malloc_trim(3) gives free pages back, MALLOC_ARENA_MAX limits arenas, and blocks of one lifetime side by side leave fewer gaps",
    ),
    (
        "jemalloc",
        "MALLOC_CONF has dirty_decay_ms and muzzy_decay_ms (how long free pages are kept), background_thread:true and narenas",
    ),
    (
        "tcmalloc",
        "MallocExtension's ReleaseFreeMemory or ReleaseMemoryToSystem gives free pages back; TCMALLOC_RELEASE_RATE and \
         TCMALLOC_MAX_TOTAL_THREAD_CACHE_BYTES (gperftools) are what to look at",
    ),
    (
        "mimalloc",
        "mi_collect(true) gives free pages back, and MIMALLOC_PURGE_DELAY (before 2.1 MIMALLOC_RESET_DELAY) says how long they are kept",
    ),
    (
        "musl",
        "it has no settings: larger blocks, or blocks of one lifetime side by side, leave fewer gaps",
    ),
];

/// Writes the part, or nothing where resident memory was never read.
pub(super) fn write(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    let Some(resident) = &profile.resident else {
        return Ok(());
    };
    let (Some(first), Some(last)) = (resident.first(), resident.last()) else {
        return Ok(());
    };
    for line in wrap(&heading(last), COLUMNS) {
        writeln!(out, "{line}")?;
    }
    writeln!(out)?;
    writeln!(
        out,
        "{:>14}  {:>14}  part",
        format!("at {}", duration(first.at)),
        format!("at {}", duration(last.at))
    )?;
    for part in Part::ALL {
        let (was, is) = (first.parts.of(part), last.parts.of(part));
        if was > 0 || is > 0 {
            writeln!(out, "{:>14}  {:>14}  {}", bytes(was), bytes(is), part.name())?;
        }
    }
    writeln!(out)?;
    spaces::write(first, last, out)?;
    askers::write(profile, out)?;
    for sentence in sentences(profile, resident, last) {
        for line in wrap(&sentence, COLUMNS) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// How much is resident.
pub(super) fn heading(last: &Reading) -> String {
    let mut more = vec![format!("{} by proportional share (Pss)", bytes(last.pss))];
    let others = [
        (last.huge, "in huge pages"),
        (last.lazy_free, "free for the kernel to take"),
    ];
    more.extend(
        others
            .iter()
            .filter(|(size, _)| *size > 0)
            .map(|(size, what)| format!("{} {what}", bytes(*size))),
    );
    if last.swap > 0 {
        more.push(format!("besides {} swapped out", bytes(last.swap)));
    }
    let of = if last.processes > 1 {
        format!(" of {}", processes(last.processes.into()))
    } else {
        String::new()
    };
    format!("Resident memory{of}: {}, {}", bytes(last.rss), more.join(", "))
}

/// What a reader must know of it, a sentence each.
pub(super) fn sentences(profile: &Profile, resident: &Resident, last: &Reading) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(change) = resident.change() {
        all.push(changed(profile, &change));
        all.extend(javascript::sentence(profile, change.bytes));
    }
    let live = last.absent.saturating_add(last.parts.live);
    if last.absent > 1 << 20 && last.absent > live / ABSENT_SHARE {
        let why = if last.swap == 0 {
            "never touched"
        } else {
            "never touched, or swapped out"
        };
        all.push(format!(
            "Live but not resident: {} were allocated and {why}.",
            bytes(last.absent)
        ));
    }
    if last.coarse > 0 {
        all.push(format!(
            "{} are in mappings too large to look at page by page: what is live there is less certain.",
            bytes(last.coarse)
        ));
    }
    if last.others > 0 {
        all.push(format!(
            "{} with {} are not in it: of all but the largest only the total is read.",
            processes(last.others.into()),
            bytes(last.others_rss)
        ));
    }
    let effort = resident.effort;
    if effort.times > 0 {
        all.push(format!(
            "Read {}, in {} at most.",
            plural(effort.times, "time"),
            milliseconds(effort.longest)
        ));
    }
    all
}

/// `0.4 ms`, `120 ms`: the short times that reading takes.
fn milliseconds(time: std::time::Duration) -> String {
    let tenths = time.as_micros().div_ceil(100);
    match tenths {
        0..100 => format!("{}.{} ms", tenths / 10, tenths % 10),
        _ => format!("{} ms", tenths.div_ceil(10)),
    }
}

/// What grew or shrank, and what may be done about it.
fn changed(profile: &Profile, change: &Change) -> String {
    let size = |by: i128| bytes(u64::try_from(by.unsigned_abs()).unwrap_or(u64::MAX));
    let verb = if change.bytes < 0 { "were" } else { "are" };
    let parts: Vec<String> = change
        .parts
        .iter()
        .map(|&(part, by)| format!("{} {verb} {}", size(by), what(profile, part)))
        .collect();
    let parts = parts.join(", ");
    let by = size(change.bytes);
    if change.bytes < 0 {
        return format!("It shrank by {by}; of what is gone {parts}.");
    }
    let advice: Vec<String> = change
        .parts
        .iter()
        .map(|&(part, _)| format!("{}: {}.", word(part), advice(profile, part)))
        .collect();
    let more = change.parts.iter().any(|&(_, by)| by > change.bytes);
    // More than the whole, when another part shrank meanwhile.
    let of = if more { "of what is new" } else { "of which" };
    format!("It grew by {by}, {of} {parts}. {}", advice.join(" "))
}

/// A part in a sentence.
fn what(profile: &Profile, part: Part) -> String {
    match part {
        Part::Live => "live blocks".to_owned(),
        Part::Held => format!("free memory that {} holds", allocators(profile)),
        Part::JsHeap => "the heap of JavaScript".to_owned(),
        Part::JsCode => "code that V8 made".to_owned(),
        Part::Mapped => "memory that the program mapped itself".to_owned(),
        Part::Before => "memory from before attach".to_owned(),
        Part::Stacks => "stacks".to_owned(),
        Part::Files => "files and shared memory".to_owned(),
        Part::Unknown => "memory that nothing is known of".to_owned(),
    }
}

fn allocators(profile: &Profile) -> String {
    let names = names(profile);
    match names.as_slice() {
        [] => "the allocator".to_owned(),
        [name] => (*name).to_owned(),
        names => names.join(" or "),
    }
}

/// The allocators that take memory from the kernel: C++'s and Rust's functions take theirs from one of these.
fn names(profile: &Profile) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for allocator in &profile.target.allocators {
        let known = REMEDIES.iter().find(|(name, _)| *name == allocator.name);
        if let Some((name, _)) = known
            && !names.contains(name)
        {
            names.push(name);
        }
    }
    names
}

/// A part at the beginning of its advice.
const fn word(part: Part) -> &'static str {
    match part {
        Part::Live => "Live blocks",
        Part::Held => "Free memory",
        Part::JsHeap => "The heap of JavaScript",
        Part::JsCode => "Code of V8",
        Part::Mapped => "Mappings",
        Part::Before => "Memory from before",
        Part::Stacks => "Stacks",
        Part::Files => "Files",
        Part::Unknown => "The unknown",
    }
}

/// Where to look next.
fn advice(profile: &Profile, part: Part) -> String {
    match part {
        Part::Live => "the sites below say whose they are".to_owned(),
        Part::Held => held(profile),
        Part::JsHeap => {
            "its pages by space say which objects, and `memtrace heap histogram` of which classes they are".to_owned()
        }
        Part::JsCode => "functions that V8 has compiled, and modules of WebAssembly".to_owned(),
        Part::Mapped => "the sites with mmap, mremap or brk below say where".to_owned(),
        Part::Before => "of processes that were forked, or found later".to_owned(),
        Part::Stacks => "there are more threads, or their calls went deeper".to_owned(),
        Part::Files => {
            "what was read through mappings, or is shared; clean pages go by themselves when memory is needed"
                .to_owned()
        }
        Part::Unknown => "calls of the allocator were not looked at, or nothing is hooked".to_owned(),
    }
}

/// Why an allocator holds memory, and what it offers against it.
fn held(profile: &Profile) -> String {
    let names = names(profile);
    let remedies: Vec<String> = REMEDIES
        .iter()
        .filter(|(name, _)| names.contains(name))
        .map(|(name, remedy)| match names.len() {
            1 => (*remedy).to_owned(),
            _ => format!("{name}: {remedy}"),
        })
        .collect();
    let why = "gaps between live blocks (fragmentation), caches, or arenas of threads";
    match remedies.join("; ").as_str() {
        "" => why.to_owned(),
        remedies => format!("{why}; {remedies}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        profile::{
            Allocator, fixture,
            resident::{Effort, Parts},
            spaces::{Space, SpaceUse},
        },
        render::tests::rendered,
    };

    const MIB: u64 = 1 << 20;

    fn reading(second: u64, parts: Parts) -> Reading {
        Reading {
            at: Duration::from_secs(second),
            rss: parts.sum(),
            pss: parts.sum() - 100,
            parts,
            processes: 1,
            ..Reading::default()
        }
    }

    fn with_spaces(mut reading: Reading, by: u64) -> Reading {
        let of = |pages, resident| SpaceUse {
            pages,
            bytes: pages << 18,
            resident,
        };
        *reading.spaces.of_mut(Space::Old) = of(70 * by, 19 * MIB);
        *reading.spaces.of_mut(Space::Code) = of(4, MIB);
        *reading.spaces.of_mut(Space::NewLarge) = of(3 - by, (3 - by) * MIB);
        reading.heaps = 2;
        reading
    }

    fn text(readings: Vec<Reading>, allocators: &[&str]) -> String {
        let mut profile = fixture::empty();
        profile.target.allocators = allocators
            .iter()
            .map(|name| Allocator {
                name: (*name).to_owned(),
                path: String::new(),
                hooks: Vec::new(),
            })
            .collect();
        let effort = Effort {
            times: 6,
            all: Duration::from_millis(9),
            longest: Duration::from_micros(2_310),
        };
        profile.resident = Some(Resident { readings, effort });
        let text = rendered(|out| write(&profile, out));
        assert!(text.lines().all(|line| line.len() <= COLUMNS), "{text}");
        text
    }

    #[test]
    fn growth_of_free_memory_with_what_each_allocator_offers() {
        let first = Parts {
            live: 100 * MIB,
            held: MIB,
            files: 5 * MIB,
            ..Parts::default()
        };
        let last = Parts {
            live: 108 * MIB,
            held: 111 * MIB,
            ..first
        };
        let readings = vec![reading(0, first), reading(60, last)];
        insta::assert_snapshot!("resident_held", text(readings.clone(), &["glibc"]));
        let several = text(readings.clone(), &["glibc", "jemalloc", "C++"]).replace('\n', " ");
        assert!(
            several.contains("glibc or jemalloc holds") && several.contains("jemalloc: MALLOC_CONF"),
            "{several}"
        );
        let unknown = text(readings, &[]).replace('\n', " ");
        assert!(unknown.contains("free memory that the allocator holds"), "{unknown}");
    }

    #[test]
    fn everything_that_there_is_to_say() {
        let parts = |by: u64| Parts {
            live: 40 * MIB * by,
            held: MIB,
            js_heap: 20 * MIB,
            js_code: MIB,
            mapped: 2 * MIB,
            before: 30 * MIB,
            stacks: 4 * MIB,
            files: 50 * MIB * by,
            unknown: 6 * MIB,
        };
        let last = Reading {
            swap: 7 * MIB,
            huge: 8 * MIB,
            lazy_free: 9 * MIB,
            absent: 300 * MIB,
            coarse: 10 * MIB,
            processes: 16,
            others: 3,
            others_rss: 11 * MIB,
            ..reading(3600, parts(3))
        };
        let last = with_spaces(last, 3);
        insta::assert_snapshot!(
            "resident_all",
            text(vec![with_spaces(reading(0, parts(1)), 1), last], &["jemalloc"])
        );
        let shrunk = text(vec![reading(0, parts(3)), reading(1, parts(1))], &["jemalloc"]).replace('\n', " ");
        assert!(
            shrunk.contains("It shrank by 180.0 MiB; of what is gone 100.0 MiB were files"),
            "{shrunk}"
        );
    }
}
