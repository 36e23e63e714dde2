//! The rule of an address: from the cache, or from the table of the file that is mapped there.

use memtrace_common::{
    event::note,
    limits::{CACHED_RULES, MAX_MAPPINGS},
    space::{HULLS, Mapping, NO_TABLE, Space, TABLE_TO_COME},
    unwind::{self, CHUNK_WORDS, PAGE_SHIFT, Page, Row, Rule},
};

use crate::{
    maps::{CHANGES, CONFIG, CachedRule, Chunk, RULES, Scratch, TABLES},
    recent,
};

/// Addresses above have bits where the cache's key has the generation: they come with five-level page tables only, and
/// only to programs that ask for them.
const CACHEABLE: u64 = 1 << 48;

/// The rule of the current frame.
#[inline(always)]
pub(super) fn of(scratch: &mut Scratch, space: Option<&Space>) -> Rule {
    // The instruction before a return address is the call.
    let pc = scratch.walk.ip.wrapping_sub(1);
    let Some(space) = space.filter(|_| scratch.walk.changed == 0 || !changed(scratch, pc)) else {
        return newest(scratch, pc);
    };
    if pc >= CACHEABLE {
        return Rule::NONE;
    }
    let key = pc | scratch.walk.generation;
    let Some(cached) = RULES.get_ptr_mut((pc ^ (pc >> 12)) as u32 & (CACHED_RULES - 1)) else {
        return Rule::NONE;
    };
    // SAFETY: the entry lives as long as the map. Programs on other processors write to it at the same time; each word is
    // read and written whole, and what does not fit together is not believed.
    let cached = unsafe { &mut *cached };
    let (mixed, rule) = (read(&cached.mixed), read(&cached.rule));
    if mixed ^ rule == key {
        return Rule(rule);
    }
    look_up(scratch, space, pc, key, cached)
}

/// The rule of code that is newer than the space, or of a program without one: if it is of a file whose table is there.
#[inline(always)]
fn newest(scratch: &mut Scratch, pc: u64) -> Rule {
    if CONFIG.load().by_tables == 0 {
        return Rule::NONE;
    }
    let rule = recent::mapping(scratch, pc).and_then(|mapping| in_table(&mapping, pc.wrapping_sub(mapping.bias)));
    let Some(rule) = rule else {
        scratch.walk.notes |= u64::from(note::EARLY);
        return Rule::NONE;
    };
    scratch.walk.recent = 1;
    rule
}

/// Reads a word that others may be writing, once.
#[inline(always)]
fn read(word: &u64) -> u64 {
    // SAFETY: a reference is valid.
    unsafe { core::ptr::read_volatile(word) }
}

/// The same for half a word.
#[inline(always)]
fn read_half(half: &u32) -> u32 {
    // SAFETY: a reference is valid.
    unsafe { core::ptr::read_volatile(half) }
}

/// Writes a word that others may be reading, whole.
#[inline(always)]
fn write(word: &mut u64, value: u64) {
    // SAFETY: a reference is valid.
    unsafe { core::ptr::write_volatile(word, value) }
}

/// Whether code at `pc` was mapped after the space was read.
#[inline(always)]
fn changed(scratch: &Scratch, pc: u64) -> bool {
    // SAFETY: as in `last_change`.
    let Some(changes) = (unsafe { CHANGES.get(scratch.walk.space as u32) }) else {
        return false;
    };
    let covers = scratch.walk.covers;
    // In signs of differences, without branches: the verifier follows each way through eight times three.
    let mut found = 0;
    let mut index = 0;
    while index < HULLS {
        let hull = &changes.hulls[index];
        let newer = opaque(covers.wrapping_sub(hull.latest)) >> 63;
        let above = opaque(hull.low.wrapping_sub(pc + 1)) >> 63;
        let below = opaque(pc.wrapping_sub(hull.high)) >> 63;
        found |= newer & above & below;
        index += 1;
    }
    found != 0
}

/// Finds the rule in the table and keeps it in the cache.
#[inline(never)]
fn look_up(scratch: &mut Scratch, space: &Space, pc: u64, key: u64, cached: &mut CachedRule) -> Rule {
    let mapping = mapping(space, pc);
    if pc >= mapping.end {
        return Rule::NONE;
    }
    if mapping.arena == TABLE_TO_COME {
        scratch.walk.notes |= u64::from(note::EARLY);
        return Rule::NONE;
    }
    let rule = if mapping.arena == NO_TABLE {
        Rule::NONE
    } else {
        in_table(mapping, pc.wrapping_sub(mapping.bias)).unwrap_or(Rule::NONE)
    };
    // Another space may have been put into this one's memory meanwhile.
    if u64::from(read_half(&space.generation)) << 48 != scratch.walk.generation {
        scratch.walk.notes |= u64::from(note::EARLY);
        return Rule::NONE;
    }
    write(&mut cached.rule, rule.0);
    write(&mut cached.mixed, key ^ rule.0);
    rule
}

/// The last mapping that begins at or before `pc`. Steps without branches: see [`unwind::search`].
#[inline(always)]
pub(crate) fn mapping(space: &Space, pc: u64) -> &Mapping {
    let next_pc = opaque(pc + 1);
    // Kernels before 6.10 know nothing of what an `or` of two variables gives, and the compiler adds bits that way and then
    // drops a mask that changes nothing. It does not drop one that it does not know.
    let mask = opaque(MAX_MAPPINGS as u64 - 1);
    let mut index = 0_u64;
    let mut step = MAX_MAPPINGS as u64 / 2;
    while step > 0 {
        let at = ((index + step) & mask) as usize;
        // SAFETY: the mask keeps it below the length, which the verifier checks.
        let begin = *unsafe { space.begins.get_unchecked(at) };
        index += step * (begin.wrapping_sub(next_pc) >> 63);
        step /= 2;
    }
    let at = (index & mask) as usize;
    // SAFETY: as above.
    unsafe { space.mappings.get_unchecked(at) }
}

#[inline(always)]
fn in_table(mapping: &Mapping, svma: u64) -> Option<Rule> {
    let page = mapping.page_base.wrapping_add((svma >> PAGE_SHIFT) as u32);
    let page = Page(word(chunk(mapping, page)?, page));
    if page.count() == 0 {
        return Some(Rule::NONE);
    }
    let first = page.first();
    let rows = chunk(mapping, first)?;
    let (key, count) = (opaque(Row::after(svma)), opaque(u64::from(page.count())));
    let row = unwind::search(key, count, |index| word(rows, first + index));
    let rule = 2 * Row(word(rows, first + row)).rule();
    let rules = chunk(mapping, rule)?;
    Some(Rule(
        u64::from(word(rules, rule)) | u64::from(word(rules, rule + 1)) << 32,
    ))
}

/// The piece of a table in which a word lies.
#[inline(always)]
fn chunk(mapping: &Mapping, word: u32) -> Option<&'static Chunk> {
    TABLES.get_value(mapping.arena, &(mapping.chunk + word / CHUNK_WORDS as u32))
}

#[inline(always)]
fn word(chunk: &Chunk, index: u32) -> u32 {
    chunk[index as usize & (CHUNK_WORDS - 1)]
}

/// A value of which the compiler forgets what it knows: else it turns arithmetic back into branches, each of which
/// the verifier follows.
#[inline(always)]
fn opaque(value: u64) -> u64 {
    // SAFETY: a reference is valid.
    unsafe { core::ptr::read_volatile(&raw const value) }
}
