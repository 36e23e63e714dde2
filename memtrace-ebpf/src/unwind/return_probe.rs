//! Return addresses that the kernel has replaced by the address of its return probes' trampoline: ours, or another tracer's.

use aya_ebpf::helpers::{bpf_get_current_task_btf, bpf_probe_read_kernel};

use crate::maps::{CONFIG, Scratch};

/// End of the address space (`TASK_SIZE_MAX` with page tables of four levels, `arch/x86/include/asm/page_64.h`). The kernel
/// asks for the page right below to have probed functions return to (`xol_add_vma`, kernel/events/uprobes.c).
const TASK_END: u64 = (1 << 47) - 4096;

/// Records that are looked at for one address. They lie in the order of the stack, and those of frames already left were
/// passed before, so it is nearly always the first.
const RECORDS: usize = 8;

/// The page of the current process that probed functions return to (avma), 0 when there is none yet.
#[inline(always)]
pub(crate) fn trampoline() -> u64 {
    let fields = CONFIG.load().trampoline;
    if fields.known == 0 {
        return TASK_END - 4096;
    }
    // SAFETY: the helper has no preconditions.
    let task = unsafe { bpf_get_current_task_btf() } as u64;
    let area = kernel_word(kernel_word(task, fields.task_mm), fields.mm_area);
    kernel_word(area, fields.area_address)
}

/// Whether an address is in that page.
#[inline(always)]
pub(crate) fn replaced(address: u64, trampoline: u64) -> bool {
    trampoline != 0 && address & !4095 == trampoline
}

/// The return address that was at `slot` (avma) before, or 0 when it cannot be found.
#[inline(never)]
pub(super) fn original(scratch: &mut Scratch, slot: u64) -> u64 {
    let fields = CONFIG.load().return_probes;
    if fields.known == 0 {
        return 0;
    }
    let mut instance = scratch.walk.instance;
    if instance == 0 {
        // SAFETY: the helper has no preconditions.
        let task = unsafe { bpf_get_current_task_btf() } as u64;
        let utask = kernel_word(task, fields.task_utask);
        instance = kernel_word(utask, fields.utask_instances);
    }
    let mut record = 0;
    while record < RECORDS {
        if instance == 0 {
            return 0;
        }
        if kernel_word(instance, fields.instance_stack) == slot {
            scratch.walk.instance = instance;
            return kernel_word(instance, fields.instance_address);
        }
        instance = kernel_word(instance, fields.instance_next);
        record += 1;
    }
    0
}

/// The word at an offset in one of the kernel's structures, or 0.
#[inline(always)]
pub(crate) fn kernel_word(base: u64, offset: u32) -> u64 {
    if base == 0 {
        return 0;
    }
    // SAFETY: the helper checks the address and fails on memory that cannot be read.
    unsafe { bpf_probe_read_kernel((base + u64::from(offset)) as *const u64) }.unwrap_or(0)
}
