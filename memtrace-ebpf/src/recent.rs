//! Code of files whose tables are there, from the moment that it is mapped: a short-lived program has ended before the collector
//! has read where its code lies.

use aya_ebpf::bindings::BPF_NOEXIST;
use memtrace_common::space::{FILE_SEGMENTS, FileKey, FileSegment, FileTable, Mapping, RECENT, Recent, UNUSED};

use crate::{
    filter::Task,
    maps::{FILES, NO_RECENT, RECENTS, Scratch},
};

/// Bytes of a page.
const PAGE: u64 = 4096;

/// A file was mapped from an offset on.
#[inline(always)]
pub(crate) fn mapped(task: Task, key: FileKey, address: u64, size: u64, offset: u64) {
    // SAFETY: the memory stays that of some file's table for as long as the program runs.
    let Some(table) = (unsafe { FILES.get(key) }) else {
        return;
    };
    let mut index = 0;
    while index < FILE_SEGMENTS {
        let segment = &table.segments[index];
        if segment.offset <= offset && offset < segment.end {
            add(task, table, segment, address, size, offset);
            return;
        }
        index += 1;
    }
}

/// A program begins whose first executable segment is at an address.
#[inline(always)]
pub(crate) fn executable(task: Task, key: FileKey, address: u64) {
    first(task, key, |_| address & !(PAGE - 1));
}

/// The same of its dynamic loader, whose addresses (svma) are added to `bias`.
#[inline(always)]
pub(crate) fn loader(task: Task, key: FileKey, bias: u64) {
    first(task, key, |segment| bias.wrapping_add(segment.svma));
}

/// The kernel has mapped a file's first executable segment by itself.
#[inline(always)]
fn first(task: Task, key: FileKey, address: impl FnOnce(&FileSegment) -> u64) {
    // SAFETY: as above.
    let Some(table) = (unsafe { FILES.get(key) }) else {
        return;
    };
    let segment = &table.segments[0];
    let size = segment.end.wrapping_sub(segment.offset);
    add(task, table, segment, address(segment), size, segment.offset);
}

#[inline(always)]
fn add(task: Task, table: &FileTable, segment: &FileSegment, address: u64, size: u64, offset: u64) {
    let Some(recent) = of(task.incarnation) else { return };
    // SAFETY: the value lives as long as the map. Threads of one process that map at the same time may lose one of the two.
    let recent = unsafe { &mut *recent };
    let svma = segment.svma.wrapping_add(offset).wrapping_sub(segment.offset);
    let place = (recent.count & (RECENT as u64 - 1)) as usize;
    recent.count += 1;
    // Nothing is found there while it is written.
    recent.begins[place] = UNUSED;
    recent.mappings[place] = Mapping {
        end: address.wrapping_add(size),
        bias: address.wrapping_sub(svma),
        arena: table.arena,
        chunk: table.chunk,
        page_base: segment.page_base,
        reserved: 0,
    };
    recent.begins[place] = address;
}

/// What a process has mapped lately, made when there was nothing.
#[inline(always)]
fn of(incarnation: u32) -> Option<*mut Recent> {
    if let Some(recent) = RECENTS.get_ptr_mut(incarnation) {
        return Some(recent);
    }
    let none = NO_RECENT.get(0)?;
    let _there = RECENTS.insert(incarnation, none, u64::from(BPF_NOEXIST));
    RECENTS.get_ptr_mut(incarnation)
}

/// Other code lies in a range from now on.
#[inline(always)]
pub(crate) fn forget(task: Task, start: u64, end: u64) {
    let Some(recent) = RECENTS.get_ptr_mut(task.incarnation) else {
        return;
    };
    // SAFETY: as above.
    let recent = unsafe { &mut *recent };
    let mut index = 0;
    while index < RECENT {
        if recent.begins[index] < end && start < recent.mappings[index].end {
            recent.begins[index] = UNUSED;
        }
        index += 1;
    }
}

/// The mapping that `pc` lies in, if it was mapped lately.
#[inline(always)]
pub(crate) fn mapping(scratch: &Scratch, pc: u64) -> Option<Mapping> {
    // SAFETY: as in `unwind::last_change`: what is torn leads to a rule that does not fit, as a wrong frame pointer would.
    let recent = unsafe { RECENTS.get(scratch.walk.space as u32) }?;
    let mut index = 0;
    while index < RECENT {
        let mapping = &recent.mappings[index];
        if recent.begins[index] <= pc && pc < mapping.end {
            return Some(*mapping);
        }
        index += 1;
    }
    None
}
