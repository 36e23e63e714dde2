//! Which file code was mapped from.

use aya_ebpf::helpers::bpf_get_current_task_btf;
use memtrace_common::{
    Counter,
    event::{Image, Kind},
    space::FileKey,
};

use crate::{
    emit,
    filter::Task,
    maps::CONFIG,
    recent, stats,
    unwind::{self, return_probe::kernel_word},
};

/// Tells of the file that the current task has mapped at `address`: its descriptor and the offset are arguments of the call.
#[inline(always)]
pub(crate) fn mapped(task: Task, address: u64, size: u64) {
    let files = CONFIG.load().files;
    if files.known == 0 {
        return;
    }
    let arguments = unwind::entry_registers();
    let table = kernel_word(kernel_word(current(), files.task_files), files.files_table);
    let entries = kernel_word(table, files.table_entries);
    let descriptor = arguments.r8 as u32;
    if entries == 0 {
        return;
    }
    let file = kernel_word(entries + 8 * u64::from(descriptor), 0);
    let offset = arguments.r9;
    if let Some(key) = send(task, file, address, size, offset) {
        recent::mapped(task, key, address, size, offset);
    }
}

/// Tells of the executable of a program that begins.
#[inline(always)]
pub(crate) fn executable(task: Task) {
    let files = CONFIG.load().files;
    if files.known == 0 {
        return;
    }
    let memory = kernel_word(current(), files.task_mm);
    let file = kernel_word(memory, files.mm_executable);
    let address = kernel_word(memory, files.mm_code);
    if let Some(key) = send(task, file, address, 0, 0) {
        recent::executable(task, key, address);
    }
}

#[inline(always)]
fn current() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_task_btf() as u64 }
}

/// Sends which file it is.
#[inline(always)]
fn send(task: Task, file: u64, address: u64, size: u64, offset: u64) -> Option<FileKey> {
    let files = CONFIG.load().files;
    let inode = kernel_word(file, files.file_inode);
    if inode == 0 {
        return None;
    }
    let key = FileKey {
        inode: kernel_word(inode, files.inode_number),
        // Half a word: what follows is another field.
        device: kernel_word(kernel_word(inode, files.inode_system), files.system_device) as u32,
        reserved: 0,
    };
    let record = Image {
        header: emit::header(Kind::Image, None, 0, task),
        address,
        size,
        offset,
        inode: key.inode,
        device: key.device,
        reserved: 0,
    };
    if !emit::record(record) {
        stats::count(Counter::LostOther);
    }
    Some(key)
}
