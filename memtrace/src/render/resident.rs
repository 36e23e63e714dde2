//! Resident memory in the summary: what it is made of, and in words what grew.

use std::io::{self, Write};

use crate::{
    profile::{
        Profile, Resident,
        resident::{Change, Part, Reading},
    },
    units::{bytes, duration, plural, processes},
};

use super::{
    label,
    layout::{COLUMNS, wrap},
};

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
    for sentence in sentences(profile, resident, last) {
        for line in wrap(&sentence, COLUMNS) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

fn heading(last: &Reading) -> String {
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

fn sentences(profile: &Profile, resident: &Resident, last: &Reading) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(change) = resident.change() {
        all.push(changed(profile, &change));
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
    let (part, by) = change.most;
    if change.bytes < 0 {
        return format!(
            "It shrank by {}, of which {} were {}.",
            size(change.bytes),
            size(by),
            what(profile, part)
        );
    }
    let grew = size(change.bytes);
    let of = if by > change.bytes {
        // Another part shrank meanwhile.
        format!("It grew by {grew}: there are {} more of", size(by))
    } else {
        format!("It grew by {grew}, of which {} are", size(by))
    };
    format!("{of} {}: {}.", what(profile, part), advice(profile, part))
}

/// A part in a sentence.
fn what(profile: &Profile, part: Part) -> String {
    match part {
        Part::Live => "live blocks".to_owned(),
        Part::Held => format!("free memory that {} holds", allocators(profile)),
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

/// Where to look next.
fn advice(profile: &Profile, part: Part) -> String {
    match part {
        Part::Live => "the sites below say whose they are".to_owned(),
        Part::Held => {
            let names = names(profile);
            let remedies: Vec<String> = REMEDIES
                .iter()
                .filter(|(name, _)| names.contains(name))
                .map(|(name, remedy)| match names.len() {
                    1 => (*remedy).to_owned(),
                    _ => format!("{name}: {remedy}"),
                })
                .collect();
            match remedies.join("; ").as_str() {
                "" => "fragmentation, or caches".to_owned(),
                remedies => format!("fragmentation, caches or arenas ({remedies})"),
            }
        }
        Part::Mapped => "the sites with mmap below say where".to_owned(),
        Part::Before => "see docs/resident.md".to_owned(),
        Part::Stacks => "threads, or deeper calls".to_owned(),
        Part::Files => {
            let what = label::targets(profile);
            format!("what the {what} read or shared; the kernel takes clean pages back by itself")
        }
        Part::Unknown => "see docs/resident.md".to_owned(),
    }
}
