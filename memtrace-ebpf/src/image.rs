//! Which file code was mapped from.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_get_current_task_btf, generated::bpf_find_vma};
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

/// The kind of the auxiliary vector's entry that says where the dynamic loader is (`AT_BASE`, include/uapi/linux/auxvec.h).
const LOADER_BIAS: u64 = 7;

/// Entries that are looked at: the kernel puts it among the first ten.
const ENTRIES: u64 = 20;

/// Tells of the executable of a program that begins, and of its dynamic loader: the kernel maps both by itself.
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
    // Constant when the program is verified, so a kernel does not see a call that it does not have.
    if CONFIG.load().has_loop != 0 {
        loader(task, memory);
    }
}

#[inline(always)]
fn loader(task: Task, memory: u64) {
    let bias = loader_bias(memory);
    if bias == 0 {
        return;
    }
    let mut file = 0_u64;
    // SAFETY: the helper has no preconditions.
    let current = unsafe { bpf_get_current_task_btf() };
    // SAFETY: the callback has the signature that the helper calls it with, and `file` outlives the call.
    let found = unsafe { bpf_find_vma(current, bias, file_of as *mut c_void, (&raw mut file).cast(), 0) };
    if found == 0
        && let Some(key) = send(task, file, bias, 0, Image::FROM_BIAS)
    {
        recent::loader(task, key, bias);
    }
}

/// What the addresses of the program's dynamic loader are added to; 0 without one.
#[inline(always)]
fn loader_bias(memory: u64) -> u64 {
    let vector = memory + u64::from(CONFIG.load().files.mm_auxiliary);
    let mut entry = 0;
    while entry < ENTRIES {
        if kernel_word(vector + 16 * entry, 0) == LOADER_BIAS {
            return kernel_word(vector + 16 * entry, 8);
        }
        entry += 1;
    }
    0
}

/// Notes the file of an area of memory.
extern "C" fn file_of(_task: *mut c_void, area: *mut c_void, file: *mut u64) -> i64 {
    let found = kernel_word(area as u64, CONFIG.load().files.area_file);
    // SAFETY: the context is the word that `loader` has on its stack.
    unsafe { *file = found };
    0
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
