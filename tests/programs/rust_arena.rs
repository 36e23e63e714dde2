//! A Rust program with an allocator that is written in Rust and has no symbols that any tool knows: only the functions that
//! the compiler makes of `#[global_allocator]` can be hooked. They are functions because the workload is in another crate: within one
//! crate the compiler may dissolve them.

use std::{
    alloc::{GlobalAlloc, Layout},
    ptr::null_mut,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

const SIZE: usize = 64 << 20;
/// Blocks of powers of two, from this many bytes on.
const SMALLEST: u32 = 4;

#[repr(align(65536))]
struct Memory(std::cell::UnsafeCell<[u8; SIZE]>);
// Each block is handed out to one caller at a time.
unsafe impl Sync for Memory {}

static MEMORY: Memory = Memory(std::cell::UnsafeCell::new([0; SIZE]));
static USED: AtomicUsize = AtomicUsize::new(0);
/// Addresses of freed blocks by the logarithm of their size, chained through the blocks.
static FREED: [AtomicUsize; 64] = [const { AtomicUsize::new(0) }; 64];
static LOCKED: AtomicBool = AtomicBool::new(false);

struct Arena;

fn class(layout: Layout) -> u32 {
    layout
        .size()
        .max(layout.align())
        .next_power_of_two()
        .trailing_zeros()
        .max(SMALLEST)
}

fn locked<T>(work: impl FnOnce() -> T) -> T {
    while LOCKED.swap(true, Ordering::Acquire) {
        std::hint::spin_loop();
    }
    let done = work();
    LOCKED.store(false, Ordering::Release);
    done
}

unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > SIZE || layout.align() > 65536 {
            return null_mut();
        }
        let class = class(layout);
        locked(|| {
            let first = FREED[class as usize].load(Ordering::Relaxed);
            if first != 0 {
                let next = unsafe { (first as *const usize).read() };
                FREED[class as usize].store(next, Ordering::Relaxed);
                return first as *mut u8;
            }
            // Whoever has the block next may want as much alignment as its class allows.
            let aligned = USED.load(Ordering::Relaxed).next_multiple_of(1 << class.min(16));
            if aligned + (1 << class) > SIZE {
                return null_mut();
            }
            USED.store(aligned + (1 << class), Ordering::Relaxed);
            unsafe { MEMORY.0.get().cast::<u8>().add(aligned) }
        })
    }

    unsafe fn dealloc(&self, address: *mut u8, layout: Layout) {
        let class = class(layout);
        locked(|| {
            let first = FREED[class as usize].swap(address as usize, Ordering::Relaxed);
            unsafe { address.cast::<usize>().write(first) };
        });
    }
}

#[global_allocator]
static GLOBAL: Arena = Arena;

fn main() {
    memtrace_test_allocators::workload::run(|| (), &[]);
}
